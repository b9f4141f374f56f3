package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The pauses before attempts to connect: doubling, and half of each at random, so that the clients of a node that went away don't come back all at once.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// pauseBefore is the pause before an attempt, the first being 0: 100 ms to 5 s, give or take a half.
func pauseBefore(attempt int) time.Duration {
	d := min(firstPause<<min(attempt, 10), lastPause)
	return d/2 + rand.N(d)
}

// resumable says whether the session can go on over another connection; c.mu is held.
func (c *Client) resumable() bool { return c.session.token != "" && c.ready == nil }

// connectionKicks are the kicks that end a connection and not its session. "resumed" may come to a newer connection, too: the handshake of one that broke can reach the server
// late. If somebody else has taken the session, the server refuses our token.
func connectionKicks() []string { return []string{"idle", "slow", "resumed", "moved"} }

// passingKicks are those that do not mean the player: a new session may do better.
func passingKicks() []string {
	return []string{"idle", "slow", "moved", "handshake_timeout", "login_timeout", "shutdown", "unavailable", "full", "too_many_connections", "agent_ended"}
}

// fate is what the end of a connection means.
type fate int

const (
	fateEnd    fate = iota
	fateResume      // another connection for the session
	fateRenew       // another connection and a new session
)

// fateOf says what the end of a connection means; c.mu is held.
func (c *Client) fateOf(err error) fate {
	var kick *KickError
	again := fateEnd
	if c.renews() {
		again = fateRenew
	}
	switch {
	case errors.Is(err, ErrProtocol), errors.Is(err, ErrSlowHandlers):
		return fateEnd
	case errors.As(err, &kick):
		switch {
		case slices.Contains(connectionKicks(), kick.Code) && c.resumable():
			return fateResume
		case slices.Contains(passingKicks(), kick.Code):
			return again
		}
		return fateEnd
	case c.resumable():
		return fateResume
	}
	return again
}

// down is told by the reading goroutine that the connection has ended, and why as far as it could see. The goroutine becomes the one that connects again.
func (c *Client) down(l *link, err error) {
	c.mu.Lock()
	if l.why != nil {
		err = l.why
	}
	if c.link != l || c.err != nil {
		c.mu.Unlock()
		return
	}
	l.stopTimers()
	c.link = nil
	c.roomsAway()
	c.follow(l.url, err)
	what, wasIn, window := c.fateOf(err), c.ready == nil, c.session.window
	c.away = time.Now()
	var lost []*call
	if what == fateRenew {
		lost = c.forget()
		if c.ready == nil {
			c.ready = make(chan struct{})
		}
	}
	c.mu.Unlock()
	var kick *KickError
	if errors.As(err, &kick) && what != fateResume {
		c.emit(Event{Kind: Kicked, Err: err, URL: l.url})
	}
	switch what {
	case fateEnd:
		if kick == nil && wasIn {
			c.emit(Event{Kind: Lost, Err: err, URL: l.url})
		}
		c.end(err)
	case fateRenew:
		failAll(lost, fmt.Errorf("%w: %w", ErrSessionLost, err))
		if wasIn {
			c.emit(Event{Kind: Lost, Err: err, URL: l.url})
		}
		c.comeBack(window, err)
	case fateResume:
		c.emit(Event{Kind: Away, Err: err, URL: l.url})
		c.comeBack(window, err)
	}
}

