// Package client is the Go client of Skua, and of every server that speaks the Pomelo wire protocol (Pitaya, Nano, Cherry).
//
// A Client is one connection: requests with answers, notifies, pushes, heartbeats. It does not reconnect.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// Errors of a Client. They come wrapped with what happened to whom.
var (
	ErrClosed          = errors.New("client: closed")
	ErrServerClosed    = errors.New("client: the server closed the connection")
	ErrServerSilent    = errors.New("client: the server is silent")
	ErrProtocol        = errors.New("client: the server broke the protocol")
	ErrWrite           = errors.New("client: write failed")
	ErrTooManyRequests = errors.New("client: too many requests without an answer")
	ErrBacklog         = errors.New("client: too much waits to be sent")
	ErrSlowHandlers    = errors.New("client: too many pushes wait for their handlers")
	ErrRefused         = errors.New("client: handshake refused")
)

// Error is an answer that is an error: what the server's handler meant the client to know.
type Error struct{ Code, Msg string }

// Error returns both fields.
func (e *Error) Error() string { return "client: answer " + e.Code + ": " + e.Msg }

// KickError is why the server closed the connection, in its own words.
type KickError struct{ Code, Msg string }

// Error returns both fields.
func (e *KickError) Error() string { return "client: kicked: " + e.Code + ": " + e.Msg }

// Options of a Client. The zero value works.
type Options struct {
	// On has handlers of pushes by route, OnAny one of all pushes, called after the route's own. Set here they miss none. Handlers run one at a time in the
	// order of arrival, apart from the reading, so they may call Request. The body is theirs.
	On    map[string]func(body []byte)
	OnAny func(route string, body []byte)
	// OnAnswer, when set, is told the id of each answer in the order of arrival, before the request returns. It runs on the reading goroutine and
	// must not call the Client.
	OnAnswer func(id uint64)

	// Name and Version are what the handshake tells of the program. Default "skua-go" and "1".
	Name, Version string
	// User is sent in the handshake as JSON, if not nil.
	User any
	// HandshakeTimeout bounds Dial, besides its context. Default 10 s.
	HandshakeTimeout time.Duration
	// WriteTimeout is how long the server may take to accept what is sent. Default 10 s.
	WriteTimeout time.Duration
	// MaxFrame is the longest package and the longest inflated body in bytes that is accepted. Default 1 MiB.
	MaxFrame int
	// MaxPending is how many requests may wait for their answers. Default 1024.
	MaxPending int
	// MaxBacklog is how many bytes may wait to be sent. Default 1 MiB.
	MaxBacklog int
	// MaxPushes is how many bytes of pushes may wait for their handlers; beyond, the client closes itself with ErrSlowHandlers rather than lose one. Default 4 MiB.
	MaxPushes int
	// TLS configures tls:// and wss://. Default: the system's roots.
	TLS *tls.Config
	// KCP configures kcp://. It has to fit nothing on the server.
	KCP KCP
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "skua-go"
	}
	if o.Version == "" {
		o.Version = "1"
	}
	for _, d := range []struct{ v *time.Duration }{{&o.HandshakeTimeout}, {&o.WriteTimeout}} {
		if *d.v <= 0 {
			*d.v = 10 * time.Second
		}
	}
	for _, n := range []struct {
		v   *int
		def int
	}{{&o.MaxFrame, 1 << 20}, {&o.MaxPending, 1024}, {&o.MaxBacklog, 1 << 20}, {&o.MaxPushes, 4 << 20}} {
		if *n.v <= 0 {
			*n.v = n.def
		}
	}
	return o
}

// Client is a connection to a server. Its methods may be called from any goroutine. It costs one goroutine, and two more while there is something to
// write and while handlers run.
type Client struct {
	opts     Options
	wire     wire
	routes   *packet.Routes
	interval time.Duration // of heartbeats; 0: none
	user     json.RawMessage
	stats    counters
	running  sync.WaitGroup // the reading and the writing goroutine
	done     chan struct{}
	heard    atomic.Int64 // when the server was heard last, in Unix nanoseconds

	handlers sync.RWMutex
	on       map[string]func([]byte)
	onAny    func(string, []byte)

	mu      sync.Mutex
	err     error // why the connection ended
	calls   calls
	out     []byte
	writing bool
	flushed chan struct{} // closed when out is empty, if somebody waits for that
	beat    *time.Timer
	beaten  time.Time // when the heartbeat that is not answered yet was sent

	pushes pushQueue
}

