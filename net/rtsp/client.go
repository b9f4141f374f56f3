package rtsp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	rtspconn "github.com/bluenviron/gortsplib/v5/pkg/conn"

	"github.com/skua-go/skua/internal/tlsdial"
	"github.com/skua-go/skua/net/media"
)

// ErrServer tells that a server does not have what is asked for, does not give it to this user, or ends it. It comes wrapped with what it says.
var ErrServer = errors.New("rtsp: refused by the server")

// Schemes of URLs.
const (
	schemePlain = "rtsp"
	schemeTLS   = "rtsps"
	schemeUDP   = "rtspu" // as GStreamer has it: RTP over UDP
)

const (
	maxHops   = 5
	maxAnswer = 192 << 10 // bytes of an answer: gortsplib takes 128 KiB of SDP
	keepAlive = 30 * time.Second
)

// Dialer fetches streams from servers, as cameras are, and brings streams to servers. The zero value works.
//
// gortsplib reads and writes what is said. Its client is not used: it sends packets to whatever host an answer names, follows redirects without an end and with the password, ends
// with most requests that a server makes, and holds what is behind a lost packet until 64 others have come.
type Dialer struct {
	// Dial connects. Default: that of net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for rtsps; nil: the machine's authorities.
	TLS *tls.Config
	// SetupTimeout is how long it may take until packets go, with all redirects. Default 10 s.
	SetupTimeout time.Duration
	// IdleTimeout is how long no packet may come. Default 30 s.
	IdleTimeout time.Duration
	// WriteTimeout is how long the server may take nothing. Default 10 s.
	WriteTimeout time.Duration
	// MaxFrame bounds what is kept of a frame that is not complete, bytes. Default 8 MiB.
	MaxFrame int
	// Unagreed is Config.Unagreed, for what servers send.
	Unagreed func()
	// Log gets what operators should see, such as tracks that are left out. Default: nothing is logged.
	Log *slog.Logger
}

func (d Dialer) withDefaults() Dialer {
	if d.Dial == nil {
		d.Dial = new(net.Dialer).DialContext
	}
	for v, t := range map[*time.Duration]time.Duration{&d.SetupTimeout: 10 * time.Second, &d.IdleTimeout: 30 * time.Second, &d.WriteTimeout: 10 * time.Second} {
		if *v <= 0 {
			*v = t
		}
	}
	if d.MaxFrame <= 0 {
		d.MaxFrame = 8 << 20
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return d
}

// client is one connection of ours to a server. After PLAY one goroutine reads, another says now and then that we are there, and two more read each track that comes over UDP.
type client struct {
	d    *Dialer
	conn net.Conn
	in   meter
	r    *bufio.Reader
	wire *rtspconn.Conn
	at   *base.URL // what is asked for
	base *base.URL // all tracks, as the server calls them

	announced *ingest
	over      []*route
	udp       []*UDP // by track; nil in the connection
	overUDP   bool
	sends     bool     // frames go to the server
	asked     bool     // PLAY
	early     [][]byte // packets before its answer
	earlyFrom []byte   // their channels
	earlySize int

	lock    sync.Mutex // around writes, and what they need
	seq     int
	session string
	sender  *auth.Sender
	flows   bool          // PLAY or RECORD is answered
	method  base.Method   // of saying that we are there
	every   time.Duration // how often
	resaid  bool          // with a password that was wanted anew

	alive  atomic.Int64 // when a packet came last, of a server that is sent to anything, Unix nanoseconds
	reason atomic.Pointer[error]
}

// Pull writes what is at rtsp://[USER:PASSWORD@]HOST/PATH to a publisher, until that ends, the server does, or ctx. begin gives the publisher when the server agrees. Packets come through
// the connection, and over UDP if the server does not do that; over UDP with rtspu://, and through TLS with rtsps://. USER and PASSWORD go to this server only.
func (d Dialer) Pull(ctx context.Context, from *url.URL, begin func() (*media.Publisher, error)) error {
	d = d.withDefaults()
	return d.follow(ctx, from, false, func(setup context.Context, c *client) error { return c.fetch(setup, begin) })
}

// follow does what is to be done at a server, or at the one to which that sends on. Work's context ends when the setup has taken too long.
func (d *Dialer) follow(ctx context.Context, from *url.URL, sends bool, work func(setup context.Context, c *client) error) error {
	setup, cancel := context.WithTimeout(ctx, d.SetupTimeout)
	defer cancel()
	at := base.URL(*from)
	at.Fragment = ""
	udp := at.Scheme == schemeUDP
	if udp {
		at.Scheme = schemePlain
	}
	for hop := 0; ; hop++ {
		err := d.visit(ctx, setup, &at, udp, sends, work)
		moved, ok := errors.AsType[*movedError](err)
		if !ok {
			return err
		}
		if hop == maxHops {
			return fmt.Errorf("%w: sent on more than %d times", ErrServer, maxHops)
		}
		if at, err = moved.follow(at); err != nil {
			return err
		}
	}
}

// visit asks one server. setup ends when it has taken too long.
func (d *Dialer) visit(ctx, setup context.Context, at *base.URL, udp, sends bool, work func(setup context.Context, c *client) error) error {
	conn, err := d.connect(setup, at)
	if err != nil {
		return fmt.Errorf("rtsp: %w", err)
	}
	c := &client{d: d, conn: conn, at: at, sends: sends, overUDP: udp && at.Scheme != schemeTLS, in: meter{conn: conn, left: -1, what: "an answer", most: maxAnswer}, every: keepAlive, method: base.Options}
	c.r = bufio.NewReaderSize(&c.in, publisherIn)
	c.wire = rtspconn.NewConn(c.r, conn)
	late, _ := setup.Deadline() // it has one
	if err := conn.SetDeadline(late); err != nil {
		return errors.Join(err, conn.Close())
	}
	stop := context.AfterFunc(ctx, func() { c.end(ctx.Err()) })
	defer stop()
	err = work(setup, c)
	if told := c.reason.Load(); told != nil {
		err = *told
	}
	c.close()
	return err
}

// portOfURL is the port that a URL stands for.
func portOfURL(at *base.URL) string {
	if port := at.Port(); port != "" {
		return port
	}
	return map[string]string{schemePlain: "554", schemeTLS: "322"}[at.Scheme]
}

// connect also does the handshake of TLS.
func (d *Dialer) connect(ctx context.Context, at *base.URL) (net.Conn, error) {
	conn, err := d.Dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), portOfURL(at)))
	if err != nil || at.Scheme != schemeTLS {
		return conn, err
	}
	return tlsdial.Client(ctx, conn, d.TLS, at.Hostname())
}

