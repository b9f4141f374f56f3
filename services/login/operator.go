package login

import (
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// Ban shuts a player out and ends its session. It holds at once, and is answered when it is durable: an error that says that the database can't be reached
// leaves it in force on this node, which goes on trying to write it. A second one replaces the first.
type Ban struct {
	UID string
	// Reason is for the player, up to 512 bytes.
	Reason string
	// Until is when it ends; zero: never.
	Until time.Time
}

// Unban lets a player in again: answered, as Ban is, by whether there was a ban.
type Unban struct{ UID string }

// Revoke takes tokens back, durably as Ban: Token, or all that UID has. Sessions go on. A Token that is not valid is an error, one that has expired is none.
type Revoke struct{ UID, Token string }

// Issue makes a token for a player, which is not asked for anything: answered by an Account. For is its lifetime; 0, or more than Config.Lifetime, is that one.
type Issue struct {
	UID, Name string
	For       time.Duration
}

// Link gives a player who is known by another way a name and a password: answered by an Account, or by an *Error: Denied if the name is taken.
type Link struct{ UID, Name, Password string }

var errNoKeys = errors.New("login: there are no tokens: the service has no key")

func (s *Service) ban(c *actor.Context, m Ban) {
	if err := checkUID(m.UID); err != nil {
		c.Reply(nil, err)
		return
	}
	if len(m.Reason) > maxReason {
		c.Reply(nil, fmt.Errorf("login: the reason of a ban has %d bytes, at most %d are allowed", len(m.Reason), maxReason))
		return
	}
	now := s.cfg.Now()
	b := &ban{reason: m.Reason, since: now, until: m.Until}
	if b.over(now) {
		c.Reply(nil, fmt.Errorf("login: a ban that ends at %v has ended already", m.Until))
		return
	}
	s.changed(c, m.UID, func(st *standing) {
		st.ban = b
		s.out(c, b.out(m.UID))
	})
}

func (s *Service) unban(c *actor.Context, m Unban) {
	if err := checkUID(m.UID); err != nil {
		c.Reply(nil, err)
		return
	}
	s.whenRead(c, func() {
		if s.book.ban(m.UID, s.cfg.Now()) == nil {
			answering(c)(false, nil)
			return
		}
		s.changed(c, m.UID, func(st *standing) { st.ban = nil })
	})
}

// answering is the way to answer the message that is handled, in the form that its sender understands, also later.
func answering(c *actor.Context) func(v any, err error) {
	reply := c.Promise()
	_, script := c.Message().(lua.Message)
	return func(v any, err error) {
		if script {
			v, err = scriptAnswer(v, err)
		}
		reply.Reply(v, err)
	}
}

// changed edits a player's standing and answers true when that is durable.
func (s *Service) changed(c *actor.Context, uid string, edit func(*standing)) {
	answer := answering(c)
	s.whenRead(c, func() {
		s.book.change(c, uid, edit, func(err error) { answer(err == nil, err) })
	})
}

// whenRead runs f when the book is open: who writes in it before would not see what it has.
func (s *Service) whenRead(c *actor.Context, f func()) {
	switch {
	case s.book.known():
		f()
	case s.book.failed || len(s.book.early) >= maxEarly:
		c.Reply(nil, errNotReady)
	default:
		s.book.early = append(s.book.early, c.Resume(func() { s.whenRead(c, f) }))
	}
}

func (s *Service) revoke(c *actor.Context, m Revoke) {
	now := s.cfg.Now()
	if m.Token == "" {
		if err := checkUID(m.UID); err != nil {
			c.Reply(nil, err)
			return
		}
		s.changed(c, m.UID, func(st *standing) { st.revokeAll(now, s.cfg.Lifetime) })
		return
	}
	t, err := s.tokens.open(m.Token, now)
	switch {
	case errors.Is(err, errExpired):
		answering(c)(false, nil)
	case err != nil:
		answering(c)(nil, err)
	case m.UID != "" && m.UID != t.UID:
		c.Reply(nil, fmt.Errorf("login: the token is one of %q, not of %q", t.UID, m.UID))
	default:
		s.changed(c, t.UID, func(st *standing) { st.revoke(t, now, s.cfg.Lifetime) })
	}
}

func (s *Service) issue(m Issue) (any, error) {
	if err := checkUID(m.UID); err != nil {
		return nil, err
	}
	if len(m.Name) > maxName {
		return nil, fmt.Errorf("login: a name has %d bytes, at most %d are allowed", len(m.Name), maxName)
	}
	if !s.tokens.on() {
		return nil, errNoKeys
	}
	if m.For <= 0 || m.For > s.cfg.Lifetime {
		m.For = s.cfg.Lifetime
	}
	acc := Account{UID: m.UID, Name: m.Name}
	issued := s.book.fresh(m.UID, s.cfg.Now())
	acc.Token, acc.Expires = s.tokens.sign(m.UID, m.Name, issued, issued.Add(m.For))
	return acc, nil
}
