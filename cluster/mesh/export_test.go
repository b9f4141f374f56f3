package mesh

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Bounce has the link to a node begin anew, as if the other side had lost it.
func (m *Mesh) Bounce(name string) {
	for _, p := range m.all() {
		if p.name == name && p.up.Load() {
			p.bounce("as a test wants it")
		}
	}
}

// DropEach has each n-th batch that comes be lost; 0 ends that.
func (m *Mesh) DropEach(n int64) {
	var come atomic.Int64
	lost := func([]byte) bool { return n > 0 && come.Add(1)%n == 0 }
	m.hook.Store(&lost)
}

// Unreceipted is how many acknowledged messages wait for their receipt.
func (m *Mesh) Unreceipted(name string) (n int) {
	for _, p := range m.all() {
		if p.name == name {
			p.acks.mu.Lock()
			n += len(p.acks.waiting)
			p.acks.mu.Unlock()
		}
	}
	return n
}

// Take is what the subscription calls.
func (m *Mesh) Take(data []byte) { m.take(&nats.Msg{Data: data}, m.node.Lease().Incarnation) }

// SubjectOf is where the batches for a node go.
func SubjectOf(name string, incarnation uint64) string { return subjectOf(name, incarnation) }

// LastKind is the last kind of frames.
const LastKind = lastKind
