package client

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// link is one connection of a client.
type link struct {
	c        *Client
	url      string
	wire     wire
	in       *input
	offer    *packet.MediaOffer // what the server has of rooms; nil: none
	pieces   packet.MediaPieces // the reader's, as the next two
	channels map[uint32]*Watch
	proven   bool          // something has come after the handshake
	interval time.Duration // of heartbeats; 0: none
	heard    atomic.Int64  // when the server was heard last, in Unix nanoseconds

	// The Client's mutex guards what follows.
	why      error              // why it is being closed, if that is our doing
	joining  context.CancelFunc // ends Options.Login
	out      []byte
	frames   [][]byte // packages of media, which go out when nothing else waits
	streamed int      // bytes of these
	lastRoom uint32
	writing  bool
	flushed  chan struct{} // closed when out is empty, if somebody waits for that
	beat     *time.Timer
	beaten   time.Time // when the heartbeat that is not answered yet was sent
	ended    bool      // nobody reads any more
	over     chan struct{}
}

// needsGoodbye says whether the transport can't tell the server that we leave.
func (l *link) needsGoodbye() bool { return !l.wire.HasEnd() }

func (l *link) write(p []byte) error {
	if err := l.wire.WriteAll(p, l.c.opts.WriteTimeout); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	l.c.stats.bytesOut.Add(uint64(len(p)))
	return nil
}

func (l *link) hear(n int) {
	l.c.stats.bytesIn.Add(uint64(n))
	l.heard.Store(time.Now().UnixNano())
}

// fail closes the connection; the first reason counts. The reader finds out, and tells the client.
func (l *link) fail(why error) {
	l.c.mu.Lock()
	if l.why == nil {
		l.why = why
	}
	l.c.mu.Unlock()
	_ = l.wire.Close()
}

// read is the reading goroutine, until the connection ends.
func (l *link) read() {
	err := l.receive()
	l.in.release()
	_ = l.wire.Close()
	l.c.mu.Lock()
	l.ended = true
	if l.over != nil {
		close(l.over)
	}
	l.c.mu.Unlock()
	l.c.down(l, err)
}

func (l *link) receive() error {
	for {
		p, err := l.in.next(l.wire, l.hear)
		if err != nil {
			return err
		}
		if !l.proven {
			l.prove()
		}
		switch p.Type {
		case packet.Data:
			if err := l.message(p.Body); err != nil {
				return err
			}
		case packet.Heartbeat:
			l.heartbeatAnswered()
		case packet.Kick:
			return kicked(p.Body)
		case packet.Ack:
			if err := l.acknowledged(p.Body); err != nil {
				return err
			}
		case packet.Media:
			if err := l.media(p.Body); err != nil {
				return err
			}
		case packet.Handshake, packet.HandshakeAck:
			return fmt.Errorf("%w: a %s package after the handshake", ErrProtocol, p.Type)
		}
	}
}

// prove ends the growth of the pauses between attempts to connect: the server talks to us.
func (l *link) prove() {
	l.proven = true
	l.c.mu.Lock()
	l.c.attempt = 0
	l.c.mu.Unlock()
}

func (l *link) message(body []byte) error {
	c := l.c
	m, err := packet.DecodeMessage(body, c.session.routes, c.opts.MaxFrame) // the routes change only while nobody reads
	if err == nil {
		err = m.Type.SentBy(packet.Server)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if m.Type == packet.Response {
		c.answer(m)
	} else if err := c.push(m); err != nil {
		return err
	}
	l.count(packet.HeaderSize + len(body))
	return nil
}

// count counts a data package that has been handed on, and tells the server when it is time.
func (l *link) count(size int) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.receive(size) && c.link == l {
		l.queue(c.session.appendAck(l.out))
	}
}

