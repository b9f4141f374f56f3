package actor

import "fmt"

// Ref is an actor's address. It is comparable, small, and holds nothing alive; the zero Ref is nobody.
type Ref struct {
	node *Node
	id   uint64
}

// IsZero tells whether the Ref is nobody's.
func (r Ref) IsZero() bool { return r.node == nil }

// ID is the actor's number on its node. It is never given twice to actors whose Refs could still be around, and stays
// below 2^53 so that every script engine can hold it.
func (r Ref) ID() uint64 { return r.id }

// Home is the node where the actor lives; nil for nobody.
func (r Ref) Home() *Node { return r.node }

// Node is the name of the node where the actor lives.
func (r Ref) Node() string {
	if r.node == nil {
		return ""
	}
	return r.node.name
}

// String is the address as people read it: node:hex, in the way of Skynet.
func (r Ref) String() string {
	if r.node == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s:%08x", r.node.name, r.id)
}

// MaxID is the largest id that an actor can have.
const MaxID = 1<<53 - 1

const (
	slotBits  = 24 // 16 million actors at a time
	chunkBits = 10
	chunkSize = 1 << chunkBits
	genBits   = 53 - slotBits
)

func slotOf(id uint64) uint32 { return uint32(id) & (1<<slotBits - 1) }
