package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// connect makes a connection and shakes hands, for the session that we have or for a new one. Nobody else uses the link yet.
func (c *Client) connect(ctx context.Context, url string) (*link, packet.HandshakeResponse, error) {
	if n := c.shares(); n > 1 { // its share: an address that swallows everything must not take all the time
		share, cancel := context.WithTimeout(ctx, c.opts.HandshakeTimeout/time.Duration(n))
		defer cancel()
		ctx = share
	}
	hello, err := c.hello()
	if err != nil {
		return nil, packet.HandshakeResponse{}, err
	}
	w, err := dial(ctx, url, c.opts)
	if err != nil {
		return nil, packet.HandshakeResponse{}, err
	}
	l := &link{c: c, url: url, wire: w, in: newInput(c.split)}
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	welcome, err := l.handshake(hello)
	if !stop() { // the connection is being closed under us
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = w.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		l.in.release()
		return nil, packet.HandshakeResponse{}, err
	}
	return l, welcome, nil
}

// shares are how many addresses have to do with Options.HandshakeTimeout: all of Dial's, and later three, as each attempt has that time anew.
func (c *Client) shares() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.gen == 0 {
		return len(c.urls)
	}
	return min(len(c.urls), 3)
}

// hello is the handshake package.
func (c *Client) hello() ([]byte, error) {
	r := packet.HandshakeRequest{Sys: packet.ClientSys{Type: c.opts.Name, Version: c.opts.Version, Gzip: true}}
	if c.opts.User != nil {
		user, err := json.Marshal(c.opts.User)
		if err != nil {
			return nil, fmt.Errorf("encode Options.User: %w", err)
		}
		r.User = user
	}
	if c.opts.Resume == ResumeAuto {
		c.mu.Lock()
		r.Sys.Resume = &packet.ResumeRequest{Token: c.session.token}
		if c.session.token != "" {
			r.Sys.Resume.Received = c.session.received
		}
		c.mu.Unlock()
	}
	return packet.AppendHandshake(nil, r)
}