// Dial connects to "tcp://host:port", "tls://host:port", "kcp://host:port", "ws://host:port/ws" or "wss://host/ws" and does the handshake. ctx bounds only
// Dial. A refusal is ErrRefused or a *KickError.
func Dial(ctx context.Context, url string, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, opts.HandshakeTimeout)
	defer cancel()
	w, err := dial(ctx, url, opts)
	if err != nil {
		return nil, fmt.Errorf("client: dial %s: %w", url, err)
	}
	c := &Client{opts: opts, wire: w, done: make(chan struct{}), on: make(map[string]func([]byte)), onAny: opts.OnAny}
	c.calls.pending = make(map[uint64]*call)
	for route, f := range opts.On {
		c.on[route] = f
	}
	in := newInput(opts.MaxFrame)
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	err = c.handshake(in)
	if !stop() { // the connection is being closed under us
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = w.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("client: dial %s: %w", url, err)
	}
	c.start(in)
	return c, nil
}

// User is what the server's handshake said in its "user" field.
func (c *Client) User() json.RawMessage { return c.user }

// Request sends in and waits for the answer, which it decodes into out. Both are JSON, but []byte, json.RawMessage and string are sent as they are, and
// *[]byte and *json.RawMessage receive the answer as it is; a nil in sends an empty body, a nil out ignores the answer's.
//
// An answer that is an error is an *Error. Other errors: those of the connection (as Err has it), ctx's, ErrTooManyRequests, ErrBacklog.
func (c *Client) Request(ctx context.Context, route string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return fmt.Errorf("client: request %q: encode: %w", route, err)
	}
	call := newCall()
	id, err := c.send(route, body, call)
	if err != nil {
		return fmt.Errorf("client: request %q: %w", route, err)
	}
	select {
	case <-call.answered:
	case <-ctx.Done():
		if !c.abandon(id) {
			break // answered at the same moment
		}
		return fmt.Errorf("client: request %q: %w", route, context.Cause(ctx))
	case <-c.done:
		select {
		case <-call.answered:
		default:
			return fmt.Errorf("client: request %q: %w", route, c.Err())
		}
	}
	<-call.answered
	if call.failed {
		r := packet.DecodeReason(call.body)
		return &Error{Code: r.Code, Msg: r.Msg}
	}
	if err := decode(call.body, out); err != nil {
		return fmt.Errorf("client: request %q: decode %.64q: %w", route, call.body, err)
	}
	return nil
}

// Notify sends in without expecting an answer. It returns when the message is queued. in is as for Request.
func (c *Client) Notify(ctx context.Context, route string, in any) error {
	body, err := encode(in)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		_, err = c.send(route, body, nil)
	}
	if err != nil {
		return fmt.Errorf("client: notify %q: %w", route, err)
	}
	return nil
}

// On sets the handler of a route's pushes; nil removes it. See Options.On for handlers that must not miss the first pushes.
func (c *Client) On(route string, handler func(body []byte)) {
	c.handlers.Lock()
	defer c.handlers.Unlock()
	if handler == nil {
		delete(c.on, route)
		return
	}
	c.on[route] = handler
}

// OnAny sets the handler of all pushes; nil removes it.
func (c *Client) OnAny(handler func(route string, body []byte)) {
	c.handlers.Lock()
	defer c.handlers.Unlock()
	c.onAny = handler
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, nil while it has not: a *KickError, ErrServerClosed, ErrServerSilent, ErrProtocol, ErrWrite, ErrSlowHandlers, or
// ErrClosed after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close sends what is queued, for at most a second, closes the connection, and returns when its goroutines are gone. Handlers that wait are not run; one that
// is running may outlive it, so handlers may call Close. It returns nil; a second call does nothing.
func (c *Client) Close() error {
	const patience = time.Second
	c.mu.Lock()
	var flushed chan struct{}
	if c.err == nil && c.writing {
		if c.flushed == nil {
			c.flushed = make(chan struct{})
		}
		flushed = c.flushed
	}
	c.mu.Unlock()
	if flushed != nil {
		timer := time.NewTimer(patience)
		select {
		case <-flushed:
		case <-c.done:
		case <-timer.C:
		}
		timer.Stop()
	}
	c.fail(ErrClosed)
	c.running.Wait()
	return nil
}

func encode(in any) ([]byte, error) {
	switch v := in.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case json.RawMessage:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return json.Marshal(in)
}

func decode(body []byte, out any) error {
	switch v := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*v = body
		return nil
	case *json.RawMessage:
		*v = body
		return nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil // an answer without content leaves out as it was
	}
	return json.Unmarshal(body, out)
}
