package kcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Listen listens on the UDP address addr ("127.0.0.1:7000"; port 0 picks a free one). The connections it accepts are net.Conns with CloseWrite, ReadNow,
// Notify, Room and WriteLate, see package transport.
//
// Closing the listener ends Accept, and the sessions that nobody has accepted; the sockets stay open until the accepted connections are closed too, since
// they share them.
func Listen(addr string, cfg Config) (net.Listener, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &listener{
		cfg: cfg, start: time.Now(), silence: cfg.Silence.Milliseconds(), mem: new(memory),
		accepts: make(chan *conn, cfg.Backlog), closing: make(chan struct{}), failed: make(chan struct{}), over: make(chan struct{}),
		prefixes: make(map[netip.Prefix]int), senders: make(map[netip.AddrPort]*conn),
	}
	if l.crypt, err = newCrypt(cfg.Crypt, cfg.Key); err != nil {
		return nil, err
	}
	if l.fec, err = newFEC(cfg.DataShards, cfg.ParityShards); err != nil {
		return nil, err
	}
	if l.mint, err = newMint(l.start); err != nil {
		return nil, err
	}
	head, tail := l.crypt.head(), l.crypt.tail()
	if l.fec != nil {
		head += fecHeader
	}
	l.set = newSettings(cfg, l.mem, head, head+tail)
	if l.beat, err = newBeat(l); err != nil {
		return nil, fmt.Errorf("kcp: %w", err)
	}
	sockets, err := listenSockets(addr, cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("kcp: listen on %q: %w", addr, err), l.beat.close())
	}
	l.addr = sockets[0].addr
	for i, s := range sockets {
		l.shards = append(l.shards, &shard{
			l: l, index: i, socket: s, timer: time.NewTimer(time.Hour), kicked: make(chan struct{}, 1),
			sessions: make(map[uint32]*conn), raw: make(map[rawKey]*conn),
		})
	}
	l.running.Go(l.beat.run)
	for _, sh := range l.shards {
		l.running.Go(sh.read)
		l.running.Go(sh.pump)
	}
	return l, nil
}

type listener struct {
	cfg     Config
	set     *settings
	crypt   crypt
	fec     *fec // nil: none
	mint    *mint
	mem     *memory
	start   time.Time
	silence int64 // milliseconds
	addr    net.Addr
	shards  []*shard
	beat    *beat
	running sync.WaitGroup // the shards' goroutines

	accepts chan *conn
	closing chan struct{} // Close was called
	failed  chan struct{} // a socket failed, with err
	over    chan struct{} // the sockets are closed
	pending atomic.Bool   // they are to be, once what is queued is sent

	mu       sync.Mutex
	closed   bool
	down     bool
	err      error
	open     int // sessions that are in a table or not closed
	sessions int // in a table
	raws     int // of them
	prefixes map[netip.Prefix]int
	senders  map[netip.AddrPort]*conn // with FEC: sessions by address
}

// now is the listener's clock in milliseconds. It does not begin at 0, which means never.
func (l *listener) now() int64 { return 1000 + time.Since(l.start).Milliseconds() }

// home is the shard of a conversation.
func (l *listener) home(conv uint32) *shard { return l.shards[conv%uint32(len(l.shards))] }

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.closing:
			return nil, net.ErrClosed
		default:
		}
		select {
		case c := <-l.accepts:
			select {
			case <-l.closing: // Close ends those in the queue; this one has just left it
				_ = c.Close()
				continue
			default:
			}
			l.cfg.Stats.accepted.Add(1)
			return c, nil
		case <-l.closing:
			return nil, net.ErrClosed
		case <-l.failed:
			return nil, fmt.Errorf("kcp: %w", l.err)
		}
	}
}

// Lend sets what is called, by a goroutine of the listener's, instead of what connections have set by Notify: with a function that calls all that is to be called. The
// goroutine may do then what these ask for, as far as that neither waits nor takes long, since thousands of idle sessions wait for it, and what is
// written meanwhile leaves behind it. It tells whether others are doing the rest. nil takes it away.
func (l *listener) Lend(f func(tell func()) (left bool)) { l.beat.lendTo(f) }

