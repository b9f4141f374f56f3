// Package client is the Go client of Skua, and of every server that speaks the Pomelo wire protocol (Pitaya, Nano, Cherry).
//
// A Client is one session: requests with answers, notifies, pushes, heartbeats. With a server that offers it (Skua does) the session outlives its
// connections: a client that loses one comes back by itself, over the same transport or another, each request is handled exactly once, and each push arrives
// exactly once and in order. docs/protocol.md has the wire, docs/clients.md how to use this.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
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
	ErrRing            = errors.New("client: too much waits for the server's acknowledgement")
	ErrSlowHandlers    = errors.New("client: too many pushes wait for their handlers")
	ErrRefused         = errors.New("client: handshake refused")
	ErrSessionLost     = errors.New("client: session lost")
	ErrNotLoggedIn     = errors.New("client: the new session has not logged in yet")
	ErrReconnect       = errors.New("client: the program asked for another connection")
)

// Error is an answer that is an error: what the server's handler meant the client to know.
type Error struct{ Code, Msg string }

// Error returns both fields.
func (e *Error) Error() string { return "client: answer " + e.Code + ": " + e.Msg }

// KickError is why the server ended the connection, in its own words.
type KickError struct {
	Code, Msg string
	// Addresses are where the client goes on after the code moved. It goes there by itself.
	Addresses []string
}

// Error returns both fields.
func (e *KickError) Error() string { return "client: kicked: " + e.Code + ": " + e.Msg }

// Client is a session with a server. Its methods may be called from any goroutine. It costs one goroutine, and two more while there is something to
// write and while handlers run.
type Client struct {
	opts    Options
	urls    []string
	split   func([]byte) (int, []byte, error)
	stats   counters
	running sync.WaitGroup // the reading and the writing goroutine
	done    chan struct{}
	pushes  pushQueue

	handlers sync.RWMutex
	on       map[string]func([]byte)
	onAny    func(string, []byte)

	mu      sync.Mutex
	err     error // why the client ended
	link    *link // the connection; nil: away
	session session
	calls   calls
	rooms   []*inRoom     // that are watched or published to
	ready   chan struct{} // closed when the session has logged in, or the client has ended; nil: it has
	waiting int           // requests that wait for ready
	stop    context.CancelFunc
	away    time.Time // since when there is no connection
	attempt int       // to connect, since the last session was ready
	given   []string  // the addresses of Dial and Options.Also; urls has those that servers have told us of, too
	ticket  string    // of the last login: it lets the same player in again
	holder  string    // the uid of that player
	next    int       // index in urls to try next
}

// Dial connects to "tcp://host:port", "tls://host:port", "kcp://host:port", "kcps://host:port" (TLS over KCP), "ws://host:port/ws" or "wss://host/ws", does the
// handshake, and logs in if Options.Login is set. ctx bounds only Dial. A refusal is ErrRefused or a *KickError.
func Dial(ctx context.Context, url string, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	c := &Client{opts: opts, urls: append([]string{url}, opts.Also...), split: packet.Split(opts.MaxFrame), done: make(chan struct{}), onAny: opts.OnAny}
	if len(opts.On) > 0 {
		c.on = make(map[string]func([]byte), len(opts.On))
		for route, f := range opts.On {
			c.on[route] = f
		}
	}
	ctx, cancel := context.WithTimeout(ctx, opts.HandshakeTimeout)
	defer cancel()
	c.given = c.urls
	var tried []error
	sent := false
	for i := 0; i < len(c.urls); i++ {
		url := c.urls[i]
		l, welcome, err := c.connect(ctx, url)
		if err == nil {
			c.next = i
			return c.begin(ctx, l, welcome)
		}
		tried = append(tried, fmt.Errorf("client: dial %s: %w", url, err))
		if !sent && c.follow(url, err) {
			sent, i = true, -1
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(tried...)
}

// begin makes the first connection's session the client's.
func (c *Client) begin(ctx context.Context, l *link, welcome packet.HandshakeResponse) (*Client, error) {
	err := c.adopt(l, welcome)
	if err == nil {
		err = c.login(ctx, l)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("client: dial %s: %w", l.url, err)
	}
	return c, nil
}

// User is what the server's handshake said in its "user" field when the session began.
func (c *Client) User() json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.user
}

// Request sends in and waits for the answer, which it decodes into out. Both are JSON, but []byte, json.RawMessage and string are sent as they are, and
// *[]byte and *json.RawMessage receive the answer as it is; a nil in sends an empty body, a nil out ignores the answer's.
//
// While the connection is lost and the session can be resumed, it is kept and sent then; it is handled once in any case.
//
// An answer that is an error is an *Error. Other errors: ErrSessionLost (it may or may not have been handled), those that end the client (as Err has it), ctx's,
// context.DeadlineExceeded after Options.RequestTimeout, ErrTooManyRequests, ErrBacklog, ErrRing.
func (c *Client) Request(ctx context.Context, route string, in, out any) error {
	return c.request(ctx, nil, route, in, out)
}

func (c *Client) request(ctx context.Context, s *Session, route string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return fmt.Errorf("client: request %q: encode: %w", route, err)
	}
	var timeout <-chan time.Time
	if _, has := ctx.Deadline(); !has && c.opts.RequestTimeout > 0 {
		timer := time.NewTimer(c.opts.RequestTimeout)
		defer timer.Stop()
		timeout = timer.C
	}
	call := &call{answered: make(chan struct{}), login: route == loginRoute}
	id, err := c.sendWhenReady(ctx, timeout, s, route, body, call)
	if err != nil {
		return fmt.Errorf("client: request %q: %w", route, err)
	}
	var late error
	select {
	case <-call.answered:
	case <-ctx.Done():
		late = context.Cause(ctx)
	case <-timeout:
		late = fmt.Errorf("no answer in %v: %w", c.opts.RequestTimeout, context.DeadlineExceeded)
	}
	if late != nil && c.abandon(id) {
		return fmt.Errorf("client: request %q: %w", route, late)
	}
	<-call.answered
	switch {
	case call.err != nil:
		return fmt.Errorf("client: request %q: %w", route, call.err)
	case call.failed:
		return answerError(call.body)
	}
	if err := decode(call.body, out); err != nil {
		return fmt.Errorf("client: request %q: decode %.64q: %w", route, call.body, err)
	}
	return nil
}

