package room_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/internal/cutlink"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/services/room"
)

// branch is a node of a cluster that has rooms.
type branch struct {
	*rig
	node  *clustertest.Node
	wire  *cutlink.Way
	links *relay.Server
}

// branches starts some, each with the rules of testdata. Their viewers miss nothing because they are slow: tests count on each frame, and do not read while they wait for something else. And a node is not
// taken for dead because the machine is busy; nor has NATS to be away for so long that it is another one afterwards.
func branches(t *testing.T, count int, cfg room.Config) (*clustertest.Cluster, []*branch) {
	t.Helper()
	types := wire.NewTypes()
	lua.WireTypes(types)
	names.WireTypes(types)
	room.WireTypes(types)
	log, _ := logtest.New(t)
	if cfg.Lag == 0 {
		cfg.Lag = time.Minute
	}
	cfg.Stream.RingFrames, cfg.Stream.Keep, cfg.Stream.MaxGOP = 1<<14, time.Minute, time.Minute // 80 s of a show
	members := func(int) cluster.MembersConfig {
		return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 2 * time.Second, Dead: 3 * time.Second}
	}
	c := clustertest.Start(t, count, clustertest.Config{Types: types, Log: log, Members: members, Lease: time.Minute})
	var all []*branch
	for _, n := range c.Nodes {
		b := &branch{rig: &rig{Node: luatest.On(t, first(t), n.System, log), metrics: n.Metrics}, node: n}
		b.Use(files, lua.Config{})
		b.Spawn(b.Runtime.Launcher())
		ln, err := tcp.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		b.wire = cutlink.New(t, ln.Addr().String())
		mine := cfg
		mine.Metrics = room.NewMetrics()
		mine.Cluster = &room.Cluster{Names: n.Names(), Node: n.Name, Addr: b.wire.Addr, Link: relay.Config{Key: []byte("a key of the test")}}
		b.rooms = room.New(n.System, mine)
		b.Spawn(b.rooms.Spec())
		if b.links, err = relay.NewServer(relay.ServerConfig{Config: mine.Cluster.Link, Open: b.rooms.OpenLink, Log: log}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- b.links.Serve(ctx, ln) }()
		t.Cleanup(func() {
			n.Leave()
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		if cfg.Rules != "" {
			launcher, _ := n.System.Lookup(lua.LauncherName)
			v, err := n.System.Ask(t.Context(), launcher, lua.Launch{Script: cfg.Rules, Unique: true})
			if err != nil {
				t.Fatal(err)
			}
			b.rules = v.(actor.Ref)
		}
		all = append(all, b)
	}
	return c, all
}

// later is the first picture of a second publisher.
const later = 1_000_000

// show is a publisher of pictures that tell their numbers, one each few milliseconds, until the test ends.
type show struct {
	p    *media.Publisher
	stop func()
}

// from is the number of its first picture.
func (b *branch) show(p *media.Publisher, from int) *show {
	b.Helper()
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		b.Fatal(err)
	}
	p.Complete()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		params := &media.Params{Codec: media.VP8, Width: 16, Height: 16}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			at := time.Duration(n) * 5 * time.Millisecond
			if p.Write(track, media.Sample{DTS: at, PTS: at, Key: n%20 == 0, Data: fmt.Appendf(nil, "picture %d", from+n), Params: params}) != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	b.Cleanup(stop)
	return &show{p, stop}
}

// sees waits until a viewer has so many more frames, and gives their numbers.
func (b *branch) sees(v *media.Viewer, count int) []int {
	b.Helper()
	var numbers []int
	frames := make([]*media.Frame, 8)
	b.until(fmt.Sprintf("%d frames", count), func() bool {
		n, err := v.Take(frames)
		if err != nil {
			b.Fatalf("after %d frames: %v", len(numbers), err)
		}
		for _, f := range frames[:n] {
			var number int
			if _, err := fmt.Sscanf(string(f.Data), "picture %d", &number); err != nil {
				b.Fatalf("%q: %v", f.Data, err)
			}
			numbers = append(numbers, number)
		}
		return len(numbers) >= count
	})
	return numbers
}

// whole fails unless no frame is missing.
func whole(t *testing.T, numbers []int) {
	t.Helper()
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != numbers[i-1]+1 {
			t.Fatalf("%d comes behind %d", numbers[i], numbers[i-1])
		}
	}
}

