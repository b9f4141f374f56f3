package login

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// password checks a name and its password, or makes the account.
func (s *Service) password(c *actor.Context, m Request, done func(Account, error)) {
	name, named := m.Body.Get("name").Str()
	password, ok := m.Body.Get("password").Str()
	if !named || !ok {
		done(Account{}, &Error{BadRequest, `a login needs "name" and "password", strings`})
		return
	}
	cred, err := check(name, password, m.Addr)
	if err != nil {
		done(Account{}, err)
		return
	}
	s.oneByOne(c, cred.id, done, func(done func(Account, error)) { s.attempt(c, cred, done) })
}

// oneByOne runs what reads and makes an account: one of a name at a time, and a bounded number of all.
func (s *Service) oneByOne(c *actor.Context, id string, done func(Account, error), run func(done func(Account, error))) {
	if s.inside >= s.cfg.Hashing+s.cfg.Queue {
		done(Account{}, errBusy)
		return
	}
	s.inside++
	s.inTurn(id, c.Resume(func() {
		run(func(acc Account, err error) {
			s.inside--
			done(acc, err)
			s.turnEnds(id)
		})
	}))
}

// link makes an account for somebody who has a uid already.
func (s *Service) link(c *actor.Context, m Link) {
	answer := answering(c)
	reply := func(acc Account, err error) {
		if err != nil {
			answer(nil, err)
			return
		}
		answer(acc, nil)
	}
	cred, err := check(m.Name, m.Password, netip.Addr{})
	if err == nil {
		err = checkUID(m.UID)
	}
	db, ok := c.System().Lookup(store.ServiceName)
	if err == nil && !ok {
		err = errNoAccounts
	}
	if err != nil {
		reply(Account{}, err)
		return
	}
	s.oneByOne(c, cred.id, reply, func(done func(Account, error)) {
		s.register(c, db, cred, m.UID, done, func(store.Doc) { done(Account{}, errTaken) })
	})
}

// inTurn runs the logins of one name one after the other: two of them must not both make its account, nor guess faster than one.
func (s *Service) inTurn(id string, run func()) {
	behind, busy := s.turns[id]
	if busy {
		s.turns[id] = append(behind, run)
		return
	}
	s.turns[id] = nil
	run()
}

func (s *Service) turnEnds(id string) {
	behind := s.turns[id]
	if len(behind) == 0 {
		delete(s.turns, id)
		return
	}
	s.turns[id] = behind[1:]
	behind[0]()
}

// attempt checks a login whose turn it is.
func (s *Service) attempt(c *actor.Context, cred credentials, done func(Account, error)) {
	if !c.IsRequest() {
		done(Account{}, errBusy) // nobody waits for it any more
		return
	}
	if wait := s.guesses.mustWait(cred.origin); wait > 0 {
		done(Account{}, tooMany(wait))
		return
	}
	s.find(c, cred, done)
}

func tooMany(wait time.Duration) *Error {
	return &Error{TooMany, fmt.Sprintf("too many wrong passwords; try again in %v", max(wait.Round(time.Second), time.Second))}
}
