package lua

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// sleeper is a coroutine that waits for a moment or for somebody to wake it.
type sleeper struct {
	waiter
	timer *actor.Timer
}

// openCore pushes the table that scripts/skynet.lua makes the skynet module of.
func (h *Host) openCore(s vm.State) int {
	funcs := map[string]vm.Func{
		"call": h.apiCall, "send": h.apiSend, "ret": h.apiRet, "retpack": h.apiRetPack, "response": h.apiResponse, "ignoreret": h.apiIgnoreRet,
		"pack": h.apiPack, "unpack": h.apiUnpack, "context": h.apiContext,
		"start": h.apiStart, "dispatch": h.apiDispatch, "newservice": h.apiNewService,
		"fork": h.apiFork, "timeout": h.apiTimeout, "sleep": h.apiSleep, "wait": h.apiWait, "wakeup": h.apiWakeup,
		"self": h.apiSelf, "address": h.apiAddress, "localname": h.apiLocalName, "register": h.apiRegister,
		"exit": h.apiExit, "kill": h.apiKill, "abort": h.apiAbort,
		"now": h.apiNow, "time": h.apiTime, "starttime": h.apiStartTime, "hpc": h.apiHPC,
		"getenv": h.apiGetenv, "setenv": h.apiSetenv, "error": h.apiError,
	}
	s.NewTable(0, len(funcs)+1)
	for name, f := range funcs {
		s.PushFunc(name, f)
		s.SetField(-2, name)
	}
	return 1
}

// address reads who is meant: a number, ":0000000a", ".name" or "name".
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
	ref, ok := sys.Lookup(strings.TrimPrefix(name, "."))
	if !ok {
		s.Errorf("no service is registered as %q", name)
	}
	return ref
}

func (h *Host) typeAt(s vm.State, i int) Type {
	name, ok := s.String(i)
	if ok {
		if t, known := typeNames[name]; known {
			return t
		}
		s.Errorf("unknown message type %q: text, client or lua is expected", name)
	}
	n, ok := s.Int(i)
	if !ok || n < 0 || n > 255 {
		s.Errorf("a message type is expected as argument %d, got %s", i, s.Type(i))
	}
	return Type(n)
}

// list takes the arguments from index i on; a packed message is taken as it is.
func (h *Host) list(s vm.State, i int) value.List {
	if l, ok := s.Userdata(i).(*value.List); ok {
		return *l
	}
	l, err := TakeList(s, i)
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	return l
}

func (h *Host) apiSend(s vm.State) int {
	to := h.address(s, 1)
	h.c.Send(to, Message{Type: h.typeAt(s, 2), Args: h.list(s, 3)})
	return 0
}

// apiCall waits for the answer: true and the results, or false, a code, a message, the other side's traceback and the table it raised.
// Its first argument is the timeout in 1/100 s, or nil.
func (h *Host) apiCall(s vm.State) int {
	timeout := h.c.System().CallTimeout()
	if cs, ok := s.Float(1); ok {
		timeout = centiseconds(cs)
	}
	to := h.address(s, 2)
	msg := Message{Type: h.typeAt(s, 3), Args: h.list(s, 4)}
	co := h.wait(s, "skynet.call")
	h.c.AskFor(to, msg, timeout, h.answerTo(co))
	return s.Yield(0)
}

// answerTo goes on with a coroutine when its call has been answered.
func (h *Host) answerTo(w waiter) func(any, error) {
	return func(v any, err error) {
		if !w.waits() {
			return
		}
		co := w.co
		if err != nil {
			h.resume(co, pushError(co.th, err))
		} else {
			co.th.PushBool(true)
			h.resume(co, 1+h.pushAnswer(co.th, v))
		}
		h.runNext()
	}
}

func (h *Host) pushAnswer(s vm.State, v any) int {
	switch v := v.(type) {
	case value.List:
		return PushList(s, v)
	case nil:
		return 0
	case actor.Ref:
		s.PushInt(int64(v.ID()))
		return 1
	}
	var b value.Builder
	if err := b.Any(v); err != nil {
		h.log.Error("an answer that no script can read", "type", fmt.Sprintf("%T", v))
		return 0
	}
	return PushList(s, b.List())
}

func pushError(s vm.State, err error) int {
	code, text, stack := "error", err.Error(), ""
	var raised value.List
	var script *Error
	var failed *actor.Error
	switch {
	case errors.As(err, &script):
		code, stack, raised = "failed", script.Traceback, script.Value
	case errors.As(err, &failed):
		code, stack = codeNames[failed.Code], failed.Stack
	}
	s.PushBool(false)
	s.PushString(code)
	s.PushString(text)
	s.PushString(stack)
	return 4 + PushList(s, raised)
}

