package mesh

import (
	"math/rand/v2"
	"sync"

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

// DropOneIn has one in n batches that come be lost, by chance: were it each n-th, then the first of n that are sent again could be the one each time. 0 ends that.
func (m *Mesh) DropOneIn(n int) {
	lost := func([]byte) bool { return n > 0 && rand.IntN(n) == 0 }
	m.hook.Store(&lost)
}

// Lose has the batches be lost that which names by their number in their link, and by how often batches with that number have come before.
func (m *Mesh) Lose(which func(number uint64, before int) bool) {
	var mu sync.Mutex
	came := map[uint64]int{}
	lost := func(data []byte) bool {
		h, _, err := parseHead(data)
		if err != nil || h.number == 0 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		came[h.number]++
		return which(h.number, came[h.number]-1)
	}
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

// FlagKnown is in the head of a batch.
const FlagKnown = flagKnown

// LastKind is the last kind of frames.
const LastKind = lastKind
