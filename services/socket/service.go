package socket

import (
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
)

// Spec is the actor that closes the sockets of services that have ended; a System that uses the Module has one, started before the services. When it ends,
// all sockets are closed: they get up to 5 s to write what they were given before.
func (n *Sockets) Spec() actor.Spec {
	return actor.Spec{Name: ServiceName, New: func() actor.Actor { return &keeper{node: n} }}
}

// stopTimeout is below actor.Spec.StopTimeout.
const stopTimeout = 5 * time.Second

type keeper struct{ node *Sockets }

// watch tells the keeper of a service that has sockets.
type watch struct{ ref actor.Ref }

// Expendable marks it as nothing to complain of when the keeper ends: it closes all sockets then.
func (watch) Expendable() {}

// Start begins to watch those whom a predecessor has watched.
func (k *keeper) Start(c *actor.Context) error {
	for _, ref := range k.node.services() {
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
		k.node.ended(m.Ref)
	default:
		c.Reply(nil, errors.New("socket: scripts use the module skynet.socket; the service takes no messages"))
	}
}

// Stop closes all sockets and waits for their goroutines.
func (k *keeper) Stop(c *actor.Context, _ error) {
	release := c.Hold()
	go func() {
		defer release()
		k.node.stop(stopTimeout)
	}()
}

func (n *Sockets) services() []actor.Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	refs := make([]actor.Ref, 0, len(n.users))
	for ref := range n.users {
		refs = append(refs, ref)
	}
	return refs
}

// ended closes the sockets of a service.
func (n *Sockets) ended(ref actor.Ref) {
	n.mu.Lock()
	gone := n.users[ref]
	delete(n.users, ref)
	n.mu.Unlock()
	for _, u := range gone {
		u.end()
	}
}

// stop closes all sockets, those who don't take what was written within the timeout roughly.
func (n *Sockets) stop(timeout time.Duration) {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	for _, ref := range n.services() {
		n.ended(ref)
	}
	for _, s := range n.all() {
		s.close()
	}
	done := make(chan struct{})
	go func() {
		n.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-time.After(timeout):
	}
	for _, s := range n.all() {
		s.abort(ErrStopped)
	}
	<-done
}
