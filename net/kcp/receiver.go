package kcp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/skua-go/skua/internal/prefetch"
)

// receiver sorts a socket's datagrams to the shards that they are for. One goroutine may use it: the shard's reader, or the beat while that rests.
type receiver struct {
	l       *listener
	from    *shard
	locked  *shard // the shard that is locked
	sorted  []arrival
	now     int64
	before  int64 // when the last datagrams came
	played  int64 // when one of a session at play did
	active  bool  // among the last batch's was a datagram that must not wait for others
	resting bool
	risen   chan struct{} // it shall rest no more
	spare   []func()
}

// arrival is a datagram of a conversation, or of somebody who would like to have one.
type arrival struct {
	datagram
	home *shard // nil: not known yet
	conv uint32
	kind byte
}

const (
	// beatEvery is the longest that a datagram waits that is read by the beat. What a beat costs hardly depends on how many it finds. A client that has been at play may have
	// a timeout of only 30 ms: it sends its first heartbeat twice, and from then on allows for the beats, which are in the round trips that it measures.
	beatEvery = 36 * time.Millisecond
	// often is how many milliseconds may lie between datagrams for rests to pay.
	often = int64(2 * beatEvery / time.Millisecond)
	// playing is for how many milliseconds behind a datagram of a session at play a reader does not rest.
	playing = 250
)

func newReceiver(sh *shard) *receiver {
	return &receiver{l: sh.l, from: sh, risen: make(chan struct{}, 1)}
}

// read takes datagrams from the socket until it is closed.
func (sh *shard) read() {
	const pause, patience = 5 * time.Millisecond, 200
	r := newReceiver(sh)
	for failures := 0; failures < patience; {
		ds, err := sh.socket.read()
		if len(ds) > 0 {
			soon := r.l.now()-r.before <= often
			r.batch(ds)
			if soon && len(ds) < batchSize && r.mayRest() {
				err = errors.Join(err, r.l.beat.rest(r))
			}
		}
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures == patience {
			sh.l.fail(err)
		}
		select {
		case <-time.After(pause):
		case <-sh.l.over:
			return
		}
	}
}

// mayRest says whether the next datagrams may wait.
func (r *receiver) mayRest() bool { return !r.active && r.now-r.played >= playing }

// batch handles datagrams, those of one shard after those of another.
func (r *receiver) batch(ds []datagram) {
	r.now, r.active = r.l.now(), false
	r.before = r.now
	sum := 0
	for _, d := range ds {
		sum += len(d.bytes)
		r.sort(d)
	}
	for _, sh := range r.l.shards {
		r.foresee(sh)
		for i := range r.sorted {
			if a := &r.sorted[i]; a.home == sh {
				r.deliver(a)
			}
		}
	}
	for i := range r.sorted {
		if a := &r.sorted[i]; a.home == nil {
			r.late(a)
		}
	}
	r.unlock()
	clear(r.sorted)
	r.sorted = r.sorted[:0]
	st := r.l.cfg.Stats
	st.datagramsIn.Add(uint64(len(ds)))
	st.bytesIn.Add(uint64(sum))
}

// foresee has the processor load the sessions that a shard's datagrams are for: with thousands of them each would be waited for, one behind the other.
func (r *receiver) foresee(sh *shard) {
	if len(r.sorted) < severalDatagrams {
		return
	}
	for i := range r.sorted {
		if a := &r.sorted[i]; a.home == sh && a.kind == 0 {
			r.lock(sh)
			if c := sh.sessions[a.conv]; c != nil {
				prefetch.One(c)
			}
		}
	}
}

// severalDatagrams are worth a look ahead.
const severalDatagrams = 4

// sort finds out what a datagram is, and to which shard it goes.
func (r *receiver) sort(d datagram) {
	st := r.l.cfg.Stats
	if len(d.bytes) > maxMTU {
		st.malformed.Add(1)
		return
	}
	var ok bool
	if d.bytes, ok = r.l.crypt.open(d.bytes); !ok {
		st.undecryptable.Add(1)
		return
	}
	a := arrival{datagram: d, home: r.from}
	if a.kind, ok = kindOf(d.bytes); !ok {
		st.malformed.Add(1)
		return
	}
	switch a.kind {
	case ctlHello, ctlConnect:
	case ctlCookie, ctlAccept, ctlRefuse, ctlPong, ctlChallenge, ctlReset:
		st.malformed.Add(1) // nothing that clients send
		return
	default:
		a.home = nil
		if a.conv, ok = r.conv(d.bytes, a.kind, d.from); ok {
			a.home = r.l.home(a.conv)
		}
	}
	r.sorted = append(r.sorted, a)
}

// late delivers a parity datagram whose sender was not known before others of its batch.
func (r *receiver) late(a *arrival) {
	r.unlock()
	conv, ok := r.conv(a.bytes, a.kind, a.from)
	if !ok {
		r.l.cfg.Stats.unknown.Add(1)
		return
	}
	a.conv, a.home = conv, r.l.home(conv)
	r.deliver(a)
}

func (r *receiver) deliver(a *arrival) {
	switch a.kind {
	case ctlHello:
		r.active = true
		r.lock(a.home)
		a.home.hello(a.bytes, a.from)
	case ctlConnect:
		r.active = true
		r.unlock()
		a.home.connect(a.bytes, a.from) // which takes a while, and the lock
	default:
		r.lock(a.home)
		if a.home.datagram(a.bytes, a.kind, a.from, a.conv, r.now) {
			r.active = true
			r.played = r.now
		}
	}
}

// conv is the conversation of a datagram. A parity datagram does not have it: its sender does.
func (r *receiver) conv(d []byte, kind byte, from netip.AddrPort) (uint32, bool) {
	if kind != 0 {
		return binary.LittleEndian.Uint32(d), true
	}
	switch d[4] {
	case fecParity:
		return r.l.convOf(from)
	case fecData:
		if len(d) < fecHeader+overhead {
			return 0, false
		}
		return binary.LittleEndian.Uint32(d[fecHeader:]), true
	}
	return binary.LittleEndian.Uint32(d), true
}

func (r *receiver) lock(sh *shard) {
	if r.locked != sh {
		r.unlock()
		sh.mu.Lock()
		r.locked = sh
	}
}

// unlock settles the sessions that datagrams have come for, each once a batch.
func (r *receiver) unlock() {
	sh := r.locked
	if sh == nil {
		return
	}
	for i, c := range sh.dirty {
		c.settle(r.now)
		sh.dirty[i] = nil
	}
	sh.dirty = sh.dirty[:0]
	r.locked = nil
	if r.resting {
		sh.mu.Unlock() // the beat does the rest
		return
	}
	sh.release(&r.spare)
}