// comeBack connects again, for as long as it takes or may take.
func (c *Client) comeBack(window time.Duration, last error) {
	patience := c.opts.GiveUp
	if patience <= 0 && c.opts.Login == nil {
		if patience = window; patience <= 0 {
			patience = plainWindow
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if patience > 0 {
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	if !c.stoppedBy(cancel) {
		return
	}
	for {
		attempt, url := c.nextAttempt()
		if !wait(ctx, pauseBefore(attempt)) {
			break
		}
		l, err := c.try(ctx, url)
		if err == nil {
			c.welcomeBack(ctx, l)
			return
		}
		if errors.Is(err, ErrSessionLost) || errors.Is(err, errNonsense) {
			c.end(err)
			return
		}
		c.mu.Lock()
		c.follow(url, err)
		c.mu.Unlock()
		last = fmt.Errorf("%s: %w", url, err)
	}
	why := fmt.Errorf("%w: no connection in %v: %w", ErrSessionLost, patience, last)
	if c.Err() == nil {
		c.emit(Event{Kind: Lost, Err: why})
	}
	c.end(why)
}

// plainWindow is how long a client tries that has a token, no Options.Login, and had a server that keeps no sessions.
const plainWindow = time.Minute

// errNonsense is wrapped by the errors of a server that resumes a session in an impossible state.
var errNonsense = fmt.Errorf("%w: impossible resume", ErrProtocol)

func (c *Client) try(ctx context.Context, url string) (*link, error) {
	attempt, cancel := context.WithTimeout(ctx, c.opts.HandshakeTimeout)
	defer cancel()
	l, welcome, err := c.connect(attempt, url)
	if err != nil {
		return nil, err
	}
	if err := c.adopt(l, welcome); err != nil {
		return nil, err
	}
	return l, nil
}

// stoppedBy remembers what ends the attempts to connect when the client ends; false: it has.
func (c *Client) stoppedBy(cancel context.CancelFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = cancel
	return c.err == nil
}

// nextAttempt counts an attempt, and moves on to the next address when the one before has not worked.
func (c *Client) nextAttempt() (attempt int, url string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	attempt = c.attempt
	c.attempt++
	url = c.urls[c.next]
	c.next = (c.next + 1) % len(c.urls)
	return attempt, url
}

// welcomeBack logs in if the session is a new one.
func (c *Client) welcomeBack(ctx context.Context, l *link) {
	c.mu.Lock()
	joining, away := c.ready != nil, c.away
	c.settle(l.url)
	c.mu.Unlock()
	if !joining {
		return
	}
	err := c.login(ctx, l)
	switch {
	case err == nil:
		c.emit(Event{Kind: LoggedIn, URL: l.url, Away: time.Since(away)})
	case passing(err):
		l.fail(fmt.Errorf("log in again: %w", err)) // the reader comes back, after a longer pause
	default:
		c.end(fmt.Errorf("client: log in again: %w", err))
	}
}

// settle makes an address that worked the first to try next time; c.mu is held.
func (c *Client) settle(url string) {
	if i := slices.Index(c.urls, url); i >= 0 {
		c.next = i
	}
}

// login has a new session log in: by Options.Login, or as the one before.
func (c *Client) login(ctx context.Context, l *link) error {
	enter := c.opts.Login
	if enter == nil {
		if !c.joins() {
			return nil
		}
		enter = again
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.HandshakeTimeout)
	defer cancel()
	c.mu.Lock()
	s := &Session{c: c, gen: c.session.gen}
	if c.link != l || c.err != nil {
		c.mu.Unlock()
		return ErrSessionLost
	}
	l.joining = cancel
	c.mu.Unlock()
	if err := enter(ctx, s); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.joining = nil
	if c.link != l || c.session.gen != s.gen || c.err != nil {
		return ErrSessionLost
	}
	close(c.ready)
	c.ready = nil
	c.reopen(l)
	return nil
}

// passing says whether a failed login is worth another one.
func passing(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return slices.Contains([]string{"busy", "unavailable", "timeout", "shutdown"}, refused.Code)
	}
	var kick *KickError
	return errors.Is(err, ErrSessionLost) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &kick)
}

// follow has the addresses tried first that a server sends us to; it tells whether it does. The client's own ones are tried behind them. What is not as safe as the address that says so is left out. c.mu is held, or nobody
// else has c yet.
func (c *Client) follow(from string, err error) bool {
	var kick *KickError
	if !errors.As(err, &kick) || kick.Code != "moved" {
		return false
	}
	told := fitting(from, kick.Addresses)
	c.urls = slices.Concat(told, slices.DeleteFunc(slices.Clone(c.given), func(url string) bool { return url == from || slices.Contains(told, url) }))
	if slices.Contains(c.given, from) {
		c.urls = append(c.urls, from) // last
	}
	c.next = 0
	return len(told) > 0
}

// know notes the addresses of other gates that a handshake has told of. They are tried behind the client's own when none of those answers. c.mu is held.
func (c *Client) know(from string, addresses []string) {
	urls := slices.Clone(c.given)
	for _, url := range append([]string{from}, fitting(from, addresses)...) {
		if !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	c.urls, c.next = urls, slices.Index(urls, from)
}

// fitting are the addresses that a client takes from the server at one: with its scheme first, in random order, and none that is not as safe.
func fitting(from string, addresses []string) []string {
	was, _, _ := strings.Cut(from, "://")
	var same, other []string
	for _, to := range addresses[:min(len(addresses), maxFollowed)] {
		scheme, _, _ := strings.Cut(to, "://")
		switch {
		case to == from, safe(was) && !safe(scheme):
		case scheme == was:
			same = append(same, to)
		case safe(scheme) || scheme == "tcp" || scheme == "kcp" || scheme == "ws":
			other = append(other, to)
		}
	}
	rand.Shuffle(len(same), func(i, j int) { same[i], same[j] = same[j], same[i] })
	return append(same, other...)
}

// maxFollowed is how many addresses of a kick or a handshake are taken.
const maxFollowed = 8

// safe tells whether what is sent by a scheme is encrypted.
func safe(scheme string) bool { return scheme == "tls" || scheme == "wss" || scheme == "kcps" }

// wait lets the time pass; false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// end ends the client; the first reason counts. It does not wait for goroutines.
func (c *Client) end(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = reason
	c.roomsEnd(reason)
	l, lost, ready, stop := c.link, c.calls.take(), c.ready, c.stop
	c.link, c.ready = nil, nil
	if l != nil {
		l.stopTimers()
	}
	c.mu.Unlock()
	if errors.Is(reason, ErrClosed) { // else the pushes that did arrive are still handled
		c.pushes.stop()
	}
	if ready != nil {
		close(ready)
	}
	if stop != nil {
		stop()
	}
	switch {
	case l == nil:
	case errors.Is(reason, ErrClosed):
		l.goodbye()
	default:
		_ = l.wire.Close()
	}
	failAll(lost, reason)
	close(c.done)
}
