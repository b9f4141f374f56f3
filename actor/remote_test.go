package actor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// pair is two Systems that reach each other by calls: the least that an actor.Remote can be.
type pair struct {
	t    *testing.T
	own  *actor.System
	peer *pair
	down bool // the peer can't be reached

	mu      sync.Mutex
	nodes   map[string]*actor.Node
	last    uint64
	served  map[uint64]*actor.Served
	ends    map[actor.Ref]map[actor.Ref]bool // by target: who watches
	gaveUp  int
	ordered []actor.Order
}

func newPair(t *testing.T) (a, b *pair) {
	t.Helper()
	a, b = oneOf(t, "a", 3), oneOf(t, "b", 8)
	a.peer, b.peer = b, a
	return a, b
}

func oneOf(t *testing.T, name string, incarnation uint64) *pair {
	t.Helper()
	sys := actor.New(actor.Config{Node: name, CallTimeout: 5 * time.Second})
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p := &pair{t: t, own: sys, nodes: map[string]*actor.Node{}, served: map[uint64]*actor.Served{}, ends: map[actor.Ref]map[actor.Ref]bool{}}
	sys.Join(p, incarnation)
	return p
}

// Node makes one for each incarnation.
func (p *pair) Node(name string, incarnation uint64) (*actor.Node, error) {
	if name == "nobody" {
		return nil, errors.New("no such node can be")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fmt.Sprint(name, incarnation)
	if p.nodes[key] == nil {
		p.nodes[key] = actor.NewNode(name, incarnation, p)
	}
	return p.nodes[key], nil
}

// move is a Ref as the other System has it.
func (p *pair) move(r actor.Ref) actor.Ref {
	moved, err := p.peer.own.ParseAddress(r.Address())
	if err != nil {
		p.t.Error(err)
	}
	return moved
}

func (p *pair) Send(to, from actor.Ref, msg any, span actor.Span) actor.Code {
	if p.down {
		return actor.Unreachable
	}
	if code := p.peer.own.Deliver(to.ID(), p.move(from), msg, span); code != 0 {
		p.peer.own.DeadLetter(actor.DeadLetter{To: p.move(to), From: p.move(from), Message: msg, Reason: code})
	}
	return 0
}

func (p *pair) Ask(to, from actor.Ref, msg any, q actor.Question) uint64 {
	if p.down {
		q.Reply(nil, &actor.Error{Code: actor.Unreachable, Actor: to.String()})
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	p.served[p.last] = p.peer.own.Serve(actor.Asked{
		To: to.ID(), From: p.move(from), Message: msg, Timeout: q.Timeout, Depth: q.Depth, Span: q.Span, Then: func(v any, err error) { q.Reply(v, err) },
	})
	return p.last
}

func (p *pair) GiveUp(_ actor.Ref, call uint64, expired bool) {
	p.mu.Lock()
	served := p.served[call]
	p.gaveUp++
	p.mu.Unlock()
	served.GiveUp(expired)
}

func (p *pair) Watch(watcher, target actor.Ref) {
	ended := p.peer.own.Ended(p.move(target))
	p.mu.Lock()
	if p.ends[target] == nil {
		p.ends[target] = map[actor.Ref]bool{}
	}
	p.ends[target][watcher] = true
	p.mu.Unlock()
	go func() {
		<-ended
		p.mu.Lock()
		told := p.ends[target][watcher]
		p.mu.Unlock()
		if told {
			p.own.Terminated(watcher, actor.Terminated{Ref: target})
		}
	}()
}

func (p *pair) Unwatch(watcher, target actor.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ends[target], watcher)
}

func (p *pair) Order(to, _ actor.Ref, o actor.Order) {
	p.mu.Lock()
	p.ordered = append(p.ordered, o)
	p.mu.Unlock()
	switch o.Verb {
	case actor.VerbStop:
		p.peer.own.Stop(p.move(to), o.Reason)
	case actor.VerbKill:
		p.peer.own.Kill(p.move(to), o.Reason)
	case actor.VerbDrain:
		p.peer.own.Drain(p.move(to), o.Within)
	}
}

// echoes answers what it is asked, and never what is silence.
func echoes() actor.Spec {
	return actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if msg != "silence" {
				c.Reply(msg, nil)
			}
		})
	}}
}

// there spawns on b what a reaches by the Ref returned.
func there(t *testing.T, b *pair, spec actor.Spec) actor.Ref {
	t.Helper()
	ref, err := b.own.Spawn(spec)
	if err != nil {
		t.Fatal(err)
	}
	return b.move(ref)
}