// joined waits until somebody is let in.
func (b *branch) joined(name, query string) (v *media.Viewer) {
	b.Helper()
	var err error
	b.until("a viewer is in", func() bool {
		v, err = b.join(name, query)
		if err != nil && !errors.Is(err, room.ErrOffline) {
			b.Fatal(err)
		}
		return err == nil
	})
	return v
}

func (b *branch) published(name, query string) *media.Publisher {
	b.Helper()
	p, err := b.publish(name, query)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// knows waits until the node has heard of the only room there is: who comes before makes another one.
func (b *branch) knows(room string) {
	b.Helper()
	b.until("the room is known", func() bool { return b.script("rooms") == room })
}

func (b *branch) script(cmd string, args ...any) string {
	b.Helper()
	return strings.Trim(b.Call(b.rules, cmd, args...), `"`)
}

func TestViewersOfAnotherNodeAreFedByOneLink(t *testing.T) {
	_, at := branches(t, 2, room.Config{Rules: "rules", Stream: media.Config{MaxViewers: 3}})
	home, other := at[0], at[1]
	home.show(home.published("arena", "who=ann&let=in"), 0)
	first := other.joined("arena", "who=bob&let=in")
	whole(t, other.sees(first, 30))
	second := other.joined("arena", "who=carl&let=in")
	whole(t, other.sees(second, 30))
	if now, _ := home.links.Links(); now != 1 {
		t.Errorf("%d links", now)
	}
	home.until("home counts both", func() bool {
		return home.script("info", "arena") == "live true, viewers 2: ann/publish bob/play carl/play"
	})
	if got := other.script("info", "arena"); got != "live true, viewers 2: ann/publish bob/play carl/play" {
		t.Errorf("asked on the other node: %s", got)
	}
	if got := other.script("rooms"); got != "arena" {
		t.Errorf("rooms: %s", got)
	}

	// The rules of home decide, and its bounds.
	_, err := other.join("arena", "who=eve")
	no(t, err, room.ErrDenied, "watch elsewhere")
	_, err = other.join("nowhere", "let=in")
	no(t, err, room.ErrOffline)
	other.joined("arena", "let=in")
	_, err = other.join("arena", "let=in")
	no(t, err, media.ErrFull)

	// Whoever is put out at home is out.
	if got := other.script("kick", "arena", "bob", "too loud"); got != "1" {
		t.Errorf("%s were put out", got)
	}
	other.until("bob is out", func() bool { return first.Err() != nil })
	no(t, first.Err(), room.ErrKicked, "too loud")
	second.Close(errors.New("bored"))
	home.until("the rules hear of it", func() bool {
		heard := home.script("heard")
		return strings.Contains(heard, "leave arena bob play room: put out: too loud") && strings.Contains(heard, "leave arena carl play bored")
	})
}

func TestALinkEndsAWhileAfterItsLastViewer(t *testing.T) {
	_, at := branches(t, 2, room.Config{})
	home, other := at[0], at[1]
	home.show(home.published("arena", ""), 0)
	v := other.joined("arena", "")
	other.sees(v, 5)
	v.Close(nil)
	again := other.joined("arena", "") // the stream is still there
	other.sees(again, 5)
	if now, _ := home.links.Links(); now != 1 {
		t.Errorf("%d links", now)
	}
	again.Close(nil)
	home.until("no link is left", func() bool { now, _ := home.links.Links(); return now == 0 })
	other.until("no room is left", func() bool { return len(other.list()) == 0 })
}

func TestNothingIsMissingAfterALinkWasCut(t *testing.T) {
	_, at := branches(t, 2, room.Config{})
	home, other := at[0], at[1]
	home.show(home.published("arena", ""), 0)
	v := other.joined("arena", "")
	numbers := other.sees(v, 10)
	home.wire.Cut(true)
	other.until("another link is tried", func() bool { return home.wire.Dialed() > 1 })
	home.wire.Cut(false)
	begun := time.Now()
	numbers = append(numbers, other.sees(v, 1000)...)
	t.Logf("%d frames, %v after the end of the cut", len(numbers), time.Since(begun))
	whole(t, numbers)
}

func TestAPublisherOfAnotherNodeIsBroughtHome(t *testing.T) {
	_, at := branches(t, 3, room.Config{Rules: "rules"})
	home, other, third := at[0], at[1], at[2]
	p := home.published("arena", "who=ann&let=in")
	v := third.joined("arena", "let=in")
	mine := home.joined("arena", "let=in")
	other.knows("arena")
	_, err := other.publish("arena", "who=eve&let=in")
	no(t, err, media.ErrBusy)
	first := home.show(p, 0)
	third.sees(v, 5)

	// The same publisher comes back, by another node.
	again := other.show(other.published("arena", "who=ann&let=in"), later)
	home.until("the first has ended", func() bool { return p.Err() != nil })
	no(t, p.Err(), room.ErrReplaced)
	first.stop()
	for _, at := range []struct {
		*branch
		v *media.Viewer
	}{{third, v}, {home, mine}} {
		at.until("the second is seen", func() bool { n := at.sees(at.v, 1); return n[0] >= later })
		whole(t, at.sees(at.v, 20))
	}
	if got := third.script("kick", "arena", "ann", "enough"); got != "1" {
		t.Errorf("%s were put out", got)
	}
	other.until("it has ended", func() bool { return again.p.Err() != nil })
	no(t, again.p.Err(), room.ErrKicked, "enough")
}

func TestARoomComesBackWhereItsPublisherIs(t *testing.T) {
	c, at := branches(t, 3, room.Config{Rules: "rules", Reconnect: 20 * time.Second})
	home, other, third := at[0], at[1], at[2]
	home.published("arena", "who=ann&let=in").Close()
	v := third.joined("arena", "who=bob&let=in")
	other.knows("arena")
	p := other.show(other.published("arena", "who=ann&let=in"), 0)
	third.sees(v, 10)
	begun := time.Now()
	home.wire.Cut(true)
	c.Nodes[0].Kill()
	third.until("frames come again", func() bool { return other.script("info", "arena") == "live true, viewers 1: ann/publish bob/play" })
	third.sees(v, 200)
	t.Logf("the viewer went on %v after the end of the room's node", time.Since(begun))
	if p.p.Err() != nil {
		t.Errorf("the publisher was ended: %v", p.p.Err())
	}
	if !strings.Contains(other.script("heard"), "join arena bob test") {
		t.Errorf("the rules of the new home have not heard of bob: %s", other.script("heard"))
	}
}

func TestViewersWaitForAPublisherWhenTheRoomsNodeHasDied(t *testing.T) {
	c, at := branches(t, 3, room.Config{Reconnect: 20 * time.Second})
	home, other, third := at[0], at[1], at[2]
	home.show(home.published("arena", "who=ann"), 0)
	v := third.joined("arena", "who=bob")
	third.sees(v, 10)
	home.wire.Cut(true)
	c.Nodes[0].Kill()
	var p *media.Publisher
	other.until("it may publish elsewhere", func() bool {
		var err error
		p, err = other.publish("arena", "who=ann")
		return err == nil
	})
	other.show(p, later)
	third.until("the new one is seen", func() bool { return third.sees(v, 1)[0] >= later })
	whole(t, third.sees(v, 50))
}

func TestOnlyTheViewersOfADeadNodeAreLost(t *testing.T) {
	c, at := branches(t, 3, room.Config{Rules: "rules"})
	home, other, third := at[0], at[1], at[2]
	home.show(home.published("arena", "who=ann&let=in"), 0)
	other.sees(other.joined("arena", "who=bob&let=in"), 5)
	v := third.joined("arena", "who=carl&let=in")
	numbers := third.sees(v, 5)
	other.wire.Cut(true)
	c.Nodes[1].Kill()
	home.until("home has noticed", func() bool {
		return home.script("info", "arena") == "live true, viewers 1: ann/publish carl/play"
	})
	numbers = append(numbers, third.sees(v, 50)...)
	whole(t, numbers)
}

// TestTwoHomesBecomeOne: two nodes begin a room while NATS is away. When it is back the older one stays; the publisher of the other has to go, and its viewers see the one that is left.
func TestTwoHomesBecomeOne(t *testing.T) {
	c, at := branches(t, 2, room.Config{})
	c.StopNATS()
	older := at[0].show(at[0].published("arena", "who=ann"), 0)
	first := at[0].joined("arena", "")
	newer := at[1].show(at[1].published("arena", "who=bob"), later)
	v := at[1].joined("arena", "")
	at[1].sees(v, 5)
	c.StartNATS()
	at[1].until("the newer one has ended", func() bool { return newer.p.Err() != nil })
	no(t, newer.p.Err(), media.ErrBusy, "on node n0")
	at[1].until("its viewer sees the other", func() bool { return at[1].sees(v, 1)[0] < later })
	whole(t, at[1].sees(v, 30))
	whole(t, at[0].sees(first, 30))
	if err := older.p.Err(); err != nil {
		t.Errorf("the older one has ended, too: %v", err)
	}
}

// TestALinkOutlivesNATS: who watches goes on while it is away, and home knows its members still when it is back.
func TestALinkOutlivesNATS(t *testing.T) {
	c, at := branches(t, 2, room.Config{Rules: "rules"})
	home, other := at[0], at[1]
	home.show(home.published("arena", "who=ann&let=in"), 0)
	v := other.joined("arena", "who=bob&let=in")
	numbers := other.sees(v, 5)
	c.StopNATS()
	other.until("the other node is taken for dead", func() bool {
		m, ok := c.Nodes[1].Members.Find("n0")
		return ok && !m.State.Reachable()
	})
	numbers = append(numbers, other.sees(v, 100)...)
	_, err := other.join("arena", "who=carl&let=in")
	no(t, err, room.ErrRules, "can't be reached")
	c.StartNATS()
	other.until("others are let in again", func() bool { w, err := other.join("arena", "who=carl&let=in"); return err == nil && w != nil })
	home.until("home has both", func() bool {
		return home.script("info", "arena") == "live true, viewers 2: ann/publish bob/play carl/play"
	})
	numbers = append(numbers, other.sees(v, 50)...)
	whole(t, numbers)
	if strings.Contains(home.script("heard"), "leave") {
		t.Error(home.script("heard"))
	}
}

// TestAPublisherOutlivesNATS: it is brought home while that is away, though nobody watches on its own node.
func TestAPublisherOutlivesNATS(t *testing.T) {
	c, at := branches(t, 2, room.Config{Rules: "rules", Reconnect: 20 * time.Second})
	home, other := at[0], at[1]
	home.published("arena", "who=ann&let=in").Close()
	v := home.joined("arena", "who=bob&let=in")
	other.knows("arena")
	p := other.show(other.published("arena", "who=ann&let=in"), 0)
	numbers := home.sees(v, 5)
	c.StopNATS()
	for i, from := range at {
		from.until("the other node is taken for dead", func() bool {
			m, ok := c.Nodes[i].Members.Find(c.Nodes[1-i].Name)
			return ok && !m.State.Reachable()
		})
	}
	numbers = append(numbers, home.sees(v, 200)...)
	c.StartNATS()
	home.until("both are the room's still", func() bool {
		return other.script("info", "arena") == "live true, viewers 1: bob/play ann/publish"
	})
	numbers = append(numbers, home.sees(v, 50)...)
	whole(t, numbers)
	if err := p.p.Err(); err != nil {
		t.Errorf("the publisher has ended: %v", err)
	}
	if heard := home.script("heard"); strings.Count(heard, "leave") > 1 { // that of the first
		t.Error(heard)
	}
}

// TestWhoLeavesWhileTheWayHomeIsCutIsNotKeptThere: its frames still go there when the nodes hear nothing of each other.
func TestWhoLeavesWhileTheWayHomeIsCutIsNotKeptThere(t *testing.T) {
	c, at := branches(t, 2, room.Config{Rules: "rules"})
	home, other := at[0], at[1]
	home.show(home.published("arena", "who=ann&let=in"), 0)
	v, w := other.joined("arena", "who=bob&let=in"), other.joined("arena", "who=dave&let=in")
	other.sees(v, 5)
	other.sees(w, 5)
	c.StopNATS()
	other.until("the other node is taken for dead", func() bool {
		m, ok := c.Nodes[1].Members.Find("n0")
		return ok && !m.State.Reachable()
	})
	v.Close(nil)
	other.sees(w, 50)
	if info := home.script("info", "arena"); !strings.Contains(info, "bob/play") {
		t.Errorf("home has heard of it: %s", info)
	}
	c.StartNATS()
	home.until("home knows that he has left, and who is still there", func() bool {
		info := home.script("info", "arena")
		return !strings.Contains(info, "bob/play") && strings.Contains(info, "dave/play")
	})
	other.sees(w, 50)
}
