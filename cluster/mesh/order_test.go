package mesh_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/mesh"
)

// list collects what it gets, in order.
type list struct {
	mu  sync.Mutex
	got []any
}

func (l *list) Receive(c *actor.Context, msg any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, msg)
	c.Reply(len(l.got), nil)
}

func (l *list) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got)
}

func (l *list) at(i int) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[i]
}

// inOrder fails unless it has 0, 1, 2 and so on.
func (l *list) inOrder(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.got) != n {
		t.Errorf("%d messages, expected %d", len(l.got), n)
	}
	for i, got := range l.got {
		if s, ok := got.(string); ok {
			got = len(s)
		}
		if got != i {
			t.Fatalf("message %d is %v", i, got)
		}
	}
}

func (l *list) spec() actor.Spec { return actor.Spec{New: func() actor.Actor { return l }} }

// sender sends so many numbers to an actor.
func sender(to actor.Ref, n int) actor.Spec {
	return actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			for i := range n {
				c.Send(to, i)
			}
		})
	}}
}

func TestMessagesOfOneActorArriveInOrder(t *testing.T) {
	const n, senders = 20_000, 4
	c := clustertest.Start(t, 3, clustertest.Config{})
	var lists [senders]list
	for i := range senders {
		from := c.Nodes[i%2]
		ref := from.Spawn(sender(from.See(c.Nodes[2].Spawn(lists[i].spec())), n))
		from.System.Send(ref, "go")
	}
	for i := range senders {
		clustertest.Eventually(t, "all have arrived", func() bool { return lists[i].len() == n })
		lists[i].inOrder(t, n)
	}
}

func TestLargeMessagesAreCutJoinedAndInOrder(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	ref := a.See(b.Spawn(l.spec()))
	sizes := []int{10, 1000, 32 << 10, 64<<10 - 3, 64 << 10, 100_000, 3 << 20, 1, 20 << 20, 2}
	for _, n := range sizes {
		a.System.Send(ref, strings.Repeat("x", n))
	}
	clustertest.Eventually(t, "all have arrived", func() bool { return l.len() == len(sizes) })
	for i, n := range sizes {
		if got := len(l.got[i].(string)); got != n {
			t.Errorf("message %d has %d bytes, expected %d", i, got, n)
		}
	}
	if _, err := a.System.Ask(t.Context(), ref, strings.Repeat("x", 65<<20)); !errors.Is(err, actor.ErrRefused) || !strings.Contains(err.Error(), "limit") {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestNothingIsLostWhenTheServerIsRestarted(t *testing.T) {
	const n = 3000
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	ref := a.See(b.Spawn(l.spec()))
	half := make(chan struct{})
	from := a.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			i := msg.(int)
			c.Send(ref, i)
			switch {
			case i == n/2:
				close(half)
				fallthrough
			case i < n-1:
				c.After(50*time.Microsecond, func() { c.Send(c.Self(), i+1) })
			}
		})
	}})
	a.System.Send(from, 0)
	<-half
	c.StopNATS()
	c.StartNATS()
	clustertest.Eventually(t, "all have arrived", func() bool { return l.len() == n })
	l.inOrder(t, n)
	if a.Metric("skua_mesh_lost_links_total") != 0 {
		t.Error("the link was begun anew")
	}
}

// patient is for nodes that are not taken for dead while their server is started anew.
func patient(int) cluster.MembersConfig {
	return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 10 * time.Second, Dead: 20 * time.Second}
}

func TestWhatAServerDropsIsSentAgain(t *testing.T) {
	const n = 5000
	for name, lose := range map[string]func(*mesh.Mesh){
		"one in eight":         func(m *mesh.Mesh) { m.DropOneIn(8) },
		"the first, and again": func(m *mesh.Mesh) { m.Lose(func(number uint64, before int) bool { return number == 1 && before < 2 }) },
		"the first that are sent": func(m *mesh.Mesh) {
			m.Lose(func(number uint64, before int) bool { return number <= 20 && before == 0 })
		},
		"all once, and the third more": func(m *mesh.Mesh) {
			m.Lose(func(number uint64, before int) bool { return before == 0 || number == 3 && before < 4 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
			a, b := c.Nodes[0], c.Nodes[1]
			var l list
			ref := a.See(b.Spawn(l.spec()))
			lose(b.Mesh)
			a.System.Send(a.Spawn(texts(ref, n)), "go")
			clustertest.Eventually(t, "all have arrived", func() bool { return l.len() == n })
			l.inOrder(t, n)
			if a.Metric("skua_mesh_resent_batches_total") == 0 {
				t.Error("nothing was sent again")
			}
			if a.Metric("skua_mesh_lost_links_total") != 0 {
				t.Error("the link was begun anew")
			}
		})
	}
}

// texts sends texts that are longer by one each, from an empty one on.
func texts(to actor.Ref, n int) actor.Spec {
	return actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			for i := range n {
				c.Send(to, strings.Repeat("x", i))
			}
		})
	}}
}

