package mesh_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
)

// watcher watches an actor and tells of its end.
func watcher(of actor.Ref, told chan<- actor.Terminated) actor.Spec {
	return actor.Spec{New: func() actor.Actor { return &watching{of, told} }}
}

type watching struct {
	of   actor.Ref
	told chan<- actor.Terminated
}

func (w *watching) Start(c *actor.Context) error {
	c.Watch(w.of)
	return nil
}

func (w *watching) Receive(c *actor.Context, msg any) {
	if m, ok := msg.(actor.Terminated); ok {
		w.told <- m
		return
	}
	c.Reply(nil, nil)
}

func TestAWatcherHearsOfAnEndOnAnotherNode(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	told := make(chan actor.Terminated, 3)
	reason := errors.New("as planned")
	for _, end := range []func(ref actor.Ref){
		func(ref actor.Ref) { a.System.Stop(ref, reason) }, func(ref actor.Ref) { a.System.Kill(ref, reason) },
	} {
		own := b.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }})
		ref := a.See(own)
		w := a.Spawn(watcher(ref, told))
		if _, err := a.System.Ask(t.Context(), w, "do you watch?"); err != nil {
			t.Fatal(err)
		}
		end(ref)
		if m := <-told; m.Ref != ref || !errors.Is(m.Reason, actor.ErrRefused) || m.Reason.Error() == "" {
			t.Errorf("%+v", m)
		}
		<-b.System.Ended(own)
		<-a.System.Ended(ref)
	}
	nobody := a.See(b.System.RefOf(1 << 30))
	a.Spawn(watcher(nobody, told))
	if m := <-told; m.Ref != nobody || !errors.Is(m.Reason, actor.ErrNoActor) {
		t.Errorf("%+v", m)
	}
	drained := b.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }})
	a.System.Drain(a.See(drained), time.Minute)
	<-b.System.Ended(drained)
}

func TestWhoWatchesAndThenEndsAnActorOfAnotherNodeHearsTheReason(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	reason := errors.New("as planned")
	told := make(chan actor.Terminated, 1)
	for i := range 300 {
		ref := a.See(b.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				if _, ok := msg.(int); ok {
					c.Stop(c.Self(), reason)
				}
			})
		}}))
		a.System.Send(a.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				switch msg := msg.(type) {
				case string:
					c.Watch(ref)
					if i%2 == 0 {
						a.System.Kill(ref, reason)
					} else {
						c.Send(ref, 1)
					}
				case actor.Terminated:
					told <- msg
				}
			})
		}}), "begin")
		if m := <-told; m.Ref != ref || errors.Is(m.Reason, actor.ErrNoActor) || m.Reason == nil {
			t.Fatalf("%d: %+v", i, m)
		}
	}
}

func TestADeadNodeFailsItsCallsAndItsWatchersAtOnce(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	told := make(chan actor.Terminated, 1)
	a.Spawn(watcher(ref, told))
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := a.System.Ask(ctx, ref, "silence")
		answer <- err
	}()
	clustertest.Eventually(t, "the request waits", func() bool { return a.Metric("skua_mesh_calls") == 1 })
	b.Kill()
	if err := <-answer; !errors.Is(err, actor.ErrUnreachable) {
		t.Error(err)
	}
	if m := <-told; m.Ref != ref || !errors.Is(m.Reason, actor.ErrUnreachable) {
		t.Errorf("%+v", m)
	}
	if _, err := a.System.Ask(t.Context(), ref, 1); !errors.Is(err, actor.ErrUnreachable) {
		t.Error(err)
	}
	a.Spawn(watcher(ref, told))
	if m := <-told; !errors.Is(m.Reason, actor.ErrUnreachable) {
		t.Errorf("%+v", m)
	}
	// Its successor has the same name and perhaps the same numbers, and is somebody else.
	b = c.Run(1)
	c.Meet()
	again := a.See(b.Spawn(echoes()))
	if again == ref {
		t.Fatal("a successor has the Ref of its former self")
	}
	if v, err := a.System.Ask(t.Context(), again, 2); v != 2 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := a.System.Ask(t.Context(), ref, 1); !errors.Is(err, actor.ErrUnreachable) {
		t.Error("the former self answers:", err)
	}
}