// RequestFunc is Request without the wait: then is called once, with the answer's body or with an error of those that Request has. It runs on the reading goroutine
// or on one of its own, and must not wait for anything; the body is its. When RequestFunc returns an error, then is not called; ErrNotLoggedIn is one, as
// it can't wait for Options.Login. timeout 0: Options.RequestTimeout.
func (c *Client) RequestFunc(route string, in any, timeout time.Duration, then func(body []byte, err error)) error {
	body, err := encode(in)
	if err != nil {
		return fmt.Errorf("client: request %q: encode: %w", route, err)
	}
	if timeout == 0 {
		timeout = c.opts.RequestTimeout
	}
	call := &call{then: then, route: route, login: route == loginRoute}
	id, _, err := c.send(nil, route, body, call)
	if err != nil {
		return fmt.Errorf("client: request %q: %w", route, err)
	}
	if timeout > 0 {
		call.expire(timeout, func() {
			if c.abandon(id) {
				then(nil, fmt.Errorf("client: request %q: no answer in %v: %w", route, timeout, context.DeadlineExceeded))
			}
		})
	}
	return nil
}

// Notify sends in without expecting an answer. It returns when the message is queued. in is as for Request. A notify that was queued is handled once, unless
// the session is lost.
func (c *Client) Notify(ctx context.Context, route string, in any) error {
	return c.notify(ctx, nil, route, in)
}

func (c *Client) notify(ctx context.Context, s *Session, route string, in any) error {
	body, err := encode(in)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		_, err = c.sendWhenReady(ctx, nil, s, route, body, nil)
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
	if c.on == nil {
		c.on = make(map[string]func([]byte))
	}
	c.on[route] = handler
}

// OnAny sets the handler of all pushes; nil removes it.
func (c *Client) OnAny(handler func(route string, body []byte)) {
	c.handlers.Lock()
	defer c.handlers.Unlock()
	c.onAny = handler
}

// URL is the address of the connection, or of the last one.
func (c *Client) URL() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.url
}

// Done is closed when the client has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the client ended, nil while it has not: a *KickError, ErrSessionLost, ErrProtocol, ErrSlowHandlers, ErrClosed after Close; and, of a session that can't
// be resumed, ErrServerClosed, ErrServerSilent, ErrWrite.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Reconnect drops the connection without a word, as a network would, and comes back to the session: for programs that know sooner than any timeout that the
// network has changed. to is the address to try first, one of Dial's and Options.Also; "": the present one. It does not wait. It does nothing when
// the client is on its way back already; a session that could not be resumed is left alone, and that is ErrReconnect.
func (c *Client) Reconnect(to string) error {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	l := c.link
	if l != nil && !c.resumable() && !c.renews() {
		c.mu.Unlock()
		return fmt.Errorf("%w, and the session can't be resumed", ErrReconnect)
	}
	for i, url := range c.urls {
		if url == to {
			c.next = i
		}
	}
	c.mu.Unlock()
	if l != nil {
		l.fail(ErrReconnect)
	}
	return nil
}

// Close sends what is queued, for at most a second, tells the server that the session is over, closes the connection, and returns when its goroutines are gone.
// Without a connection the server finds out at the end of its window. Handlers that wait are not run; one that is running may outlive it, so handlers may call
// Close (but not with Options.Inline). It returns nil; a second call does nothing.
func (c *Client) Close() error {
	const patience = time.Second
	c.mu.Lock()
	l := c.link
	var flushed chan struct{}
	if c.err == nil && l != nil {
		if c.session.on || l.needsGoodbye() {
			l.queue(packet.AppendKick(l.out, packet.Reason{Code: "bye"}))
		}
		if l.writing {
			if l.flushed == nil {
				l.flushed = make(chan struct{})
			}
			flushed = l.flushed
		}
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
	c.end(ErrClosed)
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

func answerError(body []byte) error {
	r := packet.DecodeReason(body)
	return &Error{Code: r.Code, Msg: r.Msg}
}
