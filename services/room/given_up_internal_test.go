package room

import (
	"context"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
)

// alone is a room that stands where the service does. Of a ticket's message it waits, when that is in its hands, until the test goes on.
type alone struct {
	*room
	begun func(c *actor.Context)
	has   chan struct{}
	on    chan struct{}
}

func (a *alone) Start(c *actor.Context) error {
	a.begun(c)
	return a.room.Start(c)
}

func (a *alone) Receive(c *actor.Context, msg any) {
	if _, ok := msg.(redeem); ok {
		a.has <- struct{}{}
		<-a.on
	}
	a.room.Receive(c, msg)
}

// lone starts a room of a node; begun runs first in its actor.
func lone(t *testing.T, cfg Config, begun func(r *room, c *actor.Context)) (*Rooms, *alone) {
	t.Helper()
	sys := actor.New(actor.Config{CallTimeout: time.Minute})
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	rooms := New(sys, cfg)
	t.Cleanup(rooms.end)
	a := &alone{has: make(chan struct{}), on: make(chan struct{})}
	_, err := sys.Spawn(actor.Spec{Name: ServiceName, New: func() actor.Actor {
		a.room = newRoom(rooms, "arena", actor.Ref{})
		a.begun = func(c *actor.Context) { begun(a.room, c) }
		return a
	}})
	if err != nil {
		t.Fatal(err)
	}
	return rooms, a
}

// in runs f in the room, and waits for its end.
func (a *alone) in(f func(c *actor.Context)) {
	done := make(chan struct{})
	a.send(finished{func(c *actor.Context) { f(c); close(done) }})
	<-done
}

// giveUp has somebody ask for a link who gives up while the room has its ticket.
func (a *alone) giveUp(t *testing.T, rooms *Rooms) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := rooms.OpenLink(ctx, relay.Request{From: "n1", Room: "arena", Ticket: "ticket"})
		failed <- err
	}()
	<-a.has
	cancel()
	if err := <-failed; err == nil {
		t.Error("who gave up has a link")
	}
	a.on <- struct{}{}
}

func TestALinkForWhoGaveUpHasNoViewer(t *testing.T) {
	var p *post
	rooms, a := lone(t, Config{}, func(r *room, c *actor.Context) {
		p = &post{ref: c.Self(), ticket: "ticket", stream: r.stream, members: map[uint64]*member{}}
		r.posts[p.ref] = p
	})
	a.giveUp(t, rooms)
	a.in(func(*actor.Context) {
		if n := a.stream.Viewers(); n != 0 || p.linked() {
			t.Errorf("%d viewers, linked %v", n, p.linked())
		}
	})
}

func TestAPublisherWhoseNodeGaveUpItsLinkHasToComeThroughStill(t *testing.T) {
	ended := make(chan struct{})
	rooms, a := lone(t, Config{Reconnect: time.Millisecond}, func(r *room, c *actor.Context) {
		p := &post{ref: c.Self(), members: map[uint64]*member{}}
		m := &member{MemberInfo: MemberInfo{ID: 1, Action: Publish}, muted: map[media.Kind]bool{}, post: p, local: 1, ticket: "ticket"}
		var err error
		if m.publisher, err = r.stream.Publish(func(error) { close(ended) }); err != nil {
			t.Error(err)
		}
		m.publisher.AtEnd(r.teller(m.ID))
		p.members[1], r.members[1], r.publisher = m, m, m
	})
	a.giveUp(t, rooms)
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it is in the room for ever")
	}
}

// mute is a home that lets somebody in, and whose answer is lost.
type mute struct{ parted chan uint64 }

func (m mute) Receive(c *actor.Context, msg any) {
	switch msg := msg.(type) {
	case enter:
		c.Reply(nil, actor.ErrUnreachable)
	case parted:
		m.parted <- msg.Local
	}
}

func TestAHomeWhoseAnswerWasLostHearsThatNobodyCame(t *testing.T) {
	home := mute{make(chan uint64, 1)}
	rooms, _ := lone(t, Config{}, func(r *room, c *actor.Context) {
		ref, err := c.Spawn(actor.Spec{New: func() actor.Actor { return home }})
		if err != nil {
			t.Error(err)
		}
		r.leave(c, ref)
	})
	if _, err := rooms.Join(t.Context(), Entry{Room: "arena"}, media.ViewerConfig{}); err == nil {
		t.Error("somebody is in whom nobody has let in")
	}
	select {
	case id := <-home.parted:
		if id != 1 {
			t.Errorf("%d has left", id)
		}
	case <-time.After(time.Minute):
		t.Error("it counts who never came")
	}
}
