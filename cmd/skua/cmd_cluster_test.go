package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/services/admin"
)

const clusterSecret = "known to the nodes of this test and to nobody else"

// running is a node in this process that was started by the command.
type running struct {
	t        *testing.T
	addrs    map[string]string // of the ready line
	out, log *watched
	cancel   context.CancelFunc
	code     chan int
}

// start runs `skua run` for a project with free ports until it is ready.
func start(t *testing.T, project string, args ...string) *running {
	t.Helper()
	r := begin(t, project, args...)
	ready := r.out.waitFor(t, "ready")
	for _, word := range strings.Fields(ready) {
		if name, addr, ok := strings.Cut(word, "="); ok {
			r.addrs[name] = addr
		}
	}
	return r
}

func begin(t *testing.T, project string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, addrs: map[string]string{}, out: newWatched(), log: newWatched(), cancel: cancel, code: make(chan int, 1)}
	args = append([]string{"run", project, "--listen-tcp", "off", "--listen-kcp", "off", "--listen-http", "off", "--admin", "127.0.0.1:0", "--data", t.TempDir()}, args...)
	go func() {
		r.code <- run(ctx, args, r.out, r.log)
		r.out.end()
		r.log.end()
	}()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("%v:\n%s%s", args, r.out.text(), r.log.text())
		}
	})
	return r
}

// stop is what SIGTERM does.
func (r *running) stop() {
	r.cancel()
	code := <-r.code
	r.code <- code
}

// ended waits for the end of the node, and tells its exit code.
func (r *running) ended() int {
	code := <-r.code
	r.code <- code
	return code
}

