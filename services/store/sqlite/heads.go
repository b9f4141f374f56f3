package sqlite

import (
	"sync"
)

type name struct{ kind, id string }

// head is the newest state of a document whose row is older, and the log's records that lead there from the row. It is a value: a copy stays as it was, since a chain only ever grows behind its end.
type head struct {
	doc                   int64
	version, epoch, nonce int64
	base                  int64  // the row's version
	body                  int    // the row's length of it; 0: it has none
	first                 int64  // the row of the log that has the oldest of the records
	patches               int    // so many records
	chain                 []byte // they, one behind the other
}

// above tells whether h is newer than a row.
func (h *head) above(doc, version, epoch int64) bool {
	return h.doc == doc && (h.version > version || h.version == version && h.epoch > epoch)
}

// heads are those of all documents that the log has something of. The writer changes them when a transaction is
// durable, before its callers hear of it; anybody reads.
//
// A reader asks for a document's head first and reads its row then: so the row is as old as the head supposes, or it has
// been written since, from something not older than the head.
type heads struct {
	mu    sync.RWMutex
	names map[name]*link
	// A ring in the order of head.first, with itself as the end, for the writer: what begins the log is needed by the
	// first in it.
	ring  link
	bytes int // of all chains
}

type link struct {
	name
	head
	prev, next *link // nil when it is not in heads

	// As the transaction under way has it, see draft.
	drafted bool
	draft   *head // nil: its row is written
}

func newHeads() *heads {
	h := &heads{names: map[name]*link{}}
	h.ring.prev, h.ring.next = &h.ring, &h.ring
	return h
}

// get gives a document's head, if it has one.
func (t *heads) get(n name) (head, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if l := t.names[n]; l != nil {
		return l.head, true
	}
	return head{}, false
}

// oldest gives the document that has waited longest for its row to be written, and is the writer's to call.
func (t *heads) oldest() (name, head, bool) {
	l := t.ring.next
	return l.name, l.head, l != &t.ring
}

// publish takes over what a transaction has changed: no head for those whose row is written.
func (t *heads) publish(drafted []*link) {
	if len(drafted) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range drafted {
		h, known := l.draft, l.next != nil
		switch {
		case h == nil && known:
			t.bytes -= len(l.chain)
			l.cut()
			delete(t.names, l.name)
		case h == nil:
		case !known:
			l.head = *h
			t.bytes += len(l.chain)
			l.put(&t.ring)
			t.names[l.name] = l
		default:
			t.bytes += len(h.chain) - len(l.chain)
			moved := l.first != h.first // its row was written and it has changed again, all in one transaction
			if l.head = *h; moved {
				l.cut()
				l.put(&t.ring)
			}
		}
	}
}

func (l *link) cut() { l.prev.next, l.next.prev = l.next, l.prev }

// put makes l the last of a ring.
func (l *link) put(ring *link) {
	l.prev, l.next = ring.prev, ring
	l.prev.next, ring.prev = l, l
}
