package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

const benchMain = `
local skynet = require "skynet"
skynet.start(function() skynet.uniqueservice("bench") end)
`

const benchScript = `
local skynet = require "skynet"
require "skynet.manager"
local M = {}
function M.add(a, b) return a + b end
function M.fail() error("no such sword") end
skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...) skynet.retpack(M[cmd](...)) end)
  skynet.register ".bench"
end)
`

// benchProject is a project with a service that answers, and more in its skua.toml.
func benchProject(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"scripts/main.lua": benchMain, "scripts/bench.lua": benchScript, configFile: "name = \"game\"\n[cluster]\nbeat = \"100ms\"\n" + more} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// says runs a command and fails unless it ends with a code and says all of the texts.
func (r *running) says(code int, texts []string, args ...string) {
	r.t.Helper()
	got, out, failed := r.look(args...)
	for _, text := range texts {
		if got != code || !strings.Contains(out+failed, text) {
			r.t.Errorf("%v: %d, expected %d and %q in\n%s%s", args, got, code, text, out, failed)
		}
	}
}

func TestAnOperatorAsksOtherNodesOverOne(t *testing.T) {
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	project := benchProject(t, "")
	a := start(t, project, "--listen-cluster", "127.0.0.1:0")
	b := start(t, project, "--join", a.addrs["cluster"], "--name", "b")
	await(t, "both are there", func() bool { return a.member("b") == "alive" && b.member("game") == "alive" })

	a.says(exitDone, []string{"node b:\n", "node game:\n", "lua:bench"}, "ps", "--node", "*")
	a.says(exitDone, []string{"NODE", "game ", "b "}, "top", "--node", "*", "--rounds", "1", "--every", "100ms")
	var all struct {
		Nodes []answered[admin.ActorPage] `json:"nodes"`
	}
	a.found(&all, "ps", "lua:bench", "--node", "*")
	if len(all.Nodes) != 2 || all.Nodes[0].Node != "b" || all.Nodes[0].Answer.Total != 1 || all.Nodes[1].Answer.Total != 1 {
		t.Errorf("%+v", all)
	}
	a.says(exitDone, []string{"42\n", "answered in"}, "call", "bench", "add", "2", "40", "--node", "b")
	a.says(exitDone, []string{"9007199254740993\n"}, "call", "bench", `"add"`, "9007199254740992", "1", "--with-json")
	a.says(exitFailed, []string{"b: ", "bench.lua:6: no such sword", "traceback"}, "call", "bench", "fail", "--node", "b")
	a.says(exitFailed, []string{`there is no node "c": found b, game`}, "ps", "--node", "c")
	a.says(exitDone, []string{"no handler waits"}, "task", "bench", "--node", "b")
	a.says(exitDone, []string{"serving"}, "log", "--node", "b")
	a.says(exitDone, []string{"bench ", "debug"}, "log", "level", "bench=debug", "--for", "10m", "--node", "b")
	a.says(exitDone, []string{"node b:\n", "node game:\n", "(all others)", "bench "}, "log", "level", "--node", "*")
	if _, out, _ := a.look("log", "level"); strings.Contains(out, "bench") {
		t.Errorf("the node that has passed it on writes more, too:\n%s", out)
	}
	a.says(exitFailed, []string{"b: ", "trace.endpoint"}, "trace", "player", "ann", "--node", "b")
	a.says(exitDone, []string{"node b:\n", "of all requests"}, "trace", "--node", "*")
	a.says(exitDone, []string{"KEY", "NODE"}, "leases", "--node", "b")
	a.says(exitDone, []string{"NAME"}, "names")
	a.says(exitDone, []string{"KIND"}, "grains")
	a.says(exitDone, []string{"bench has ended"}, "kill", "bench", "--node", "b", "--reason", "no use")
	var page admin.AuditPage
	a.found(&page, "audit", "--node", "b")
	if e := page.Entries[0]; e.Action != "kill" || e.Node != "b" || e.Who != "loopback" || !strings.HasSuffix(e.From, " by game") {
		t.Errorf("%+v", e)
	}

	for _, c := range []struct {
		want  string
		typed []string
	}{
		{"store", []string{"info", "--node", "b", "sto"}},
		{"main\tlua:main", []string{"info", "ma"}},
		{"b\talive\n", []string{"ps", "--node", "b"}},
		{"game\talive\n", []string{"log", "level", "--node", "ga"}},
		{a.version(), []string{"rollback", ""}},
		{"id\nwaiting\nprocessed\nbusy\n", []string{"ps", "--sort", ""}},
		{"debug\ninfo\nwarn\nerror\n", []string{"log", "--level", ""}},
		{"player\nroute\nshare\noff\n", []string{"trace", ""}},
	} {
		var completed, told bytes.Buffer
		typed := append([]string{"__complete", c.typed[0], "--admin", a.addrs["admin"]}, c.typed[1:]...)
		if c.typed[1] == "level" {
			typed = append([]string{"__complete", "log", "level", "--admin", a.addrs["admin"]}, c.typed[2:]...)
		}
		if code := run(t.Context(), typed, &completed, &told); code != exitDone || !strings.HasPrefix(completed.String(), c.want) {
			t.Errorf("%q is completed as %q, expected %q: %d %s", c.typed, completed.String(), c.want, code, told.String())
		}
	}
	for _, command := range []string{"reload", "rollback", "versions", "profile"} {
		a.says(exitUsage, []string{"unknown flag: --node"}, command, "--node", "b")
	}

	b.stop()
	await(t, "b has left", func() bool { return a.member("b") == "left" })
	a.says(exitDone, []string{"node game:"}, "ps", "--node", "*")
}

