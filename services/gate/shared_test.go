package gate_test

import (
	"strings"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/gate"
)

// counting is an agent that counts for itself, and for all of its VM.
const counting = `
local M = { client = {} }
local all = 0
function M.start(self, player) self.n = 0 end
function M.client.count(self) self.n = self.n + 1; all = all + 1; return { mine = self.n, all = all } end
function M.client.fail() error("oops") end
return M`

type counts struct{ Mine, All int }

func count(t *testing.T, c *client.Client) (got counts) {
	t.Helper()
	must(t, request(c, "count", nil, &got))
	return got
}

func TestAgentsInOneVMHaveEachTheirOwnStateAndShareWhatTheFileHas(t *testing.T) {
	for shared, want := range map[bool]counts{false: {1, 1}, true: {1, 3}} {
		n := start(t, world{scripts: map[string]string{"agent.lua": counting}, gate: gate.Config{SharedVMs: shared}})
		before := n.actors()
		ann, bob := n.enter("ann", client.Options{}), n.enter("bob", client.Options{})
		count(t, ann)
		if got := count(t, ann); got != (counts{2, 2}) {
			t.Errorf("shared %v: ann's second request has counted %+v", shared, got)
		}
		if got := count(t, bob); got != want {
			t.Errorf("shared %v: bob's first request has counted %+v, expected %+v", shared, got, want)
		}
		if code := codeOf(request(ann, "fail", nil, nil)); code != "internal" {
			t.Errorf("shared %v: the answer is %s", shared, code)
		}
		if got := count(t, bob); got.Mine != 2 { // another's error is not its own
			t.Errorf("shared %v: bob has counted %+v", shared, got)
		}
		must(t, ann.Close())
		must(t, bob.Close())
		n.quiet(before) // the VM has gone with the last of them
	}
}

func TestAScriptThatCannotShareItsVMLetsNobodyInAndSaysWhy(t *testing.T) {
	n := start(t, world{
		scripts: map[string]string{"agent.lua": `local skynet = require "skynet"; skynet.start(function() end)`},
		gate:    gate.Config{SharedVMs: true},
	})
	before := n.actors()
	c := n.dial(client.Options{})
	if code := codeOf(logIn(c, "ann")); code != "internal" {
		t.Errorf("the login is answered with %s", code)
	}
	const why = "agents share the VM of a script that returns a table of handlers"
	if log := n.log.String(); !strings.Contains(log, why) {
		t.Errorf("the log does not say %q", why)
	}
	must(t, c.Close())
	n.quiet(before)
}

func TestAnAgentInASharedVMSavesWhenTheNodeStops(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{Login: gate.LoginGuest, Linger: time.Hour, SharedVMs: true}))
	for _, name := range []string{"ann", "bob"} {
		c := n.enter(name, client.Options{})
		must(t, request(c, "add", nil, nil))
	}
	n.stop()
	must(t, n.sys.Shutdown(t.Context()))
	w.check(t)
	if w.started() != 2 {
		t.Errorf("%d agents have started", w.started())
	}
}
