// Package owned ends what scripts hold outside of their VMs, such as sockets or connections, when their service ends: a VM can't, since a service may end without
// its script being asked.
package owned

import (
	"errors"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// StopTimeout is how long Things.Stop may take. It is below the default of actor.Spec.StopTimeout.
const StopTimeout = 5 * time.Second

// Things are what the scripts of a node hold of one sort. Its methods may be called by any goroutine.
type Things struct {
	// Name is that of the actor which hears of the ends of services.
	Name string
	// Sort is what is held, "sockets", and Module what scripts use, "skynet.socket", for errors.
	Sort, Module string
	// Stop is called in a goroutine of its own when the actor ends. It is to end everything, with EndAll and otherwise; within StopTimeout gently.
	Stop func()

	mu      sync.Mutex
	ends    map[actor.Ref][]func()
	stopped bool // Stop has been called, or is about to be: what came later would stay
}

// Spec is the actor; a System whose scripts hold such things has one, started before the services.
func (t *Things) Spec() actor.Spec {
	return actor.Spec{Name: t.Name, New: func() actor.Actor { return &keeper{t} }}
}

// Watch has end called once when the service ends that a script's function runs in, or the actor does, by any goroutine. It is called before the service holds
// anything, once for all of it, and raises an error if the actor is not there, or ends.
func (t *Things) Watch(h *lua.Host, s vm.State, what string, end func()) {
	c := h.Context()
	to, ok := c.System().Lookup(t.Name)
	ref := c.Self()
	if !ok || !t.add(ref, end) {
		s.Errorf("%s: this node has no service %q, which closes %s", what, t.Name, t.Sort)
	}
	c.Detached(func() { c.Send(to, watch{ref}) })
}

// add is false when it is too late.
func (t *Things) add(ref actor.Ref, end func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	if t.ends == nil {
		t.ends = map[actor.Ref][]func(){}
	}
	t.ends[ref] = append(t.ends[ref], end)
	return true
}

// EndAll ends what all services hold.
func (t *Things) EndAll() {
	for _, ref := range t.services() {
		t.ended(ref)
	}
}

func (t *Things) services() []actor.Ref {
	t.mu.Lock()
	defer t.mu.Unlock()
	refs := make([]actor.Ref, 0, len(t.ends))
	for ref := range t.ends {
		refs = append(refs, ref)
	}
	return refs
}

// ended ends what a service has left.
func (t *Things) ended(ref actor.Ref) {
	t.mu.Lock()
	ends := t.ends[ref]
	delete(t.ends, ref)
	t.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

type keeper struct{ things *Things }

// watch tells the keeper of a service that holds something.
type watch struct{ ref actor.Ref }

// Expendable marks it as nothing to complain of when the keeper ends: it ends everything then.
func (watch) Expendable() {}

// Start begins to watch those whom a predecessor has watched.
func (k *keeper) Start(c *actor.Context) error {
	for _, ref := range k.things.services() {
		c.Watch(ref)
	}
	return nil
}

// Receive hears of services and of their ends.
func (k *keeper) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case watch:
		c.Watch(m.ref)
	case actor.Terminated:
		k.things.ended(m.Ref)
	default:
		c.Reply(nil, errors.New(k.things.Name+": scripts use the module "+k.things.Module+"; the service takes no messages"))
	}
}

// Stop waits until all has ended.
func (k *keeper) Stop(c *actor.Context, _ error) {
	k.things.mu.Lock()
	k.things.stopped = true
	k.things.mu.Unlock()
	release := c.Hold()
	go func() {
		defer release()
		k.things.Stop()
	}()
}
