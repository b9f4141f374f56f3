package reload_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// fighter is a script that can't go back while somebody fights.
func fighter(version, upgrade string) string {
	return `local M = {}
function M.fight(self, on) self.fights = on end
function M.break_it(self) self.broken = true end
function M.version() return '` + version + `' end
function M.on_upgrade(self) ` + upgrade + ` end
function M.on_downgrade(self) if self.fights then error('in a fight') end end
return M
`
}

// An actor whose on_downgrade fails when a change is undone stays on the version that its state is of. That is told, counted, and tried again until it goes back.
func TestAnActorThatCantGoBackStaysAndIsAskedAgain(t *testing.T) {
	n := rig{change: func(cfg *reload.Config) { cfg.TryEvery, cfg.Parallel = 1500*time.Millisecond, 1 }}.alone(t, "agent.lua", fighter("one", ""))
	fights, fine, broken := n.launch("agent", false), n.launch("agent", false), n.launch("agent", false) // they go over in this order
	n.call(fights, "fight", true)
	n.call(broken, "break_it")
	n.folder.put("agent.lua", fighter("two", "if self.broken then error('no') end"))
	c := n.do(reload.Order{Who: "anna"})
	if c.State != reload.Undone || !strings.Contains(c.Error, "agent.lua:5") || !strings.Contains(c.Error, "not all are back") || !strings.Contains(c.Error, "in a fight") {
		t.Fatalf("%s: %s", c.State, c.Error)
	}
	if a, b, d := n.call(fights, "version"), n.call(fine, "version"), n.call(broken, "version"); a != "two" || b != "one" || d != "one" {
		t.Errorf("they run %s, %s, %s", a, b, d)
	}
	v := n.versions()
	if old := v.Nodes[0].Old; v.Current != c.From || len(old) != 1 || old[0].Version != c.To || !strings.Contains(old[0].Why, "in a fight") || !strings.Contains(old[0].Why, "asked again each 1.5s") {
		t.Errorf("%+v", v.Nodes[0])
	}
	if got := n.Metric("skua_reload_stragglers"); got != 1 {
		t.Errorf("%v are counted", got)
	}
	clustertest.Eventually(t, "it is asked again, and refuses again", func() bool { return n.log.Count("and is asked again") > 0 })
	if got := n.call(fights, "version"); got != "two" {
		t.Errorf("it runs %s", got)
	}
	n.call(fights, "fight", false)
	clustertest.Eventually(t, "it goes back when the fight is over", func() bool { return n.call(fights, "version") == "one" })
	clustertest.Eventually(t, "nobody is behind", func() bool { return len(n.versions().Nodes[0].Old) == 0 && n.Metric("skua_reload_stragglers") == 0 })
}

// An actor in quarantine keeps nobody waiting: it comes over when it is released.
func TestAnActorInQuarantineComesOverWhenItIsReleased(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"))
	aside, other := n.launch("agent", false), n.launch("agent", false)
	n.call(aside, "add")
	if err := n.System.Quarantine(aside, errors.New("it eats memory")); err != nil {
		t.Fatal(err)
	}
	n.reload("agent.lua", counter("two"))
	if got := n.call(other, "version"); got != "two" {
		t.Errorf("the other runs %s", got)
	}
	if old := n.versions().Nodes[0].Old; len(old) != 1 || !strings.Contains(old[0].Why, "in quarantine") || !strings.Contains(old[0].Why, "it eats memory") {
		t.Errorf("%+v", old)
	}
	if !n.System.Release(aside) {
		t.Fatal("it was in no quarantine")
	}
	clustertest.Eventually(t, "it comes over", func() bool { return n.call(aside, "version") == "two" })
	if got := n.call(aside, "add"); got != "2" {
		t.Errorf("its count is %s", got)
	}
	clustertest.Eventually(t, "nobody is behind", func() bool { return len(n.versions().Nodes[0].Old) == 0 })
}

// The next change takes such an actor along, from the version that it runs.
func TestAnActorThatCantGoBackGoesAlongWithTheNextChange(t *testing.T) {
	n := rig{change: func(cfg *reload.Config) { cfg.Parallel = 1 }}.alone(t, "agent.lua", fighter("one", ""))
	fights, broken := n.launch("agent", false), n.launch("agent", false)
	n.call(fights, "fight", true)
	n.call(broken, "break_it")
	n.folder.put("agent.lua", fighter("two", "if self.broken then error('no') end"))
	if c := n.do(reload.Order{Who: "anna"}); c.State != reload.Undone {
		t.Fatal(c.State)
	}
	n.reload("agent.lua", fighter("three", ""))
	if a, b := n.call(fights, "version"), n.call(broken, "version"); a != "three" || b != "three" {
		t.Errorf("they run %s and %s", a, b)
	}
	if old := n.versions().Nodes[0].Old; len(old) != 0 {
		t.Errorf("%+v", old)
	}
}
