package datacenter

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// waits is who waits for which path.
type waits struct {
	limit, count int
	root         waitNode
	out          func(reply func()) // has replies wait until they may be given; nil gives them at once
}

// waitNode is a queue of those who wait for a path, or a branch to longer ones.
type waitNode struct {
	queue []waiter
	kids  map[any]*waitNode
}

type waiter struct {
	promise actor.Promise
	script  bool
}

func (w waiter) reply(p path, v value.Value, err error) {
	if err != nil {
		w.promise.Reply(nil, fmt.Errorf("datacenter: %s: %w", p, err))
		return
	}
	w.promise.Reply(answer(v, w.script), nil)
}

func (w *waitNode) empty() bool { return len(w.queue) == 0 && len(w.kids) == 0 }

// add has somebody wait.
func (ws *waits) add(p path, w waiter) error {
	if ws.count >= ws.limit {
		ws.count -= ws.root.sweep() // those who have ended or given up make room
	}
	if ws.count >= ws.limit {
		return &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%d wait already", ws.count)}
	}
	at, err := ws.root.place(p)
	if err != nil { // whoever is in the way may have ended
		ws.count -= ws.root.sweep()
		if at, err = ws.root.place(p); err != nil {
			return err
		}
	}
	at.queue = append(at.queue, w)
	ws.count++
	return nil
}

// place is the node of a path, made if need be.
func (w *waitNode) place(p path) (*waitNode, error) {
	at := w
	for _, k := range p {
		if len(at.queue) > 0 {
			return nil, fmt.Errorf("%w: somebody waits for the beginning of this path", ErrBranch)
		}
		if at.kids == nil {
			at.kids = map[any]*waitNode{}
		}
		next := at.kids[k]
		if next == nil {
			next = &waitNode{}
			at.kids[k] = next
		}
		at = next
	}
	if len(at.kids) > 0 {
		return nil, fmt.Errorf("%w: somebody waits for a longer path", ErrBranch)
	}
	return at, nil
}

// sweep forgets those who do not wait any more, and tells how many that were.
func (w *waitNode) sweep() int {
	before := len(w.queue)
	w.queue = slices.DeleteFunc(w.queue, func(one waiter) bool { return !one.promise.Open() })
	gone := before - len(w.queue)
	for k, kid := range w.kids {
		gone += kid.sweep()
		if kid.empty() {
			delete(w.kids, k)
		}
	}
	return gone
}

// settle answers those for whom something has been put at a path. Who waits for the beginning of the path waits for a branch, and fails.
func (ws *waits) settle(p path, n *node) { ws.root.settle(ws, p, p, n) }

func (w *waitNode) settle(ws *waits, whole, rest path, n *node) {
	if len(rest) == 0 {
		w.answer(ws, whole, n)
		return
	}
	if len(w.queue) > 0 {
		at := whole[:len(whole)-len(rest)]
		w.clear(ws, at, value.Value{}, fmt.Errorf("%w: %s has been set", ErrBranch, whole))
		return
	}
	if kid := w.kids[rest[0]]; kid != nil {
		kid.settle(ws, whole, rest[1:], n)
		if kid.empty() {
			delete(w.kids, rest[0])
		}
	}
}

// answer answers those who wait for a node and for what is in it.
func (w *waitNode) answer(ws *waits, at path, n *node) {
	if len(w.queue) > 0 {
		v, err := n.value()
		w.clear(ws, at, v, err)
		return
	}
	for k, kid := range w.kids {
		below := append(slices.Clip(at), k)
		sub, err := n.find(path{k})
		switch {
		case errors.Is(err, ErrLeaf):
			kid.fail(ws, below)
		case sub != nil:
			kid.answer(ws, below, sub)
		}
		if kid.empty() {
			delete(w.kids, k)
		}
	}
}

// fail tells all those who wait in a node that a leaf is in their way.
func (w *waitNode) fail(ws *waits, at path) {
	w.clear(ws, at, value.Value{}, ErrLeaf)
	for k, kid := range w.kids {
		kid.fail(ws, append(slices.Clip(at), k))
	}
	w.kids = nil
}

func (w *waitNode) clear(ws *waits, at path, v value.Value, err error) {
	ws.count -= len(w.queue)
	for _, one := range w.queue {
		if ws.out == nil {
			one.reply(at, v, err)
		} else {
			ws.out(func() { one.reply(at, v, err) })
		}
	}
	w.queue = nil
}
