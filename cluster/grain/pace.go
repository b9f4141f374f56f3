package grain

import (
	"runtime"
	"time"

	"github.com/skua-go/skua/actor"
)

// pace has grains begin in turns when many are to. When a node has died, what it had is started on the others by whoever speaks to it next, and those who speak to grains that have been there all the time would wait behind
// thousands of actors that are about to run. So a turn is followed by a rest that is longer the longer the turn has taken: a machine that has much else to do gets less of it. A grain that waits for what it loads has
// begun, so slow databases hold nobody up.
type pace struct {
	most      int                       // grains in a turn
	beginning map[*hosted]time.Duration // those that have not begun yet, and since when they are to
	turn      time.Duration             // when the first of them was to
	until     time.Duration             // when the rest ends
	waiting   []waitingStart            // grains that are to begin in later turns
	timer     bool                      // it is looked after them soon
	taking    bool                      // they are being started
}

const (
	// beginAtOnce is how many grains may be beginning, for each processor.
	beginAtOnce = 8
	// beginWithin is for how long a grain counts that does not begin: those whose code blocks, or fails and is tried again, must not keep others from starting.
	beginWithin = 250 * time.Millisecond
	// restFactor is how many times as long as a turn a rest is, minRest and maxTurnRest bound it.
	restFactor  = 2
	minRest     = time.Millisecond
	maxTurnRest = 50 * time.Millisecond
)

// waitingStart is a grain that is to start when others have begun.
type waitingStart struct {
	m       activate
	promise actor.Promise
}

func newPace() pace {
	return pace{beginning: map[*hosted]time.Duration{}, most: beginAtOnce * runtime.GOMAXPROCS(0)}
}

// mayBegin tells whether another grain may begin now, in its turn.
func (p *pace) mayBegin(now time.Duration) bool {
	return len(p.beginning) < p.most && now >= p.until && (p.taking || len(p.waiting) == 0)
}

// begins notes that a grain is to begin.
func (p *pace) begins(h *hosted, now time.Duration) {
	if len(p.beginning) == 0 {
		p.turn = now
	}
	p.beginning[h] = now
}

// hasBegun notes that a grain need not be counted any more: it has started, waits for what it loads, or has ended. Behind the last one of a turn is a rest, if others wait for their turns.
func (p *pace) hasBegun(h *hosted, now time.Duration) {
	if _, counts := p.beginning[h]; !counts {
		return
	}
	delete(p.beginning, h)
	if len(p.beginning) == 0 && len(p.waiting) > 0 {
		p.until = now + min(max(restFactor*(now-p.turn), minRest), maxTurnRest)
	}
}

// giveUp counts those no more that have not begun for too long.
func (p *pace) giveUp(now time.Duration) {
	for h, since := range p.beginning {
		if now-since > beginWithin {
			p.hasBegun(h, now)
		}
	}
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
		later(c, minRest, func() { a.startMore(c) })
	}
}

// startMore begins the next turn when the last one and its rest are over.
func (a *agent) startMore(c *actor.Context) {
	p := &a.pace
	now := a.g.now()
	p.giveUp(now)
	p.taking = len(p.beginning) == 0
	for p.taking && len(p.waiting) > 0 && p.mayBegin(now) {
		next := p.waiting[0]
		p.waiting[0] = waitingStart{}
		p.waiting = p.waiting[1:]
		if next.promise.Open() { // else nobody waits any more: it is asked for again if it is wanted
			a.start(c, next.m, next.promise)
		}
	}
	p.taking = false
	if p.timer = len(p.waiting) > 0; p.timer {
		later(c, minRest, func() { a.startMore(c) })
	} else {
		p.waiting = nil
	}
}
