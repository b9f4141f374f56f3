package kcp

import (
	"crypto/ecdh"
	"math"
	"net/netip"
	"sync"
	"time"
)

// shard is a socket of a listener and the sessions whose numbers lead to it. A session's datagrams come through any of the sockets, since the system
// chooses that by the client's address; its answers leave through its shard's.
type shard struct {
	l      *listener
	index  int
	socket *socket
	timer  *time.Timer
	kicked chan struct{} // the pump has something to do now

	mu       sync.Mutex
	sessions map[uint32]*conn
	raw      map[rawKey]*conn
	recent   map[connectID]newcomer // by the datagram that began them, while that is good
	old      []recent               // the same, oldest first
	forgetAt int64
	wheel    wheel
	wakeAt   int64     // the tick for which the pump's timer is set; before all while minded
	minded   bool      // the beat turns the wheel
	out      []*packet // to be sent
	spare    []*packet // the other half of a double buffer; nil while it is being sent
	sending  bool      // a goroutine is sending, or about to
	held     bool      // the beat is
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

// release unlocks the shard on one of its own goroutines.
func (sh *shard) release(spare *[]func()) {
	if len(sh.wakes) > 0 {
		sh.wake(spare) // first, since the answers may go out together with what is queued
		sh.mu.Lock()
	}
	sh.unlockAndSend()
}

// wake unlocks the shard and calls those who wait.
func (sh *shard) wake(spare *[]func()) {
	wakes := sh.wakes
	sh.wakes = (*spare)[:0]
	*spare = wakes
	sh.mu.Unlock()
	for i, f := range wakes {
		f()
		wakes[i] = nil
	}
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

// pump turns the wheel until the listener is over, but for when the beat does.
func (sh *shard) pump() {
	var spare []func()
	for {
		sh.mu.Lock()
		if !sh.minded {
			sh.plan(sh.turn())
		}
		sh.release(&spare)
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
	forget := sh.advance(sh.now())
	at, ok = sh.wheel.upcoming()
	if forget != 0 && (!ok || forget/tick < at) {
		at, ok = forget/tick+1, true
	}
	return at, ok
}

// advance turns the wheel, and returns when forgetOld wants to be called again. The shard is locked.
func (sh *shard) advance(now int64) (forget int64) {
	sh.wheel.advance(now/tick, func(c *conn) { c.expire(now) })
	return sh.forgetOld(now)
}

// mind says whether the beat turns the wheel from now on, which is often enough, or the pump.
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
