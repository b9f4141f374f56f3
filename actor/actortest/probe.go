package actortest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// Probe is an actor that is played by the test: it keeps what it gets for expectations, answers when it is told to, and sends and asks in its own name. With
// the name of a service it stands in for that.
//
// Its methods, and Expect and SkipTo, fail the test at once when they are disappointed.
type Probe struct {
	p      *probe
	within time.Duration
}

// probe is the part that is shared by all views of a Probe.
type probe struct {
	k    *Kit
	name string
	ref  actor.Ref
	last *Message // that was expected

	mu     sync.Mutex
	queue  []Message
	answer func(msg any) (any, error)
}

// Message is what a Probe has got.
type Message struct {
	Value   any
	From    actor.Ref // nobody for messages from outside of all actors
	At      time.Time // in fake time
	Request bool      // somebody waits, or waited, for an answer

	sender  string
	promise actor.Promise
}

// Reply answers a request, now or later, and tells false when that had an answer before, nobody waits any more, or it is no request.
func (m Message) Reply(v any, err error) bool { return m.promise.Reply(v, err) }

func (m Message) String() string {
	what := describe(m.Value)
	if m.Request {
		what = "the request " + what
	}
	return what + " from " + m.sender
}

// ErrLater is returned by the function of Probe.Answer for requests that it leaves to Reply.
var ErrLater = errors.New("actortest: answered later")

// Probe starts a probe. An empty name is none.
func (k *Kit) Probe(name string) *Probe {
	k.t.Helper()
	p := &probe{k: k, name: name}
	p.ref = k.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return p }})
	if name == "" {
		p.name = p.ref.String()
	}
	if k.cfg.Dispatch == Manual {
		k.atOnce(p.ref)
	}
	return &Probe{p: p, within: k.cfg.Within}
}

// do is how the test gets into the probe's actor.
type do struct {
	f    func(c *actor.Context)
	done chan struct{}
}

func (do) Expendable() {}

func (do) MessageType() string { return "what the test says" }

func (do) String() string { return "" }

// Receive is called by the runtime.
func (p *probe) Receive(c *actor.Context, msg any) {
	if d, ok := msg.(do); ok {
		defer p.k.wake()
		defer close(d.done)
		d.f(c)
		return
	}
	m := Message{Value: msg, From: c.From(), At: time.Now(), Request: c.IsRequest(), promise: c.Promise()}
	m.sender = p.k.nameOf(m.From)
	p.mu.Lock()
	p.queue = append(p.queue, m)
	answer := p.answer
	p.mu.Unlock()
	p.k.wake()
	if answer == nil || !m.Request {
		return
	}
	if v, err := answer(msg); !errors.Is(err, ErrLater) {
		c.Reply(v, err)
	}
}

// as runs f in the probe's actor and waits for that.
func (p *probe) as(f func(c *actor.Context)) {
	p.k.t.Helper()
	d := do{f: f, done: make(chan struct{})}
	p.k.Send(p.ref, d)
	over := func() bool {
		select {
		case <-d.done:
			return true
		default:
			return false
		}
	}
	if !p.k.wait(over, p.k.patience(p.k.cfg.Within), func(r actor.Ref) bool { return r == p.ref }) {
		p.k.t.Fatalf("actortest: probe %s does not run: it has ended, or its Answer has panicked", p.name)
	}
}

// Ref is the probe's address.
func (p *Probe) Ref() actor.Ref { return p.p.ref }

// Within is the same probe with expectations that wait for so much fake time and not for Config.Within. 0 expects what is there when nothing has anything to
// do any more. With Manual no time passes, whatever is said here.
func (p *Probe) Within(d time.Duration) *Probe { return &Probe{p: p.p, within: max(d, 0)} }

// Send sends a message as the probe.
func (p *Probe) Send(to actor.Ref, msg any) {
	p.p.k.t.Helper()
	p.p.as(func(c *actor.Context) { c.Send(to, msg) })
}

// Watch has the probe get an actor.Terminated when the other has ended, see ExpectEnd.
func (p *Probe) Watch(to actor.Ref) {
	p.p.k.t.Helper()
	p.p.as(func(c *actor.Context) { c.Watch(to) })
}

// Answer has requests answered by f from now on; nil ends that. It is called in the probe's actor, where it must not use the Kit; what it shares with the test
// needs a lock with Workers. For an error that is ErrLater it leaves the request unanswered. Requests that it answers can be expected all the same.
func (p *Probe) Answer(f func(msg any) (any, error)) {
	p.p.mu.Lock()
	p.p.answer = f
	p.p.mu.Unlock()
}

// Pending is a request that a Probe has made.
type Pending struct {
	p    *Probe
	to   actor.Ref
	msg  any
	mu   sync.Mutex
	done bool
	v    any
	err  error
}

// Ask sends a request as the probe. It does not wait for the answer.
func (p *Probe) Ask(to actor.Ref, msg any) *Pending {
	p.p.k.t.Helper()
	a := &Pending{p: p, to: to, msg: msg}
	p.p.as(func(c *actor.Context) {
		c.Ask(to, msg, func(v any, err error) {
			a.mu.Lock()
			a.done, a.v, a.err = true, v, err
			a.mu.Unlock()
			p.p.k.wake()
		})
	})
	return a
}

// Done tells whether the answer is there.
func (a *Pending) Done() bool {
	a.p.p.k.t.Helper()
	a.p.p.k.checkOwner()
	a.p.p.k.rest()
	return a.answered()
}

func (a *Pending) answered() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done
}