func TestALeaveIsKnownAtOnce(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	told := make(chan actor.Terminated, 1)
	a.Spawn(watcher(a.See(b.Spawn(echoes())), told))
	var mu sync.Mutex
	var heard []cluster.Event
	a.Members.Watch(func(e cluster.Event) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, e)
	})
	b.Leave()
	<-told
	clustertest.Eventually(t, "it has left", func() bool {
		m, ok := a.Members.Find("n1")
		return ok && m.State == cluster.Left
	})
	clustertest.Eventually(t, "watchers of members are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		last := heard[len(heard)-1]
		return len(heard) >= 3 && last.Member.Name == "n1" && last.Member.State == cluster.Left && last.Was == cluster.Alive
	})
}

func TestWhatADeadNodeHasAskedIsGivenUp(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	open, closed := make(chan struct{}), make(chan struct{})
	ref := a.See(b.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			c.Go(func(ctx context.Context) (any, error) {
				close(open)
				<-ctx.Done()
				close(closed)
				return nil, ctx.Err()
			}, c.Reply)
		})
	}}))
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		_, _ = a.System.Ask(ctx, ref, "work") // it fails with its node
	}()
	<-open
	a.Kill()
	<-closed
}

func TestAcknowledgedMessagesArriveOnceAlsoThroughALostLink(t *testing.T) {
	const n = 2000
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	ref := a.See(b.Spawn(l.spec()))
	for i := range n {
		switch i {
		case n / 4:
			a.Mesh.Bounce("n1")
		case n / 2:
			b.Mesh.Bounce("n0")
		}
		if err := a.Mesh.SendAcked(t.Context(), ref, i); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	clustertest.Eventually(t, "all are handled", func() bool { return l.len() >= n })
	l.inOrder(t, n)
	// Many at a time, from one actor, while links are lost.
	var many list
	ref = a.See(b.Spawn(many.spec()))
	failed := make(chan error, n)
	a.Spawn(actor.Spec{New: func() actor.Actor {
		return starts(func(c *actor.Context) {
			for i := range n {
				a.Mesh.Acked(c, ref, i, func(err error) { failed <- err })
			}
		})
	}})
	a.Mesh.Bounce("n1")
	b.Mesh.Bounce("n0")
	for range n {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	clustertest.Eventually(t, "all are handled", func() bool { return many.len() >= n })
	many.inOrder(t, n)
}

// Nothing else is on the way there that would tell the asker of the new link.
func TestAnAnswerThatIsLostWithItsLinkFailsTheRequestAtOnce(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	asked, release := make(chan struct{}), make(chan struct{})
	ref := a.See(b.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			close(asked)
			<-release
			c.Reply("lost", nil)
		})
	}}))
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		_, err := a.System.Ask(ctx, ref, "work")
		answer <- err
	}()
	<-asked
	a.Mesh.DropOneIn(1)
	close(release)
	clustertest.Eventually(t, "the answer was sent, and once more", func() bool { return b.Metric("skua_mesh_resent_batches_total") > 0 })
	b.Mesh.Bounce(a.Name) // it gives the link up
	before := b.Metric("skua_mesh_resent_batches_total")
	clustertest.Eventually(t, "the new link was told of, and once more", func() bool { return b.Metric("skua_mesh_resent_batches_total") > before })
	a.Mesh.DropOneIn(0)
	select {
	case err := <-answer:
		if !errors.Is(err, actor.ErrUnreachable) {
			t.Errorf("the request whose answer is lost: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the asker has not heard of it")
	}
}

func TestALinkThatWasGivenUpIsNotTakenForANewOne(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	own := a.Spawn(l.spec())
	send := func(link uint64, text byte) {
		a.Mesh.Take(batchOf("n1", b.Node.Lease().Incarnation, link, 1, 0, 0, append(binary.AppendUvarint([]byte{1}, own.ID()), 0, 0, 8, 'o', text)))
	}
	send(4711, 'k')
	clustertest.Eventually(t, "it has arrived", func() bool { return l.len() == 1 })
	send(4712, 'n') // the next link
	send(4711, 'k') // and the first batch of the former once more
	send(4713, 'e')
	clustertest.Eventually(t, "the last one has arrived", func() bool { n := l.len(); return n > 0 && l.at(n-1) == "oe" })
	if n := l.len(); n != 3 {
		t.Errorf("%d messages, expected 3", n)
	}
}

