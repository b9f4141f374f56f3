package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/skua-go/skua/services/admin"
)

// telnet is a connection to the console.
type telnet struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

// console serves that of the scene until the test ends, and returns its address.
func (c *scene) console() string {
	c.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- c.server.ServeConsole(ctx, ln) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			c.t.Error(err)
		}
	})
	return ln.Addr().String()
}

func dialConsole(t *testing.T, addr, token string) *telnet {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	c := &telnet{t, nc, bufio.NewReader(nc)}
	fmt.Fprintf(nc, "%s\r\n", token)
	c.line() // token:
	return c
}

func (c *telnet) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil && line == "" {
		return err.Error()
	}
	return strings.TrimSuffix(line, "\n")
}

// do gives what a command writes.
func (c *telnet) do(line string) string {
	c.t.Helper()
	fmt.Fprintf(c.nc, "%s\r\n", line)
	var all []string
	for {
		text := c.line()
		all = append(all, text)
		if strings.HasPrefix(text, "<CMD ") || text == "EOF" {
			return strings.Join(all, "\n")
		}
	}
}

func TestTheConsoleHasTheCommandsOfSkynet(t *testing.T) {
	c := newScene(t)
	id := c.script("bench", benchScript)
	at := fmt.Sprintf(":%08s", id)
	file := filepath.Join(t.TempDir(), "fix.lua")
	if err := os.WriteFile(file, []byte("code"), 0o600); err != nil {
		t.Fatal(err)
	}
	tel := dialConsole(t, c.console(), "the token of the admin")
	if got := tel.line(); got != "Welcome to skua console" {
		t.Fatal(got)
	}
	for _, one := range []struct{ line, want string }{
		{"list", `^` + at + "\tsnlua bench\n<CMD OK>$"},
		{"mem", `^` + at + "\t\\d+\\.\\d\\d Kb \\(bench\\)\n<CMD OK>$"},
		{"gc", `Kb \(bench\)`},
		{"stat", `^` + at + "\tcpu:.*\tmessage:\\d+\tmqlen:0\ttask:\\d+\n<CMD OK>$"},
		{"info " + at + " x", "^players\t3\nwhat\tx\n<CMD OK>$"},
		{"task " + id, `bench.lua`},
		{"uniqtask " + at, `sessions`},
		{"killtask " + at + " nothing", `no such task`},
		{"call " + at + " 'add', 2, 40", "^42\n<CMD OK>$"},
		{"call " + at + " 'fail'", "no such sword\n(.*\n)*<CMD Error>$"},
		{"call " + at + " os.exit()", "expected a constant(.*\n)*<CMD Error>$"},
		{"ping " + at, `^\d+\.\d\d` + "\n<CMD OK>$"},
		{"inject " + at + " " + file + " 5", "^code ran with 5\n<CMD OK>$"},
		{"dbgcmd " + at + " SUPPORT lua", "^true\n<CMD OK>$"},
		{"trace " + at + " lua off", "^<CMD OK>$"},
		{"start bench", `^:\w{8}` + "\tbench\n<CMD OK>$"},
		{"service", "admin.dead\t:"},
		{"netstat", "^5\tpeer:192.0.2.1:5\tprotocol:kcp"},
		{"jmem", "jmem does not apply here: .*\n<CMD Error>$"},
		{"signal " + at, "<CMD Error>$"},
		{"nonsense", "^Invalid command, type help for command list\n<CMD Error>$"},
		{"task", "^expected: task ADDRESS\n<CMD Error>$"},
		{"task 77777", "there is no actor .*\n<CMD Error>$"},
		{"help", "killtask ADDRESS THREAD\t"},
		{"exit " + at, "^<CMD OK>$"},
	} {
		if got := tel.do(one.line); !regexp.MustCompile(one.want).MatchString(got) {
			t.Errorf("%s\ngot  %q\nwant %s", one.line, got, one.want)
		}
	}
	if names := tel.do("help"); !strings.Contains(names, "list\t") {
		t.Error(names)
	}
	for _, name := range []string{
		"help", "list", "service", "stat", "mem", "gc", "info", "task", "uniqtask", "killtask", "start", "snax", "log", "exit", "kill", "clearcache", "inject", "logon", "logoff", "debug", "signal",
		"call", "ping", "trace", "netstat", "cmem", "jmem", "profactive", "dumpheap", "dbgcmd", "getenv", "setenv", "shrtbl",
	} {
		if got := tel.do(name); strings.HasPrefix(got, "Invalid command") {
			t.Errorf("%s is no command", name)
		}
	}
	audited := map[string]bool{}
	for _, e := range entries(t, c.server.Audit) {
		if e.Who == "admin" && strings.HasSuffix(e.From, " by console") {
			audited[e.Action] = true
		}
	}
	for _, action := range []string{"call", "inject", "start", "debug EXIT", "debug KILLTASK", "debug TRACELOG"} {
		if !audited[action] {
			t.Errorf("%s is not audited: %v", action, audited)
		}
	}
}

func TestTheConsoleIsServedByHTTP(t *testing.T) {
	c := newScene(t)
	id := c.script("bench", benchScript)
	addr := c.console()
	ask := func(method, path, body, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return do(t, req)
	}
	if code, text := ask(http.MethodGet, "/call/"+id+"/'add',/2,/3", "", operateToken); code != http.StatusOK || text != "5\n<CMD OK>\n" {
		t.Errorf("%d %q", code, text)
	}
	if code, text := ask(http.MethodPost, "/", "call "+id+" 'echo', 'a/b'", operateToken); code != http.StatusOK || text != "\"a/b\"\n<CMD OK>\n" {
		t.Errorf("%d %q", code, text)
	}
	for token, want := range map[string]int{"": 401, "wrong": 401, oldToken: 401, viewToken: 403} {
		if code, text := ask(http.MethodPost, "/", "list", token); code != want || strings.Contains(text, "snlua") {
			t.Errorf("%q: %d %s", token, code, text)
		}
	}
}

func TestTheConsoleRefusesWhoMayNotAndAuditsThem(t *testing.T) {
	c := newScene(t)
	addr := c.console()
	for token, want := range map[string]string{"nonsense": "missing or wrong", oldToken: "expired", viewToken: "the role operate is needed, grafana has view"} {
		tel := dialConsole(t, addr, token)
		if got := tel.line(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", token, got)
		}
		if _, err := io.ReadAll(tel.in); err != nil {
			t.Error(err)
		}
	}
	if e := entries(t, c.server.Audit); len(e) != 1 || e[0].Who != "grafana" || e[0].Action != "console" || e[0].Outcome != admin.Refused {
		t.Errorf("audit: %+v", e)
	}
	if e := entries(t, c.server.Refusals); len(e) != 1 || e[0].Action != "console" {
		t.Errorf("strangers: %+v", e)
	}
	tel := dialConsole(t, addr, operateToken)
	tel.line()
	if got := tel.do("inject x /etc/passwd"); !strings.Contains(got, "the role admin is needed") {
		t.Error(got)
	}
	if got := tel.do(strings.Repeat("x", 10_000)); !strings.Contains(got, "longer than") {
		t.Error(got)
	}
}

func TestTheConsoleIsServedOnLoopbackWithTokensOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:8000", "192.0.2.1:8000", "example.com:1", "x"} {
		if err := admin.CheckConsole(addr); err == nil {
			t.Errorf("%s is taken", addr)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := (&admin.Server{API: &admin.API{}}).ServeConsole(t.Context(), ln); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("without tokens: %v", err)
	}
}