// SendLate sends what connections have written by WriteLate.
func (l *listener) SendLate() {
	for _, sh := range l.shards {
		sh.mu.Lock()
		sh.leave()
	}
}

// Addr is the UDP address that is listened on.
func (l *listener) Addr() net.Addr { return l.addr }

// Close ends Accept, and the sockets once no session needs them.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.closed = true
	close(l.closing)
	l.pending.Store(l.open == 0)
	l.mu.Unlock()
	for len(l.accepts) > 0 { // nothing comes behind closed
		select {
		case c := <-l.accepts:
			_ = c.Close()
		default:
		}
	}
	for _, sh := range l.shards {
		sh.hurry()
	}
	l.shutIfOver()
	select {
	case <-l.over:
		l.running.Wait()
	default: // sessions are left
	}
	return nil
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// push queues a session for Accept; its shard is locked.
func (l *listener) push(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	select {
	case l.accepts <- c:
		return true
	default:
		return false
	}
}

// enter counts a session against the limits, or says why it may not come in.
func (l *listener) enter(from netip.AddrPort, raw bool) (why byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	prefix := prefixOf(from.Addr())
	switch {
	case l.closed:
		return refusedClosing
	case l.sessions >= l.cfg.MaxSessions, raw && l.raws >= l.cfg.MaxRaw:
		return refusedFull
	case l.cfg.MaxPerPrefix > 0 && l.prefixes[prefix] >= l.cfg.MaxPerPrefix:
		return refusedPrefix
	case len(l.accepts) == cap(l.accepts):
		return refusedBacklog
	}
	l.open++
	l.sessions++
	l.cfg.Stats.sessions.Add(1)
	if raw {
		l.raws++
		l.cfg.Stats.raw.Add(1)
	}
	l.count(prefix, 1)
	return 0
}

func (l *listener) count(prefix netip.Prefix, n int) {
	if l.cfg.MaxPerPrefix == 0 {
		return
	}
	if l.prefixes[prefix] += n; l.prefixes[prefix] <= 0 {
		delete(l.prefixes, prefix)
	}
}

// left undoes enter for a session that is in no table any more; its connection may still be open.
func (l *listener) left(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions--
	l.cfg.Stats.sessions.Add(-1)
	if c.raw {
		l.raws--
		l.cfg.Stats.raw.Add(-1)
	}
	l.count(prefixOf(c.remote.Addr()), -1)
}

// leftUnborn undoes enter for a client that has got no session.
func (l *listener) leftUnborn(from netip.AddrPort) {
	l.left(&conn{remote: from})
	l.closedBehind()
}

// closedBehind is called once for each session that is in no table and closed.
func (l *listener) closedBehind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.closed && l.open == 0 {
		l.pending.Store(true) // whoever sends the last datagram shuts the sockets
	}
}

// moved counts a session's new address.
func (l *listener) moved(c *conn, to netip.AddrPort) {
	l.unremember(c)
	l.mu.Lock()
	l.count(prefixOf(c.remote.Addr()), -1)
	l.count(prefixOf(to.Addr()), 1)
	l.mu.Unlock()
	if l.fec != nil {
		l.mu.Lock()
		l.senders[to] = c
		l.mu.Unlock()
	}
}

// remember makes a session known by its address, for parity datagrams.
func (l *listener) remember(c *conn) {
	if l.fec == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.senders[c.remote] = c
}

func (l *listener) unremember(c *conn) {
	if l.fec == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if from := c.remote; l.senders[from] == c {
		delete(l.senders, from)
	}
}

// convOf is the conversation of who sends from an address.
func (l *listener) convOf(from netip.AddrPort) (uint32, bool) {
	if l.fec == nil {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.senders[from]
	if c == nil {
		return 0, false
	}
	return c.block.conv, true // which never changes
}

// fail ends Accept: a socket can't be read any more.
func (l *listener) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.err != nil {
		return
	}
	l.err = err
	close(l.failed)
}

// shutIfOver closes the sockets when the listener is closed and its last session is over.
func (l *listener) shutIfOver() {
	if !l.pending.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return
	}
	l.down = true
	for _, sh := range l.shards {
		_ = sh.socket.close()
	}
	_ = l.beat.close()
	close(l.over)
}
