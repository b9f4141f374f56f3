package main

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// demo is a node of the built-in world, in this process.
type demo struct {
	addr map[string]string
	stop func() int
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	// On a busy machine each step takes as long as it takes.
	t.Setenv("SKUA_GATE_HANDSHAKE_TIMEOUT", "5m")
	ctx, cancel := context.WithCancel(t.Context())
	out := newWatched()
	code := make(chan int, 1)
	go func() {
		ended := run(ctx, []string{
			"run", "--data", t.TempDir(), "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--admin", "off",
		}, out, out)
		out.end()
		code <- ended
	}()
	d := &demo{addr: map[string]string{}}
	for _, field := range strings.Fields(out.waitFor(t, "ready tcp=")) {
		door, addr, _ := strings.Cut(field, "=")
		d.addr[door] = addr
	}
	stopped := -1
	d.stop = func() int {
		cancel()
		if stopped < 0 {
			stopped = <-code
		}
		return stopped
	}
	t.Cleanup(func() { d.stop() })
	return d
}

func TestBotsOfTheCommandPlayTheDemo(t *testing.T) {
	d := startDemo(t)
	for _, transport := range []string{"tcp", "kcp", "ws"} {
		var out, errs bytes.Buffer
		addr := d.addr[map[string]string{"tcp": "tcp", "kcp": "kcp", "ws": "http"}[transport]]
		code := run(t.Context(), []string{
			"bot", "--transport", transport, "--addr", addr, "--clients", "3", "--steps", "20", "--duration", "1h", "--timeout", "1h", "--pause", "20ms",
			"--prefix", transport, "--json",
		}, &out, &errs)
		if code != exitDone {
			t.Fatalf("%s: exit code %d: %s", transport, code, &errs)
		}
		// Others read these keys, and this line only.
		if !regexp.MustCompile(`^\{"clients":3,"requests":\d+,"pushes":\d+,"errors":0,"p50_ms":[0-9.e-]+,"p99_ms":[0-9.e-]+[,}][^\n]*\n$`).Match(out.Bytes()) {
			t.Errorf("%s: %s", transport, &out)
		}
		var line struct{ Requests int }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Requests < 60 {
			t.Errorf("%s: %d requests, %v", transport, line.Requests, err)
		}
	}
	if code := d.stop(); code != exitDone {
		t.Errorf("the node's exit code is %d", code)
	}
}

func TestBotsWhoseNodeGoesAwaySayThatTheConnectionWasLost(t *testing.T) {
	d := startDemo(t)
	out, errs := newWatched(), newWatched()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"bot", "--addr", d.addr["tcp"], "--clients", "3", "--duration", "5m"}, out, errs)
	}()
	errs.waitFor(t, "3 clients are in")
	d.stop()
	if got := <-code; got != exitFailed {
		t.Errorf("exit code %d, expected %d", got, exitFailed)
	}
	errs.waitFor(t, "connection lost")
	out.waitFor(t, "errors           3")
}
