package login

import (
	"net/netip"
	"time"
)

// guesses counts wrong passwords.
type guesses struct {
	limit  int
	wait   time.Duration
	failed map[origin]*failures
}

// origin is whose password is guessed, and from where.
type origin struct {
	id   string
	addr netip.Addr
}

type failures struct {
	n     int
	until time.Time // when they are forgotten
}

// maxGuesses bounds the memory of wrong passwords; beyond it some are forgotten before their time. Each has cost its sender a hash.
const maxGuesses = 100_000

// mustWait is how long a further guess has to wait.
func (g *guesses) mustWait(o origin) time.Duration {
	f := g.failed[o]
	if f == nil {
		return 0
	}
	wait := time.Until(f.until)
	switch {
	case wait <= 0:
		delete(g.failed, o)
		return 0
	case f.n < g.limit:
		return 0
	}
	return wait
}

func (g *guesses) wrong(o origin) {
	f := g.failed[o]
	if f == nil {
		if len(g.failed) >= maxGuesses {
			g.prune()
		}
		f = &failures{}
		g.failed[o] = f
	}
	f.n++
	f.until = time.Now().Add(g.wait)
}

func (g *guesses) right(o origin) { delete(g.failed, o) }

// prune forgets what is over, and then some, so that it is not called again at once.
func (g *guesses) prune() {
	now := time.Now()
	for o, f := range g.failed {
		if now.After(f.until) {
			delete(g.failed, o)
		}
	}
	for o := range g.failed {
		if len(g.failed) <= maxGuesses*9/10 {
			return
		}
		delete(g.failed, o)
	}
}
