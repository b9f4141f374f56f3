package actor

import (
	"sync"
	"time"
)

// Clock is a time that somebody else moves, for `skua test` and the like: a System that is given one in Config.Clock asks it for all that has to do with
// timers and deadlines. It goes as the machine's does until Freeze, and stands still from then on but for Advance, until Thaw. A Clock serves one System; all
// its methods may be called from any goroutine, but by one at a time.
//
// Work given to Context.Go and what else talks to the outside have the machine's time. Tests in Go are better off with package actortest.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration // of the machine's time
	still bool
	at    time.Duration // while it stands still: since the system was made
	wheel *wheel
}

// Freeze has the time stand still.
func (c *Clock) Freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wheel == nil || c.still {
		return
	}
	// In whole ticks, so that what is to come in n ms from now comes after an Advance by n ms.
	c.at = tickTime(tickAt(time.Since(c.wheel.start) + c.ahead))
	c.still = true
}

// Thaw lets the time go on.
func (c *Clock) Thaw() {
	c.mu.Lock()
	if c.wheel == nil || !c.still {
		c.mu.Unlock()
		return
	}
	c.ahead = c.at - time.Since(c.wheel.start)
	c.still = false
	c.mu.Unlock()
	c.wheel.poke()
}

// Advance moves the time, which it freezes first, to the next moment at which a timer or a deadline is due, at most by d, and lets all that is due then
// happen. It tells how far it has come: a whole hour is passed in as many steps as there are moments in it, so that what is done at one of them is done before the next.
// Actors act on it behind its return.
func (c *Clock) Advance(d time.Duration) time.Duration {
	c.Freeze()
	if c.wheel == nil || d <= 0 {
		return 0
	}
	c.mu.Lock()
	began := c.at
	c.mu.Unlock()
	return c.wheel.advance(c, began, began+min(d, longest)) - began
}

// passed is the time since start.
func (c *Clock) passed(start time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.still {
		return c.at
	}
	return time.Since(start) + c.ahead
}

func (c *Clock) set(at time.Duration) {
	c.mu.Lock()
	c.at = at
	c.mu.Unlock()
}

// passed is the time since the wheel was made.
func (w *wheel) passed() time.Duration {
	if w.clock != nil {
		return w.clock.passed(w.start)
	}
	return time.Since(w.start)
}

// machine is the machine's time at which d will have passed on the wheel, if nobody moves its clock.
func (w *wheel) machine(d time.Duration) time.Time {
	if w.clock != nil {
		return time.Now().Add(d - w.passed())
	}
	return w.start.Add(d)
}

// until is the time on the wheel at that moment of the machine's time.
func (w *wheel) until(t time.Time) time.Duration {
	if w.clock != nil {
		return w.passed() + time.Until(t)
	}
	return t.Sub(w.start)
}

// poke has the driver look at the time.
func (w *wheel) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// advance sets the clock to the first moment until `to` at which anything is due, lets it happen, and returns that moment.
func (w *wheel) advance(c *Clock, at, to time.Duration) time.Duration {
	w.firing.Lock()
	defer w.firing.Unlock()
	for {
		w.mu.Lock()
		next := to
		if _, _, tick, ok := w.upcoming(); ok && tickTime(tick) < to {
			next = max(tickTime(tick), at)
		}
		c.set(next)
		due := w.expired(int64(next/tick), nil)
		w.mu.Unlock()
		for _, n := range due {
			n.due.expire()
		}
		if len(due) > 0 || next >= to {
			return next
		}
		at = next
	}
}

// Now is the system's time, which is the machine's unless Config.Clock says otherwise.
func (s *System) Now() time.Time {
	if s.wheel.clock == nil {
		return time.Now()
	}
	return s.wheel.start.Add(s.wheel.passed())
}
