package kcp

import (
	"crypto/ecdh"
	"encoding/binary"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// shard is a socket of a listener and the sessions whose numbers lead to it. A session's datagrams come through any of the sockets, since the system
// chooses that by the client's address; its answers leave through its shard's.
type shard struct {
	l       *listener
	index   int
	socket  *socket
	timer   *time.Timer
	resting *time.Timer   // the reader's
	kicked  chan struct{} // the pump has something to do now

	mu       sync.Mutex
	sessions map[uint32]*conn
	raw      map[rawKey]*conn
	recent   map[connectID]newcomer // by the datagram that began them, while that is good
	old      []recent               // the same, oldest first
	forgetAt int64
	wheel    wheel
	wakeAt   int64     // the tick for which the pump's timer is set; before all while the reader minds the wheel
	minded   bool      // the reader minds the wheel
	out      []*packet // to be sent
	spare    []*packet // the other half of a double buffer; nil while it is being sent
	sending  bool      // a goroutine is sending
	wakes    []func()  // to be called without the lock, by a goroutine of the shard's own
	dirty    []*conn   // to be settled at the end of a batch
	resets   budget
	// challenges have a budget of their own: who makes up conversations does not spend it.
	challenges budget
	newcomers  budget // whose keys take time
}

// rawKey is what a session without a handshake is known by: its number was chosen by the client, and many choose the same.
type rawKey struct {
	from netip.AddrPort
	conv uint32
}

// connectID is a client's nonce and half of its key share.
type connectID [nonceLen + 16]byte

// newcomer is a session and the key share that it was made with.
type newcomer struct {
	c    *conn
	ours *ecdh.PrivateKey
}

type recent struct {
	id    connectID
	until int64
}

const (
	// maxOut is how many datagrams wait for a socket that takes none. Further ones are lost, as they would be in a router.
	maxOut = 1 << 13
	// turns is how many batches a goroutine sends for others before it hands that over.
	turns = 4
	// strangers is how many challenges and how many resets a shard sends a second, and how many sessions it makes.
	strangers = 5000
	// challengePause is how long a session is not challenged again, in milliseconds.
	challengePause = 20
)

// budget bounds something a second.
type budget struct {
	second int64
	spent  int
}

func (b *budget) take(now int64) bool {
	if s := now / 1000; s != b.second {
		b.second, b.spent = s, 0
	}
	b.spent++
	return b.spent <= strangers
}

func (sh *shard) now() int64 { return sh.l.now() }

// arm puts a session into the wheel and sees to it that the pump wakes in time.
func (sh *shard) arm(c *conn, at int64) {
	t := (at + tick - 1) / tick
	sh.wheel.arm(c, t)
	if c.timer.at < sh.wakeAt {
		sh.wakeAt = c.timer.at
		sh.timer.Reset(time.Duration(c.timer.at*tick-sh.now()) * time.Millisecond)
	}
}

// send queues a datagram.
func (sh *shard) send(p *packet, to netip.AddrPort) {
	if len(sh.out) >= maxOut {
		sh.l.cfg.Stats.droppedOut.Add(1)
		sh.l.mem.done(p)
		return
	}
	p.to = to
	sh.out = append(sh.out, p)
}

// leave unlocks the shard on a goroutine of the user's, which may hold locks: it sends what is queued but calls nobody.
func (sh *shard) leave() {
	if len(sh.wakes) > 0 {
		sh.kick()
	}
	sh.unlockAndSend()
}

// release unlocks the shard on one of its own goroutines. gather: nothing is urgent, so what is answered soon is sent with what is queued.
func (sh *shard) release(spare *[]func(), gather bool) {
	wakes := sh.wakes
	if len(wakes) == 0 {
		sh.unlockAndSend()
		return
	}
	sh.wakes = (*spare)[:0]
	*spare = wakes
	gather = gather && !sh.sending
	sh.sending = sh.sending || gather
	sh.mu.Unlock()
	for i, f := range wakes { // first, since the answers may go out together with what is queued
		f()
		wakes[i] = nil
	}
	if gather {
		runtime.Gosched() // they run now
	}
	sh.mu.Lock()
	sh.sending = sh.sending && !gather
	sh.unlockAndSend()
}

func (sh *shard) kick() {
	select {
	case sh.kicked <- struct{}{}:
	default:
	}
}

// unlockAndSend sends what is queued, unless somebody is at it already, who then sends it too: under load system calls are few and batches large, and
// without load nothing waits.
func (sh *shard) unlockAndSend() {
	if sh.sending {
		sh.mu.Unlock()
		return
	}
	for range turns {
		if len(sh.out) == 0 {
			sh.mu.Unlock()
			sh.l.shutIfOver()
			return
		}
		batch := sh.out
		sh.out, sh.spare, sh.sending = sh.spare[:0], nil, true
		sh.mu.Unlock()
		sh.transmit(batch)
		sh.mu.Lock()
		sh.spare, sh.sending = batch[:0], false
	}
	if len(sh.out) > 0 {
		sh.kick()
	}
	sh.mu.Unlock()
	sh.l.shutIfOver()
}

func (sh *shard) transmit(batch []*packet) {
	st := sh.l.cfg.Stats
	sum := 0
	for _, p := range batch {
		p.bytes = sh.l.crypt.seal(p.bytes)
		sum += len(p.bytes)
	}
	failed := sh.socket.write(batch) // counted; KCP repeats what is lost
	st.sendErrors.Add(uint64(failed))
	st.datagramsOut.Add(uint64(len(batch) - failed))
	st.bytesOut.Add(uint64(sum))
	for i, p := range batch {
		sh.l.mem.done(p)
		batch[i] = nil
	}
}

// pump minds the wheel until the listener is over, but for when the reader does.
func (sh *shard) pump() {
	var spare []func()
	for {
		sh.mu.Lock()
		if !sh.minded {
			sh.plan(sh.turn())
		}
		sh.release(&spare, false)
		select {
		case <-sh.timer.C:
		case <-sh.kicked:
		case <-sh.l.over:
			return
		}
	}
}

// turn turns the wheel, and returns the tick at which it wants to be turned again, never if ok is false. The shard is locked.
func (sh *shard) turn() (at int64, ok bool) {
	now := sh.now()
	sh.wheel.advance(now/tick, func(c *conn) { c.expire(now) })
	at, ok = sh.wheel.upcoming()
	if forget := sh.forgetOld(now); forget != 0 && (!ok || forget/tick < at) {
		at, ok = forget/tick+1, true
	}
	return at, ok
}

// plan sets the pump's timer. The shard is locked.
func (sh *shard) plan(at int64, ok bool) {
	if !ok {
		sh.wakeAt = math.MaxInt64
		sh.timer.Stop()
		return
	}
	sh.wakeAt = at
	sh.timer.Reset(time.Duration(at*tick-sh.now()) * time.Millisecond)
}

// receiver sorts a socket's datagrams to the shards that they are for.
type receiver struct {
	l      *listener
	from   *shard
	locked *shard // the shard that is locked
	now    int64
	before int64 // when the batch before came
	played int64 // when a datagram came of a session at play
	rests  bool  // between two batches
	spare  []func()
	active bool // among the last batch's was a datagram that must not wait for others
}

func (r *receiver) batch(ds []datagram) {
	r.now, r.active = r.l.now(), false
	sum := 0
	for _, d := range ds {
		sum += len(d.bytes)
		if len(d.bytes) > maxMTU {
			r.l.cfg.Stats.malformed.Add(1)
			continue
		}
		r.datagram(d.bytes, d.from)
	}
	r.unlock()
	r.l.cfg.Stats.datagramsIn.Add(uint64(len(ds)))
	r.l.cfg.Stats.bytesIn.Add(uint64(sum))
}

func (r *receiver) datagram(d []byte, from netip.AddrPort) {
	st := r.l.cfg.Stats
	d, ok := r.l.crypt.open(d)
	if !ok {
		st.undecryptable.Add(1)
		return
	}
	kind, ok := kindOf(d)
	if !ok {
		st.malformed.Add(1)
		return
	}
	switch kind {
	case ctlHello:
		r.active = true
		r.lock(r.from)
		r.from.hello(d, from)
	case ctlConnect:
		r.active = true
		r.unlock()
		r.from.connect(d, from) // which takes a while, and the lock
	case ctlCookie, ctlAccept, ctlRefuse, ctlPong, ctlChallenge, ctlReset:
		st.malformed.Add(1) // nothing that clients send
	default:
		conv, known := r.conv(d, kind, from)
		if !known {
			st.unknown.Add(1)
			return
		}
		home := r.l.home(conv)
		r.lock(home)
		if home.datagram(d, kind, from, conv, r.now) {
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
	sh.release(&r.spare, r.rests)
}
