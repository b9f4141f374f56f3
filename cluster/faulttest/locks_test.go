//go:build linux

package faulttest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
)

// lockClient takes one of two locks, tells how long it held it, and meanwhile adds to a number in the register that belongs to the lock.
func (n *node) lockClient(ctx context.Context, i uint64) {
	r := n.random(300 + i)
	who := fmt.Sprintf("%s/%d", n.Life, i)
	for n.pause(ctx, r, 20*time.Millisecond) {
		key := lease.Key(lease.Lock, string(rune('x'+r.IntN(2))))
		call := clock()
		limit, cancel := context.WithTimeout(ctx, 3*time.Second)
		x, err := n.leases.Acquire(limit, key, nil)
		cancel()
		if err != nil {
			continue
		}
		n.answer(line{Kind: saysLock, Who: who, Key: key, Epoch: x.Epoch(), Call: call, Ret: clock()})
		n.useLock(ctx, who, r, x, call)
		n.count("locks")
	}
}

// holdFor is how long a lock is held at most.
const holdFor = 6 * time.Second

// useLock uses a lock and gives it back. last is when it may have been lost at the earliest.
func (n *node) useLock(ctx context.Context, who string, r *rand.Rand, x *lease.Lease, last int64) {
	uses := r.IntN(8)
	if n.Careless {
		uses = 200
	} else if r.IntN(8) == 0 { // long enough for others to take a holder for dead that does not notice
		uses = 500
	}
	for begun := time.Now(); uses > 0 && ctx.Err() == nil && (n.Careless || time.Since(begun) < holdFor); uses-- {
		call := clock()
		if !n.Careless && !x.Held() {
			break
		}
		n.answer(line{Kind: saysUse, Who: who, Key: x.Key(), Epoch: x.Epoch(), Call: call, Ret: clock()})
		last = call
		if r.IntN(3) == 0 {
			_ = n.increase(who, x.Key(), x.Epoch(), r) // one that is refused is counted
		}
		n.pause(ctx, r, 20*time.Millisecond)
	}
	call := clock()
	if x.Held() {
		last = call
	}
	// From the begin of Release it is not held any more; that others may have it before Release returns is meant.
	limit, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = x.Release(limit) // in trouble it is given back later
	n.answer(line{Kind: saysUnlock, Who: who, Key: x.Key(), Epoch: x.Epoch(), Call: last, Ret: clock()})
}

// increase adds 1 to a number in the register, as whoever has the epoch, and tells what it is then. It reads, waits, and writes: two who do that at a time lose one of the two.
func (n *node) increase(who, key string, epoch uint64, r *rand.Rand) error {
	call := clock()
	v, err := n.register(line{Text: registerRead, Key: key, Epoch: epoch})
	if err != nil {
		n.count("refused reads")
		return err
	}
	n.pause(context.Background(), r, 5*time.Millisecond)
	id := fmt.Sprintf("%s.%d", who, call)
	_, err = n.register(line{Text: registerWrite, Key: key, Epoch: epoch, N: v + 1, Who: id})
	if err != nil {
		n.count("refused writes")
		return err
	}
	n.answer(line{Kind: saysAdd, Who: id, Key: key, N: v + 1, Call: call, Ret: clock()})
	return nil
}

// add asks the singleton to add 1, and is answered with what it is then.
type add struct{ ID string }

// counter is the singleton: the number is not in it but in the register, which refuses those whose epoch is old.
func (n *node) counter(epoch uint64) actor.Spec {
	return actor.Spec{New: func() actor.Actor { return &counter{n: n, epoch: epoch, r: n.random(epoch)} }, Serial: true}
}

type counter struct {
	n     *node
	epoch uint64
	r     *rand.Rand
}

// singleton is the key of the counter's number.
const singleton = "singleton"

func (k *counter) Receive(c *actor.Context, msg any) {
	m, ok := msg.(add)
	if !ok {
		k.n.wrong("the counter got a %T", msg)
		return
	}
	c.Go(func(context.Context) (any, error) {
		v, err := k.n.register(line{Text: registerRead, Key: singleton, Epoch: k.epoch})
		if err != nil {
			return nil, err
		}
		v++
		if _, err = k.n.register(line{Text: registerWrite, Key: singleton, Epoch: k.epoch, N: v, Who: m.ID}); err != nil {
			return nil, err
		}
		return v, nil
	}, c.Reply)
}

// adder has the singleton add.
func (n *node) adder(ctx context.Context) {
	r := n.random(400)
	for i := clock(); n.pause(ctx, r, 20*time.Millisecond); i++ {
		ref, err := n.names.Any("counter", names.RoundRobin())
		if err != nil {
			continue
		}
		id, call := fmt.Sprintf("%s+%d", n.Life, i), clock()
		limit, cancel := context.WithTimeout(context.Background(), callLimit)
		v, err := n.sys.Ask(limit, ref, add{id})
		cancel()
		l := line{Kind: saysAdd, Who: id, Key: singleton, Call: call, Text: failure(err), Ret: clock()}
		if err == nil {
			got, ok := v.(int64)
			if !ok {
				n.wrong("the counter answers with a %T", v)
			}
			l.N = got
			n.count("additions")
		} else {
			n.count("failed additions")
		}
		n.answer(l)
	}
}
