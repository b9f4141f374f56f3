package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

// servedFiles are the scripts of the version that the node runs, once it does, and the other files of the project's folder.
type servedFiles struct {
	folder fs.FS
	rt     *lua.Runtime // set before the first script runs
}

// Open opens a script of the version, or another file.
func (s *servedFiles) Open(name string) (fs.File, error) {
	if s.rt != nil && path.Ext(name) == ".lua" {
		if v := s.rt.Version(); v != nil {
			return reload.Tree{Version: v}.Open(name)
		}
	}
	return s.folder.Open(name)
}

// openReload makes what changes the scripts of the node, and chooses the version that it begins with.
func (n *node) openReload(ctx context.Context) error {
	cfg := &n.project.cfg
	var key []byte
	if secret := cfg.Cluster.Secret.Reveal(); secret != "" {
		var err error
		if key, err = cluster.Key(secret, "versions"); err != nil {
			return err
		}
	}
	c := reload.Config{
		Name: cfg.Name, System: n.sys, Runtime: n.rt, Engines: n.engines, Scripts: n.project.scripts, Check: n.project.checkVersion,
		Node: n.peers, Members: n.members, Leases: n.leases, Key: key, Clustered: cfg.shared(), Start: reload.Start(cfg.Reload.Start),
		Timeout: cfg.Reload.Timeout.Duration, Parallel: cfg.Reload.Parallel, Keep: cfg.Reload.Keep, Log: n.log.With("part", "reload"), Metrics: n.metrics,
	}
	r := &cfg.Reload
	c.CanaryTime, c.Limits = r.CanaryTime.Duration, reload.Limits{Margin: r.CanaryMargin, Slower: r.CanarySlower, Messages: r.CanaryMessages}
	c.Players = n.agentsOf
	c.Shared = func(ctx context.Context, files fs.FS, changed func(file string) bool) (reload.Tables, error) {
		staged, err := n.data.Stage(ctx, files, changed)
		if err != nil {
			return reload.Tables{}, err
		}
		return reload.Tables{Names: staged.Names(), Publish: staged.Publish}, nil
	}
	if dir := cfg.Dir; dir != "" {
		c.Test = func(ctx context.Context) error { return testApart(ctx, dir) }
	}
	var err error
	if n.reload, err = reload.Open(ctx, c); err != nil {
		return err
	}
	if err := n.reload.Boot(ctx, n.instead); err != nil {
		return err
	}
	n.scripts.rt = n.rt
	return nil
}

// agentsOf are the agents on this node of some players, at whatever gate.
func (n *node) agentsOf(ctx context.Context, uids []string) ([]actor.Ref, error) {
	var all []actor.Ref
	for _, g := range n.gates {
		agents, err := g.Agents(ctx, uids)
		if err != nil {
			return nil, err
		}
		all = append(all, agents...)
	}
	return all, nil
}

// Bounds of tests that are run for a reload.
const (
	testApartTime = 10 * time.Minute
	testApartText = 8 << 10
)

// testApart runs `skua test` in a process of its own, so that a test takes no memory, and no panic, into a node that players are on.
func testApart(ctx context.Context, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the tests: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, testApartTime)
	defer cancel()
	out := tailWriter{most: testApartText}
	cmd := exec.CommandContext(ctx, self, "test", dir) //nolint:gosec // G204: this program, and the directory that it was started with
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(out.buf.String()))
	}
	return nil
}

// tailWriter keeps the end of what is written.
type tailWriter struct {
	most int
	buf  bytes.Buffer
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if extra := w.buf.Len() - w.most; extra > 0 {
		w.buf.Next(extra)
	}
	return len(p), nil
}

// keepVersions notes that the node has begun with its version. A node whose servers do not take that runs on, and says so.
func (n *node) keepVersions(ctx context.Context) {
	if err := n.reload.Booted(ctx); err != nil && ctx.Err() == nil {
		n.log.Error("reload: that the node has begun with its version can't be kept", "error", err)
	}
}

// auditReloads writes down what comes of changes, whoever has asked for them.
func (n *node) auditReloads(to *admin.Audit) {
	n.reload.OnEnd(func(c reload.Change) {
		if c.DryRun {
			return
		}
		if err := to.Add(admin.ReloadEntry(n.project.cfg.Name, &c)); err != nil {
			n.log.Error("admin: the audit log can't be written", "error", err, "who", c.Who, "action", c.Action, "target", c.To)
		}
	})
}

// hangUp reloads at each SIGHUP, until ctx ends.
func (n *node) hangUp(ctx context.Context) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP)
	defer signal.Stop(told)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-told:
			n.reloadFor("SIGHUP")
		}
	}
}

// reloadFor reloads for somebody who reads what comes of it in the log.
func (n *node) reloadFor(who string) {
	if _, err := n.reload.Begin(reload.Order{Who: who}, 0); err != nil {
		n.log.Error("reload: not begun", "who", who, "error", err)
	}
}
