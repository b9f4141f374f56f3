package rtc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// stream is a client's connection over TCP, for networks that let no UDP through: datagrams, each behind its length in two bytes (RFC 4571 and 6544).
type stream struct {
	conn    net.Conn
	at      netip.AddrPort
	queue   chan []byte // to be written
	waiting atomic.Int64
	ended   atomic.Bool
	end     chan struct{}
	once    sync.Once
}

// streamQueue is how many datagrams may wait to be written, besides tcpBacklog.
const streamQueue = 1024

var errBehind = errors.New("rtc: a client over TCP is behind")

// write has a datagram written behind the others, unless too much waits: a network would lose it then, too.
func (s *stream) write(b []byte) error {
	if s.ended.Load() {
		return net.ErrClosed
	}
	if s.waiting.Load()+int64(len(b)) > tcpBacklog {
		return errBehind
	}
	framed := append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b))), b...)
	select {
	case s.queue <- framed:
		s.waiting.Add(int64(len(framed)))
		return nil
	default:
		return errBehind
	}
}

// finish closes the connection behind what waits.
func (s *stream) finish() {
	select {
	case s.queue <- nil:
		_ = s.conn.SetDeadline(time.Now().Add(goodbye))
	default:
		s.close()
	}
}

func (s *stream) close() {
	s.once.Do(func() {
		s.ended.Store(true)
		close(s.end)
		_ = s.conn.Close()
	})
}

// pump writes what waits until the connection ends.
func (s *stream) pump() {
	defer s.close()
	for {
		select {
		case b := <-s.queue:
			if b == nil {
				return // see finish
			}
			s.waiting.Add(-int64(len(b)))
			if _, err := s.conn.Write(b); err != nil {
				return
			}
		case <-s.end:
			return
		}
	}
}

// strangers counts the connections that are nobody's yet, also by where they come from.
type strangers struct {
	mu  sync.Mutex
	all int
	by  map[netip.Prefix]int
}

// maxStrangers is how many of them one network has: a client's own checks are there with its connection.
const maxStrangers = 32

// networkOf is an IPv4 address, or what one customer has of IPv6.
func networkOf(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(a, 32)
	}
	p, _ := a.Prefix(64)
	return p
}

func (s *strangers) enter(from netip.Prefix, most int) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == most || s.by[from] == maxStrangers {
		return false
	}
	s.all++
	s.by[from]++
	return true
}

func (s *strangers) leave(from netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.by[from]--; s.by[from] == 0 {
		delete(s.by, from)
	}
}

// takeStream serves a connection. One that is nobody's when a session has to have got through is closed, and so are those beyond as many as may be about to connect, and
// beyond those of one network.
func (srv *Server) takeStream(conn net.Conn) {
	var at netip.AddrPort
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from := addr.AddrPort()
		at = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	}
	if !srv.sockets.strangers.enter(networkOf(at.Addr()), srv.cfg.MaxConnecting) {
		_ = conn.Close()
		return
	}
	st := &stream{conn: conn, at: at, queue: make(chan []byte, streamQueue), end: make(chan struct{})}
	srv.sockets.streams.Go(func() {
		defer st.close()
		srv.readStream(st)
	})
	srv.sockets.streams.Go(st.pump)
}

func (srv *Server) readStream(st *stream) {
	stop := context.AfterFunc(srv.sockets.life, st.close)
	defer stop()
	_ = st.conn.SetReadDeadline(time.Now().Add(srv.cfg.ConnectTimeout))
	var of *session
	stranger := sync.OnceFunc(func() { srv.sockets.strangers.leave(networkOf(st.at.Addr())) })
	defer stranger()
	l := &lane{stream: st, at: st.at}
	r, plain := bufio.NewReaderSize(st.conn, 2+datagramRoom), make([]byte, datagramRoom)
	for {
		head, err := r.Peek(2)
		if err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(head))
		if size > datagramRoom {
			srv.metrics.invalid.Inc()
			return // there is no way to find the next one
		}
		b, err := r.Peek(2 + size)
		if err != nil {
			return
		}
		b = b[2:]
		now := time.Now()
		switch {
		case isSTUN(b):
			s := srv.check(l, b, now)
			if s == nil || s == of {
				break
			}
			if of != nil {
				return // the connection of one is not another's
			}
			of = s
			stranger()
			if !s.adopt(st) {
				return
			}
			_ = st.conn.SetReadDeadline(time.Time{})
		case of != nil:
			srv.turn(func(out *outbox) { of.receive(b, now, plain, out) })
		}
		if _, err := r.Discard(2 + size); err != nil {
			return
		}
	}
}