func TestANodeThatIsSlowIsNotSentTheSameOverAndOver(t *testing.T) {
	const n, few = 3000, 30
	for name, s := range map[string]struct {
		takes func(number uint64, before int) time.Duration
		loses func(number uint64, before int) bool
		again int // how many batches are sent again at most, on a machine that has much to do
	}{
		"it finds a gap, and has much to read behind it": {
			func(uint64, int) time.Duration { return time.Millisecond }, func(number uint64, before int) bool { return number == 10 && before == 0 }, 150 + few,
		},
		"it stands still": {func(number uint64, before int) time.Duration {
			if number == 10 && before == 0 {
				return 300 * time.Millisecond
			}
			return time.Millisecond
		}, nil, few},
		"it stands still again and again": {func(number uint64, before int) time.Duration {
			if number >= 10 && number < 18 && before == 0 {
				return 250 * time.Millisecond
			}
			return 0
		}, nil, 2 * few},
	} {
		t.Run(name, func(t *testing.T) {
			c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
			a, b := c.Nodes[0], c.Nodes[1]
			answers := b.See(a.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }}))
			var l list
			ref := a.See(b.Spawn(actor.Spec{New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, msg any) {
					c.Send(answers, "it has come") // which tells exactly how far it is
					l.Receive(c, msg)
				})
			}}))
			b.Mesh.Lose(func(number uint64, before int) bool {
				<-time.After(s.takes(number, before))
				return s.loses != nil && s.loses(number, before)
			})
			a.System.Send(a.Spawn(texts(ref, n)), "go")
			clustertest.Eventually(t, "all have arrived", func() bool { return l.len() == n })
			l.inOrder(t, n)
			if again := a.Metric("skua_mesh_resent_batches_total"); again > float64(s.again) {
				t.Errorf("%v batches were sent again, expected at most %d", again, s.again)
			}
		})
	}
}

// TestAnActorIsNotRefusedForEverWhenALinkBeginsAnew: that it takes nothing comes late, when its node has forgotten that it said so.
func TestAnActorIsNotRefusedForEverWhenALinkBeginsAnew(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient, Mesh: func(_ int, cfg *mesh.Config) { cfg.ChokeAt = 10 }})
	a, b := c.Nodes[0], c.Nodes[1]
	var got atomic.Int64
	release := make(chan struct{})
	ref := a.See(b.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			<-release
			got.Add(1)
			c.Reply(msg, nil)
		})
	}}))
	good := a.See(b.Spawn(echoes()))
	var late atomic.Bool
	late.Store(true)
	a.Mesh.Lose(func(uint64, int) bool { return late.Load() })
	for i := range 50 {
		a.System.Send(ref, i)
	}
	clustertest.Eventually(t, "its node says that it takes nothing", func() bool { return b.Metric("skua_mesh_choked_total") > 0 })
	a.Mesh.Bounce(b.Node.Name())
	late.Store(false)
	clustertest.Eventually(t, "the link has begun anew, and what was late has come", func() bool {
		v, err := a.System.Ask(t.Context(), good, 1)
		return v == 1 && err == nil
	})
	close(release)
	clustertest.Eventually(t, "it takes messages again", func() bool {
		v, err := a.System.Ask(t.Context(), ref, "more")
		return v == "more" && err == nil
	})
}

func TestASlowActorPushesBackAndOthersGoOn(t *testing.T) {
	const limit = 200
	c := clustertest.Start(t, 2, clustertest.Config{Mesh: func(_ int, cfg *mesh.Config) { cfg.ChokeAt = limit }})
	a, b := c.Nodes[0], c.Nodes[1]
	release := make(chan struct{})
	stuck := b.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if msg == "stick" {
				<-release
			}
			c.Reply(msg, nil)
		})
	}})
	slow, good := a.See(stuck), a.See(b.Spawn(echoes()))
	a.System.Send(slow, "stick")
	refused := make(chan error)
	go func() {
		for {
			a.System.Send(slow, "more")
			if a.System.Stats().DeadLetters > 0 {
				_, err := a.System.Ask(t.Context(), slow, 1)
				refused <- err
				return
			}
		}
	}()
	if err := <-refused; !errors.Is(err, actor.ErrOverloaded) {
		t.Error(err)
	}
	if v, err := a.System.Ask(t.Context(), good, 1); v != 1 || err != nil {
		t.Errorf("another actor there answers %v, %v", v, err)
	}
	close(release)
	clustertest.Eventually(t, "it takes messages again", func() bool {
		v, err := a.System.Ask(t.Context(), slow, 2)
		return v == 2 && err == nil
	})
}

