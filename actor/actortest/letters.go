package actortest

import (
	"slices"
	"strings"
	"sync"

	"github.com/skua-go/skua/actor"
)

// letters is the actor that keeps the dead letters.
type letters struct {
	k *Kit

	mu  sync.Mutex
	all []actor.DeadLetter
}

func (l *letters) Start(c *actor.Context) error {
	c.Subscribe(actor.DeadLetters)
	return nil
}

func (l *letters) Receive(_ *actor.Context, msg any) {
	if d, ok := msg.(actor.DeadLetter); ok {
		l.mu.Lock()
		l.all = append(l.all, d)
		l.mu.Unlock()
	}
}

// DeadLetters are the messages that could not be delivered so far, the oldest first. It waits until nothing goes on, but not with Manual.
func (k *Kit) DeadLetters() []actor.DeadLetter {
	k.t.Helper()
	k.quiet()
	k.letters.mu.Lock()
	defer k.letters.mu.Unlock()
	return slices.Clone(k.letters.all)
}

func (k *Kit) checkDeadLetters() {
	k.t.Helper()
	all := k.DeadLetters()
	if len(all) == 0 {
		return
	}
	const some = 10
	var b strings.Builder
	for _, d := range all[:min(some, len(all))] {
		b.WriteString("\n\t" + describe(d.Message) + " from " + k.nameOf(d.From) + " to " + k.nameOf(d.To) + ": " + d.Reason.String())
	}
	k.t.Errorf("actortest: %d dead letters, expected none; the first:%s", len(all), b.String())
}
