package datacenter

import (
	"fmt"
	"slices"

	"github.com/skua-go/skua/actor"
)

// line is messages that can't be handled yet. They are handled in the order in which they came, and so is what comes meanwhile.
type line struct {
	open    bool
	passing bool // the first is on its way
	calls   []call
	limit   int
}

// call is a message that waits for its turn.
type call struct {
	handle  func()
	promise actor.Promise
	asked   bool // else nobody waits for an answer, and nobody can give up
}

func (w call) givenUp() bool { return w.asked && !w.promise.Open() }

// free tells whether a message may be handled at once.
func (l *line) free() bool { return l.open && !l.passing && len(l.calls) == 0 }

// add has a message handled when it is its turn.
func (l *line) add(c *actor.Context, handle func()) {
	if len(l.calls) >= l.limit {
		l.calls = slices.DeleteFunc(l.calls, call.givenUp) // they make room
	}
	if len(l.calls) >= l.limit {
		c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%d requests wait for the tree", len(l.calls))})
		return
	}
	l.calls = append(l.calls, call{c.Resume(func() {
		l.passing = false
		handle()
		l.next()
	}), c.Promise(), c.IsRequest()})
	l.next()
}

// next lets the first go.
func (l *line) next() {
	if !l.open || l.passing {
		return
	}
	if len(l.calls) == 0 {
		l.calls = nil
		return
	}
	first := l.calls[0]
	l.calls[0] = call{}
	l.calls = l.calls[1:]
	l.passing = true
	first.handle()
}
