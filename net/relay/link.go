package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/skua-go/skua/net/media"
)

// batch is how many frames go out in one system call at most.
const batch = 32

// inBuffer is what is read at once.
const inBuffer = 32 << 10

// Config bounds the links of a node. The zero value works.
type Config struct {
	// Key is the cluster's for links; nil: the ticket is all that is asked for.
	Key []byte
	// MaxFrame bounds a frame, bytes. Default 16 MiB.
	MaxFrame int
	// WriteTimeout is how long the other side may take nothing. Default 10 s.
	WriteTimeout time.Duration
	// WriteBuffer is what the system keeps for a link, bytes. Default 1 MiB: a link carries a whole node's viewers.
	WriteBuffer int
}

func (c Config) withDefaults() Config {
	for v, d := range map[*int]int{&c.MaxFrame: 16 << 20, &c.WriteBuffer: 1 << 20} {
		if *v <= 0 {
			*v = d
		}
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = 10 * time.Second
	}
	return c
}

// link is one connection, of either side, once both know each other.
type link struct {
	cfg  *Config
	conn net.Conn
}

func (c *Config) link(conn net.Conn) *link {
	if sized, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = sized.SetWriteBuffer(c.WriteBuffer) // it is a wish
	}
	return &link{cfg: c, conn: conn}
}

// send writes what a viewer gets until it ends, which is told to the other side, or the connection does. It closes neither.
func (l *link) send(v *media.Viewer) error {
	if err := l.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- l.listen() }() // it ends with the connection
	w := &writer{out: media.Batch{Conn: l.conn, Timeout: l.cfg.WriteTimeout}}
	err := l.deliver(w, v, gone)
	if ended := v.Err(); ended != nil && errors.Is(err, ended) {
		_ = l.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_ = w.end(ended) // it may be gone
	}
	return err
}

func (l *link) deliver(w *writer, v *media.Viewer, gone <-chan error) error {
	if err := w.start(v); err != nil {
		return err
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var frames [batch]*media.Frame
	began := false
	for {
		n, err := v.Take(frames[:])
		if err != nil {
			return err
		}
		if n == 0 {
			select {
			case <-v.Wake():
			case <-tick.C:
				if err := w.beat(); err != nil {
					return err
				}
			case err := <-gone:
				return err
			}
			continue
		}
		bufs := w.out.Begin()
		if !began {
			began = true
			bufs = append(bufs, w.describe(v))
		}
		err = w.frames(bufs, frames[:n])
		clear(frames[:n]) // nothing holds a frame longer than it must
		if err != nil {
			return err
		}
	}
}

// listen hears the other side's beats, and notices its end.
func (l *link) listen() error {
	r := &reader{conn: l.conn, r: bufio.NewReaderSize(l.conn, 64), max: maxReason}
	for {
		kind, body, err := r.next()
		if err != nil {
			return err
		}
		if kind == msgEnd {
			return fmt.Errorf("%w: %s", ErrEnded, body)
		}
	}
}

// Into is where frames go that come by a link.
type Into interface {
	// Begin gives the publisher to write to. resumed: the frames go on behind the last one that was written; else they may begin anywhere.
	Begin(resumed bool) (*media.Publisher, error)
	// Fresh tells whether a frame has not come yet, and is only asked once of each: after a cut the other side may begin before the last one.
	Fresh(seq uint64) bool
}

// receive writes what comes to a publisher until the other side or the publisher ends. It closes neither.
func (l *link) receive(to Into) error {
	if err := l.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() { // tells the other side that somebody is there
		defer close(ended)
		w := &writer{out: media.Batch{Conn: l.conn, Timeout: l.cfg.WriteTimeout}}
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if err := w.beat(); err != nil {
					return
				}
			}
		}
	}()
	err := l.take(to)
	close(done)
	_ = l.conn.SetWriteDeadline(time.Unix(1, 0)) // a beat that hangs ends
	<-ended
	return err
}

