package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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

// echoProject is a project whose clients need no login and get back what they send.
func echoProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"skua.toml":         "name = \"echo\"\nstart = \"main\"\n[gate]\nagent = \"agent\"\n[login]\nmethods = [\"none\"]\n",
		"scripts/main.lua":  "return {}\n",
		"scripts/agent.lua": "return { client = { echo = function(self, request) return request end, wrong = function() return { n = 0 } end } }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Clients of any project, over all transports in two processes, are cut again and again, and each answer is that of its own request.
func TestBotsOfAnyProjectInSeveralProcessesSurviveCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	p := startProgram(t, buildProgram(t), "run", echoProject(t), "--data", t.TempDir())
	bots := func(args ...string) (code int, line botLine, text string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), p.cmd.Path, append([]string{
			"bot", "--transport", "tcp=2,kcp=1,ws=1", "--addr", "tcp=" + p.addrs["tcp"] + ",kcp=" + p.addrs["kcp"] + ",ws=" + p.addrs["http"],
			"--clients", "8", "--request", "echo", "--body", `{"n":$n}`, "--no-login", "--timeout", "5m", "--duration", "1h", "--json",
		}, args...)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if json.Unmarshal(out.Bytes(), &line) != nil {
			t.Fatalf("%v: %s%s", err, &out, &errs)
		}
		return cmd.ProcessState.ExitCode(), line, errs.String()
	}
	code, line, text := bots("--processes", "2", "--steps", "100", "--think", "1ms-20ms", "--cut", "300ms", "--expect-echo", "--ramp", "100/s", "--check", "resumes>0", "--check", "clients==8")
	if code != exitDone || line.Clients != 8 || line.Requests < 800 || line.Errors != 0 || line.Resumes == 0 {
		t.Errorf("exit code %d, %+v\n%s", code, line, text)
	}
	t.Logf("%+v", line)
	code, line, text = bots("--steps", "5", "--request", "wrong", "--expect-echo", "--think", "1ms")
	if code != exitFailed || line.Kinds["answer"] == 0 || !strings.Contains(text, `wrong was answered`) {
		t.Errorf("wrong answers: exit code %d, %+v\n%s", code, line, text)
	}
	code, line, text = bots("--steps", "5", "--think", "1ms", "--check", "p99<1us")
	if code != exitFailed || line.Errors != 0 || !strings.Contains(text, "check p99<1us: it is") {
		t.Errorf("a check that fails: exit code %d, %+v\n%s", code, line, text)
	}
	code, line, text = bots("--steps", "5", "--think", "1ms", "--request", "nobody")
	if code != exitFailed || line.Kinds["answer:not_found"] == 0 {
		t.Errorf("a route that nobody handles: exit code %d, %+v\n%s", code, line, text)
	}
	p.stop()
}

type botLine struct {
	Clients, Requests, Errors, Resumes int
	Kinds                              map[string]int `json:"errors_by_kind"`
}

func TestBotFlagsThatMakeNoSenseAreWrongUse(t *testing.T) {
	for want, args := range map[string][]string{
		"a share of at least 1":    {"--transport", "tcp=0"},
		"tcp, tls, kcp":            {"--transport", "udp"},
		"each once":                {"--transport", "tcp,tcp"},
		"HOST:PORT is expected":    {"--addr", "nowhere"},
		"one for each of tcp":      {"--addr", "ws=127.0.0.1:1"},
		"belong to --request":      {"--expect-echo"},
		"one of them":              {"--request", "x", "--expect", "1", "--expect-echo"},
		"expected clients a sec":   {"--ramp", "fast"},
		"think time":               {"--think", "long"},
		"p98":                      {"--check", "p98<1s"},
		"--processes 20":           {"--processes", "20"},
		"an IP address":            {"--source", "here"},
		"nothing below 0":          {"--cut", "-1s"},
		"open files, it may have ": {"--clients", "100000000"},
		"a plan is expected":       {"--worker"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"bot"}, args...), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit code %d, %q, expected %q", args, code, &errs, want)
		}
	}
}

func TestTheBotsOfAPlanAreSharedOutWhole(t *testing.T) {
	targets, err := botTargets("tcp=2,kcp=1,ws=1", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	plan := botPlan{Clients: 10, Targets: targets, Ramp: "90/s:10s,300/s", Logins: 4}
	clients, first, sources := map[string]int{}, 1, map[string]bool{}
	for _, part := range plan.split(3) {
		if part.First != first || part.Ramp != "30/s:10s,100/s" || len(part.Sources) != 1 {
			t.Errorf("%+v, expected the first to be %d", part, first)
		}
		sources[part.Sources[0].String()] = true
		sum := 0
		for _, target := range part.Targets {
			clients[target.Transport] += target.Clients
			sum += target.Clients
		}
		if sum != part.Clients || sum < 2 {
			t.Errorf("%d clients, %d in the targets", part.Clients, sum)
		}
		first += sum
	}
	if want := map[string]int{"tcp": 5, "kcp": 3, "ws": 2}; !maps.Equal(clients, want) || len(sources) != 3 {
		t.Errorf("%v, expected %v; sources %v", clients, want, sources)
	}
}
