// Package ws yields a listener of WebSocket connections (RFC 6455), which come in through an HTTP server.
//
// The messages are pieces of a byte stream: Read gives their payloads one after the other, whatever their boundaries; each Write and each frame of
// WriteFrames is one binary message. Pings, pongs and closes are handled below Read. Text is refused with close code 1003. Compression is not negotiated.
// A connection over one that tells when there is something to read, as package transport has it, tells so too.
package ws

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// Config says which connections are let in. The zero value works.
type Config struct {
	// Addr is what Listener.Addr answers: where the HTTP server listens. Optional.
	Addr net.Addr
	// MaxMessage is the longest message in bytes, over all its fragments. Default 1 MiB; a longer one ends the connection with close code 1009. It bounds no
	// memory here, since a message is handed on as it arrives.
	MaxMessage int64
	// CheckOrigin says whether a page may connect. Default: requests without an Origin (which no browser sends) and those whose Origin has the
	// host of the request.
	CheckOrigin func(r *http.Request) bool
	// Pending is how many connections may wait for Accept; more are answered with 503. Default 128.
	Pending int
	// ControlRate is how many frames a second a client may send, on average, that have nothing for who reads: pings, pongs, empty pieces of messages; ten times as
	// many may come at once. More end the connection with close code 1008: whoever limits what is read never sees them. Default 50.
	ControlRate int
	// UpgradeTimeout is how long a client may take to receive the answer to its upgrade. Default 5 s. How long it may take to ask is for the
	// HTTP server to limit (http.Server.ReadHeaderTimeout).
	UpgradeTimeout time.Duration
}

// Listener is a net.Listener whose connections are WebSockets, and the http.Handler that they come in through: mount it at "/ws".
type Listener struct {
	cfg     Config
	slots   chan struct{} // one for each connection between ServeHTTP and Accept
	conns   chan net.Conn
	buffers sync.Pool // *[]byte, for outgoing messages

	once sync.Once
	done chan struct{}
}

// NewListener returns a listener that waits for its requests.
func NewListener(cfg Config) *Listener {
	if cfg.Addr == nil {
		cfg.Addr = addr("websocket")
	}
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = 1 << 20
	}
	if cfg.CheckOrigin == nil {
		cfg.CheckOrigin = SameHost
	}
	if cfg.Pending <= 0 {
		cfg.Pending = 128
	}
	if cfg.ControlRate <= 0 {
		cfg.ControlRate = 50
	}
	if cfg.UpgradeTimeout <= 0 {
		cfg.UpgradeTimeout = 5 * time.Second
	}
	l := &Listener{cfg: cfg, slots: make(chan struct{}, cfg.Pending), conns: make(chan net.Conn, cfg.Pending), done: make(chan struct{})}
	l.buffers.New = func() any { return new([]byte) }
	return l
}

// SameHost is the default of Config.CheckOrigin.
func SameHost(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return len(origins) == 1 && err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

type addr string

func (a addr) Network() string { return "ws" }
func (a addr) String() string  { return string(a) }

// Addr is Config.Addr.
func (l *Listener) Addr() net.Addr { return l.cfg.Addr }

// Accept returns the next connection, or net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // first, so that a closed listener accepts nothing more
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.conns:
		<-l.slots
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept, answers further requests with 503 and closes the connections that nobody accepted. Accepted ones live on.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.done)
		l.discard()
		err = nil
	})
	return err
}

// discard closes the connections that wait.
func (l *Listener) discard() {
	for {
		select {
		case c := <-l.conns:
			<-l.slots
			_ = c.Close()
		default:
			return
		}
	}
}

// ServeHTTP upgrades a request. It answers 403 to a foreign origin, 503 when the listener is closed or full, and 4xx as RFC 6455 section 4.2 has it to what is
// no WebSocket handshake.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !l.cfg.CheckOrigin(r) {
		http.Error(w, "websocket: this origin may not connect", http.StatusForbidden)
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "websocket: expected a WebSocket handshake", http.StatusUpgradeRequired)
		return
	}
	select {
	case <-l.done:
		http.Error(w, "websocket: the server is stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	select {
	case l.slots <- struct{}{}:
	default:
		http.Error(w, "websocket: too many connections at once", http.StatusServiceUnavailable)
		return
	}
	nc, rw, _, err := ws.HTTPUpgrader{Timeout: l.cfg.UpgradeTimeout}.Upgrade(r, w)
	if err != nil { // the client has its answer
		<-l.slots
		if nc != nil {
			_ = nc.Close()
		}
		return
	}
	l.conns <- newConn(nc, l, unread(rw.Reader)) // has room: a slot is ours
	select {
	case <-l.done: // closed meanwhile
		l.discard()
	default:
	}
}

// unread copies what a hasty client sent behind its request, so that the 8 KiB of buffers can go.
func unread(r *bufio.Reader) []byte {
	n := r.Buffered()
	if n == 0 {
		return nil
	}
	p, _ := r.Peek(n)
	return append([]byte(nil), p...)
}
