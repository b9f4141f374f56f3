package acceptance_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/gate"
)

// oracle is the server's side of the torture: it handles requests, notes what it has handled, and pushes. What must be true of a session for itself is checked
// as it happens, and what both sides have to agree on when all is over.
type oracle struct {
	mu       sync.Mutex
	sessions map[[2]int]*record // by client and the client's number of the session
	list     []*record
	losses   []lostSession
	wrong    []string
	calm     atomic.Bool // agents push no more by themselves
}

// record is what has happened in one session.
type record struct {
	mu      sync.Mutex
	client  int
	epoch   int
	session *gate.Session // nil while it moves
	first   *gate.Session // where it was first
	handled int           // the number of the last request
	pushed  counted
	away    int
	back    int
	ended   string // why; empty: not yet
}

// lostSession is a client's account of a session that the server would not give back.
type lostSession struct {
	client, epoch int
	code          string
	sent          int
	pushed        counted
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
	if rec.session != r.Session && rec.first != nil {
		o.fail("client %d, session %d: two sessions of the server have its requests", q.Client, q.Epoch)
	}
	rec.asked(o, q)
	rec.session = r.Session
	if rec.first == nil {
		rec.first = r.Session
	}
	rec.push(o, q.Pushes)
	body, err := json.Marshal(reply{q.Number, rec.pushed.here})
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

// asked notes a request, which has to be the next one. The lock is held.
func (r *record) asked(o *oracle, q question) {
	switch {
	case r.client != q.Client || r.epoch != q.Epoch:
		o.fail("a request of client %d, session %d, in client %d's session %d", q.Client, q.Epoch, r.client, r.epoch)
	case r.ended != "":
		o.fail("client %d, session %d: request %d was handled behind the end (%s)", q.Client, q.Epoch, q.Number, r.ended)
	case q.Number != r.handled+1:
		o.fail("client %d, session %d: request %d was handled behind request %d", q.Client, q.Epoch, q.Number, r.handled)
	}
	r.handled = q.Number
}

// push sends so many pushes with the next numbers. The lock is held, so that their numbers are in the order of the calls.
func (r *record) push(o *oracle, n int) {
	for range n {
		r.pushed.here++
		r.send(o, r.session, news{Epoch: r.epoch, Number: r.pushed.here})
	}
}

// passOn pushes where the session was first, which is to pass it on.
func (r *record) passOn(o *oracle, n int) {
	for range n {
		r.pushed.passed++
		r.send(o, r.first, news{Epoch: r.epoch, Number: r.pushed.passed, Passed: true})
	}
}

func (r *record) send(o *oracle, by *gate.Session, n news) {
	body, err := json.Marshal(n)
	if err == nil {
		err = by.Push("news", body, gate.Delivery{})
	}
	if err != nil {
		o.fail("client %d, session %d: push %+v: %v", r.client, r.epoch, n, err)
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
	switch {
	case r.first == nil || r.ended != "":
	case at%2 == 0: // also while it moves
		r.passOn(o, n)
	case r.session != nil:
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
	case gate.Moved:
		if rec.session != s {
			o.fail("client %d, session %d: moved from where it was not", rec.client, rec.epoch)
		}
		rec.session = nil
	case gate.Arrived:
		if rec.session != nil {
			o.fail("client %d, session %d: arrived before it has moved", rec.client, rec.epoch)
		}
		rec.session = s
	case gate.Disconnected:
		rec.ended = e.Reason
	}
}

// config is of a gate whose game this is.
func (o *oracle) config() gate.Config {
	return gate.Config{
		Login: gate.LoginNone, Handle: o.handle, OnSession: o.change, PackData: o.pack, UnpackData: o.unpack,
		Heartbeat: time.Second, RingPackages: tortureRing, ResumeWindow: 40 * time.Second,
	}
}

// pack and unpack are for sessions that move.
func (*oracle) pack(data any) ([]byte, error) {
	rec, known := data.(*record)
	if !known {
		return nil, fmt.Errorf("session data is a %T, expected a record", data)
	}
	return json.Marshal([2]int{rec.client, rec.epoch})
}

func (o *oracle) unpack(data []byte) (any, error) {
	var key [2]int
	err := json.Unmarshal(data, &key)
	return o.record(key[0], key[1]), err
}

func (o *oracle) lost(l lostSession) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.losses = append(o.losses, l)
}

// counts is how many requests of a session were handled, and how many pushes it was sent.
func (o *oracle) counts(client, epoch int) (handled int, pushed counted) {
	o.mu.Lock()
	r := o.sessions[[2]int{client, epoch}]
	o.mu.Unlock()
	if r == nil {
		return 0, counted{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handled, r.pushed
}

// judge compares what both sides know of the sessions that were lost, and counts them by code. A session may be refused because it has overflowed, because its
// client has left, or because the server has never got the acknowledgement of its first handshake and so has nothing of it.
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
		case l.pushed.here > r.pushed.here, l.pushed.passed > r.pushed.passed:
			o.failLocked("%s: pushes %+v received, %+v were sent", who, l.pushed, r.pushed)
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
		sessions, handled, pushed, away, back = sessions+1, handled+r.handled, pushed+r.pushed.here+r.pushed.passed, away+r.away, back+r.back
		r.mu.Unlock()
	}
	return sessions, handled, pushed, away, back
}