func (l *link) take(to Into) error {
	in := &intake{to: to}
	r := &reader{conn: l.conn, r: bufio.NewReaderSize(l.conn, inBuffer), max: l.cfg.MaxFrame}
	for {
		kind, body, err := r.next()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("relay: the connection has ended: %w", err)
			}
			return err
		}
		if err := in.message(kind, body); err != nil {
			return err
		}
	}
}

// intake makes a publisher's samples of messages.
type intake struct {
	to     Into
	p      *media.Publisher
	tracks [media.MaxTracks]struct {
		track  *media.Track
		params *media.Params
	}
}

func (in *intake) message(kind byte, body []byte) (err error) {
	if in.p == nil && (kind == msgTrack || kind == msgReady || kind == msgFrame) {
		return fmt.Errorf("%w: type %d before the begin", ErrFormat, kind)
	}
	switch kind {
	case msgBegin:
		if len(body) != 1 || in.p != nil {
			return fmt.Errorf("%w: a begin of %d bytes", ErrFormat, len(body))
		}
		in.p, err = in.to.Begin(body[0] == 1)
		return err
	case msgTrack:
		d, err := readTrack(body)
		if err != nil {
			return err
		}
		at := &in.tracks[d.id]
		if at.track, err = in.p.Track(d.spec); err != nil {
			return err
		}
		if at.params = d.params; same(in.p.Params(at.track), d.params) {
			at.params = in.p.Params(at.track) // viewers need not be told again
		}
		in.p.Describe(at.track, at.params)
		return nil
	case msgReady:
		in.p.Complete()
		return nil
	case msgFrame:
		return in.frame(body)
	case msgEnd:
		return fmt.Errorf("%w: %s", ErrEnded, body)
	default: // a beat, or what a newer version says
		return in.alive()
	}
}

// alive is why the publisher has ended.
func (in *intake) alive() error {
	if in.p == nil {
		return nil
	}
	return in.p.Err()
}

func (in *intake) frame(body []byte) error {
	f, err := readFrame(body)
	if err != nil {
		return err
	}
	at := in.tracks[f.track]
	if at.track == nil {
		return fmt.Errorf("%w: a frame of track %d, which was not told", ErrFormat, f.track)
	}
	if !in.to.Fresh(f.seq) {
		return nil
	}
	f.sample.Params = at.params
	return in.p.Write(at.track, f.sample)
}

func same(a, b *media.Params) bool {
	return a != nil && a.Codec == b.Codec && a.Width == b.Width && a.Height == b.Height && a.SampleRate == b.SampleRate && a.Channels == b.Channels && bytes.Equal(a.Config, b.Config)
}

// dial connects to another node's listener and asks for a stream.
func (c *Config) dial(ctx context.Context, addr string, r Request) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, setup)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	end, _ := ctx.Deadline()
	err = conn.SetDeadline(end)
	if err == nil {
		err = ask(conn, c.Key, r)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("relay: %s: %w", addr, err)
	}
	return conn, nil
}

// Receive fetches a stream from another node until it ends, the connection does, or ctx. It blocks.
func Receive(ctx context.Context, cfg Config, addr string, r Request, to Into) error {
	return cfg.withDefaults().run(ctx, addr, r, func(l *link) error { return l.receive(to) })
}

// Send brings what a viewer gets to another node until the viewer ends, the connection does, or ctx. It blocks. The viewer is the caller's; began is called when the other node takes frames.
func Send(ctx context.Context, cfg Config, addr string, r Request, v *media.Viewer, began func()) error {
	return cfg.withDefaults().run(ctx, addr, r, func(l *link) error {
		began()
		return l.send(v)
	})
}

func (c Config) run(ctx context.Context, addr string, r Request, work func(l *link) error) error {
	conn, err := c.dial(ctx, addr, r)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	err = work(c.link(conn))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
