package rtsp

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// movedError is that a server sends on to another.
type movedError struct{ to string }

func (e *movedError) Error() string { return "rtsp: the server sends on to another" }

// follow is where the server sends on to from at. User and password go with it to the same server only, or into TLS there, and nothing leaves TLS.
func (e *movedError) follow(at base.URL) (base.URL, error) {
	to, err := base.ParseURL(e.to)
	if err != nil || to.Host == "" {
		return at, fmt.Errorf("%w: sent on to what is no rtsp:// or rtsps:// URL", ErrServer)
	}
	if at.Scheme == schemeTLS && to.Scheme != schemeTLS {
		return at, fmt.Errorf("%w: sent on from rtsps to %s, which is not encrypted", ErrServer, to.Scheme)
	}
	to.User, to.Fragment = nil, ""
	if strings.EqualFold(to.Hostname(), at.Hostname()) && (to.Scheme == schemeTLS || portOfURL(to) == portOfURL(&at)) {
		to.User = at.User
	}
	return *to, nil
}

// write sends a request and gives its number.
func (c *client) write(method base.Method, at *base.URL, h base.Header, body []byte) (seq string, err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.seq++
	seq = strconv.Itoa(c.seq)
	req := &base.Request{Method: method, URL: at, Header: base.Header{"CSeq": {seq}, "User-Agent": {"skua"}}, Body: body}
	maps.Copy(req.Header, h)
	if c.session != "" {
		req.Header["Session"] = base.HeaderValue{c.session}
	}
	if c.sender != nil {
		c.sender.AddAuthorization(req)
	}
	if c.flows && method != base.Teardown {
		if err := c.writeSoon(); err != nil {
			return "", err
		}
	}
	return seq, c.wire.WriteRequest(req)
}

// writeSoon sets the deadline of what is written while packets come. Called with lock.
func (c *client) writeSoon() error {
	if told := c.reason.Load(); told != nil {
		return errors.New("rtsp: the connection ends")
	}
	return c.conn.SetWriteDeadline(time.Now().Add(c.d.WriteTimeout))
}

// ask sends a request, with the password if that is wanted, and gives the answer if it is that it has been done.
func (c *client) ask(method base.Method, at *base.URL, h base.Header, body []byte) (*base.Response, error) {
	for tried := false; ; tried = true {
		seq, err := c.write(method, at, h, body)
		if err != nil {
			return nil, c.because(err)
		}
		res, err := c.answer(seq)
		if err != nil {
			return nil, err
		}
		if res.StatusCode == base.StatusUnauthorized && c.at.User != nil && !tried {
			if err := c.authorize(res); err != nil {
				return nil, err
			}
			continue
		}
		return res, c.judge(method, res)
	}
}

// judge tells whether a server has done what was asked for.
func (c *client) judge(method base.Method, res *base.Response) error {
	said := fmt.Sprintf("%s: %d %s", method, res.StatusCode, phrase(res.StatusMessage))
	switch to := res.Header["Location"]; {
	case res.StatusCode == base.StatusOK:
		return c.heed(res)
	case res.StatusCode >= 300 && res.StatusCode < 400 && len(to) > 0:
		return &movedError{to[0]}
	case res.StatusCode == base.StatusUnauthorized && c.at.User == nil:
		return &statusError{res.StatusCode, fmt.Errorf("%w: %s: it wants a user: rtsp://USER:PASSWORD@HOST", ErrServer, said)}
	default:
		return &statusError{res.StatusCode, fmt.Errorf("%w: %s", ErrServer, said)}
	}
}