// version is what the cluster runs.
func (r *running) version() string {
	r.t.Helper()
	var v reload.Versions
	r.found(&v, "versions")
	return v.Current
}

func TestWithoutASecretOtherNodesCanBeSeenAndNotTouched(t *testing.T) {
	project := benchProject(t, "")
	a := start(t, project, "--listen-cluster", "127.0.0.1:0")
	b := start(t, project, "--join", a.addrs["cluster"], "--name", "b")
	await(t, "both are there", func() bool { return a.member("b") == "alive" && b.member("game") == "alive" })
	a.says(exitDone, []string{"lua:bench"}, "ps", "--node", "b")
	a.says(exitFailed, []string{"cluster.secret"}, "kill", "bench", "--node", "b")
	a.says(exitFailed, []string{"cluster.secret"}, "log", "--node", "b")
	b.says(exitDone, []string{"lua:bench"}, "ps")
}

func TestMessagesAreFollowedByTheCommand(t *testing.T) {
	r := start(t, benchProject(t, ""))
	var p admin.ActorPage
	r.found(&p, "ps", "lua:bench")
	asked := make(chan string, 1)
	await(t, "a message is seen", func() bool { // the look begins with the first request
		go func() {
			code, out, failed := r.look("call", "bench", "add", "1", "2")
			asked <- fmt.Sprint(code, out, failed)
		}()
		_, out, _ := r.look("tail", "bench", "--once")
		if got := <-asked; !strings.Contains(got, "3\n") {
			t.Errorf("call: %s", got)
		}
		return strings.Contains(out, `call - lua add "add", 1, 2`) || strings.Contains(out, `call nobody lua add "add", 1, 2`)
	})
}

func TestAnOperatorComesWithACertificate(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.New(t)
	cert, key := ca.Write(t, dir, "node", "127.0.0.1")
	roots := ca.WriteRoots(t, dir)
	alice, aliceKey := ca.Write(t, dir, "alice", "alice.example")
	mallory, malloryKey := testcert.New(t).Write(t, dir, "mallory", "alice.example")
	r := start(t, benchProject(t, fmt.Sprintf(`
[tls]
cert = [%q]
key = [%q]
listeners = ["admin"]
[admin]
client_ca = %q
[admin.certificates]
alice = "alice.example"
[admin.roles]
alice = "operate"
`, cert, key, roots)))
	r.addrs["admin"] = "https://" + r.addrs["admin"]
	r.says(exitDone, []string{"lua:bench"}, "ps", "--ca", roots, "--cert", alice, "--key", aliceKey)
	r.says(exitFailed, []string{"the client certificate is not good here"}, "ps", "--ca", roots, "--cert", mallory, "--key", malloryKey)
	r.says(exitFailed, []string{"token is missing or wrong"}, "ps", "--ca", roots)
	r.says(exitUsage, []string{"--cert, --key"}, "ps", "--ca", roots, "--cert", filepath.Join(dir, "nobody"))
	r.says(exitDone, []string{"bench has ended"}, "kill", "bench", "--ca", roots, "--cert", alice, "--key", aliceKey)
	r.says(exitFailed, []string{"the role admin is needed, alice has operate"}, "inject", "bench", cert, "--ca", roots, "--cert", alice, "--key", aliceKey)
}

func TestTheConsoleOfANodeAsksForAToken(t *testing.T) {
	t.Setenv("SKUA_ADMIN_TOKEN", "the token of this test")
	r := start(t, benchProject(t, "[listen]\nconsole = \"127.0.0.1:0\"\n"))
	nc, err := net.Dial("tcp", r.addrs["console"])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "the token of this test\ncall bench 'add', 1, 2\n")
	in := bufio.NewScanner(nc)
	var said []string
	for in.Scan() && !strings.HasPrefix(in.Text(), "<CMD") {
		said = append(said, in.Text())
	}
	if got := strings.Join(said, "|"); got != "token:|Welcome to skua console|3" {
		t.Error(got)
	}
}
