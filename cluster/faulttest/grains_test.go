//go:build linux

package faulttest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/grain"
)

// The kinds of grains: one that lives where the hash of its id says, and one that lives where it is spoken to first and goes to sleep soon.
const (
	accounts = "account"
	till     = "till"
)

// grainIDs are those of each kind: few, so that all nodes speak to each.
var grainIDs = [...]string{"a", "b", "c"}

// credit asks a grain to add 1, and is answered with what it has then.
type credit struct{ ID string }

// balance asks a grain what it has.
type balance struct{}

func (n *node) kinds() []grain.Kind {
	made := func(id grain.Identity) actor.Spec {
		return actor.Spec{New: func() actor.Actor { return &purse{n: n, id: id} }, Serial: true}
	}
	return []grain.Kind{{Name: accounts, New: made}, {Name: till, New: made, Placement: grain.PreferLocal, Idle: 300 * time.Millisecond}}
}

// purse is a grain: it loads a number once, and writes it at each change, under its epoch.
type purse struct {
	n     *node
	id    grain.Identity
	value int64
}

func grainKey(kind, id string) string { return kind + "/" + id }

// me is this activation, and no other.
func (p *purse) me() string { return fmt.Sprintf("%s.%d", p.n.Life, p.id.Epoch) }

// register asks the register for the grain's number.
func (p *purse) register(l line) (int64, error) {
	l.Key, l.Epoch, l.By = grainKey(p.id.Kind, p.id.ID), p.id.Epoch, p.me()
	return p.n.register(l)
}

// Load takes the number, as the owner of the epoch.
func (p *purse) Load(c *actor.Context, done func(error)) {
	c.Go(func(context.Context) (any, error) { return p.register(line{Text: registerClaim}) }, func(v any, err error) {
		p.value, _ = v.(int64)
		if err != nil {
			p.n.count("refused loads")
		}
		done(err)
	})
}

func (p *purse) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case credit:
		next := p.value + 1
		c.Go(func(context.Context) (any, error) { return p.register(line{Text: registerWrite, N: next, Who: m.ID}) }, func(_ any, err error) {
			switch {
			case err == nil:
				p.value = next
				c.Reply(next, nil)
			case errors.Is(err, errFenced): // another activation was later
				p.n.count("refused credits")
				c.Reply(nil, err)
				c.Stop(c.Self(), err)
			default:
				c.Reply(nil, err)
			}
		})
	case balance:
		c.Reply(p.value, nil)
	default:
		p.n.wrong("%s/%s got a %T", p.id.Kind, p.id.ID, msg)
	}
}

// saver speaks to all grains: it adds to them, and reads them.
func (n *node) saver(ctx context.Context, i uint64) {
	r := n.random(500 + i)
	for turn := clock(); n.pause(ctx, r, 30*time.Millisecond); turn++ {
		kind, id := accounts, grainIDs[r.IntN(len(grainIDs))]
		if r.IntN(3) == 0 {
			kind = till
		}
		l := line{Kind: saysRead, Who: fmt.Sprintf("%s/%d$%d", n.Life, i, turn), Key: grainKey(kind, id)}
		var msg any = balance{}
		if r.IntN(4) > 0 {
			l.Kind, msg = saysAdd, credit{l.Who}
		}
		limit, cancel := context.WithTimeout(context.Background(), callLimit)
		l.Call = clock()
		v, err := n.grains.Call(limit, kind, id, msg)
		l.Ret, l.Text = clock(), failure(err)
		cancel()
		switch got, ok := v.(int64); {
		case err != nil:
			n.count("failed calls of grains")
			if l.Kind == saysRead {
				continue
			}
		case !ok:
			n.wrong("%s answers with a %T", l.Key, v)
		default:
			l.N = got
			n.count("calls of grains")
		}
		n.answer(l)
	}
}

// grainsAnswer asks each grain from here.
func (n *node) grainsAnswer(ctx context.Context) error {
	for _, kind := range []string{accounts, till} {
		for _, id := range grainIDs {
			if err := until(ctx, grainKey(kind, id)+" does not answer", func() error {
				limit, cancel := context.WithTimeout(ctx, callLimit)
				defer cancel()
				_, err := n.grains.Call(limit, kind, id, balance{})
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
