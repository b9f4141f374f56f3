package lua

import (
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// maxEarly bounds the messages that wait for a service to start.
const maxEarly = 10_000

// Receive handles a message in a coroutine of its own.
func (h *Host) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Message:
		h.receive(m)
	case *Lent:
		h.receiveLent(m)
	case Ready:
		h.asked = true
		h.whenReady = append(h.whenReady, c.Promise())
		switch {
		case h.failure != nil:
			h.answerReady(h.failure)
			h.giveUp()
		case h.leaving:
			h.leave()
		case h.ready:
			h.answerReady(nil)
		}
	case Upgrade:
		h.upgrade(m)
	case AskRunning:
		c.Reply(h.running(), nil)
	default:
		if !h.tell(msg) {
			c.Reply(nil, fmt.Errorf("lua: %s takes no %T", h.script, msg))
		}
	}
	h.runNext()
}

func (h *Host) receive(m Message) {
	if h.behind > 0 {
		h.behind++
		h.again(m)()
		return
	}
	if h.failure == nil && !h.ready && !h.leaving && m.Type != TypeDebug {
		if p := h.protocolOf(m.Type); p == nil || p.dispatch == 0 {
			h.keepEarly(m)
			return
		}
	}
	h.handle(m)
}

// keepEarly keeps a message that came before the service was ready.
func (h *Host) keepEarly(m Message) {
	if len(h.early) >= maxEarly {
		h.c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: h.script, Text: "too many messages before the service was ready"})
		return
	}
	h.early = append(h.early, h.again(m))
}

func (h *Host) handle(m Message) {
	switch {
	case h.failure != nil:
		h.reject(h.failure)
	case h.filter != 0:
		h.filtered(m)
	default:
		if t, ok := h.forward[m.Type]; ok {
			m.Type = t
		}
		h.deliver(m, h.inbound(m))
	}
}

// inbound is who has sent the message that the actor handles, and who waits for its answer.
type inbound struct {
	source  actor.Ref
	session int64
	promise actor.Promise
	request bool
	foreign bool
}

func (h *Host) inbound(m Message) inbound {
	in := inbound{source: h.c.From(), request: h.c.IsRequest()}
	if in.request {
		in.promise = h.c.Promise()
		h.sessions++
		in.session = h.sessions
	}
	if e := m.Envelope; e != nil {
		if !e.From.IsZero() {
			in.source = e.From
		}
		if e.Session != 0 && !in.request {
			in.session, in.foreign = e.Session, true
		}
	}
	return in
}

// deliver runs the handler of a message.
func (h *Host) deliver(m Message, in inbound) {
	if m.Type == TypeError || m.Type == TypeResponse {
		if h.told(m, in) {
			return
		}
	}
	if m.Type == TypeText && m.Args.Len() == 1 && m.Args.At(0).Kind() == value.String {
		m.Raw = true // the value of a text is its bytes, whether the sender has registered a protocol for it or not
	}
	var j job
	if err := h.find(&j, m); err != nil {
		h.measure().end(failed)
		if in.request || !h.unknown(h.unknownRequest, in.session, in.source, m) {
			h.refuse(in, err)
		}
		return
	}
	co := h.coroutine()
	j.args = co.job.args
	co.job = j
	co.promise, co.request, co.session, co.source, co.foreign = in.promise, in.request, in.session, in.source, in.foreign
	co.done, co.lent = h.onHandled, h.lent
	if h.rt.measuring.Load() != nil {
		co.measured = h.measure()
	}
	if co.span = h.c.Span(); co.span != nil && !in.request {
		co.ends = true
		h.c.KeepSpan()
	}
	if m.Envelope != nil || co.job.proto != nil && co.job.proto.traced != 0 {
		h.traceIn(co, co.job.proto, m)
	}
	h.begin(co)
}

// told takes what others say about requests of this service: that one has failed, or that a service has ended. It does not take what a script has a
// handler of its own for.
func (h *Host) told(m Message, in inbound) bool {
	if p := h.protocolOf(m.Type); p != nil && p.dispatch != 0 {
		return false
	}
	if m.Type == TypeError {
		if in.session == 0 {
			h.term(in.source)
		}
		return true
	}
	if !h.unknown(h.unknownResponse, in.session, in.source, m) {
		h.log.Error("an answer for which nobody waits", "session", in.session, "from", in.source.String())
	}
	return true
}

