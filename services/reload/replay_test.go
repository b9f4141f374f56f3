package reload_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// wiretap hears the orders that a node gets, and sends them once more.
type wiretap struct {
	t    *testing.T
	conn *nats.Conn
	to   string

	mu    sync.Mutex
	heard [][]byte
}

func tap(t *testing.T, c *clustertest.Cluster, node string) *wiretap {
	t.Helper()
	conn, err := nats.Connect(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := &wiretap{t: t, conn: conn, to: "skua.reload." + node}
	if _, err := conn.Subscribe(w.to, func(m *nats.Msg) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, m.Data)
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

// replay sends the orders of a step that were heard so far again, and gives the answers.
func (w *wiretap) replay(step string) (answers []string) {
	w.t.Helper()
	if err := w.conn.Flush(); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	heard := w.heard
	w.mu.Unlock()
	for _, data := range heard {
		if !strings.Contains(string(data), `"step":"`+step+`"`) {
			continue
		}
		m, err := w.conn.Request(w.to, data, 10*time.Second)
		if err != nil {
			w.t.Fatal(err)
		}
		answers = append(answers, string(m.Data))
	}
	return answers
}

// What was undone is not done by those who have heard the orders.
func TestOrdersAboutAChangeThatHasEndedAreRefused(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	nodes := rig{}.nodes(t, c, "agent.lua", counter("one"))
	ref, mine := nodes[1].launch("agent", false), nodes[0].launch("agent", false)
	nodes[0].call(mine, "add")
	heard := tap(t, c, "n1")
	nodes[0].folder.put("agent.lua", strings.Replace(counter("two"), "return M\n", "function M.on_upgrade() if n > 0 then error('no') end end\nreturn M\n", 1))
	if c := nodes[0].do(reload.Order{Who: "anna"}); c.State != reload.Undone {
		t.Fatal(c.State)
	}
	for _, step := range []string{"prepare", "apply"} {
		answers := heard.replay(step)
		if len(answers) != 1 || !strings.Contains(answers[0], "the order is older than another one") {
			t.Errorf("%s is answered by %q", step, answers)
		}
	}
	if got := nodes[1].call(ref, "version"); got != "one" {
		t.Errorf("it runs %s", got)
	}
	if runs := nodes[1].versions().Nodes[0]; runs.Change != nil {
		t.Errorf("something is prepared: %+v", runs.Change)
	}
	if n := nodes[1].Metric("skua_reload_refused_total"); n != 2 {
		t.Errorf("%v refusals are counted", n)
	}
	nodes[0].reload("agent.lua", counter("three"))
	if got := nodes[1].call(ref, "version"); got != "three" {
		t.Errorf("behind it, it runs %s", got)
	}
}

// Nor is another canary ended by the order that has ended one before.
func TestTheOrderThatHasEndedACanaryEndsNoOther(t *testing.T) {
	c, nodes := pair(t, long)
	crowd := newCrowd(4, nodes...)
	heard := tap(t, c, "n0")
	begin := func() {
		t.Helper()
		if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
			t.Fatal(err)
		}
		clustertest.Eventually(t, "the group has gone over", func() bool { run, _ := crowd.run("two"); return run == 2 })
	}
	nodes[0].folder.put("agent.lua", worker("two", ""))
	begin()
	if back := nodes[1].do(reload.Order{Rollback: true, Who: "ben"}); back.State != reload.Done || back.Canary == nil || back.Canary.EndedBy != "ben" {
		t.Fatalf("%s: %s, %+v", back.State, back.Error, back.Canary)
	}
	begin()
	if answers := heard.replay("end"); len(answers) != 1 || !strings.Contains(answers[0], "it is to end the canary of epoch") {
		t.Errorf("%q", answers)
	}
	if now, _ := nodes[0].svc.Last(); now.State != reload.Running {
		t.Errorf("the second canary is %s", now.State)
	}
	if back := nodes[0].do(reload.Order{Rollback: true, Who: "ben"}); back.State != reload.Done {
		t.Error(back.Error)
	}
}
