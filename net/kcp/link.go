package kcp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// link is a client's way to the server, a net.PacketConn for kcp-go. It keeps what is not KCP to itself: encryption, pings, challenges, the ends of the
// streams; and it goes on with another socket when one fails, so that kcp-go never hears of a change of address. That it is not a *net.UDPConn also keeps
// kcp-go from reserving 384 KB a connection to read 256 datagrams at once.
type link struct {
	cfg    Config
	crypt  crypt
	mem    *memory
	remote *net.UDPAddr
	ready  chan struct{} // closed when everything is in its place: kcp-go reads from the first moment on
	conv   uint32
	key    [keyLen]byte              // of no use with Config.Raw
	peer   func(end bool, err error) // what becomes known of the server's stream
	busy   func(now time.Time)       // data has come

	mu       sync.Mutex
	udp      *net.UDPConn
	closed   bool
	timer    *time.Timer // for pings and what is to be repeated; nil with Config.Raw
	tickAt   time.Time   // when it fires
	heard    time.Time
	waiting  time.Time // since when something is not acknowledged, if anything is
	pinged   time.Time
	ping     [nonceLen]byte
	asked    int // pings since something was heard
	rebound  time.Time
	moved    time.Time // when silence last led to another socket
	written  uint32    // segments that were given to kcp-go
	acked    uint32    // of them, those that the server has
	ended    bool      // CloseWrite was called
	endKnown bool      // and the server has heard
	endWait  time.Duration

	repeater *repeater // nil: nothing is repeated
	company  *company  // nil: acknowledgements do not wait

	delivered func() // to be called when the server has everything; nil while nobody waits for that
}

// endFirst is when the end of our stream is told again.
const endFirst = 50 * time.Millisecond

const (
	// unanswered is how long a client waits that has sent data and hears nothing at all before it pings: its path may be dead.
	unanswered = 2 * time.Second
	// pingAgain is the longest until it pings again: the answer may have been lost.
	pingAgain = time.Second
	// rebindAgain is how long a new socket has to bring an answer, which takes three ways there and back.
	rebindAgain = 500 * time.Millisecond
)

// readPause is how long a socket that can't be read is left alone.
const readPause = 10 * time.Millisecond

// ReadFrom returns the next datagram of KCP; the address is always the server's.
func (l *link) ReadFrom(p []byte) (int, net.Addr, error) {
	<-l.ready
	for {
		udp := l.socket()
		if udp == nil {
			return 0, nil, net.ErrClosed
		}
		n, err := udp.Read(p)
		if err != nil {
			if l.socket() == udp && !errors.Is(err, syscall.ECONNREFUSED) { // which is what became of something that was sent
				if errors.Is(err, net.ErrClosed) {
					return 0, nil, err
				}
				<-time.After(readPause)
			}
			continue // another socket may be in its place
		}
		d, ok := l.crypt.open(p[:n])
		if !ok {
			continue
		}
		kind, ok := kindOf(d)
		if !ok {
			continue
		}
		if kind == 0 {
			now := time.Now()
			l.note(d, now)
			l.busy(now)
			return copy(p, d), l.remote, nil
		}
		if !l.cfg.Raw {
			l.control(kind, d)
		}
	}
}

// WriteTo sends a datagram of KCP. It never fails: what is lost is repeated, by another socket if this one is of no more use.
func (l *link) WriteTo(p []byte, _ net.Addr) (int, error) {
	if l.company != nil && l.company.keep(p) {
		return len(p), nil
	}
	if l.crypt.head() == 0 && l.repeater == nil && l.company == nil {
		l.send(p)
		return len(p), nil
	}
	head := l.crypt.head()
	q := l.mem.packet(head)
	if l.company != nil {
		var full bool
		if q.bytes, full = l.company.join(q.bytes, len(p)); full {
			l.send(l.crypt.seal(q.bytes))
			q.bytes = q.store[:head]
		}
	}
	q.bytes = append(q.bytes, p...)
	if l.repeater != nil {
		l.mu.Lock()
		q.bytes = l.repeater.follow(q.bytes, q.bytes[head:], l.acked, time.Now())
		l.mu.Unlock()
	}
	l.send(l.crypt.seal(q.bytes))
	l.mem.done(q)
	return len(p), nil
}

