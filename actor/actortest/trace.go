package actortest

import (
	"slices"

	"github.com/skua-go/skua/actor"
)

const (
	// keepSteps is how many steps a trace has at least, if there were so many.
	keepSteps = 10_000
	// tellSteps of them are shown when a test fails.
	tellSteps = 50
)

// trace is who has done what.
type trace struct {
	lines []string
	count int
	open  []*step // those that are being made: a handler may wait for others
}

type step struct {
	line     string
	messages int
}

func (t *trace) begin(at, name string) { t.open = append(t.open, &step{line: at + " " + name}) }

// message is called in the actor.
func (t *trace) message(k *Kit, in actor.Inbound) {
	if len(t.open) == 0 {
		return
	}
	now := t.open[len(t.open)-1]
	now.messages++
	verb := " <- "
	if in.Request {
		verb = " <-? "
	}
	now.line += verb + describe(in.Message)
	if !in.From.IsZero() {
		now.line += " from " + k.nameOf(in.From)
	}
}

func (t *trace) end() {
	last := t.open[len(t.open)-1]
	t.open = t.open[:len(t.open)-1]
	if last.messages == 0 {
		last.line += " goes on" // starts, ends, or continues with an answer or a timer
	}
	if len(t.lines) == 2*keepSteps {
		t.lines = slices.Delete(t.lines, 0, keepSteps)
	}
	t.lines = append(t.lines, last.line)
	t.count++
}

// last are the last n lines, and behind them those of steps that are being made.
func (t *trace) last(n int) []string {
	lines := slices.Clone(t.lines[max(0, len(t.lines)-n):])
	for _, s := range t.open {
		lines = append(lines, s.line+", and is still in it")
	}
	return lines
}

// Trace is who has handled what, one line a step, the oldest first: the fake time since the kit was made, the actor, "<-" and the message, "<-?" for a
// request, and its sender. At least the last 10,000 steps are kept. It is empty with Workers.
func (k *Kit) Trace() []string {
	if k.turns == nil {
		return nil
	}
	return slices.Clone(k.turns.trace.lines)
}