// handshake says hello and reads the answer.
func (l *link) handshake(hello []byte) (packet.HandshakeResponse, error) {
	var welcome packet.HandshakeResponse
	if err := l.write(hello); err != nil {
		return welcome, err
	}
	p, err := l.in.next(l.wire, l.hear)
	switch {
	case err != nil:
		return welcome, err
	case p.Type == packet.Kick:
		return welcome, kicked(p.Body)
	case p.Type != packet.Handshake:
		return welcome, fmt.Errorf("%w: a %s package came first, expected the handshake", ErrProtocol, p.Type)
	}
	if welcome, err = packet.DecodeHandshakeResponse(p.Body, l.c.opts.MaxFrame); err != nil {
		return welcome, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if welcome.Code != packet.CodeOK {
		return welcome, fmt.Errorf("%w: code %d %s", ErrRefused, welcome.Code, welcome.Msg)
	}
	l.interval = welcome.Sys.Interval()
	if o := welcome.Sys.Media; o != nil && o.Version == packet.MediaVersion {
		l.offer = o
	}
	return welcome, nil
}

// adopt makes the link the client's connection: it acknowledges the handshake, sends again what the server has not received, and starts to read. The session is
// the old one or a new one, as the server says. An error has closed the link.
func (c *Client) adopt(l *link, welcome packet.HandshakeResponse) error {
	routes, err := packet.NewRoutes(welcome.Sys.Dict)
	if err != nil {
		_ = l.wire.Close()
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	r := welcome.Sys.Resume
	if c.opts.Resume == ResumeOff {
		r = nil // nobody has asked
	}
	c.mu.Lock()
	away := c.away
	resumed, asked := false, c.session.token != ""
	if asked {
		resumed, err = c.resume(r)
	}
	if err != nil || c.err != nil {
		if err == nil {
			err = c.err
		}
		c.mu.Unlock()
		_ = l.wire.Close()
		return err
	}
	var lost []*call
	if !resumed {
		lost = c.renew(routes, welcome.User, r)
	}
	c.session.url = l.url
	if r != nil {
		c.know(l.url, r.Addresses)
	}
	gone := asked && !resumed && (!c.renews() || replaced(r))
	if !gone {
		c.open(l, resumed)
	}
	c.mu.Unlock()
	if asked && !resumed {
		why := refusal(r)
		failAll(lost, why)
		c.emit(Event{Kind: Lost, Err: why, URL: l.url})
		if gone { // nobody can log the new session in
			_ = l.write(packet.AppendKick(handshakeAck(nil), packet.Reason{Code: "bye"}))
			l.wire.Goodbye()
			_ = l.wire.Close()
			return why
		}
	}
	if resumed {
		c.stats.resumes.Add(1)
		c.emit(Event{Kind: Resumed, URL: l.url, Away: time.Since(away)})
	}
	c.running.Go(l.read)
	return nil
}

// resume takes the server's answer for the session that we asked for; c.mu is held.
func (c *Client) resume(r *packet.ResumeAnswer) (bool, error) {
	if r == nil || !r.Resumed {
		return false, nil
	}
	s := &c.session
	if r.Received < s.ring.acked || !s.ring.ack(r.Received) {
		return false, fmt.Errorf("%w: data package %d is received, it had acknowledged %d and %d were sent", errNonsense, r.Received, s.ring.acked, s.ring.sent())
	}
	s.grant(r)
	s.told, s.untold = s.received, 0 // the handshake has said so
	return true, nil
}

func refusal(r *packet.ResumeAnswer) error {
	switch {
	case r == nil:
		return fmt.Errorf("%w: the server does not know resume any more", ErrSessionLost)
	case r.Refused == nil:
		return fmt.Errorf("%w: the server has begun a new one", ErrSessionLost)
	}
	if replaced(r) { // the kick that said so has not reached us
		return fmt.Errorf("%w: %s: %w", ErrSessionLost, r.Refused.Code, &KickError{Code: "replaced", Msg: r.Refused.Msg})
	}
	return fmt.Errorf("%w: %s: %s", ErrSessionLost, r.Refused.Code, r.Refused.Msg)
}

// replaced says whether the player has logged in elsewhere: two clients that took turns at throwing each other out would help nobody.
func replaced(r *packet.ResumeAnswer) bool {
	return r != nil && r.Refused != nil && r.Refused.Code == packet.ResumeReplaced
}

// renew begins a new session and returns the requests of the old one; c.mu is held.
func (c *Client) renew(routes *packet.Routes, user json.RawMessage, r *packet.ResumeAnswer) []*call {
	lost := c.forget()
	c.session.routes, c.session.user = routes, user
	if r != nil {
		c.session.grant(r)
	}
	if c.renews() && c.ready == nil {
		c.ready = make(chan struct{})
	}
	return lost
}

// forget ends the session on our side and returns its requests; c.mu is held.
func (c *Client) forget() []*call {
	c.session.ring.reset()
	c.session = session{gen: c.session.gen + 1, url: c.session.url, ring: c.session.ring}
	return c.calls.take()
}

// open sends what is due on a new connection, and starts its heartbeats; c.mu is held.
func (c *Client) open(l *link, resumed bool) {
	c.link = l
	out := handshakeAck(l.out)
	if resumed {
		out = append(out, c.session.ring.bytes()...)
	}
	l.queue(out)
	if resumed {
		c.reopen(l)
	}
	if l.interval > 0 {
		l.beat = time.AfterFunc(l.interval, l.heartbeat)
	}
}

func handshakeAck(dst []byte) []byte {
	out, err := packet.AppendPacket(dst, packet.HandshakeAck, nil)
	if err != nil { // an empty body fits
		panic(err)
	}
	return out
}
