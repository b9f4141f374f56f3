//go:build linux

package faulttest_test

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/skua-go/skua/actor"
)

// question is asked by Who, and numbered by it.
type question struct {
	Who string
	N   uint64
}

// answer says which question it is for.
type answer struct {
	Who string
	N   uint64
	By  string
}

// echo answers questions, some of them late, and holds them to their order.
func (n *node) echo() actor.Spec {
	return actor.Spec{Name: "echo", New: func() actor.Actor { return &echo{n: n, r: n.random(1), last: map[actor.Ref]uint64{}} }}
}

type echo struct {
	n    *node
	r    *rand.Rand
	last map[actor.Ref]uint64
}

func (e *echo) Receive(c *actor.Context, msg any) {
	q, ok := msg.(question)
	if !ok {
		e.n.wrong("the echo of %s was asked %T", e.n.Name, msg)
		return
	}
	if from := c.From(); !from.IsZero() {
		if q.N <= e.last[from] {
			e.n.wrong("order: %s asked %d and %s got it after %d", from, q.N, e.n.Name, e.last[from])
		}
		e.last[from] = q.N
	}
	a := answer{q.Who, q.N, e.n.Name}
	if e.r.IntN(4) > 0 {
		c.Reply(a, nil)
		return
	}
	p := c.Promise()
	c.After(time.Duration(e.r.IntN(50))*time.Millisecond, func() { c.ReplyTo(p, a, nil) })
}

// asker asks the echoes of the other nodes, several questions at a time.
func (n *node) asker(i uint64) actor.Spec {
	return actor.Spec{New: func() actor.Actor { return &asker{n: n, r: n.random(200 + i), echoes: map[string]actor.Ref{}} }}
}

type asker struct {
	n       *node
	r       *rand.Rand
	echoes  map[string]actor.Ref
	next    uint64
	waiting int
}

// atOnce is how many questions of one asker wait for an answer.
const atOnce = 16

func (a *asker) Start(c *actor.Context) error {
	c.Every(5*time.Millisecond, func() {
		if a.waiting < atOnce {
			a.ask(c, a.n.other(a.r))
		}
	})
	return nil
}

func (a *asker) Receive(*actor.Context, any) {}

func (a *asker) ask(c *actor.Context, node string) {
	a.waiting++
	to := a.echoes[node]
	if to.IsZero() {
		a.n.mesh.Find(c, node, "echo", func(ref actor.Ref, err error) {
			a.waiting--
			if err == nil {
				a.echoes[node] = ref
			}
		})
		return
	}
	a.next++
	q := question{c.Self().Address(), a.next}
	c.Ask(to, q, func(v any, err error) {
		a.waiting--
		if err == nil {
			a.answered(q, node, v)
			return
		}
		a.n.count("failed questions")
		if !errors.Is(err, actor.ErrDeadline) && a.echoes[node] == to {
			delete(a.echoes, node) // it may be another one by now
		}
	})
}

func (a *asker) answered(q question, node string, v any) {
	if got, ok := v.(answer); !ok || got != (answer{q.Who, q.N, node}) {
		a.n.wrong("%s asked %+v and got %T %+v", node, q, v, v)
	}
	a.n.count("answers from " + node)
}