func TestANodeThatTakesNothingIsNotFloodedAndItsCallsFail(t *testing.T) {
	const pending = 1 << 20
	c := clustertest.Start(t, 2, clustertest.Config{
		Members: patient, Mesh: func(_ int, cfg *mesh.Config) { cfg.MaxPending, cfg.Silent = pending, 2*time.Second },
	})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	b.Mesh.DropOneIn(1) // everything
	answer := make(chan error, 1)
	go func() {
		_, err := a.System.Ask(t.Context(), ref, "lost")
		answer <- err
	}()
	clustertest.Eventually(t, "it is on its way", func() bool { return a.Metric("skua_mesh_calls") > 0 })
	text := strings.Repeat("x", 10_000)
	for range 2000 {
		a.System.Send(ref, text)
	}
	if n := a.System.Stats().DeadLetters; n < 1000 {
		t.Errorf("%d of 2,000 messages of 10 kB were refused", n)
	}
	if err := <-answer; !errors.Is(err, actor.ErrUnreachable) {
		t.Error(err)
	}
	b.Mesh.DropOneIn(0)
	clustertest.Eventually(t, "it answers again", func() bool {
		v, err := a.System.Ask(t.Context(), ref, 3)
		return v == 3 && err == nil
	})
}

func TestDeadlinesAndGivingUpTravel(t *testing.T) {
	const deadline = 3 * time.Second // so long that the request gets there on a busy machine, too
	c := clustertest.Start(t, 3, clustertest.Config{})
	asked, given := make(chan time.Duration, 1), make(chan error, 1)
	last := c.Nodes[2].Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			at, ok := c.Deadline()
			if !ok {
				given <- errors.New("it has no deadline")
			}
			asked <- time.Until(at)
			promise := c.Promise()
			c.Every(time.Millisecond, func() {
				if !promise.Open() {
					select {
					case given <- nil:
					default:
					}
				}
			})
		})
	}})
	middle := c.Nodes[1].Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(ctx *actor.Context, msg any) {
			ctx.Ask(c.Nodes[1].See(last), msg, func(v any, err error) { ctx.Reply(v, err) })
		})
	}})
	asker := c.Nodes[0].Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(ctx *actor.Context, msg any) {
			ctx.AskFor(c.Nodes[0].See(middle), msg, deadline, func(v any, err error) { ctx.Reply(v, err) })
		})
	}})
	if _, err := c.Nodes[0].System.Ask(t.Context(), asker, 1); !errors.Is(err, actor.ErrDeadline) {
		t.Error(err)
	}
	if left := <-asked; left > deadline+10*time.Millisecond { // each node rounds up
		t.Errorf("two nodes away %v were left of %v", left, deadline)
	}
	if err := <-given; err != nil {
		t.Error(err)
	}
}

func TestANameIsLookedUpOnAnotherNode(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	want := a.See(b.Spawn(echoes()))
	if ref, err := a.Mesh.Lookup(t.Context(), "n1", "echo"); ref != want || err != nil {
		t.Errorf("%v, %v", ref, err)
	}
	if ref, err := b.Mesh.Lookup(t.Context(), "n1", "echo"); ref != b.See(want) || err != nil {
		t.Errorf("at home %v, %v", ref, err)
	}
	if _, err := a.Mesh.Lookup(t.Context(), "n1", "nobody"); !errors.Is(err, actor.ErrNoActor) {
		t.Error(err)
	}
	if _, err := a.Mesh.Lookup(t.Context(), "n7", "echo"); !errors.Is(err, actor.ErrUnreachable) {
		t.Error(err)
	}
	found := make(chan error, 1)
	a.Spawn(actor.Spec{New: func() actor.Actor {
		return starts(func(ctx *actor.Context) {
			a.Mesh.Find(ctx, "n1", "echo", func(ref actor.Ref, err error) {
				if ref != want {
					err = fmt.Errorf("%v, %w", ref, err)
				}
				found <- err
			})
		})
	}})
	if err := <-found; err != nil {
		t.Error(err)
	}
}

// starts is an actor that does something when it starts, and then nothing.
type starts func(*actor.Context)

func (s starts) Start(c *actor.Context) error {
	s(c)
	return nil
}

func (starts) Receive(*actor.Context, any) {}
