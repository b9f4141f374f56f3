package lua

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// address reads who is meant: a number, ":0000000a", ".name" or "name" of this node, "node.incarnation:0000000a" of any.
func (h *Host) address(s vm.State, i int) actor.Ref {
	sys := h.c.System()
	if id, ok := s.Int(i); ok {
		return sys.RefOf(uint64(id))
	}
	name, ok := s.String(i)
	if !ok {
		s.Errorf("bad address: a number or a name is expected, got %s", s.Type(i))
	}
	if hex, isHex := strings.CutPrefix(name, ":"); isHex {
		id, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			s.Errorf("bad address %q: hexadecimal digits are expected behind the colon", name)
		}
		return sys.RefOf(id)
	}
	if strings.Contains(name, ":") {
		ref, err := sys.ParseAddress(name)
		if err != nil {
			s.Errorf("%s", err.Error())
		}
		return ref
	}
	ref, ok := sys.Lookup(strings.TrimPrefix(name, "."))
	if !ok {
		s.Errorf("no service is registered as %q", name)
	}
	return ref
}

// pushAddress pushes an address as scripts have it: a number of this node, or the text of another's.
func pushAddress(s vm.State, ref actor.Ref) {
	if ref.IsRemote() {
		s.PushString(ref.Address())
		return
	}
	s.PushInt(int64(ref.ID()))
}

// traceOut marks a message as part of the running handler's trace.
func (h *Host) traceOut(m *Message) {
	if co := h.cur; co != nil && co.trace != "" {
		m.Envelope = &Envelope{Trace: co.trace}
	}
}

func (h *Host) apiSend(s vm.State) int {
	h.still(s, "skynet.send")
	to := h.address(s, 1)
	h.c.Send(to, h.packed(s, h.protocolAt(s, 2), 3))
	s.PushInt(0)
	return 1
}

func (h *Host) apiRawSend(s vm.State) int {
	h.still(s, "skynet.rawsend")
	to := h.address(s, 1)
	h.c.Send(to, h.buffered(s, h.typeAt(s, 2), 3, "skynet.rawsend"))
	s.PushInt(0)
	return 1
}

// apiCall waits for the answer and returns its values.
func (h *Host) apiCall(s vm.State) int {
	return h.call(s, 1, h.c.System().CallTimeout(), "skynet.call")
}

// apiCallTimeout is apiCall with a timeout in 1/100 s as its first argument.
func (h *Host) apiCallTimeout(s vm.State) int {
	cs := timeAt(s, 1, "skynet.call_timeout")
	return h.call(s, 2, centiseconds(cs), "skynet.call_timeout")
}

// call asks the address at index i.
func (h *Host) call(s vm.State, i int, timeout time.Duration, what string) int {
	to := h.address(s, i)
	p := h.protocolAt(s, i+1)
	msg := h.packed(s, p, i+2)
	if h.cur != nil && h.cur.trace != "" {
		h.traced(s, h.cur, "call")
		h.traceOut(&msg)
	}
	return h.ask(s, to, msg, timeout, p, what)
}

// apiRawCall is apiCall with a buffer in place of values, which returns the answer as one.
func (h *Host) apiRawCall(s vm.State) int {
	to := h.address(s, 1)
	msg := h.buffered(s, h.typeAt(s, 2), 3, "skynet.rawcall")
	if h.cur != nil && h.cur.trace != "" {
		h.traced(s, h.cur, "call")
		h.traceOut(&msg)
	}
	return h.ask(s, to, msg, h.c.System().CallTimeout(), nil, "skynet.rawcall")
}

// apiTraceCall is apiRawCall as part of the trace with a tag, argument 1.
func (h *Host) apiTraceCall(s vm.State) int {
	tag := h.tagAt(s, 1, "skynet.tracecall")
	to := h.address(s, 2)
	msg := h.buffered(s, h.typeAt(s, 3), 4, "skynet.tracecall")
	msg.Envelope = &Envelope{Trace: tag}
	h.writeTrace(s, tag, "tracecall")
	return h.ask(s, to, msg, h.c.System().CallTimeout(), nil, "skynet.tracecall")
}

// apiRedirect sends a buffer in the name of another service: redirect(to, from, type, session, buffer, size). With the session of a request that this
// service has, that is passed on, and who gets it answers it; with the type response or error, it is answered.
func (h *Host) apiRedirect(s vm.State) int {
	h.still(s, "skynet.redirect")
	const what = "skynet.redirect"
	t := h.typeAt(s, 3)
	session, ok := s.Int(4)
	if !ok {
		s.Errorf("%s: a session is expected as argument 4, got %s", what, s.Type(4))
	}
	var from actor.Ref
	if id, ok := s.Int(2); !ok || id != 0 {
		from = h.address(s, 2)
	}
	to := h.address(s, 1)
	if s.Top() < 5 {
		s.PushString("")
	}
	msg := h.buffered(s, t, 5, what)
	msg.Envelope = &Envelope{From: from, Session: session}
	promise, found := actor.Promise{}, false
	if session != 0 {
		promise, found = h.takeRequest(session)
	}
	switch {
	case !found:
		h.c.Send(to, msg)
	case t == TypeError:
		promise.Reply(nil, h.refusal())
	case t == TypeResponse:
		promise.Reply(answer(msg), nil)
	default:
		msg.Envelope.Session = 0 // the other side has sessions of its own
		h.c.AskFor(to, msg, h.c.System().CallTimeout(), func(v any, err error) { promise.Reply(v, err) })
	}
	s.PushInt(session)
	return 1
}

// answer is what a message says, as an answer.
func answer(m Message) any {
	if m.Raw {
		text, _ := m.Args.At(0).Str()
		return Bytes(text)
	}
	return m.Args
}

// apiGenID gives a number that no other session of this service has.
func (h *Host) apiGenID(s vm.State) int {
	h.sessions++
	s.PushInt(h.sessions)
	return 1
}

func (h *Host) apiContext(s vm.State) int {
	co := h.cur
	if co == nil || !co.handles() {
		return 0
	}
	if co.replied {
		s.PushNil()
	} else {
		s.PushInt(co.session)
	}
	pushAddress(s, co.source)
	return 2
}

// handles tells whether the coroutine handles a message.
func (co *coroutine) handles() bool { return co.session != noSession }

// noSession is the session of a coroutine that handles no message.
const noSession = math.MinInt64

func checkFunction(s vm.State, i int, what string) {
	if s.Type(i) != vm.Function {
		s.Errorf("%s: a function is expected as argument %d, got %s", what, i, s.Type(i))
	}
}