// soonRenewed is a lease whose end a node finds out within a second.
const soonRenewed = 5 * time.Second

// registerAnew ends the lease of a node's name, as another node does, and waits until the node has it again.
func registerAnew(t *testing.T, n *clustertest.Node) {
	t.Helper()
	former := n.Node.Lease().Incarnation
	kv, err := n.Node.JetStream().KeyValue(t.Context(), "skua_nodes")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), n.Name); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "a new incarnation, which its actors have, too", func() bool {
		now := n.Node.Lease().Incarnation
		return now > former && n.System.RefOf(1).Home().Incarnation() == now
	})
}

func TestAnAcknowledgedMessageOfANodeThatHasRegisteredAnewIsNotSentAgain(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Lease: soonRenewed})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	own := a.See(b.Spawn(l.spec()))
	a.Mesh.DropOneIn(1) // the receipt, too
	failed := make(chan error, 1)
	go func() { failed <- a.Mesh.SendAcked(t.Context(), own, 0) }()
	clustertest.Eventually(t, "it has arrived", func() bool { return l.len() == 1 })
	registerAnew(t, a)
	a.Mesh.DropOneIn(0)
	if err := <-failed; !errors.Is(err, actor.ErrUnreachable) {
		t.Errorf("got %v, expected that it is not known", err)
	}
	c.Meet()
	if err := a.Mesh.SendAcked(t.Context(), own, 1); err != nil {
		t.Error(err)
	}
	clustertest.Eventually(t, "the next one is there", func() bool { return l.len() >= 2 })
	l.inOrder(t, 2)
}

func TestAcknowledgedMessagesArriveAtANodeThatHasRegisteredAnew(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Lease: soonRenewed})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	own := b.Spawn(l.spec())
	send := func(n int) {
		t.Helper()
		if err := a.Mesh.SendAcked(t.Context(), a.See(b.System.RefOf(own.ID())), n); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 5 {
		send(n)
	}
	registerAnew(t, b)
	c.Meet()
	for n := range 5 { // they are counted from 1 again
		send(5 + n)
	}
	clustertest.Eventually(t, "all have arrived", func() bool { return l.len() == 10 })
	l.inOrder(t, 10)
}

func TestAcknowledgedMessagesThatCannotArriveFail(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	if err := a.Mesh.SendAcked(t.Context(), ref.Home().Ref(1<<30), 1); !errors.Is(err, actor.ErrNoActor) {
		t.Error(err)
	}
	if err := a.Mesh.SendAcked(t.Context(), ref, make(chan int)); !errors.Is(err, actor.ErrRefused) {
		t.Error(err)
	}
	own := a.Spawn(echoes())
	if err := a.Mesh.SendAcked(t.Context(), own, 1); err != nil {
		t.Error(err)
	}
	b.Mesh.DropOneIn(1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := a.Mesh.SendAcked(ctx, ref, 1); !errors.Is(err, actor.ErrDeadline) {
		t.Error(err)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		done <- a.Mesh.SendAcked(ctx, ref, 1)
	}()
	clustertest.Eventually(t, "it waits", func() bool { return a.Mesh.Unreceipted("n1") == 1 })
	b.Leave()
	if err := <-done; !errors.Is(err, actor.ErrUnreachable) {
		t.Error(err)
	}
}

// An actor that hears that its calls have failed knows already that whom it watches is gone: it does not call again in vain.
func TestWatchersHearOfADeadNodeBeforeTheirCallsFail(t *testing.T) {
	const calls = 500
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	waits, heard := make(chan struct{}), make(chan string, calls+1)
	asker := a.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if _, ok := msg.(actor.Terminated); ok {
				heard <- "its end"
				return
			}
			c.Watch(ref)
			for range calls {
				c.Ask(ref, "silence", func(any, error) { heard <- "a failure" })
			}
			c.Ask(ref, "hello", func(any, error) { close(waits) })
		})
	}})
	a.System.Send(asker, "go")
	<-waits
	b.Kill()
	if first := <-heard; first != "its end" {
		t.Errorf("it heard first of %s", first)
	}
}
