package acceptance_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/gate"
)

// oracle is the server's side of the torture: it handles requests, notes what it has handled, and pushes. What must be true of a session for itself is checked as it
// happens, and what both sides have to agree on when all is over.
type oracle struct {
	mu       sync.Mutex
	sessions map[[2]int]*record // by client and the client's number of the session
	list     []*record
	losses   []lostSession
	wrong    []string
}

// record is what has happened in one session.
type record struct {
	mu      sync.Mutex
	client  int
	epoch   int
	session *gate.Session
	handled int // the number of the last request
	pushed  int
	away    int
	back    int
	ended   string // why; empty: not yet
}

// lostSession is a client's account of a session that the server would not give back.
type lostSession struct {
	client, epoch int
	code          string
	sent, pushed  int
	received      uint64
	answered      int // the number of the last request that was
	bye           bool
}

func (o *oracle) failLocked(format string, args ...any) {
	if len(o.wrong) < 20 {
		o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
	}
}

func (o *oracle) fail(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failLocked(format, args...)
}

func (o *oracle) record(client, epoch int) *record {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := [2]int{client, epoch}
	r := o.sessions[key]
	if r == nil {
		r = &record{client: client, epoch: epoch}
		o.sessions[key] = r
		o.list = append(o.list, r)
	}
	return r
}

// handle is the game: it runs in the session's actor.
func (o *oracle) handle(_ *actor.Context, r *gate.Request) {
	var q question
	if err := json.Unmarshal(r.Body, &q); err != nil {
		o.fail("a request %q: %v", r.Body, err)
		r.Fail("bad", err.Error())
		return
	}
	rec, known := r.Session.Data.(*record)
	if !known {
		rec = o.record(q.Client, q.Epoch)
		r.Session.Data = rec
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch {
	case rec.client != q.Client || rec.epoch != q.Epoch:
		o.fail("a request of client %d, session %d, in client %d's session %d", q.Client, q.Epoch, rec.client, rec.epoch)
	case rec.session != nil && rec.session != r.Session:
		o.fail("client %d, session %d: two sessions of the server have its requests", q.Client, q.Epoch)
	case rec.ended != "":
		o.fail("client %d, session %d: request %d was handled behind the end (%s)", q.Client, q.Epoch, q.Number, rec.ended)
	case q.Number != rec.handled+1:
		o.fail("client %d, session %d: request %d was handled behind request %d", q.Client, q.Epoch, q.Number, rec.handled)
	}
	rec.session, rec.handled = r.Session, q.Number
	rec.push(o, q.Pushes)
	body, err := json.Marshal(reply{q.Number, rec.pushed})
	if err != nil {
		o.fail("%v", err)
	}
	if q.Later == 0 || r.Notify {
		r.Reply(body)
		return
	}
	answer := r.Later()
	time.AfterFunc(time.Duration(q.Later)*time.Millisecond, func() { answer(body, nil) })
}

// push sends so many pushes with the next numbers. The lock is held, so that their numbers are in the order of the calls.
func (r *record) push(o *oracle, n int) {
	for range n {
		r.pushed++
		body, err := json.Marshal(news{r.epoch, r.pushed})
		if err == nil {
			err = r.session.Push("news", body, gate.Delivery{})
		}
		if err != nil {
			o.fail("client %d, session %d: push %d: %v", r.client, r.epoch, r.pushed, err)
		}
	}
}

// spontaneous pushes something to the session at this place of the list, wherever its client is just now.
func (o *oracle) spontaneous(at, n int) {
	o.mu.Lock()
	if len(o.list) == 0 {
		o.mu.Unlock()
		return
	}
	r := o.list[at%len(o.list)]
	o.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil && r.ended == "" {
		r.push(o, n)
	}
}

// change hears what becomes of sessions.
func (o *oracle) change(_ *actor.Context, s *gate.Session, e gate.Event) {
	rec, known := s.Data.(*record)
	if !known {
		return // it has asked nothing
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch e.Change {
	case gate.Connected:
		o.fail("client %d, session %d: connected behind its first request", rec.client, rec.epoch)
	case gate.Away:
		rec.away++
	case gate.Back:
		rec.back++
	case gate.Disconnected:
		rec.ended = e.Reason
	}
}

func (o *oracle) lost(l lostSession) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.losses = append(o.losses, l)
}

// counts is how many requests of a session were handled, and how many pushes it was sent.
func (o *oracle) counts(client, epoch int) (handled, pushed int) {
	o.mu.Lock()
	r := o.sessions[[2]int{client, epoch}]
	o.mu.Unlock()
	if r == nil {
		return 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handled, r.pushed
}

// judge compares what both sides know of the sessions that were lost, and counts them by code. A session may be refused because it has overflowed, because its client has left, or because the
// server has never got the acknowledgement of its first handshake and so has nothing of it.
func (o *oracle) judge() (codes map[string]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	codes = map[string]int{}
	for _, l := range o.losses {
		codes[l.code]++
		who := fmt.Sprintf("client %d, session %d, refused with %s", l.client, l.epoch, l.code)
		r := o.sessions[[2]int{l.client, l.epoch}]
		if r == nil {
			if l.received > 0 || (l.code != "resume_unknown") {
				o.failLocked("%s: the server has handled nothing of it, the client has received %d packages", who, l.received)
			}
			continue
		}
		r.mu.Lock()
		switch {
		case r.handled > l.sent:
			o.failLocked("%s: %d requests handled, %d were asked", who, r.handled, l.sent)
		case l.answered > r.handled:
			o.failLocked("%s: %d requests handled, and request %d answered", who, r.handled, l.answered)
		case l.pushed > r.pushed:
			o.failLocked("%s: push %d received, %d were sent", who, l.pushed, r.pushed)
		case r.ended == "":
			o.failLocked("%s: to the server it has not ended", who)
		case l.code == "resume_overflow" && r.ended == "too_slow":
		case l.code == "resume_unknown" && r.ended == "left" && l.bye:
		default:
			o.failLocked("%s: it has ended with %q (goodbye said: %v)", who, r.ended, l.bye)
		}
		r.mu.Unlock()
	}
	return codes
}

// totals sums all sessions.
func (o *oracle) totals() (sessions, handled, pushed, away, back int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.list {
		r.mu.Lock()
		sessions, handled, pushed, away, back = sessions+1, handled+r.handled, pushed+r.pushed, away+r.away, back+r.back
		r.mu.Unlock()
	}
	return sessions, handled, pushed, away, back
}