// find makes a job of a message: its handler, and what that gets.
func (h *Host) find(j *job, m Message) error {
	if h.module == 0 || m.Type != TypeLua && m.Type != TypeClient {
		p := h.protocolOf(m.Type)
		switch {
		case p != nil && p.dispatch != 0:
			j.fn, j.proto, j.msg = p.dispatch, p, m
			return nil
		case m.Type == TypeDebug:
			return h.console(j, m)
		case h.module != 0:
			return fmt.Errorf("%s: a table of handlers takes messages of type lua and client, got %s", h.script, m.Type)
		case p == nil:
			return &NoHandlerError{Script: h.script, Kind: "protocol of type", Name: m.Type.String()}
		}
		return &NoHandlerError{Script: h.script, Kind: "dispatch function for messages of type", Name: p.name}
	}
	if h.keeps {
		return errKeeper
	}
	name, ok := m.Args.At(0).Str()
	if !ok {
		return fmt.Errorf("%s: a message to a table of handlers begins with a name, got %s", h.script, m.Args.At(0).Kind())
	}
	table, kind := h.module, "handler"
	if m.Type == TypeClient {
		table, kind = h.client, "route"
	} else if name == "start" || name == "stop" {
		return fmt.Errorf("%s: %q is called by the host only", h.script, name)
	}
	s := h.vm.Main()
	if table == 0 || !h.pushHandler(s, table, name) {
		return &NoHandlerError{Script: h.script, Kind: kind, Name: name}
	}
	m.Args = m.Args.Rest(1)
	j.fn, j.owned, j.state, j.msg = s.Ref(), true, true, m
	return nil
}

// NoHandlerError is the answer to a message that a script has no function for.
type NoHandlerError struct{ Script, Kind, Name string }

func (e *NoHandlerError) Error() string {
	return fmt.Sprintf("%s: no %s %q", e.Script, e.Kind, e.Name)
}

// pushHandler pushes the function of that name from a table of handlers, if there is one.
func (h *Host) pushHandler(s vm.State, table int, name string) bool {
	s.Push(table)
	s.PushString(name)
	s.RawGet(s.Top() - 1)
	s.Remove(-2)
	if s.Type(-1) != vm.Function {
		s.Pop(1)
		return false
	}
	return true
}

// reject refuses the message that the actor handles.
func (h *Host) reject(err error) {
	h.refuse(inbound{source: h.c.From(), request: h.c.IsRequest(), promise: h.c.Promise()}, err)
}

// refuse refuses a message: its asker gets the error; if there is none, the log does.
func (h *Host) refuse(in inbound, err error) {
	if in.request {
		h.c.ReplyTo(in.promise, nil, err)
		return
	}
	h.rt.failures.report(h, failure{text: "message refused", message: err.Error(), from: in.source.String(), warning: true})
}

// handled ends a handler: a table's answers with its results; a dispatch function has had to answer by itself.
func (h *Host) handled(co *coroutine, err *Error) {
	if co.ends {
		if err != nil {
			co.span.End(err)
		} else {
			co.span.End(nil)
		}
	}
	if co.trace != "" {
		what := "end"
		if err != nil {
			what = "error"
		}
		h.writeTrace(nil, co.trace, what)
	}
	how := h.answer(co, err)
	if co.measured != nil {
		co.measured.end(how)
	}
}

// answer answers for a handler that has ended.
func (h *Host) answer(co *coroutine, err *Error) outcome {
	switch {
	case err != nil:
		// An error that is a table is meant for whoever asked; what else fails is a defect, which the operator has to see.
		how := refused
		if err.Value.Len() == 0 || !co.request {
			how = failed
			h.report("handler failed", err)
		}
		if !co.replied {
			h.c.ReplyTo(co.promise, nil, err)
		}
		return how
	case co.replied || !co.request:
		return wentWell
	case co.job.state || h.module != 0:
		return h.answerResults(co)
	default:
		e := &Error{Script: h.script, Message: h.where(co.job.fn) + ": the handler did not answer (skynet.ret)"}
		h.report("handler did not answer: a call needs skynet.ret, skynet.response or skynet.ignoreret", e)
		h.c.ReplyTo(co.promise, nil, e)
		return failed
	}
}

// where is where the function of a reference begins, file:line; the script's name if nobody knows.
func (h *Host) where(fn int) string {
	s := h.vm.Main()
	top := s.Top()
	defer s.SetTop(top)
	if err := s.Load("="+hostChunk, `local info = debug.getinfo((...), "S") return info.short_src, info.linedefined`); err != nil {
		return h.script
	}
	s.Push(fn)
	if err := s.PCall(1, 2); err != nil {
		return h.script
	}
	file, isText := s.String(-2)
	line, isLine := s.Int(-1)
	if !isText || !isLine {
		return h.script
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// answerResults answers with what the handler has returned.
func (h *Host) answerResults(co *coroutine) outcome {
	if co.lent != nil && h.answerLent(co) {
		return wentWell
	}
	l, err := takeList(h.vm.Main(), co.th, 1)
	if err != nil {
		e := &Error{Script: h.script, Message: h.script + ": result: " + err.Error()}
		h.report("handler failed", e)
		h.c.ReplyTo(co.promise, nil, e)
		return failed
	}
	h.c.ReplyTo(co.promise, l, nil)
	return wentWell
}