func (l *link) acknowledged(body []byte) error {
	n, err := packet.DecodeAck(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.session.on {
		return fmt.Errorf("%w: an ack in a session without resume", ErrProtocol)
	}
	if !c.session.ring.ack(n) {
		return fmt.Errorf("%w: it has received data package %d, %d were sent", ErrProtocol, n, c.session.ring.sent())
	}
	return nil
}

func kicked(body []byte) error {
	r := packet.DecodeReason(body)
	return &KickError{Code: r.Code, Msg: r.Msg, Addresses: packet.DecodeAddresses(body)}
}

// heartbeat tells the server that we are here, and notices when it is not. It is called by its timer, on a goroutine of its own.
func (l *link) heartbeat() {
	c := l.c
	silent := time.Since(time.Unix(0, l.heard.Load()))
	if silent >= 2*l.interval {
		l.fail(fmt.Errorf("%w for %s, heartbeats come every %s", ErrServerSilent, silent.Round(time.Millisecond), l.interval))
		return
	}
	c.mu.Lock()
	if c.link != l {
		c.mu.Unlock()
		return
	}
	if l.beaten.IsZero() {
		l.beaten = time.Now()
	}
	l.out = packet.AppendHeartbeat(c.session.appendAck(l.out))
	l.beat.Reset(min(l.interval, 2*l.interval-silent))
	mine := !l.writing
	if mine {
		l.writing = true
		c.running.Add(1)
	}
	c.mu.Unlock()
	if mine {
		defer c.running.Done()
		l.flush()
	}
}

func (l *link) heartbeatAnswered() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if !l.beaten.IsZero() {
		l.c.stats.rtt.Store(int64(time.Since(l.beaten)))
		l.beaten = time.Time{}
	}
}

// queue sets what waits to be sent and starts the writing goroutine if there is none; the Client's mutex is held.
func (l *link) queue(out []byte) {
	l.out = out
	if !l.writing {
		l.writing = true
		l.c.running.Go(l.flush)
	}
}

// flush is the writing goroutine, which lives while there is something to write: what comes up during a write goes out together with the next.
func (l *link) flush() {
	const kept = 1 << 10
	c := l.c
	var buf []byte
	for {
		c.mu.Lock()
		if len(l.out) == 0 && len(l.frames) == 0 || c.link != l {
			if cap(buf) <= kept && l.out == nil {
				l.out = buf[:0]
			}
			l.writing = false
			if l.flushed != nil {
				close(l.flushed)
				l.flushed = nil
			}
			c.mu.Unlock()
			return
		}
		if len(l.out) > 0 {
			buf, l.out = l.out, nil
		} else {
			buf = l.frames[0]
			l.frames[0] = nil
			l.frames = l.frames[1:]
			l.streamed -= len(buf)
		}
		c.mu.Unlock()
		if err := l.write(buf); err != nil {
			l.fail(err)
			c.mu.Lock()
			l.out, l.frames = nil, nil // nothing more goes this way
			c.mu.Unlock()
		}
	}
}

// stream queues packages of media, whose bytes are the link's from now on; the Client's mutex is held.
func (l *link) stream(packages []byte) {
	l.streamed += len(packages)
	for len(packages) > 0 {
		var one []byte
		one, packages = packet.NextPackage(packages)
		l.frames = append(l.frames, one)
	}
	if !l.writing {
		l.writing = true
		l.c.running.Go(l.flush)
	}
}

// stopTimers ends what waits for the connection; the Client's mutex is held.
func (l *link) stopTimers() {
	if l.beat != nil {
		l.beat.Stop()
	}
	if l.joining != nil {
		l.joining()
	}
}

// goodbye says that we leave and waits a moment for the server to leave, too: a connection that is closed with bytes still to read is torn down, and with it what
// we have just said. It is for Close, which has taken the link from the client.
func (l *link) goodbye() {
	const patience = 200 * time.Millisecond
	l.wire.Goodbye()
	l.c.mu.Lock()
	reading := !l.ended
	if reading {
		l.over = make(chan struct{})
	}
	l.c.mu.Unlock()
	if reading {
		timer := time.NewTimer(patience)
		select {
		case <-l.over:
		case <-timer.C:
		}
		timer.Stop()
	}
	_ = l.wire.Close()
}