func (l *link) send(d []byte) {
	udp := l.socket()
	if udp == nil {
		return
	}
	_, err := udp.Write(d)
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOBUFS) {
		return
	}
	l.mu.Lock()
	again := time.Since(l.rebound) >= time.Second
	if again {
		l.rebound = time.Now()
	}
	l.mu.Unlock()
	if again && l.rebind() == nil {
		if udp = l.socket(); udp != nil {
			_, _ = udp.Write(d)
		}
	}
}

// sendControl seals and sends a control datagram.
func (l *link) sendControl(f func(d []byte) []byte) {
	q := l.mem.packet(l.crypt.head())
	l.send(l.crypt.seal(f(q.bytes)))
	l.mem.done(q)
}

func (l *link) socket() *net.UDPConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	return l.udp
}

// note finds out what the server has received.
func (l *link) note(d []byte, now time.Time) {
	una, ok := unaOf(d)
	var f func()
	l.mu.Lock()
	l.heard, l.asked = now, 0
	if ok {
		if since(una, l.acked) > 0 {
			l.acked = una // it may be ahead of written, which is counted behind a Write
		}
		if since(l.acked, l.written) >= 0 {
			f = l.delivered
		}
	}
	l.mu.Unlock()
	if f != nil {
		go f() // which closes what this goroutine is to read on
	}
}

// unaOf is the number up to which the sender of KCP's datagram has received everything. Parity does not tell.
func unaOf(d []byte) (una uint32, ok bool) {
	if d[5] == 0 && (d[4] == fecData || d[4] == fecParity) {
		if d[4] == fecParity {
			return 0, false
		}
		d = d[fecHeader:]
	}
	if len(d) < overhead {
		return 0, false
	}
	return binary.LittleEndian.Uint32(d[16:]), true // which is the same in all segments of a datagram
}

// unacknowledged says whether segments wait for the server, and whether there is room for more in the window.
func (l *link) unacknowledged(window int) (some, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := since(l.written, l.acked)
	return n > 0, int(n) < window
}

// wrote counts segments that were given to kcp-go.
func (l *link) wrote(segments int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since(l.written, l.acked) <= 0 && l.timer != nil && !l.closed {
		l.waiting = time.Now()
		if at := l.waiting.Add(l.patience()); at.Before(l.tickAt) {
			l.tickAt = at
			l.timer.Reset(l.patience())
		}
	}
	l.written += uint32(segments)
}

// patience is how long nothing may be heard while data waits for its acknowledgement.
func (l *link) patience() time.Duration { return min(unanswered, l.cfg.Ping) }

// unheard is in how long it is time to ping for want of any sign of the server; negative: since when it is. l is locked.
func (l *link) unheard(now time.Time) time.Duration {
	left := l.cfg.Ping - now.Sub(l.heard)
	if since(l.written, l.acked) <= 0 {
		return left
	}
	from := l.heard
	if l.waiting.After(from) {
		from = l.waiting
	}
	return min(left, l.patience()-now.Sub(from))
}

// whenDelivered calls f once, when the server has acknowledged everything that was written, or after patience.
func (l *link) whenDelivered(patience time.Duration, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivered = sync.OnceFunc(f)
	if since(l.acked, l.written) >= 0 {
		patience = 0
	}
	time.AfterFunc(patience, l.delivered)
}

func (l *link) hear() {
	now := time.Now()
	l.mu.Lock()
	l.heard, l.asked = now, 0
	l.mu.Unlock()
}

// control takes a datagram of the server that is not KCP.
func (l *link) control(kind byte, d []byte) {
	if named(kind) || binary.LittleEndian.Uint32(d) != l.conv {
		return // of the handshake, which is over, or for somebody else
	}
	switch kind {
	case ctlPong:
		l.mu.Lock()
		answered := bytes.Equal(d[8:16], l.ping[:])
		l.mu.Unlock()
		if answered {
			l.hear()
		}
	case ctlChallenge:
		l.sendControl(func(p []byte) []byte { return proofMsg(p, l.conv, d[8:8+tokenLen], &l.key) })
	case ctlEnd:
		if !signed(d, &l.key, fromServer) {
			return
		}
		flags, end := d[6], binary.LittleEndian.Uint32(d[8:])
		l.sendControl(func(p []byte) []byte { return endMsg(p, ctlEnded, l.conv, flags, end, &l.key, fromClient) })
		switch {
		case flags&endBroken != 0:
			l.peer(flags&endWhole != 0, syscall.ECONNRESET)
		default:
			l.peer(flags&endWhole != 0, nil)
		}
	case ctlEnded:
		if signed(d, &l.key, fromServer) {
			l.mu.Lock()
			l.endKnown = l.endKnown || l.ended && binary.LittleEndian.Uint32(d[8:]) == l.written
			l.mu.Unlock()
		}
	case ctlReset:
		l.reset(d[8:16])
	}
}

