package admin

import (
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// keptDead is how many dead letters are kept to be looked at.
const keptDead = MaxPage

// Dead is a message that could not be delivered. What it says is not kept, as that may be a player's own.
type Dead struct {
	Time   time.Time `json:"time"`
	To     string    `json:"to"`
	From   string    `json:"from,omitempty"`
	Type   string    `json:"type" doc:"What kind of message it was."`
	Reason string    `json:"reason"`
}

// DeadPage is the newest dead letters.
type DeadPage struct {
	Letters []Dead `json:"letters"`
	Total   int64  `json:"total" doc:"How many there were since the start."`
}

// DeadLetters keeps the newest of a node's dead letters, 1,000 of them. Make it with new; Spec is its actor.
type DeadLetters struct {
	mu   sync.Mutex
	ring [keptDead]Dead
	n    int // of all
}

// Spec is the actor that is told of them. Of a flood it drops the oldest, which the node's counter still counts.
func (d *DeadLetters) Spec() actor.Spec {
	return actor.Spec{
		Name: "admin.dead", Kind: "admin", Mailbox: actor.Mailbox{Limit: keptDead, Policy: actor.DropOldest},
		New: func() actor.Actor { return &deadReader{d} },
	}
}

type deadReader struct{ kept *DeadLetters }

// Start subscribes.
func (r *deadReader) Start(c *actor.Context) error {
	c.Subscribe(actor.DeadLetters)
	return nil
}

// Receive keeps a dead letter.
func (r *deadReader) Receive(_ *actor.Context, msg any) {
	if m, ok := msg.(actor.DeadLetter); ok {
		r.kept.add(&m)
	}
}

func (d *DeadLetters) add(m *actor.DeadLetter) {
	one := Dead{Time: time.Now().UTC(), To: m.To.String(), Type: clip(typeOf(m.Message)), Reason: m.Reason.String()}
	if !m.From.IsZero() {
		one.From = m.From.String()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ring[d.n%keptDead] = one
	d.n++
}

// typeOf is what a message says that it is, or its Go type.
func typeOf(msg any) (name string) {
	t, ok := msg.(actor.Typed)
	if !ok {
		return fmt.Sprintf("%T", msg)
	}
	defer func() {
		if recover() != nil { // of a nil pointer, say, which is no reason to lose the others
			name = fmt.Sprintf("%T", msg)
		}
	}()
	return t.MessageType()
}

// page is the newest.
func (d *DeadLetters) page(limit int, total int64) DeadPage {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := DeadPage{Letters: []Dead{}, Total: total}
	for i := range min(limit, d.n, keptDead) {
		p.Letters = append(p.Letters, d.ring[(d.n-1-i)%keptDead])
	}
	return p
}
