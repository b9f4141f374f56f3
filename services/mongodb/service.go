package mongodb

import (
	"time"

	"github.com/skua-go/skua/actor"
)

// Spec is the actor that ends what services leave behind; a System that uses the Module has one, started before the services. When it ends, all connections are
// closed: what was to be written gets up to 5 s before.
func (n *Clients) Spec() actor.Spec { return n.things.Spec() }

// stop ends everything; what is not done within the timeout is given up.
func (n *Clients) stop(timeout time.Duration) {
	n.things.EndAll()
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