// codeNames are the `code` of errors that scripts get.
var codeNames = map[actor.Code]string{ //nolint:gochecknoglobals // a constant
	actor.NoActor: "no_actor", actor.Stopped: "stopped", actor.Unreachable: "unreachable",
	actor.Failed: "failed", actor.Deadline: "deadline", actor.Overloaded: "overloaded",
	actor.Cycle: "cycle",
}

func centiseconds(cs float64) time.Duration {
	const most = float64(1<<62) / float64(10*time.Millisecond)
	return time.Duration(min(max(cs, 0), most) * float64(10*time.Millisecond))
}

// replying is the coroutine that has a request to answer.
func (h *Host) replying(s vm.State, what string) *coroutine {
	if h.cur == nil || !h.cur.request {
		s.Errorf("%s: there is no request to answer", what)
	}
	if h.cur.replied {
		s.Errorf("%s: the request has been answered already", what)
	}
	return h.cur
}

func (h *Host) apiRet(s vm.State) int { return h.reply(s, "skynet.ret") }

func (h *Host) apiRetPack(s vm.State) int { return h.reply(s, "skynet.retpack") }

func (h *Host) reply(s vm.State, what string) int {
	if h.cur != nil && !h.cur.request {
		return 0 // the message was sent, not called: nobody waits
	}
	l := h.list(s, 1)
	co := h.replying(s, what)
	co.replied = true
	s.PushBool(co.promise.Reply(l, nil))
	return 1
}

// apiResponse pushes a function that answers later: r(true, ...), r(false, message), or r("TEST") whether somebody still waits.
func (h *Host) apiResponse(s vm.State) int {
	co := h.replying(s, "skynet.response")
	co.replied = true
	promise, used := co.promise, false
	s.PushFunc("response", func(s vm.State) int {
		if what, _ := s.String(1); what == "TEST" {
			s.PushBool(promise.Open())
			return 1
		}
		if used {
			s.Errorf("skynet.response: the request has been answered already")
		}
		if s.Bool(1) {
			l := h.list(s, 2)
			used = true
			s.PushBool(promise.Reply(l, nil))
			return 1
		}
		used = true
		text := h.script + ": the request was refused"
		if s.Top() >= 2 {
			text = s.Text(2)
		}
		s.PushBool(promise.Reply(nil, &Error{Script: h.script, Message: text}))
		return 1
	})
	return 1
}

func (h *Host) apiIgnoreRet(s vm.State) int {
	h.replying(s, "skynet.ignoreret").replied = true
	return 0
}

func (h *Host) apiPack(s vm.State) int {
	l := h.list(s, 1)
	s.PushUserdata(&l)
	s.PushInt(int64(l.Len()))
	return 2
}

func (h *Host) apiUnpack(s vm.State) int {
	l, ok := s.Userdata(1).(*value.List)
	if !ok {
		s.Errorf("skynet.unpack: what skynet.pack returned is expected, got %s", s.Type(1))
	}
	return PushList(s, *l)
}

func (h *Host) apiContext(s vm.State) int {
	if h.cur == nil {
		return 0
	}
	s.PushInt(h.cur.session)
	s.PushInt(int64(h.cur.source.ID()))
	return 2
}

func checkFunction(s vm.State, i int, what string) {
	if s.Type(i) != vm.Function {
		s.Errorf("%s: a function is expected as argument %d, got %s", what, i, s.Type(i))
	}
}

func (h *Host) apiStart(s vm.State) int {
	checkFunction(s, 1, "skynet.start")
	if h.start != 0 {
		s.Errorf("skynet.start: called twice")
	}
	s.SetTop(1)
	h.start = s.Ref()
	return 0
}

func (h *Host) apiDispatch(s vm.State) int {
	t := h.typeAt(s, 1)
	if s.Type(2) == vm.None || s.Type(2) == vm.Nil {
		s.Push(h.dispatch[t])
		return 1
	}
	checkFunction(s, 2, "skynet.dispatch")
	s.SetTop(2)
	s.Unref(h.dispatch[t])
	h.dispatch[t] = s.Ref()
	return 0
}

// apiNewService asks the launcher: mode ("", "unique" or "query"), name, arguments. It answers as apiCall does.
func (h *Host) apiNewService(s vm.State) int {
	mode, _ := s.String(1)
	name, ok := s.String(2)
	if !ok {
		s.Errorf("the name of a service is expected, got %s", s.Type(2))
	}
	launcher, ok := h.c.System().Lookup(LauncherName)
	if !ok {
		s.Errorf("newservice: this node has no launcher")
	}
	launch := Launch{Script: name, Args: h.list(s, 3), Unique: mode == "unique", Query: mode == "query"}
	co := h.wait(s, "skynet.newservice")
	h.c.AskFor(launcher, launch, h.rt.cfg.StartTimeout, h.answerTo(co))
	return s.Yield(0)
}