// shopProject is a project whose first service is joinedMain.
func shopProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"scripts/main.lua": joinedMain, configFile: "name = \"game\"\n[cluster]\nbeat = \"100ms\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask runs a command of `skua cluster` at a node.
func (r *running) ask(args ...string) (code int, out, failed string) {
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), append([]string{"cluster"}, append(args, "--admin", r.addrs["admin"])...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func (r *running) status() (s clusterStatus) {
	r.t.Helper()
	code, out, failed := r.ask("status", "--json")
	if code != exitDone {
		r.t.Fatalf("status: %d: %s", code, failed)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// member is how a node sees another, "" if it does not.
func (r *running) member(name string) string {
	r.t.Helper()
	for _, m := range r.status().Members {
		if m.Name == name {
			return m.state()
		}
	}
	return ""
}

func (r *running) readiness() int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.addrs["admin"]+"/readyz", http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestANodeJoinsAnotherAndIsDrainedFromThere(t *testing.T) {
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	project := shopProject(t)
	a := start(t, project, "--listen-cluster", "127.0.0.1:0")
	b := start(t, project, "--join", a.addrs["cluster"])
	c := start(t, project, "--join", a.addrs["cluster"], "--name", "third")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	second := joinedName("game", host)
	await(t, "all are there", func() bool {
		return a.member("game") == "alive" && a.member(second) == "alive" && c.member(second) == "alive" && a.member("third") == "alive"
	})
	code, out, failed := c.ask("status")
	for _, text := range []string{"NODE ", second + " ", "third ", "alive", "unversioned"} {
		if code != exitDone || !strings.Contains(out, text) {
			t.Errorf("status: %d, no %q in %s%s", code, text, out, failed)
		}
	}

	// A third of the same name is told which key to set.
	d := begin(t, project, "--join", a.addrs["cluster"])
	if d.ended() != exitFailed || !strings.Contains(d.log.text(), "key name, SKUA_NAME") {
		t.Errorf("exit code %d", d.ended())
	}

	if code, _, failed := a.ask("drain", "nobody"); code != exitFailed || !strings.Contains(failed, `no node "nobody" is alive`) {
		t.Errorf("%d %s", code, failed)
	}
	code, out, failed = c.ask("drain", second, "--timeout", "1m")
	for _, step := range []string{"announce   done", "singletons done", "sessions   done", "grains     done", "stop       done"} {
		if code != exitDone || !strings.Contains(out, second+"  "+step) {
			t.Errorf("drain: %d, no %q in\n%s%s", code, step, out, failed)
		}
	}
	if got := b.ended(); got != exitDone {
		t.Errorf("the drained node ended with %d", got)
	}
	await(t, "the others know", func() bool { return a.member(second) == "left" })
	if strings.Contains(a.log.text()+b.log.text()+c.log.text(), clusterSecret) {
		t.Error("the secret is in a log")
	}
}

func TestANodeThatStaysIsNotReadyAndIsStoppedLater(t *testing.T) {
	project := shopProject(t)
	a := start(t, project, "--listen-cluster", "127.0.0.1:0")
	if code, _, failed := a.ask("drain", "--self"); code != exitFailed || !strings.Contains(failed, "no other node") {
		t.Errorf("draining the only node: %d %s", code, failed)
	}
	b := start(t, project, "--join", a.addrs["cluster"], "--name", "b")
	await(t, "both are there", func() bool { return a.member("b") == "alive" && b.member("game") == "alive" })
	if got := b.readiness(); got != http.StatusOK {
		t.Errorf("readiness is %d", got)
	}
	for range 2 { // the second time there is nothing to do
		if code, out, failed := b.ask("drain", "--self", "--stay", "--timeout", "1m"); code != exitDone || !strings.Contains(out, "b  grains     done") {
			t.Fatalf("%d %s%s", code, out, failed)
		}
	}
	if got := b.readiness(); got != http.StatusServiceUnavailable {
		t.Errorf("readiness of a drained node is %d", got)
	}
	await(t, "others know", func() bool { return a.member("b") == "draining" })
	if code, _, failed := a.ask("drain", "b"); code != exitFailed || !strings.Contains(failed, "SKUA_CLUSTER_SECRET") {
		t.Errorf("an order without a secret: %d %s", code, failed)
	}
	if code, _, failed := b.ask("drain", "--self", "--timeout", "1m"); code != exitDone {
		t.Errorf("%d %s", code, failed)
	}
	if got := b.ended(); got != exitDone {
		t.Errorf("it ended with %d", got)
	}
}

func TestANodeThatIsToldToStopDrainsFirst(t *testing.T) {
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	project := shopProject(t)
	a := start(t, project, "--listen-cluster", "127.0.0.1:0")
	b := start(t, project, "--join", a.addrs["cluster"], "--name", "b")
	await(t, "both are there", func() bool { return a.member("b") == "alive" && b.member("game") == "alive" })
	b.stop()
	if got := b.ended(); got != exitDone || !strings.Contains(b.log.text(), "step=grains") {
		t.Errorf("it ended with %d, without a drain", got)
	}
	await(t, "the other knows", func() bool { return a.member("b") == "left" })
	a.stop()
	if strings.Contains(a.log.text(), "step=") {
		t.Error("a node that is alone was drained")
	}
}

// startNode serves a node in this process until the test ends.
func startNode(t *testing.T, change func(*Config)) *node {
	t.Helper()
	dir := shopProject(t)
	p, err := openProject(dir, extension{}, func(c *Config) {
		c.Data = filepath.Join(dir, "data")
		c.Listen.TCP, c.Listen.KCP, c.Listen.HTTP, c.Listen.Admin = "off", "off", "off", "off"
		change(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	log := newWatched()
	logger, err := newLog(log, p.cfg.Log)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	n := &node{project: p, log: logger.Logger, ready: func(string) { close(ready) }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.text())
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

func TestDrainStepsAreInOrderAndLeaveSingletonsToOthers(t *testing.T) {
	a := startNode(t, func(c *Config) { c.Listen.Cluster = "127.0.0.1:0"; c.Name = "a" })
	b := startNode(t, func(c *Config) { c.Cluster.Join = []string{a.peers.ListensAt().String()}; c.Name = "b" })
	await(t, "both know each other", func() bool {
		_, x := a.members.Find("b")
		_, y := b.members.Find("a")
		return x && y
	})
	for _, n := range []*node{a, b} {
		spec, err := names.Singleton(names.SingletonConfig{Name: "market", Leases: n.leases, Names: n.names, New: func(uint64) actor.Spec {
			return actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.sys.Spawn(spec); err != nil {
			t.Fatal(err)
		}
	}
	holder := func() string {
		h, err := a.leases.Holder(t.Context(), "singleton.market")
		if err != nil {
			t.Fatal(err)
		}
		return h.Node
	}
	await(t, "one has it", func() bool { return holder() != "" })
	first, other := a, b
	if holder() == "b" {
		first, other = b, a
	}
	var told []string
	err := first.control.Drain(t.Context(), admin.DrainOrder{Timeout: 60_000, Stay: true}, func(p admin.DrainProgress) {
		if p.State != "going" {
			told = append(told, p.Step+" "+p.State)
		}
	})
	want := "announce begun, announce done, singletons begun, singletons done, sessions begun, sessions done, grains begun, grains done"
	if got := strings.Join(told, ", "); err != nil || got != want {
		t.Errorf("%v: %s", err, got)
	}
	await(t, "the other has it", func() bool { return holder() == other.project.cfg.Name })
	s, err := other.control.Status(t.Context())
	if err != nil || !slices.ContainsFunc(s.(clusterStatus).Leases, func(h leaseStatus) bool { return h.Key == "singleton.market" }) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestADrainThatDoesNotEndIsToldAndTheNodeStopsAllTheSame(t *testing.T) {
	a := startNode(t, func(c *Config) { c.Listen.Cluster = "127.0.0.1:0"; c.Name = "a" })
	b := startNode(t, func(c *Config) {
		c.Cluster.Join, c.Name = []string{a.peers.ListensAt().String()}, "b"
		c.Cluster.Drain = Duration{300 * time.Millisecond} // its end in this test is a drain, too
	})
	await(t, "b knows a", func() bool { _, ok := b.members.Find("a"); return ok })
	silent := actor.Spec{Name: names.SingletonName("mute"), New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) { _ = c.Promise() }) // it answers nobody
	}}
	mute, err := b.sys.Spawn(silent)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	tell := func(p admin.DrainProgress) { states[p.Step] = p.State }
	err = b.control.Drain(t.Context(), admin.DrainOrder{Timeout: 400}, tell)
	if err == nil || !strings.Contains(err.Error(), "singletons: singleton mute: ") {
		t.Errorf("the drain: %v", err)
	}
	if states["singletons"] != "failed" || states["grains"] != "done" {
		t.Errorf("the steps behind the one that fails are done, too: %v", states)
	}
	if m := b.members.Self(); !m.Draining || m.State != cluster.Alive {
		t.Errorf("the node goes on, draining: %+v", m)
	}
	b.sys.Kill(mute, errors.New("by the test"))
	<-b.sys.Ended(mute)
	if err := b.control.Drain(t.Context(), admin.DrainOrder{Timeout: 60_000, Stay: true}, tell); err != nil || states["singletons"] != "done" {
		t.Errorf("a second time: %v, %v", err, states)
	}
	if _, err := b.sys.Spawn(silent); err != nil { // for the drain at its end, which must not hang
		t.Fatal(err)
	}
}

func TestWrongUseOfClusterCommandsIsTold(t *testing.T) {
	for want, args := range map[string][]string{
		"unknown command":                {"cluster", "nodes"},
		"expected the name of a node":    {"cluster", "drain"},
		"or --self for the one that is":  {"cluster", "drain", "a", "--self"},
		"--timeout: found 0s":            {"cluster", "drain", "a", "--timeout", "0s"},
		"expected env:NAME or file:PATH": {"cluster", "status", "--token", "abc"},
		"expected host:port, or a URL":   {"cluster", "status", "--admin", "ftp://x"},
		"--ca = \"nothing.pem\"":         {"cluster", "status", "--ca", "nothing.pem"},
		`unknown command "a"`:            {"cluster", "status", "a"},
		"SKUA_NOTHING_SUCH is not set":   {"cluster", "status", "--token", "env:SKUA_NOTHING_SUCH"},
		"project directory":              {"cluster", "status", "--dir", "nowhere"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: %d %s", args, code, stderr.String())
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"cluster", "status", "--admin", "127.0.0.1:1"}, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "does not answer") {
		t.Errorf("%d %s", code, stderr.String())
	}
}