// Answer waits for the answer, as an expectation does.
func (a *Pending) Answer() (any, error) {
	k := a.p.p.k
	k.t.Helper()
	if !k.wait(a.answered, k.patience(a.p.within), k.freely()) {
		k.t.Fatalf("probe %s: no answer to %s from %s%s", a.p.p.name, describe(a.msg), k.nameOf(a.to), a.p.p.situation(a.p.within))
	}
	return a.v, a.err
}

// Expect takes the probe's next message, which must be a T. It waits for one if there is none.
func Expect[T any](p *Probe) T {
	p.p.k.t.Helper()
	m := p.next(typeText[T]())
	v, ok := as[T](m.Value)
	if !ok {
		p.p.k.t.Fatalf("probe %s: expected %s, got %s%s", p.p.name, typeText[T](), m, p.p.behind())
	}
	return v
}

// SkipTo is Expect for the next message that is a T: others before it are passed over.
func SkipTo[T any](p *Probe) T {
	p.p.k.t.Helper()
	var skipped []Message
	for {
		what := typeText[T]()
		if len(skipped) > 0 {
			what += " behind " + list(skipped)
		}
		m := p.next(what)
		if v, ok := as[T](m.Value); ok {
			return v
		}
		skipped = append(skipped, m)
	}
}

// ExpectEqual takes the probe's next message, which must be deeply equal to want.
func (p *Probe) ExpectEqual(want any) {
	p.p.k.t.Helper()
	m := p.next(describe(want))
	if !reflect.DeepEqual(m.Value, want) {
		p.p.k.t.Fatalf("probe %s: expected %s, got %s%s", p.p.name, describe(want), m, p.p.behind())
	}
}

// ExpectNone fails if there is a message when nothing has anything to do any more; with Manual, if there is one. No time passes; to see that nothing comes
// for a while, let it pass with Kit.Advance before.
func (p *Probe) ExpectNone() {
	p.p.k.t.Helper()
	p.p.k.quiet()
	p.p.mu.Lock()
	defer p.p.mu.Unlock()
	if len(p.p.queue) > 0 {
		p.p.k.t.Fatalf("probe %s: expected nothing, got %s", p.p.name, list(p.p.queue))
	}
}

// ExpectEnd waits for the end of an actor that the probe watches and returns its reason. Other messages stay where they are.
func (p *Probe) ExpectEnd(of actor.Ref) error {
	p.p.k.t.Helper()
	var end actor.Terminated
	ended := func(m Message) bool {
		t, ok := m.Value.(actor.Terminated)
		if ok = ok && t.Ref == of; ok {
			end = t
		}
		return ok
	}
	p.take("the end of "+p.p.k.nameOf(of), ended)
	return end.Reason
}

// Last is the message that was taken last. It fails the test if there was none.
func (p *Probe) Last() Message {
	p.p.k.t.Helper()
	if p.p.last == nil {
		p.p.k.t.Fatalf("probe %s: no message was expected before", p.p.name)
		return Message{}
	}
	return *p.p.last
}

// Reply answers the request that was taken last. It fails the test if that was no request, or nobody waits for the answer.
func (p *Probe) Reply(v any, err error) {
	p.p.k.t.Helper()
	m := p.Last()
	switch {
	case !m.Request:
		p.p.k.t.Fatalf("probe %s: reply: %s is no request", p.p.name, m)
	case !m.Reply(v, err):
		p.p.k.t.Fatalf("probe %s: reply: %s has an answer, or nobody waits for it any more", p.p.name, m)
	}
}

// Drain takes all messages that are there, the oldest first.
func (p *Probe) Drain() []Message {
	p.p.k.t.Helper()
	p.p.k.quiet()
	p.p.mu.Lock()
	defer p.p.mu.Unlock()
	all := p.p.queue
	p.p.queue = nil
	return all
}

// next takes the next message.
func (p *Probe) next(what string) Message {
	p.p.k.t.Helper()
	return p.take(what, func(Message) bool { return true })
}

// take takes the first message that fits, and waits for one if there is none.
func (p *Probe) take(what string, fits func(Message) bool) Message {
	k := p.p.k
	k.t.Helper()
	var m Message
	found := func() bool {
		p.p.mu.Lock()
		defer p.p.mu.Unlock()
		i := slices.IndexFunc(p.p.queue, fits)
		if i >= 0 {
			m = p.p.queue[i]
			p.p.queue = slices.Delete(p.p.queue, i, i+1)
		}
		return i >= 0
	}
	if !k.wait(found, k.patience(p.within), k.freely()) {
		k.t.Fatalf("probe %s: expected %s, got nothing%s%s", p.p.name, what, p.p.situation(p.within), p.p.behind())
	}
	p.p.last = &m
	return m
}

// situation tells why there may be nothing.
func (p *probe) situation(within time.Duration) string {
	var b strings.Builder
	if d := p.k.patience(within); d > 0 {
		fmt.Fprintf(&b, " within %v", d)
	}
	if p.k.turns != nil {
		b.WriteString("; ready: " + p.k.turns.readyNames())
	}
	if n := p.k.Stats().DeadLetters; n > 0 {
		fmt.Fprintf(&b, "; dead letters: %d", n)
	}
	if n := p.k.Stats().Failures; n > 0 {
		fmt.Fprintf(&b, "; failures of handlers: %d", n)
	}
	return b.String()
}

// behind tells what else the probe has got.
func (p *probe) behind() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return ""
	}
	return "; it also has " + list(p.queue)
}

func list(all []Message) string {
	const some = 5
	texts := make([]string, 0, some+1)
	for _, m := range all[:min(some, len(all))] {
		texts = append(texts, m.String())
	}
	if n := len(all) - some; n > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(texts, ", ")
}