// heed takes in what an answer says of the session.
func (c *client) heed(res *base.Response) error {
	told := res.Header["Session"]
	if len(told) == 0 {
		return nil
	}
	var s headers.Session
	if err := s.Unmarshal(told[:1]); err != nil {
		return fmt.Errorf("%w: Session: %w", ErrProtocol, err)
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.session = s.Session
	if s.Timeout != nil {
		c.every = min(max(time.Duration(*s.Timeout)*time.Second/2, time.Second), keepAlive)
	}
	return nil
}

// authorize takes how the server wants the password: as a digest, or in plain if it knows no other way.
func (c *client) authorize(res *base.Response) error {
	password, _ := c.at.User.Password()
	s := &auth.Sender{WWWAuth: res.Header["WWW-Authenticate"], User: c.at.User.Username(), Pass: password}
	if err := s.Initialize(); err != nil {
		return fmt.Errorf("%w: %d: WWW-Authenticate: %w, expected Basic, or Digest with MD5 or SHA-256", ErrServer, res.StatusCode, err)
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.sender = s
	return nil
}

// answer reads until a request is answered. Packets that come before, as they may behind PLAY, are kept.
func (c *client) answer(seq string) (*base.Response, error) {
	for {
		what, err := c.read()
		if err != nil {
			return nil, err
		}
		switch m := what.(type) {
		case *base.Response:
			if told := m.Header["CSeq"]; len(told) == 0 || strings.TrimSpace(told[0]) == seq {
				return m, nil
			}
		case *base.Request:
			err = c.serve(m)
		case *base.InterleavedFrame:
			c.keep(m)
		}
		if err != nil {
			return nil, err
		}
	}
}

// read gives an answer, a request or a packet. What stands between them and is none of it is left out, as some cameras need it.
func (c *client) read() (any, error) {
	first, err := c.r.Peek(1)
	if err != nil {
		return nil, c.because(err)
	}
	if first[0] != magic {
		c.in.left = maxAnswer
	}
	what, err := c.wire.Read()
	c.in.left = -1
	if err != nil {
		return nil, c.because(err)
	}
	return what, nil
}

// serve answers what a server asks.
func (c *client) serve(req *base.Request) error {
	res := &base.Response{StatusCode: base.StatusOK, Header: base.Header{"CSeq": req.Header["CSeq"]}}
	var over error
	switch req.Method {
	case base.Options, base.GetParameter, base.SetParameter:
	case base.Teardown:
		over = fmt.Errorf("%w: it says TEARDOWN", ErrServer)
	default:
		res.StatusCode = base.StatusNotImplemented
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.flows {
		if err := c.writeSoon(); err != nil {
			return err
		}
	}
	return errors.Join(over, c.wire.WriteResponse(res))
}

// watch says now and then that we are there, and ends the client when no packet comes of what it fetches, or no answer any more from a server that has answered before: what is written to a host that is gone
// fills the system's buffers for minutes.
func (c *client) watch(stop <-chan struct{}) {
	every := c.every
	silence, say := time.NewTicker(c.d.IdleTimeout/4), time.NewTicker(every)
	defer silence.Stop()
	defer say.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-silence.C:
			heard, limit := c.alive.Load(), c.d.IdleTimeout
			if c.sends {
				limit += every
			}
			if (!c.sends || heard != 0) && now.Sub(time.Unix(0, heard)) >= limit {
				c.end(fmt.Errorf("%w: nothing came for %s%s", ErrTimeout, limit, c.way()))
			}
		case <-say.C:
			c.lock.Lock()
			c.resaid = false
			c.lock.Unlock()
			if _, err := c.write(c.method, c.base, nil, nil); err != nil {
				c.end(c.because(err))
			}
		}
	}
}

// way is what to think of when nothing comes.
func (c *client) way() string {
	if c.overUDP {
		return " over UDP, which something on the way may not let through"
	}
	return ""
}

// told takes an answer to that we are there. A server may want the password anew; one that has forgotten us sends nothing any more.
func (c *client) told(res *base.Response) error {
	switch res.StatusCode {
	case base.StatusSessionNotFound:
		return fmt.Errorf("%w: %s: %d %s", ErrServer, c.method, res.StatusCode, phrase(res.StatusMessage))
	case base.StatusUnauthorized:
		c.lock.Lock()
		again := !c.resaid && c.at.User != nil
		c.resaid = true
		c.lock.Unlock()
		if !again {
			return nil
		}
		if err := c.authorize(res); err != nil {
			return err
		}
		_, err := c.write(c.method, c.base, nil, nil)
		return err
	default:
		return nil // some don't know the method
	}
}
