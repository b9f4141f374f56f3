package kcp

import (
	"math"
	"time"
)

const (
	// longestRest is the longest that a reader rests, in milliseconds.
	longestRest = 20
	// playing is for how many milliseconds behind a datagram of a session at play a reader does not rest.
	playing = 250
)

// read takes datagrams from the socket until it is closed.
func (sh *shard) read() {
	const pause, patience = 5 * time.Millisecond, 200
	r := receiver{l: sh.l, from: sh}
	for failures := 0; failures < patience; {
		ds, err := sh.socket.read()
		if len(ds) > 0 {
			r.batch(ds)
		}
		if err == nil {
			failures = 0
			err = sh.rest(&r, len(ds))
		}
		if err == nil {
			continue
		}
		if failures++; failures == patience {
			sh.l.fail(err)
		}
		_ = sh.rise(&r) // fails for the same reason
		select {
		case <-time.After(pause):
		case <-sh.l.over:
			return
		}
	}
}

// rest lets the reader sleep when nobody minds and it pays: the last datagrams were of sessions at rest, and there are so many of them that the next ones come
// soon. What wakes for each heartbeat of thousands of sessions spends its time on waking. So datagrams then wait for the next tick of the protocol's clock, as
// they always do in ikcp; those of sessions at play never do.
func (sh *shard) rest(r *receiver, n int) error {
	soon := n > 0 && r.now-r.before <= 2*sh.l.interval
	r.before = r.now
	switch {
	case r.active || !soon || r.now-r.played < playing:
		return sh.rise(r)
	case n == batchSize:
		return nil // there is more
	case r.rests:
		sh.mu.Lock()
		sh.turn()
		sh.release(&r.spare, true)
	default:
		if err := sh.socket.listen(false); err != nil {
			return err
		}
		r.rests = true
		sh.mind(true)
	}
	sh.resting.Reset(sh.l.untilBeat())
	select {
	case <-sh.resting.C:
	case <-sh.l.over:
	}
	return nil
}

// rise ends a reader's rests.
func (sh *shard) rise(r *receiver) error {
	if !r.rests {
		return nil
	}
	r.rests = false
	sh.mind(false)
	return sh.socket.listen(true)
}

// mind says whether the reader turns the wheel from now on, since it wakes often enough, or the pump.
func (sh *shard) mind(on bool) {
	sh.mu.Lock()
	defer sh.leave()
	sh.minded = on
	if on {
		sh.wakeAt = math.MinInt64
		sh.timer.Stop()
		return
	}
	sh.plan(sh.turn())
}
