package grain

import (
	"runtime"
	"time"

	"github.com/skua-go/skua/actor"
)

// pace is how fast grains of a node begin. When a node has died, what it had is started on the others by whoever speaks to it next, and those who speak to grains that have been there all the time would wait behind thousands
// of actors that are about to run. So starting takes a part of the machine only: a grain that waits for what it loads has begun, and slow databases hold nobody up.
type pace struct {
	beginning map[*hosted]time.Duration // grains that have not begun yet, and since when they are to
	waiting   []waitingStart            // those that are to begin after them
	tokens    float64                   // how many may begin at once
	filled    time.Duration             // when they were counted
	timer     bool                      // it is looked again soon
	turn      bool                      // of those that wait
	procs     int
}

const (
	// beginAtOnce is how many grains may be beginning, for each processor.
	beginAtOnce = 8
	// beginPerSecond is how many may begin in a second, for each processor: what takes a half of it, for grains in Go that load nothing.
	beginPerSecond = 4000
	// beginBurst is how many may begin faster, after a quieter time, for each processor.
	beginBurst = 256
	// beginWithin is for how long a grain counts that does not begin: those whose code blocks, or fails and is tried again, must not keep others from starting.
	beginWithin = 250 * time.Millisecond
	// beginEach is after what time it is looked whether more may begin.
	beginEach = time.Millisecond
)

// waitingStart is a grain that is to start when others have begun.
type waitingStart struct {
	m       activate
	promise actor.Promise
}

func newPace() pace {
	procs := runtime.GOMAXPROCS(0)
	return pace{beginning: map[*hosted]time.Duration{}, tokens: float64(beginBurst * procs), procs: procs}
}

// mayBegin tells whether another grain may begin now.
func (p *pace) mayBegin(now time.Duration) bool {
	p.tokens = min(p.tokens+float64(p.procs)*beginPerSecond*(now-p.filled).Seconds(), float64(beginBurst*p.procs))
	p.filled = now
	return p.tokens >= 1 && len(p.beginning) < beginAtOnce*p.procs && (p.turn || len(p.waiting) == 0)
}

// begins notes that a grain is to begin.
func (p *pace) begins(h *hosted, now time.Duration) {
	p.tokens--
	p.beginning[h] = now
}

// startLater has a grain start when others have begun, or refuses it when too many wait for that.
func (a *agent) startLater(c *actor.Context, m activate, promise actor.Promise) {
	p := &a.pace
	if len(p.waiting) >= a.g.cfg.MaxWaiting {
		a.g.metrics.overloaded.Inc()
		promise.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: m.Key, Text: "too many grains are to start on the node"})
		return
	}
	p.waiting = append(p.waiting, waitingStart{m, promise})
	if !p.timer {
		p.timer = true
		later(c, beginEach, func() { a.startMore(c) })
	}
}

// startMore starts what waits for it, as far as that may begin.
func (a *agent) startMore(c *actor.Context) {
	p := &a.pace
	now := a.g.now()
	for h, since := range p.beginning {
		if now-since > beginWithin {
			delete(p.beginning, h)
		}
	}
	p.turn = true
	for len(p.waiting) > 0 && p.mayBegin(now) {
		next := p.waiting[0]
		p.waiting[0] = waitingStart{}
		p.waiting = p.waiting[1:]
		if next.promise.Open() { // else nobody waits any more: it is asked for again if it is wanted
			a.start(c, next.m, next.promise)
		}
	}
	p.turn = false
	if p.timer = len(p.waiting) > 0; p.timer {
		later(c, beginEach, func() { a.startMore(c) })
	} else {
		p.waiting = nil
	}
}

// hasBegun notes that a grain need not be counted any more: it has started, waits for what it loads, or has ended.
func (a *agent) hasBegun(h *hosted) { delete(a.pace.beginning, h) }