func TestAnAddressIsTheSameRefWhereItCameFromAndAnotherOneElsewhere(t *testing.T) {
	a, b := newPair(t)
	ref := there(t, b, echoes())
	if !ref.IsRemote() || ref.Node() != "b" || ref.Home().Incarnation() != 8 {
		t.Errorf("%v on %q, incarnation %d", ref, ref.Node(), ref.Home().Incarnation())
	}
	back := a.move(ref)
	if back.IsRemote() || back != b.own.RefOf(ref.ID()) {
		t.Errorf("back home it is %v, remote %v", back, back.IsRemote())
	}
	if again := b.move(back); again != ref {
		t.Errorf("moved twice it is %v, not %v", again, ref)
	}
	former, err := b.own.ParseAddress("b.7:00000001")
	if err != nil || !former.IsRemote() {
		t.Errorf("a former self is %v, %v", former, err)
	}
	if nobody, err := a.own.ParseAddress(actor.Ref{}.Address()); err != nil || !nobody.IsZero() {
		t.Errorf("nobody is %v, %v", nobody, err)
	}
	for _, bad := range []string{"b", "b:1", "b.x:1", "b.1:", "b.1:xyz", "b.1:20000000000000", "nobody.1:1"} {
		if ref, err := a.own.ParseAddress(bad); err == nil {
			t.Errorf("%q is %v", bad, ref)
		}
	}
}

func TestARemoteActorAnswersAsALocalOne(t *testing.T) {
	a, b := newPair(t)
	ref := there(t, b, echoes())
	v, err := a.own.Ask(t.Context(), ref, 42)
	if v != 42 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	asker, err := a.own.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			c.Ask(ref, msg, func(v any, err error) { c.Reply(v, err) })
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := a.own.Ask(t.Context(), asker, "x"); v != "x" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	forwarder, err := a.own.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) { c.Forward(ref) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := a.own.Ask(t.Context(), forwarder, "y"); v != "y" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}

func TestARemoteRequestIsGivenUpWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // on a busy machine the other side, which has a little more time, may be first to look at its clock
		a, b := newPair(t)
		ref := there(t, b, echoes())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if v, err := a.own.Ask(ctx, ref, "silence"); !errors.Is(err, actor.ErrDeadline) {
			t.Errorf("%v, %v", v, err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.served[a.last].Done() {
			t.Error("the other node still has the request")
		}
		if a.gaveUp != 1 {
			t.Errorf("given up %d times", a.gaveUp)
		}
	})
}

func TestAnUnreachableNodeFailsWhatIsSentThere(t *testing.T) {
	a, b := newPair(t)
	ref := there(t, b, echoes())
	a.down = true
	if _, err := a.own.Ask(t.Context(), ref, 1); !errors.Is(err, actor.ErrUnreachable) {
		t.Error(err)
	}
	a.own.Send(ref, 1)
	a.own.SendNow(ref, 1)
	if n := a.own.Stats().DeadLetters; n != 2 {
		t.Errorf("%d dead letters", n)
	}
}

func TestAWatcherHearsOfARemoteEnd(t *testing.T) {
	a, b := newPair(t)
	for _, end := range []func(ref actor.Ref){
		func(ref actor.Ref) { a.own.Stop(ref, nil) }, func(ref actor.Ref) { a.own.Kill(ref, nil) }, func(ref actor.Ref) { a.own.Drain(ref, time.Second) },
	} {
		ref := there(t, b, echoes())
		heard := make(chan actor.Ref, 1)
		watcher, err := a.own.Spawn(actor.Spec{New: func() actor.Actor { return &watches{of: ref, heard: heard} }})
		if err != nil {
			t.Fatal(err)
		}
		ended := a.own.Ended(ref)
		end(ref)
		if got := <-heard; got != ref {
			t.Errorf("%v ended, not %v", got, ref)
		}
		<-ended
		a.own.Stop(watcher, nil)
		<-a.own.Ended(watcher)
	}
	if len(a.ordered) != 3 {
		t.Errorf("ordered %v", a.ordered)
	}
}

type watches struct {
	of    actor.Ref
	heard chan<- actor.Ref
}

func (w *watches) Start(c *actor.Context) error {
	c.Watch(w.of)
	return nil
}

func (w *watches) Receive(_ *actor.Context, msg any) {
	if m, ok := msg.(actor.Terminated); ok {
		w.heard <- m.Ref
	}
}

func TestACircleAcrossNodesIsFoundByItsDepth(t *testing.T) {
	a, b := newPair(t)
	var first, second actor.Ref
	asks := func(next *actor.Ref) actor.Spec {
		return actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				c.Ask(*next, msg, func(v any, err error) { c.Reply(v, err) })
			})
		}}
	}
	second = there(t, b, asks(&first))
	here, err := a.own.Spawn(asks(&second))
	if err != nil {
		t.Fatal(err)
	}
	first = a.move(here)
	if _, err := a.own.Ask(t.Context(), here, 1); !errors.Is(err, actor.ErrCycle) {
		t.Error(err)
	}
}