// end has the client close, for this reason, by its own goroutine. The first reason counts.
func (c *client) end(reason error) {
	if !c.reason.CompareAndSwap(nil, &reason) {
		return
	}
	if c.sends { // who writes comes to the end of a packet, so that a goodbye can be said behind it
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		time.AfterFunc(farewellTime, func() { _ = c.conn.Close() }) // but a server that takes nothing is not waited for
		return
	}
	_ = c.conn.SetDeadline(time.Unix(1, 0)) // who reads or writes comes back at once
}

// close says goodbye, if the server still listens, and lets go of all.
func (c *client) close() {
	c.closeUDP()
	if c.session != "" && c.base != nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(farewellTime))
		_, _ = c.write(base.Teardown, c.base, nil, nil)
	}
	_ = c.conn.Close()
}

func (c *client) closeUDP() {
	for _, u := range c.udp {
		if u != nil {
			u.Close()
		}
	}
}

// fetch does all of it, until there is a reason to end.
func (c *client) fetch(ctx context.Context, begin func() (*media.Publisher, error)) error {
	if err := c.describe(); err != nil {
		return err
	}
	for i := range c.announced.tracks {
		if err := c.setUp(ctx, i, c.announced.tracks[i].name); err != nil {
			return err
		}
	}
	if err := c.play(); err != nil {
		return err
	}
	p, err := begin()
	if err != nil {
		return err
	}
	p.AtEnd(c.end)
	if err := c.announced.start(p); err != nil {
		return err
	}
	c.announced.expect(c.over)
	c.alive.Store(time.Now().UnixNano())
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() { c.watch(stop) })
	for _, u := range c.udp {
		if u != nil {
			running.Go(u.serve)
		}
	}
	err = c.take()
	c.end(err) // whoever writes is not waited for
	close(stop)
	c.closeUDP()
	running.Wait()
	return err
}

// until is how long reads and writes may take from now on; zero: for ever.
func (c *client) until(t time.Time) error {
	if err := c.conn.SetDeadline(t); err != nil {
		return err
	}
	if told := c.reason.Load(); told != nil { // whose own deadline was overwritten
		return *told
	}
	return nil
}

// because is what an error of the connection is about.
func (c *client) because(err error) error {
	timeout, network := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("rtsp: the server has closed the connection: %w", err)
	case network && timeout.Timeout() && !c.flows:
		return fmt.Errorf("%w: the server has not come to the point within %s", ErrTimeout, c.d.SetupTimeout)
	case network, errors.Is(err, ErrLimit):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
}
