package live

import (
	"context"
	"net/url"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/room"
)

// protocol is what rooms call it.
const protocol = "own"

// opened is a room that a client watches or publishes to, from its asking until it is told of the end.
type opened struct {
	c     *Client
	id    uint32
	room  string
	watch bool
	entry room.Entry
	ctx   context.Context //nolint:containedctx // its life is what is open
	end   context.CancelCauseFunc
	done  chan struct{}
	specs []track // of a publisher, as it was announced

	// with c.mu
	publisher *media.Publisher
	tracks    []track

	// of the goroutine that reads
	frames bucket
	tells  bucket
	bad    int
}

// open begins what a client asks for. What is wrong with it the client is told; an error is of one that does not speak the protocol.
func (c *Client) open(m *packet.MediaControl) error {
	if m.ID <= c.last {
		return errorf("the id %d behind %d, expected one that is larger", m.ID, c.last)
	}
	c.last = m.ID
	// Who ended in the middle of a frame may never have sent the rest, which then would take the place of others.
	c.pieces.Keep(func(id uint32) bool {
		o := c.find(id)
		return o != nil && o.ctx.Err() == nil
	})
	if cfg := &c.s.cfg; !c.opens.take(time.Now(), cfg.OpenRate, max(2*cfg.OpenRate, cfg.MaxOpen)) {
		c.send(farewell(m.ID, refuse("too_fast", "more than %d rooms a second are opened", cfg.OpenRate)))
		return nil
	}
	o := &opened{c: c, id: m.ID, room: m.Room, watch: m.Op == packet.MediaWatch, done: make(chan struct{})}
	if err := o.check(m); err != nil {
		c.send(farewell(o.id, err))
		return nil
	}
	before, err := c.enter(o)
	if err != nil {
		c.send(farewell(o.id, err))
		return nil
	}
	if !c.s.start(func() { o.run(before) }) {
		c.leave(o, errStopping)
	}
	return nil
}

// check reads what is asked for.
func (o *opened) check(m *packet.MediaControl) error {
	if err := room.CheckName(m.Room); err != nil {
		return err
	}
	query, err := url.ParseQuery(m.Query)
	if err != nil {
		return refuse("bad_request", "the query can't be read")
	}
	o.entry = room.Entry{Room: m.Room, Protocol: protocol, Addr: o.c.conn.RemoteAddr().String(), Query: query}
	if o.watch {
		return nil
	}
	o.specs, err = readTracks(m.Tracks, o.c.s.cfg.MaxTracks)
	return err
}

// enter puts it into the table, if there is room. A room is watched once a connection, since its frames do not tell more: before is a watching of it that the client has ended, and that may still be writing.
func (c *Client) enter(o *opened) (before *opened, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.opened) >= c.s.cfg.MaxOpen {
		return nil, refuse("full", "%d rooms are open, which is all that a connection may have", len(c.opened))
	}
	for _, other := range c.opened {
		switch {
		case !o.watch || !other.watch || other.room != o.room:
		case other.ctx.Err() == nil || before != nil:
			return nil, refuse("busy", "this connection watches %s already", o.room)
		default:
			before = other
		}
	}
	o.ctx, o.end = context.WithCancelCause(c.ctx)
	c.opened[o.id] = o
	return before, nil
}

// run is the goroutine of what is open.
func (o *opened) run(before *opened) {
	if before != nil {
		<-before.done
	}
	var err error
	switch o.entry.Player = o.c.player(o.ctx); {
	case o.entry.Player == "":
		err = o.why(errStranger)
	case o.watch:
		err = o.play()
	default:
		err = o.publish()
	}
	o.c.leave(o, err)
}

// leave tells the client of the end.
func (c *Client) leave(o *opened, why error) {
	o.end(why)
	c.mu.Lock()
	delete(c.opened, o.id)
	c.mu.Unlock()
	c.send(farewell(o.id, why))
	close(o.done)
}
