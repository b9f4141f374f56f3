package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
)

const joinedMain = `
local skynet = require "skynet"
require "skynet.manager"
skynet.start(function()
  skynet.register("shop")
  skynet.dispatch("lua", function(_, _, cmd, ...)
    if cmd == "add" then
      local a, b = ...
      return skynet.retpack(a + b, { sum = true })
    end
    error("no command " .. tostring(cmd))
  end)
end)
`

// joined is a node of a cluster that serves until the test ends.
func joined(t *testing.T, url, name string) *node {
	t.Helper()
	return serving(t, map[string]string{"scripts/main.lua": joinedMain}, url, name, func(*Config) {})
}

// serving is a node of a cluster with these files in its project, and the role world. It serves until the test ends.
func serving(t *testing.T, files map[string]string, url, name string, change func(*Config)) *node {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		put(t, filepath.Join(dir, file), text)
	}
	p, err := openProject(dir, extension{}, func(c *Config) {
		c.Name, c.NATS, c.Data, c.Cluster.Roles = name, Secret(url), filepath.Join(dir, "data"), []string{"world"}
		c.Listen.TCP, c.Listen.KCP, c.Listen.HTTP, c.Listen.Admin = "off", "off", "off", "off"
		change(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	text := &logtest.Buffer{}
	n := &node{project: p, log: slog.New(slog.NewTextHandler(text, nil)), ready: func(string) { close(ready) }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, text)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return n
}

// natsServer is one that nodes are given.
func natsServer(t *testing.T) (url string) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server is not ready")
	}
	return srv.ClientURL()
}

func TestNodesOfOneNATSClusterAreOneSystem(t *testing.T) {
	url := natsServer(t)
	t.Run("two nodes", func(t *testing.T) {
		a, b := joined(t, url, "a"), joined(t, url, "b")
		await(t, "a reaches b", func() bool {
			m, ok := a.members.Find("b")
			return ok && m.Has("world") && a.mesh.Reaches("b", m.Incarnation)
		})
		shop, err := a.mesh.Lookup(t.Context(), "b", "shop")
		if err != nil || shop.Node() != "b" {
			t.Fatalf("%v, %v", shop, err)
		}
		v, err := a.sys.Ask(t.Context(), shop, lua.Command("add", int64(1)<<60, 1))
		if l, ok := v.(value.List); err != nil || !ok || l.At(0).String() != "1152921504606846977" || !l.At(1).Get("sum").Bool() {
			t.Errorf("%v, %v", v, err)
		}
		_, err = a.sys.Ask(t.Context(), shop, lua.Command("steal"))
		var failed *lua.Error
		if !errors.As(err, &failed) || !errors.Is(err, actor.ErrFailed) || !strings.Contains(failed.Message, "no command steal") || !strings.Contains(failed.Traceback, "main.lua:11") {
			t.Errorf("%#v", err)
		}
		if v, err := b.sys.Ask(t.Context(), b.first, lua.Command("add", 1, 2)); err != nil || v.(value.List).At(0).String() != "3" {
			t.Errorf("at home: %v, %v", v, err)
		}
	})
}
