package actor

import (
	"errors"
	"fmt"
)

// Answer is what one of many actors answered.
type Answer struct {
	From  Ref
	Value any
	Err   error
}

// ErrNoQuorum is why AskFirst and AskQuorum failed: too many of those asked did. What they failed with is wrapped too.
var ErrNoQuorum = errors.New("actor: too few answers")

// AskAll asks many actors the same, with the deadline of Ask; then gets all answers and failures, in the order of to.
func (c *Context) AskAll(to []Ref, msg any, then func([]Answer)) {
	c.askMany(to, msg, &many{answers: make([]Answer, len(to)), left: len(to), need: len(to) + 1, all: then})
}

// AskFirst asks many actors the same; then gets the first answer that is no failure, and the other requests are given up.
func (c *Context) AskFirst(to []Ref, msg any, then func(Answer, error)) {
	c.AskQuorum(to, 1, msg, func(answers []Answer, err error) {
		if err != nil {
			then(Answer{}, err)
			return
		}
		then(answers[0], nil)
	})
}

// AskQuorum asks many actors the same; then gets the first need answers that are no failures, in the order in which they came, and the other requests are
// given up. It fails with ErrNoQuorum as soon as so many have failed that there can't be enough. With a need below 1 nobody is asked.
func (c *Context) AskQuorum(to []Ref, need int, msg any, then func([]Answer, error)) {
	c.askMany(to, msg, &many{answers: make([]Answer, 0, len(to)), asked: len(to), left: len(to), need: need, quorum: then})
}

// many is a request to many actors.
type many struct {
	answers []Answer // of AskAll: of all; else those that count
	failed  []error
	asked   int
	left    int
	need    int
	calls   []Call
	all     func([]Answer)
	quorum  func([]Answer, error)
	decided bool
}

func (c *Context) askMany(to []Ref, msg any, m *many) {
	if len(to) == 0 || m.need <= 0 || m.all == nil && m.need > len(to) {
		c.soon(m.decide) // not before this function returns
		return
	}
	m.calls = make([]Call, len(to))
	for i, ref := range to {
		m.calls[i] = c.Ask(ref, msg, func(v any, err error) { m.answered(i, Answer{From: ref, Value: v, Err: err}) })
	}
}

func (m *many) answered(i int, a Answer) {
	m.left--
	switch {
	case m.all != nil:
		m.answers[i] = a
	case a.Err != nil:
		m.failed = append(m.failed, fmt.Errorf("%v: %w", a.From, a.Err))
	default:
		m.answers = append(m.answers, a)
	}
	m.decide()
}

// decide ends the request as soon as its result is known.
func (m *many) decide() {
	if m.decided {
		return
	}
	if m.all != nil {
		if m.left == 0 {
			m.decided = true
			m.all(m.answers)
		}
		return
	}
	enough := len(m.answers) >= m.need
	if !enough && len(m.answers)+m.left >= m.need {
		return
	}
	m.decided = true
	for _, call := range m.calls {
		call.Cancel()
	}
	if enough {
		m.quorum(m.answers, nil)
		return
	}
	err := fmt.Errorf("%w: %d of %d failed, %d had to answer", ErrNoQuorum, len(m.failed), m.asked, m.need)
	m.quorum(nil, errors.Join(append([]error{err}, m.failed...)...))
}
