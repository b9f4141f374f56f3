package grain

import (
	"runtime"
	"time"

	"github.com/skua-go/skua/actor"
)

// beginAtOnce is how many grains of a node begin at a time, for each processor. When a node has died, what it had is started on the others by whoever speaks to it next, and those who speak to grains that have been there all
// the time would wait behind thousands of actors that are about to run. More keep no processor busier; a grain that waits for what it loads has begun, so slow databases hold nobody up.
const beginAtOnce = 2

// beginWithin is for how long a grain counts that does not begin: those whose code blocks, or fails and is tried again, must not keep others from starting.
const beginWithin = 250 * time.Millisecond

func atOnce() int { return beginAtOnce * runtime.GOMAXPROCS(0) }

// waitingStart is a grain that is to start when others have begun.
type waitingStart struct {
	m       activate
	promise actor.Promise
}

// startLater has a grain start when others have begun, or refuses it when too many wait for that.
func (a *agent) startLater(m activate, promise actor.Promise) {
	if len(a.toStart) >= a.g.cfg.MaxWaiting {
		a.g.metrics.overloaded.Inc()
		promise.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: m.Key, Text: "too many grains are to start on the node"})
		return
	}
	a.toStart = append(a.toStart, waitingStart{m, promise})
}

// hasBegun notes that a grain need not be counted any more: it has started, waits for what it loads, or has ended.
func (a *agent) hasBegun(c *actor.Context, h *hosted) {
	if _, counts := a.beginning[h]; !counts {
		return
	}
	delete(a.beginning, h)
	for len(a.beginning) < a.atOnce && len(a.toStart) > 0 {
		next := a.toStart[0]
		a.toStart[0] = waitingStart{}
		if a.toStart = a.toStart[1:]; len(a.toStart) == 0 {
			a.toStart = nil
		}
		if next.promise.Open() { // else nobody waits any more: it is asked for again if it is wanted
			a.start(c, next.m, next.promise)
		}
	}
}

// lookBeginning counts those no more that have not begun for too long.
func (a *agent) lookBeginning(c *actor.Context) {
	if len(a.toStart) == 0 {
		return
	}
	for h, since := range a.beginning {
		if a.g.now()-since > beginWithin {
			a.hasBegun(c, h)
		}
	}
}
