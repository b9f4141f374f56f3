package lua

import (
	"context"
	"errors"
	"sync"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// What operators do to a VM while it runs: ask where it is, interrupt its handler, and take its profile. They leave it with the VM, which comes to it at its next tick; one that
// nobody looks at pays for a look at a pointer.

// ErrNotRunning says that a service is in no handler that runs: it is idle, or its handlers wait.
var ErrNotRunning = errors.New("lua: no handler of the service runs now")

// ErrNotScript says that an actor is no service of a script.
var ErrNotScript = errors.New("lua: the actor is no service of a script")

// maxWheres bounds those who wait to hear where a VM is.
const maxWheres = 16

// guard is what is left with a VM. It is there while somebody wants something.
type guard struct {
	mu      sync.Mutex
	wheres  []chan<- string // who wants to know where it is
	stop    *stop
	profile *profiler
}

// stop is an order to end the handler that runs now.
type stop struct {
	of   *Host
	err  error         // what it gets at each step
	hit  bool          // it has got it
	done chan struct{} // closed when it has ended
}

// over tells whether nobody wants anything any more. The lock is held.
func (g *guard) over() bool { return len(g.wheres) == 0 && g.stop == nil && g.profile == nil }

// guarded has f change what is left with the VM.
func (c *cell) guarded(f func(g *guard)) {
	c.guarding.Lock()
	defer c.guarding.Unlock()
	g := c.guard.Load()
	if g == nil {
		g = &guard{}
	}
	g.mu.Lock()
	f(g)
	over := g.over()
	g.mu.Unlock()
	if over {
		g = nil
	}
	c.guard.Store(g)
}

// pacer is a VM whose ticks can come more often, and that knows which of its threads runs.
type pacer interface {
	SetPace(steps int) (usual int) // 0 is the usual
	Running() vm.State
}

// looked is called by a tick of a VM with a guard. skip tells that the tick is one of those that are there for a profile only.
func (h *Host) looked(g *guard) (skip bool, err error) {
	g.mu.Lock()
	if len(g.wheres) > 0 {
		where := h.whereabouts()
		for _, w := range g.wheres {
			w <- where // of one place
		}
		g.wheres = nil
	}
	switch {
	case g.stop != nil && g.stop.of == h:
		g.stop.hit, err = true, g.stop.err
	case g.profile != nil:
		skip = g.profile.look(h)
	}
	over := g.over()
	g.mu.Unlock()
	if over {
		h.unguard()
	}
	return skip, err
}

// whereabouts is the stack of what runs in the VM.
func (h *Host) whereabouts() string {
	if p, ok := h.vm.(pacer); ok {
		return p.Running().Traceback("")
	}
	if h.cur != nil {
		return h.cur.th.Traceback("")
	}
	return ""
}

// unguard takes the guard away if nobody wants anything. The guard's lock is not held.
func (h *Host) unguard() { h.guarded(func(*guard) {}) }

// slice is called when the VM begins to run a handler, or to go on with one, and when that is over: an interruption is for what ran when it was asked for.
func (h *Host) slice(g *guard, begins bool) {
	g.mu.Lock()
	if g.stop != nil && g.stop.of == h {
		close(g.stop.done)
		g.stop = nil
	}
	if g.profile != nil {
		g.profile.slice(h, begins)
	}
	over := g.over()
	g.mu.Unlock()
	if over {
		h.unguard()
	}
}

// find asks the launcher for a service's host. It is answered by a *Host, nil if there is none.
type find struct{ ref actor.Ref }

func (rt *Runtime) host(ctx context.Context, sys *actor.System, of actor.Ref) (*Host, error) {
	launcher, ok := sys.Lookup(LauncherName)
	if !ok {
		return nil, ErrNotScript
	}
	v, err := sys.Ask(ctx, launcher, find{of})
	if err != nil {
		return nil, err
	}
	h, _ := v.(*Host)
	if h == nil {
		return nil, ErrNotScript
	}
	return h, nil
}

// Where is the Lua stack of what runs in a service now. It waits for the VM's next tick, some milliseconds at most while a script runs, until ctx ends: ErrNotRunning then, also
// for one that is in a long function of Go.
func (rt *Runtime) Where(ctx context.Context, sys *actor.System, of actor.Ref) (string, error) {
	h, err := rt.host(ctx, sys, of)
	if err != nil {
		return "", err
	}
	answer := make(chan string, 1)
	var full bool
	h.guarded(func(g *guard) {
		if full = len(g.wheres) >= maxWheres; !full {
			g.wheres = append(g.wheres, answer)
		}
	})
	if full {
		return "", &actor.Error{Code: actor.Overloaded, Actor: of.String(), Text: "too many ask where it is"}
	}
	select {
	case where := <-answer:
		return where, nil
	case <-ctx.Done():
	}
	h.guarded(func(g *guard) {
		for i, w := range g.wheres {
			if w == answer {
				g.wheres = append(g.wheres[:i], g.wheres[i+1:]...)
				return
			}
		}
	})
	return "", ErrNotRunning
}

// Interrupt ends the handler that runs in a service now: it gets an error with a traceback where it is, which it can't catch for long, and the service lives on. It waits until
// that has happened, or until ctx ends: ErrNotRunning then, also for one that is in a long function of Go, or is over by itself before.
func (rt *Runtime) Interrupt(ctx context.Context, sys *actor.System, of actor.Ref, why string) error {
	h, err := rt.host(ctx, sys, of)
	if err != nil {
		return err
	}
	own := &stop{of: h, err: &interruptedError{why}, done: make(chan struct{})}
	h.guarded(func(g *guard) {
		if g.stop != nil && g.stop.of == h {
			own = g.stop // somebody was quicker
			return
		}
		g.stop = own
	})
	select {
	case <-own.done:
	case <-ctx.Done():
		h.guarded(func(g *guard) {
			if g.stop == own && !own.hit {
				g.stop = nil
			}
		})
	}
	hit := false
	h.guarded(func(*guard) { hit = own.hit })
	if !hit {
		return ErrNotRunning
	}
	return nil
}

// interruptedError is what the script gets.
type interruptedError struct{ why string }

func (e *interruptedError) Error() string { return "interrupted by an operator: " + e.why }

// slowDown has the ticks come as usual again.
func (h *Host) slowDown() {
	h.fast = false
	if v, ok := h.vm.(pacer); ok {
		v.SetPace(0)
	}
}
