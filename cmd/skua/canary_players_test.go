package main

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/services/reload"
)

// gameTable is two nodes with a gate each, and some players.
type gameTable struct {
	t       *testing.T
	dir     string
	a, b    *running
	players map[string]*player
}

func sitDown(t *testing.T, agents string) *gameTable {
	t.Helper()
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	g := &gameTable{t: t, dir: playProject(t, agents), players: map[string]*player{}}
	g.a = start(t, g.dir, "--name", "a", "--listen-tcp", "127.0.0.1:0", "--listen-cluster", "127.0.0.1:0")
	g.b = start(t, g.dir, "--name", "b", "--listen-tcp", "127.0.0.1:0", "--join", g.a.addrs["cluster"])
	await(t, "both are there", func() bool { return g.a.member("b") == "alive" && g.b.member("a") == "alive" })
	return g
}

func (g *gameTable) enter(at *running, name string) {
	g.t.Helper()
	g.players[name] = enterGame(g.t, "tcp://"+at.addrs["tcp"], name)
}

// run is what a player's agent runs. Each must answer by one version, in its agent and in the library that this asks.
func (g *gameTable) run(name string) string {
	g.t.Helper()
	got, err := g.players[name].play(g.t.Context())
	if err != nil || got.Version != got.Rules {
		g.t.Fatalf("%s is answered by %+v, %v", name, got, err)
	}
	return got.Version
}

// runs checks what the agents of some players run.
func (g *gameTable) runs(version string, names ...string) {
	g.t.Helper()
	for _, name := range names {
		if got := g.run(name); got != version {
			g.t.Errorf("%s plays with version %s, expected %s", name, got, version)
		}
	}
}

// tries begins a canary of some players that lasts, and returns a function that ends it as an operator does.
func (g *gameTable) tries(names ...string) (back func()) {
	g.t.Helper()
	uids := make([]string, len(names))
	for i, name := range names {
		uids[i] = g.uid(name)
	}
	putVersion(g.t, g.dir, "two", "", "")
	ended := make(chan reload.Change, 1)
	go func() {
		ended <- g.a.change("reload", "--canary", "player "+strings.Join(uids, ","), "--canary-time", "10m")
	}()
	return func() {
		g.t.Helper()
		g.b.says(exitDone, []string{"the canary is ended"}, "rollback")
		if c := <-ended; c.State != reload.Undone || c.Canary.Outcome != "ended" {
			g.t.Errorf("%s: %s", c.State, c.Error)
		}
	}
}

// uid is a player's, also of one who comes later: a guest's is made of the name.
func (g *gameTable) uid(name string) string {
	for known, p := range g.players {
		return strings.Replace(p.uid, known, name, 1)
	}
	g.t.Fatal("nobody is there")
	return ""
}

// agents counts those of a version, on both nodes.
func (g *gameTable) agents(version func(v *reload.Versions) string) (n int) {
	g.t.Helper()
	var v reload.Versions
	g.a.found(&v, "versions")
	for _, runs := range v.Nodes {
		for _, count := range runs.Actors {
			if count.Script == "agent" && count.Version == version(&v) {
				n += count.Actors
			}
		}
	}
	return n
}

func current(v *reload.Versions) string { return v.Current }

// tried is the version of the canary that goes on.
func tried(v *reload.Versions) string {
	for _, runs := range v.Nodes {
		if runs.Canary != nil {
			return runs.Canary.Version
		}
	}
	return "none"
}

// The players who are named play with the new version, on whatever node they are and whenever they come; nobody else does.
func TestACanaryOfPlayersIsOfTheirAgentsOnAllNodes(t *testing.T) {
	g := sitDown(t, "own")
	g.enter(g.a, "ann")
	g.enter(g.a, "bob")
	g.enter(g.b, "cid")
	g.enter(g.b, "dan")
	g.runs("one", "ann", "bob", "cid", "dan")
	back := g.tries("ann", "cid", "eve")
	await(t, "ann and cid have gone over", func() bool { return g.run("ann") == "two" && g.run("cid") == "two" })
	g.runs("one", "bob", "dan")
	g.enter(g.b, "eve")
	g.enter(g.b, "fay")
	await(t, "eve, who comes later, goes over", func() bool { return g.run("eve") == "two" })
	g.runs("one", "bob", "dan", "fay")
	g.runs("two", "ann", "cid", "eve")
	if two, one := g.agents(tried), g.agents(current); two != 3 || one != 3 {
		t.Errorf("%d agents are said to run the new version, and %d the one of the cluster", two, one)
	}
	back()
	g.runs("one", "ann", "bob", "cid", "dan", "eve", "fay")

	putVersion(t, g.dir, "three", "", "")
	changed := make(chan reload.Change, 1)
	go func() { changed <- g.a.change("reload", "--canary", "player "+g.uid("dan"), "--canary-time", "2s") }()
	await(t, "dan has played enough, and all follow", func() bool {
		g.run("dan")
		select {
		case c := <-changed:
			if c.State != reload.Done || c.Canary.Outcome != "passed" || c.Canary.VMs != 1 {
				t.Errorf("%s: %s; %+v", c.State, c.Error, c.Canary)
			}
			return true
		default:
			return false
		}
	})
	g.runs("three", "ann", "bob", "cid", "dan", "eve", "fay")
}

// Agents that share a VM share its code: who is with a player that is named goes over, too, and is counted.
func TestACanaryOfPlayersTakesThoseAlongWhoShareTheirVMs(t *testing.T) {
	g := sitDown(t, "shared")
	g.enter(g.a, "ann")
	g.enter(g.a, "bob")
	g.enter(g.b, "cid")
	g.runs("one", "ann", "bob", "cid")
	back := g.tries("ann")
	await(t, "ann has gone over", func() bool { return g.run("ann") == "two" })
	g.runs("two", "bob")
	g.runs("one", "cid") // on the other node, in another VM
	g.enter(g.a, "dan")
	g.runs("two", "ann", "bob", "dan")
	if two, one := g.agents(tried), g.agents(current); two != 4 || one != 2 { // and the actor of each VM
		t.Errorf("%d actors are said to run the new version, and %d the one of the cluster", two, one)
	}
	back()
	g.runs("one", "ann", "bob", "cid", "dan")
}
