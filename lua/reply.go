package lua

import (
	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// maxHeld bounds the requests that a service has taken on and not answered: those of skynet.response and of skynet.ignoreret each.
const maxHeld = 100_000

// replying is the coroutine that has a message to answer.
func (h *Host) replying(s vm.State, what string) *coroutine {
	co := h.cur
	if co == nil || !co.handles() {
		s.Errorf("%s: there is no request to answer", what)
	}
	if co.replied {
		s.Errorf("%s: the request has been answered already", what)
	}
	return co
}

// apiRet answers the request with a buffer: what skynet.pack returned, or a string.
func (h *Host) apiRet(s vm.State) int {
	co := h.replying(s, "skynet.ret")
	v := s.Userdata(1)
	if _, packed := v.(value.List); !packed {
		if t := s.Type(1); t == vm.None || t == vm.Nil {
			v = Bytes("")
		} else {
			v = answer(h.buffered(s, TypeResponse, 1, "skynet.ret"))
		}
	}
	return h.reply(s, co, v)
}

// apiRetPack answers the request with its arguments.
func (h *Host) apiRetPack(s vm.State) int {
	co := h.replying(s, "skynet.retpack")
	return h.reply(s, co, h.list(s, 1))
}

// reply answers with a value.List or Bytes.
func (h *Host) reply(s vm.State, co *coroutine, v any) int {
	co.replied = true
	switch {
	case co.request:
		if co.trace != "" {
			h.traced(s, co, "response")
		}
		s.PushBool(h.c.ReplyTo(co.promise, v, nil))
	case co.foreign:
		m := Message{Type: TypeResponse, Envelope: &Envelope{Session: co.session}}
		m.Raw, m.Args, _ = answerOf(v)
		h.c.Send(co.source, m)
		s.PushBool(true)
	default:
		s.PushBool(false) // the message was sent, not called: nobody waits
	}
	return 1
}

// held is a request that skynet.response has taken on.
type held struct {
	promise actor.Promise
	source  actor.Ref
	pack    int // a reference to the function that packs, 0 for skynet.pack
	used    bool
}

// apiResponse pushes a function that answers later: r(true, ...), r(false, message), or r("TEST") whether somebody still waits.
func (h *Host) apiResponse(s vm.State) int {
	const what = "skynet.response"
	co := h.replying(s, what)
	pack := 0
	if t := s.Type(1); t != vm.None && t != vm.Nil {
		checkFunction(s, 1, what)
		s.SetTop(1)
		pack = s.Ref()
	}
	if !co.request {
		co.replied = true
		s.Unref(pack)
		s.PushFunc("response", func(vm.State) int { return 0 })
		return 1
	}
	h.sweepHeld(s)
	if len(h.held) >= maxHeld {
		s.Unref(pack)
		s.Errorf("%s: %d requests wait for an answer of this service already", what, maxHeld)
	}
	co.replied = true
	r := &held{promise: co.promise, source: co.source, pack: pack}
	if h.held == nil {
		h.held = map[*held]struct{}{}
	}
	h.held[r] = struct{}{}
	s.PushFunc("response", func(s vm.State) int { return h.respond(s, r) })
	return 1
}

// sweepHeld forgets the requests for which nobody waits any more, each time that there are twice as many.
func (h *Host) sweepHeld(s vm.State) {
	if len(h.held) < h.sweepAt {
		return
	}
	for r := range h.held {
		if !r.promise.Open() {
			delete(h.held, r)
			s.Unref(r.pack)
			r.pack = 0
		}
	}
	h.sweepAt = min(2*len(h.held)+64, maxHeld)
}

func (h *Host) respond(s vm.State, r *held) int {
	if what, _ := s.String(1); what == "TEST" {
		s.PushBool(!r.used && r.promise.Open())
		return 1
	}
	if r.used {
		s.Errorf("skynet.response: the request has been answered already")
	}
	if !s.Bool(1) {
		h.release(s, r)
		err := h.refusal()
		if s.Top() >= 2 {
			err.Message = s.Text(2)
		}
		s.PushBool(r.promise.Reply(nil, err))
		return 1
	}
	var m Message
	if r.pack == 0 {
		m.Args = h.list(s, 2)
	} else {
		m = h.packed(s, &protocol{name: "skynet.response", pack: r.pack}, 2)
	}
	h.release(s, r)
	s.PushBool(r.promise.Reply(answer(m), nil))
	return 1
}

// release takes a request off those that are held.
func (h *Host) release(s vm.State, r *held) {
	r.used = true
	delete(h.held, r)
	s.Unref(r.pack)
	r.pack = 0
}

// refusal is the error of a request that was refused without one.
func (h *Host) refusal() *Error {
	return &Error{Script: h.script, Message: h.script + ": the request was refused"}
}

// apiIgnoreRet ends the duty to answer. The request can still be answered by its session, with skynet.redirect.
func (h *Host) apiIgnoreRet(s vm.State) int {
	co := h.cur
	if co == nil || !co.handles() || co.replied {
		return 0
	}
	co.replied = true
	if !co.request || !co.promise.Open() {
		return 0
	}
	if len(h.ignored) >= h.ignoredAt {
		for session, p := range h.ignored {
			if !p.Open() {
				delete(h.ignored, session)
			}
		}
		h.ignoredAt = min(2*len(h.ignored)+64, maxHeld)
	}
	if len(h.ignored) >= maxHeld {
		s.Errorf("skynet.ignoreret: %d requests wait for an answer already", maxHeld)
	}
	if h.ignored == nil {
		h.ignored = map[int64]actor.Promise{}
	}
	h.ignored[co.session] = co.promise
	return 0
}

// takeRequest takes the duty to answer the request of a session from whoever has it.
func (h *Host) takeRequest(session int64) (actor.Promise, bool) {
	if p, ok := h.ignored[session]; ok {
		delete(h.ignored, session)
		return p, true
	}
	for co := h.live; co != nil; co = co.next {
		if co.session == session && co.request && !co.replied {
			co.replied = true
			return co.promise, true
		}
	}
	return actor.Promise{}, false
}

// apiUnknownRequest has a function handle the messages that nothing else does, and returns the one that did.
func (h *Host) apiUnknownRequest(s vm.State) int {
	return h.swap(s, &h.unknownRequest, "skynet.dispatch_unknown_request")
}

// apiUnknownResponse has a function handle the answers for which nobody waits, and returns the one that did.
func (h *Host) apiUnknownResponse(s vm.State) int {
	return h.swap(s, &h.unknownResponse, "skynet.dispatch_unknown_response")
}

func (h *Host) swap(s vm.State, ref *int, what string) int {
	checkFunction(s, 1, what)
	s.SetTop(1)
	was := *ref
	*ref = s.Ref()
	if was == 0 {
		s.PushFunc("unknown", func(s vm.State) int {
			s.Errorf("unknown message of session %s from %s", s.Text(1), s.Text(2))
			return 0
		})
		return 1
	}
	s.Push(was)
	s.Unref(was)
	return 1
}

// unknown gives a message that nothing handles to the script's function for those; false if it has none.
func (h *Host) unknown(f int, session int64, source actor.Ref, m Message) bool {
	if f == 0 {
		return false
	}
	main := h.vm.Main()
	co := h.coroutine()
	co.session = noSession
	co.job.fn = f
	keep := func() { co.job.args = append(co.job.args, main.Ref()) }
	main.PushString(m.Type.String()) // arguments are kept last first
	keep()
	pushBuffer(main, m.Raw, m.Args)
	keep()
	keep()
	pushAddress(main, source)
	keep()
	main.PushInt(session)
	keep()
	h.begin(co)
	return true
}