// reset takes the word of a server that knows no such conversation. Anybody can say so; only who has seen our newest ping is believed, and what comes in answer
// to something else makes us ask.
func (l *link) reset(echo []byte) {
	const pause = 200 * time.Millisecond
	l.mu.Lock()
	asked := !l.pinged.IsZero()
	believed := asked && bytes.Equal(echo, l.ping[:])
	ask := !believed && time.Since(l.pinged) >= pause
	l.mu.Unlock()
	switch {
	case believed:
		l.peer(true, syscall.ECONNRESET)
	case ask:
		l.sendPing()
	}
}

func (l *link) sendPing() {
	var nonce [nonceLen]byte
	_, _ = rand.Read(nonce[:]) // never fails: it would end the program
	l.mu.Lock()
	l.ping, l.pinged = nonce, time.Now()
	l.asked++
	l.mu.Unlock()
	l.sendControl(func(p []byte) []byte { return pingMsg(p, ctlPing, l.conv, nonce[:]) })
}

// tick is the timer's: it asks a silent server whether it is there, tries another socket when it does not answer, and repeats the end of our stream.
func (l *link) tick() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	now := time.Now()
	silent := now.Sub(l.heard)
	move := l.asked > 0 && now.Sub(l.moved) >= rebindAgain
	ending := l.ended && !l.endKnown
	next := l.unheard(now)
	ask := next <= 0
	if move = move && ask; move {
		l.moved = now
	}
	if ask {
		next = min(l.cfg.Ping/5, pingAgain)
	}
	if ending {
		l.endWait = min(2*l.endWait, endMost*time.Millisecond)
		next = min(next, l.endWait)
	}
	next = max(next, time.Millisecond)
	l.tickAt = now.Add(next)
	l.timer.Reset(next)
	written := l.written
	l.mu.Unlock()
	switch {
	case silent >= l.cfg.Silence:
		l.peer(true, ErrSilence)
		return
	case ask:
		if move {
			_ = l.rebind() // which may be of no use; the next one may be
		}
		l.sendPing()
	}
	if ending {
		l.sendControl(func(p []byte) []byte { return endMsg(p, ctlEnd, l.conv, 0, written, &l.key, fromClient) })
	}
}

// end tells the server that our stream is over, until it answers.
func (l *link) end() {
	l.mu.Lock()
	again := l.ended
	l.ended = true
	l.endWait = endFirst
	l.mu.Unlock()
	if !again {
		l.tick()
	}
}

// farewell tells the server that we are gone. Nobody will be here for its answer, so it is said twice.
func (l *link) farewell() {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	for range 2 {
		l.sendControl(func(p []byte) []byte { return endMsg(p, ctlEnd, l.conv, endWhole, written, &l.key, fromClient) })
	}
}

// rebind goes on with a new socket, so from the address that the system has now.
func (l *link) rebind() error {
	udp, err := net.DialUDP("udp", nil, l.remote)
	if err != nil {
		return err
	}
	tune(udp, l.cfg)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		_ = udp.Close()
		return net.ErrClosed
	}
	old := l.udp
	l.udp = udp
	l.mu.Unlock()
	_ = old.Close()
	return nil
}

// Close is kcp-go's.
func (l *link) Close() error {
	if l.company != nil {
		l.company.stop()
		if l.cfg.Raw { // who has said farewell need acknowledge nothing; without that the server would repeat for seconds what has arrived
			l.sendAlone()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	return l.udp.Close()
}

// LocalAddr is the address of the socket in use.
func (l *link) LocalAddr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.udp.LocalAddr()
}

// SetDeadline and the next two are not used by kcp-go, which has deadlines of its own.
func (l *link) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// SetReadDeadline is not used.
func (l *link) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// SetWriteDeadline is not used.
func (l *link) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
