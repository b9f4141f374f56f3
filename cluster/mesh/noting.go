package mesh

import (
	"sync"
	"sync/atomic"
	"time"
)

// noteWithin is how long what comes for an actor waits for the agent, which is never busy for long unless all the node is.
const noteWithin = 100 * time.Millisecond

// noting are the watches another node has asked for that the agent has yet to note. What follows such a watch may be the actor's end, and who watches is to
// hear the reason: on one node a watch is there before what its watcher does next, and so it is from node to node.
type noting struct {
	count atomic.Int32 // of those in last, for those who come when there are none

	mu   sync.Mutex
	last map[uint64]chan struct{} // the newest of each actor
}

// begin tells of a watch; what it returns is for end.
func (n *noting) begin(id uint64) (noted chan struct{}) {
	noted = make(chan struct{})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil {
		n.last = map[uint64]chan struct{}{}
	}
	n.last[id] = noted
	n.count.Store(int32(len(n.last)))
	return noted
}

func (n *noting) end(id uint64, noted chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last[id] == noted {
		delete(n.last, id)
		n.count.Store(int32(len(n.last)))
	}
	close(noted)
}

// await waits until no watch of the actor is to be noted, for noteWithin at most.
func (n *noting) await(id uint64) {
	if n.count.Load() == 0 {
		return
	}
	n.mu.Lock()
	noted := n.last[id]
	n.mu.Unlock()
	if noted == nil {
		return
	}
	late := time.NewTimer(noteWithin)
	defer late.Stop()
	select {
	case <-noted:
	case <-late.C:
	}
}
