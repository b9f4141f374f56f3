package socket

import (
	"time"

	"github.com/skua-go/skua/actor"
)

// Spec is the actor that closes the sockets of services that have ended; a System that uses the Module has one, started before the services. When it ends,
// all sockets are closed: they get up to 5 s to write what they were given before.
func (n *Sockets) Spec() actor.Spec { return n.things.Spec() }

// stop closes all sockets, those who don't take what was written within the timeout roughly.
func (n *Sockets) stop(timeout time.Duration) {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.things.EndAll()
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
