package gate_test

import (
	"testing"

	"github.com/skua-go/skua/actor/value"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/lua"
)

// Operators name players, and mean their agents.
func TestTheAgentsOfPlayersAreFoundByUID(t *testing.T) {
	n := start(t, world{scripts: map[string]string{"agent.lua": `
local M = { client = {} }
function M.start(self, player) self.uid = player.uid end
function M.client.me(self) return { uid = self.uid } end
function M.uid(self) return self.uid end
return M`}})
	uids := map[string]string{}
	for _, name := range []string{"ann", "ben"} {
		var me struct{ UID string }
		must(t, request(n.enter(name, client.Options{}), "me", struct{}{}, &me))
		uids[name] = me.UID
	}
	agents, err := n.gate.Agents(t.Context(), []string{"nobody", uids["ben"]})
	must(t, err)
	if len(agents) != 1 {
		t.Fatalf("found %v, expected one agent", agents)
	}
	v, err := n.sys.Ask(t.Context(), agents[0], lua.Command("uid"))
	must(t, err)
	if uid, _ := v.(value.List).At(0).Str(); uid != uids["ben"] || uid == uids["ann"] {
		t.Errorf("it is the agent of %q, expected %q", uid, uids["ben"])
	}
}
