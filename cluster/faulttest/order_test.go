//go:build linux

package faulttest_test

import (
	"context"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/topics"
)

func wireTypes(t *wire.Types) {
	wire.Register[tick](t, "test.tick")
	wire.Register[question](t, "test.question")
	wire.Register[answer](t, "test.answer")
	wire.Register[deposit](t, "test.deposit")
	wire.Register[add](t, "test.add")
	wire.Register[credit](t, "test.credit")
	wire.Register[balance](t, "test.balance")
}

// tick is one of a row, which ends with the incarnation of the node that it goes to. Losses is how often its sender was told that something is lost.
type tick struct{ Row, N, Losses uint64 }

// sender sends ticks to the sink of another node, and begins again with 1 when that is another actor. It sends while it watches the sink only, so it hears of each loss of the link.
func (n *node) sender(to string) actor.Spec {
	return actor.Spec{New: func() actor.Actor { return &sender{n: n, node: to} }}
}

type sender struct {
	n    *node
	node string
	to   actor.Ref
	next tick

	watches bool
}

func (s *sender) Start(c *actor.Context) error {
	s.find(c)
	c.Every(4*time.Millisecond, func() {
		for range 4 {
			if s.watches {
				s.next.N++
				c.Send(s.to, s.next)
			}
		}
	})
	return nil
}

func (s *sender) find(c *actor.Context) {
	s.n.mesh.Find(c, s.node, "sink", func(ref actor.Ref, err error) {
		if err != nil {
			c.After(100*time.Millisecond, func() { s.find(c) })
			return
		}
		if s.to != ref {
			s.to, s.next = ref, tick{Row: s.next.Row + 1}
		}
		c.Watch(ref)
		s.watches = true
	})
}

func (s *sender) Receive(c *actor.Context, msg any) {
	if m, ok := msg.(actor.Terminated); ok && m.Ref == s.to {
		s.next.Losses++
		s.watches = false
		s.find(c)
	}
}

// sink holds ticks to their order.
func (n *node) sink() actor.Spec {
	return actor.Spec{Name: "sink", New: func() actor.Actor { return &sink{n: n, rows: map[actor.Ref]*row{}} }}
}

type sink struct {
	n    *node
	rows map[actor.Ref]*row
}

// row is what has come from one sender.
type row struct {
	last    tick
	at      time.Time
	missing time.Time // when something was found missing of which nobody has told yet
	told    bool      // that the link to the sender was lost, since the last tick
	watched bool
}

func (s *sink) Start(c *actor.Context) error {
	c.Every(time.Second, func() { s.look() })
	return nil
}

func (s *sink) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case tick:
		r := s.rows[c.From()]
		if r == nil {
			r = &row{}
			s.rows[c.From()] = r
		}
		if !r.watched {
			r.watched = true
			c.Watch(c.From())
		}
		s.take(c.From(), r, m)
	case actor.Terminated:
		if r := s.rows[m.Ref]; r != nil {
			r.watched, r.told, r.missing = false, true, time.Time{}
		}
	}
}

func (s *sink) take(from actor.Ref, r *row, m tick) {
	if m.Row > r.last.Row {
		r.last, r.missing, r.told = tick{Row: m.Row}, time.Time{}, false
	}
	switch {
	case m.Row < r.last.Row || m.N <= r.last.N:
		s.n.wrong("order: %s sent %+v and %s got it after %+v", from, m, s.n.Name, r.last)
	case m.Losses > r.last.Losses:
		r.missing = time.Time{}
	case m.N > r.last.N+1 && !r.told && r.missing.IsZero():
		r.missing = time.Now()
	}
	if m.N == r.last.N+1 {
		r.told = false
	}
	r.last, r.at = m, time.Now()
	s.n.count("ticks from " + from.Node())
}

// look complains of messages that were lost without a word, when both sides could have told for long: each hears of a lost link as soon as it knows of it.
func (s *sink) look() {
	for from, r := range s.rows {
		if !r.missing.IsZero() && time.Since(r.missing) > 10*time.Second && time.Since(r.at) < time.Second {
			s.n.wrong("order: messages of %s before its %d are lost, and nobody was told", from, r.last.N)
			r.missing = time.Time{}
		}
	}
}

const topic = "news"

// publisher publishes ticks.
func (n *node) publisher() actor.Spec {
	return actor.Spec{New: func() actor.Actor { return &publisher{n: n} }}
}

type publisher struct {
	n    *node
	next uint64
}

func (p *publisher) Start(c *actor.Context) error {
	c.Every(20*time.Millisecond, func() {
		p.next++
		if _, _, err := p.n.topics.Publish(c, topic, tick{N: p.next}); err != nil {
			p.n.wrong("topics: %v", err)
		}
	})
	return nil
}

func (p *publisher) Receive(*actor.Context, any) {}

// reader holds what is published to its order. Some may be lost, when a node has been away.
func (n *node) reader() actor.Spec {
	return actor.Spec{Name: "reader", New: func() actor.Actor { return &reader{n: n, last: map[actor.Ref]uint64{}} }}
}

type reader struct {
	n    *node
	last map[actor.Ref]uint64
}

func (r *reader) Start(c *actor.Context) error {
	r.n.topics.Subscribe(c, topic, func(err error) {
		if err != nil {
			c.After(100*time.Millisecond, func() { _ = r.Start(c) })
		}
	})
	return nil
}

func (r *reader) Receive(_ *actor.Context, msg any) {
	m, ok := msg.(topics.Message)
	if !ok {
		return
	}
	got, ok := m.Body.(tick)
	if !ok || m.Topic != topic {
		r.n.wrong("topics: %s got %T of %q", r.n.Name, m.Body, m.Topic)
		return
	}
	if got.N <= r.last[m.From] {
		r.n.wrong("topics: %s published %d and %s got it after %d", m.From, got.N, r.n.Name, r.last[m.From])
	}
	r.last[m.From] = got.N
	r.n.count("news from " + m.From.Node())
}

// deposit is an acknowledged message.
type deposit struct {
	From string
	N    int64
}

// depositor sends deposits, one after the other, to the ledgers of the other nodes.
func (n *node) depositor(ctx context.Context, i uint64) {
	r := n.random(100 + i)
	from := n.Life + "/" + string(rune('a'+i))
	for last := n.counted(from); n.pause(ctx, r, 60*time.Millisecond); {
		limit, cancel := context.WithTimeout(context.Background(), callLimit) // what has begun is finished
		ref, err := n.mesh.Lookup(limit, n.other(r), "ledger")
		if err == nil {
			last++
			n.count(from)
			err = n.mesh.SendAcked(limit, ref, deposit{from, last})
			n.answer(line{Kind: saysSent, Who: from, Key: ref.Address(), N: last, Text: failure(err)})
			n.count("deposits")
		}
		cancel()
	}
}

func failure(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ledger tells of each deposit, before it takes the next.
func (n *node) ledger() actor.Spec {
	return actor.Spec{Name: "ledger", New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			m, ok := msg.(deposit)
			if !ok {
				n.wrong("the ledger of %s got a %T", n.Name, msg)
				return
			}
			if err := n.say(line{Kind: saysGot, Who: m.From, Key: c.Self().Address(), N: m.N}); err != nil {
				n.log.Warn("the test is gone", "error", err)
			}
		})
	}}
}
