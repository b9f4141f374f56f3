package mongodb

import (
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
)

// Spec is the actor that ends what services leave behind; a System that uses the Module has one, started before the services. When it ends, all connections are
// closed: what was to be written gets up to 5 s before.
func (n *Clients) Spec() actor.Spec {
	return actor.Spec{Name: ServiceName, New: func() actor.Actor { return &keeper{node: n} }}
}

// stopTimeout is below actor.Spec.StopTimeout.
const stopTimeout = 5 * time.Second

type keeper struct{ node *Clients }

// watch tells the keeper of a service that has connections.
type watch struct{ ref actor.Ref }

// Expendable marks it as nothing to complain of when the keeper ends: it closes all connections then.
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
		c.Reply(nil, errors.New("mongodb: scripts use the module skynet.db.mongo; the service takes no messages"))
	}
}

// Stop closes all connections and waits for what is under way.
func (k *keeper) Stop(c *actor.Context, _ error) {
	release := c.Hold()
	go func() {
		defer release()
		k.node.stop(stopTimeout)
	}()
}

func (n *Clients) services() []actor.Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	refs := make([]actor.Ref, 0, len(n.users))
	for ref := range n.users {
		refs = append(refs, ref)
	}
	return refs
}

// ended gives up what a service has left.
func (n *Clients) ended(ref actor.Ref) {
	n.mu.Lock()
	gone := n.users[ref]
	delete(n.users, ref)
	n.mu.Unlock()
	for _, u := range gone {
		u.end()
	}
}

// stop ends everything; what is not done within the timeout is given up.
func (n *Clients) stop(timeout time.Duration) {
	for _, ref := range n.services() {
		n.ended(ref)
	}
	n.mu.Lock()
	n.stopped = true // no task begins from now on
	n.mu.Unlock()
	timer := time.AfterFunc(timeout, n.cancel)
	n.tasks.Wait()
	timer.Stop()
	n.cancel()
	n.mu.Lock()
	left := n.links // of services that began to connect at the last moment
	n.links = map[string]*link{}
	n.mu.Unlock()
	for _, l := range left {
		n.cfg.Metrics.clients.Dec()
		l.close(timeout)
	}
}
