package kcp

// wheel keeps when a shard's sessions have something to do, for nothing while they have not. A session is in it once, with the earliest time; whoever makes
// that a little later leaves it, and it is found out when it comes. Two rings: ticks of a second, and seconds of some minutes.
type wheel struct {
	fine   [wheelSlots]*conn
	coarse [wheelSlots]*conn
	now    int64 // the tick up to which all is done
	inFine int   // sessions in the fine ring
	inAll  int
}

const (
	tick       = 2 // milliseconds
	wheelBits  = 9
	wheelSlots = 1 << wheelBits
	wheelMask  = wheelSlots - 1
)

// timer is a session's place in the wheel.
type timer struct {
	prev, next *conn
	at         int64 // tick; of use while armed
	slot       int16 // in the ring
	armed      bool
	coarse     bool
}

// slack is how many ticks too early a session may stay in the wheel: one whose data has been acknowledged would have the pump woken for nothing.
const slack = 500 / tick

// arm makes sure that c comes up at tick at, or up to slack sooner.
func (w *wheel) arm(c *conn, at int64) {
	t := &c.timer
	if t.armed {
		if t.at <= at && at-t.at < slack {
			return
		}
		w.disarm(c)
	}
	w.put(c, max(at, w.now+1))
}

func (w *wheel) put(c *conn, at int64) {
	t := &c.timer
	t.at, t.armed, t.coarse = at, true, false
	ahead := at - w.now
	slot := at & wheelMask
	ring := &w.fine
	if ahead >= wheelSlots {
		t.coarse = true
		ring = &w.coarse
		slot = min(at>>wheelBits, w.now>>wheelBits+wheelMask) & wheelMask
	} else {
		w.inFine++
	}
	w.inAll++
	t.slot = int16(slot)
	t.prev, t.next = nil, ring[slot]
	if t.next != nil {
		t.next.timer.prev = c
	}
	ring[slot] = c
}

func (w *wheel) disarm(c *conn) {
	t := &c.timer
	if !t.armed {
		return
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	switch {
	case t.prev != nil:
		t.prev.timer.next = t.next
	case t.coarse:
		w.coarse[t.slot] = t.next
	default:
		w.fine[t.slot] = t.next
	}
	if !t.coarse {
		w.inFine--
	}
	w.inAll--
	*t = timer{}
}

// advance goes to tick now and calls f for each session whose time has come, which is then no longer in the wheel.
func (w *wheel) advance(now int64, f func(c *conn)) {
	if w.inAll == 0 {
		w.now = max(w.now, now)
		return
	}
	for w.now < now {
		w.now++
		if w.now&wheelMask == 0 {
			slot := &w.coarse[w.now>>wheelBits&wheelMask]
			for *slot != nil {
				c := *slot
				at := c.timer.at
				w.disarm(c)
				w.put(c, max(at, w.now))
			}
		}
		for slot := &w.fine[w.now&wheelMask]; *slot != nil; {
			c := *slot
			w.disarm(c)
			f(c)
		}
	}
}

// upcoming is the next tick at which advance has something to do; false: never.
func (w *wheel) upcoming() (int64, bool) {
	if w.inAll == 0 {
		return 0, false
	}
	turn := (w.now>>wheelBits + 1) << wheelBits // when the next second is spread over the fine ring
	if w.inFine > 0 {
		for at := w.now + 1; at < w.now+wheelSlots; at++ {
			if w.fine[at&wheelMask] != nil {
				return at, true
			}
			if at == turn && w.inAll > w.inFine {
				return turn, true
			}
		}
	}
	return turn, true
}
