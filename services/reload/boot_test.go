package reload_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// again ends a node and begins it anew, with what lies in its folder now.
func (r rig) again(t *testing.T, c *clustertest.Cluster, n *node) *node {
	t.Helper()
	n.stop()
	c.Nodes[0].Leave()
	return r.run(t, c.Run(0), n.folder)
}

func begins(t *testing.T, n *node, want string) {
	t.Helper()
	if v := n.call(n.launch("agent", false), "version"); v != want {
		t.Errorf("it begins with %s, want %s", v, want)
	}
}

// A node that nobody can join begins with its folder where that has changed, as who develops expects, and else with what ran last, also after a rollback.
func TestANodeAloneBeginsWithItsFolderIfThatHasChanged(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	r := rig{}
	n := r.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	begins(t, n, "one")
	n.folder.put("agent.lua", counter("two"))
	n = r.again(t, c, n).booted()
	begins(t, n, "two")
	if h := n.versions().History; h[0].Action != "start" || h[0].From != h[1].ID || len(h[0].Files) != 1 {
		t.Errorf("%+v", h[0])
	}
	if back := n.do(reload.Order{Rollback: true, Who: "ben"}); back.State != reload.Done {
		t.Fatal(back.Error)
	}
	n = r.again(t, c, n).booted()
	begins(t, n, "one")
	n.folder.put("agent.lua", counter("three"))
	n = r.again(t, c, n).booted()
	begins(t, n, "three")
}

func TestAStoredVersionIsBegunWithWhateverLiesInTheFolder(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	r := rig{change: func(cfg *reload.Config) { cfg.Start = reload.Stored }}
	n := r.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	n.folder.put("agent.lua", counter("half"))
	n = r.again(t, c, n).booted()
	begins(t, n, "one")
	n.reload("agent.lua", counter("two"))
	n.folder.put("agent.lua", counter("half"))
	n = r.again(t, c, n).booted()
	begins(t, n, "two")
}

func TestTheFolderIsBegunWithIfToldSo(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	r := rig{change: func(cfg *reload.Config) { cfg.Start = reload.Folder }}
	n := r.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	n.reload("agent.lua", counter("two"))
	if back := n.do(reload.Order{Rollback: true, Who: "ben"}); back.State != reload.Done {
		t.Fatal(back.Error)
	}
	n = r.again(t, c, n).booted()
	begins(t, n, "two")
}

// A version that came by a reload, and that no node has begun with yet, gives way to the last one that a node has begun with, until another one is current.
func TestAVersionThatCanNotBeginFallsBack(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	r := rig{change: func(cfg *reload.Config) { cfg.Start = reload.Stored }}
	n := r.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	bad := n.reload("agent.lua", counter("bad"))
	n = r.again(t, c, n)
	cause := errors.New("main.lua:1: start failed")
	var failed *reload.BootError
	if err := n.svc.Failed(context.Background(), cause); !errors.As(err, &failed) || failed.Version != bad.To || failed.Fallback != bad.From || !errors.Is(err, cause) {
		t.Fatalf("%v", err)
	}
	r.instead = failed
	n = r.again(t, c, n).booted()
	begins(t, n, "one")
	v := n.versions()
	if v.Current != bad.To || !strings.Contains(v.Nodes[0].Behind, "start failed") || v.History[0].Action != "fallback" || n.Metric("skua_reload_fallback") != 1 {
		t.Errorf("%+v", v)
	}
	if n.log.Count("falls back") == 0 {
		t.Error("it does not say so in the log")
	}
	if err := n.svc.Failed(context.Background(), cause); errors.As(err, &failed) {
		t.Errorf("it falls back once more: %v", err)
	}
	if c := n.do(reload.Order{Rollback: true, Who: "ben", To: bad.From}); c.State != reload.Done {
		t.Fatalf("the operator makes the old one current: %s", c.Error)
	}
	if v := n.versions(); v.Nodes[0].Behind != "" || v.Current != bad.From {
		t.Errorf("%+v", v)
	}
}

// What a node has begun with before fails for other reasons, such as a database that is away: an older version is no help. Nor is one for whoever has just put
// something into the folder.
func TestWhatIsNotTheVersionsFaultDoesNotFallBack(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	r := rig{}
	n := r.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	n.reload("agent.lua", counter("two"))
	n = r.again(t, c, n).booted()
	n = r.again(t, c, n)
	cause := errors.New("the database is away")
	var failed *reload.BootError
	if err := n.svc.Failed(context.Background(), cause); errors.As(err, &failed) || !errors.Is(err, cause) {
		t.Errorf("begun with before: %v", err)
	}
	n.folder.put("agent.lua", counter("three"))
	n = r.again(t, c, n)
	if err := n.svc.Failed(context.Background(), cause); errors.As(err, &failed) || !errors.Is(err, cause) {
		t.Errorf("from the folder: %v", err)
	}
}
