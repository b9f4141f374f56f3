package lua

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// Host is the actor that runs one script. Modules in Go reach their service through it, from the functions that Lua calls.
type Host struct {
	rt     *Runtime
	script string
	args   value.List

	c     *actor.Context
	log   *slog.Logger
	vm    vm.VM
	loop  int // the function that coroutines run
	cur   *coroutine
	pool  []*coroutine
	began time.Time // when the running slice of a handler began

	start     int          // what skynet.start was given
	dispatch  map[Type]int // what skynet.dispatch was given
	module    int          // the table of handlers, if the script returned one
	client    int          // its field of that name
	state     int          // the handlers' first argument
	sessions  int64
	sleepers  map[int64]*sleeper
	next      []func() // to run after the present message: forks and wake-ups
	nextLater bool     // the rest of them runs behind the messages that wait now
	ready     bool
	failure   *Error // why it is not going to be ready
	leaving   bool   // it has called skynet.exit before it was ready
	whenReady []actor.Promise
	early     []func() // messages that came before the service was ready to take them,
	behind    int      // how many of these are in the mailbox again; whatever comes has to go behind them
}

// maxNext bounds what a handler can put off, and maxRound how much of that runs before other messages do.
const (
	maxNext  = 100_000
	maxRound = 1000
)

// maxEarly bounds the messages that wait for a service to start.
const maxEarly = 10_000

// Context is what the service's actor can do now.
func (h *Host) Context() *actor.Context { return h.c }

// ActorType is the script, for traces.
func (h *Host) ActorType() string { return h.script }

// Log is the service's logger.
func (h *Host) Log() *slog.Logger { return h.log }

// Start makes the VM and begins to run the script; the service is ready when that has ended.
func (h *Host) Start(c *actor.Context) error {
	h.c = c
	h.log = h.rt.cfg.Log.With("service", fmt.Sprintf("%s:%08x", h.script, c.Self().ID()))
	h.dispatch, h.sleepers = map[Type]int{}, map[int64]*sleeper{}
	if err := h.boot(); err != nil {
		h.started(&Error{Script: h.script, Message: strings.TrimPrefix(err.Error(), "lua: ")})
	}
	return nil
}

func (h *Host) boot() error {
	file, text, err := h.rt.source(h.script)
	if err != nil {
		return err
	}
	h.vm = h.rt.EngineOf(h.script).New(vm.Options{Tick: h.tick})
	s := h.vm.Main()
	if err := h.openLoop(); err != nil {
		return err
	}
	h.openBase(s)
	if err := s.Load(file, text); err != nil {
		return fmt.Errorf("lua: %w", err)
	}
	chunk := s.Ref()
	h.run(coroutine{done: h.loaded}, func(s vm.State) int {
		s.Push(chunk)
		return PushList(s, h.args)
	})
	h.runNext()
	return nil
}

// tick is the watch over a handler that computes: see Config.Budget.
func (h *Host) tick() error {
	if ran := time.Since(h.began); ran > h.rt.cfg.Budget {
		return fmt.Errorf("CPU budget exceeded: the handler has run for %v without a wait, %v are allowed", ran.Round(time.Millisecond), h.rt.cfg.Budget)
	}
	return nil
}

// loaded goes on when the script's chunk has run: with the function given to skynet.start, or with the table of handlers.
func (h *Host) loaded(co *coroutine, err *Error) {
	if err != nil {
		h.started(err)
		return
	}
	if h.start != 0 {
		h.run(coroutine{done: h.startDone}, func(s vm.State) int {
			s.Push(h.start)
			return 0
		})
		return
	}
	if co.th.Top() == 0 || co.th.Type(1) != vm.Table {
		msg := h.script + ": the script neither calls skynet.start nor returns a table of handlers"
		h.started(&Error{Script: h.script, Message: msg, Traceback: msg})
		return
	}
	h.openModule(co.th)
	if !h.pushHandler(co.th, h.module, "start") {
		h.started(nil)
		return
	}
	start := co.th.Ref()
	h.run(coroutine{done: h.startDone}, func(s vm.State) int {
		s.Push(start)
		s.Push(h.state)
		return 1 + PushList(s, h.args)
	})
}

// openModule keeps the table of handlers that is at index 1.
func (h *Host) openModule(s vm.State) {
	s.PushString("client")
	s.RawGet(1)
	if s.Type(-1) == vm.Table {
		h.client = s.Ref()
	} else {
		s.Pop(1)
	}
	s.Copy(1)
	h.module = s.Ref()
	s.NewTable(0, 8)
	h.state = s.Ref()
}

func (h *Host) startDone(_ *coroutine, err *Error) { h.started(err) }

// started answers those who wait for the service, and lets in the messages that came early.
func (h *Host) started(err *Error) {
	if h.ready || h.failure != nil {
		return
	}
	if err != nil {
		h.log.Error("start failed", "error", err.Message, "traceback", err.Traceback)
		h.failure = err
		h.admitEarly()
		if len(h.whenReady) == 0 {
			// Whoever started it has yet to ask how it went.
			h.c.After(h.rt.cfg.StartTimeout, h.giveUp)
			return
		}
		h.answerReady(err)
		h.giveUp()
		return
	}
	h.ready = true
	h.answerReady(nil)
	h.admitEarly()
}

// admitEarly lets in what came early. It goes through the mailbox, where newer messages may be before it: these are sent behind it.
func (h *Host) admitEarly() {
	h.behind = len(h.early)
	for _, again := range h.early {
		again()
	}
	h.early = nil
}

// again puts a message into the mailbox once more.
func (h *Host) again(m Message) func() {
	return h.c.Resume(func() {
		h.behind--
		h.handle(m)
		h.runNext()
	})
}

// leave ends the service. One that ends before it was ready has done what it was started for: a first service that starts the others and exits, say. Whoever
// started it hears that all is well, so if that has yet to ask, the end waits for it.
func (h *Host) leave() {
	if !h.ready && h.failure == nil && len(h.whenReady) == 0 {
		h.leaving = true
		h.c.Detached(func() { h.c.After(h.rt.cfg.StartTimeout, h.giveUp) })
		return
	}
	h.answerReady(nil)
	h.c.Stop(h.c.Self(), nil)
}

func (h *Host) giveUp() { h.c.Stop(h.c.Self(), h.failure) }

func (h *Host) answerReady(err *Error) {
	for _, p := range h.whenReady {
		if err != nil {
			p.Reply(nil, err)
			continue
		}
		p.Reply(value.List{}, nil)
	}
	h.whenReady = nil
}

// Receive handles a message in a coroutine of its own.
func (h *Host) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Message:
		h.receive(m)
	case Ready:
		h.whenReady = append(h.whenReady, c.Promise())
		switch {
		case h.ready:
			h.answerReady(nil)
		case h.failure != nil:
			h.answerReady(h.failure)
			h.giveUp()
		case h.leaving:
			h.leave()
		}
	default:
		c.Reply(nil, fmt.Errorf("lua: %s takes no %T", h.script, msg))
	}
	h.runNext()
}

func (h *Host) receive(m Message) {
	if h.behind > 0 {
		h.behind++
		h.again(m)()
		return
	}
	if h.failure == nil && !h.ready && h.dispatch[m.Type] == 0 {
		if len(h.early) >= maxEarly {
			h.c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: h.script, Text: "too many messages before the service was ready"})
			return
		}
		h.early = append(h.early, h.again(m))
		return
	}
	h.handle(m)
}

func (h *Host) handle(m Message) {
	if h.failure != nil {
		h.reject(h.failure)
		return
	}
	co := coroutine{promise: h.c.Promise(), request: h.c.IsRequest(), source: h.c.From(), done: h.handled}
	if co.request {
		h.sessions++
		co.session = h.sessions
	}
	s := h.vm.Main()
	handler, args, err := h.find(s, m)
	if err != nil {
		h.reject(err)
		return
	}
	h.run(co, func(s vm.State) int {
		s.Push(handler)
		if handler != h.dispatch[m.Type] {
			s.Push(h.state)
			s.Unref(handler)
			return 1 + PushList(s, args)
		}
		s.PushInt(co.session)
		s.PushInt(int64(co.source.ID()))
		return 2 + PushList(s, args)
	})
}

// find gives a reference to the message's handler, and the arguments for it.
func (h *Host) find(s vm.State, m Message) (ref int, args value.List, err error) {
	if h.module == 0 {
		if ref = h.dispatch[m.Type]; ref == 0 {
			return 0, args, &NoHandlerError{Script: h.script, Kind: "dispatch function for messages of type", Name: m.Type.String()}
		}
		return ref, m.Args, nil
	}
	name, ok := m.Args.At(0).Str()
	if !ok {
		return 0, args, fmt.Errorf("%s: a message to a table of handlers begins with a name, got %s", h.script, m.Args.At(0).Kind())
	}
	table, kind := h.module, "handler"
	switch m.Type {
	case TypeClient:
		table, kind = h.client, "route"
	case TypeLua:
		if name == "start" || name == "stop" {
			return 0, args, fmt.Errorf("%s: %q is called by the host only", h.script, name)
		}
	default: // of a library's own, which dispatches it whatever kind of script has required it
		if ref = h.dispatch[m.Type]; ref != 0 {
			return ref, m.Args, nil
		}
		return 0, args, fmt.Errorf("%s: a table of handlers takes messages of type lua and client, got %s", h.script, m.Type)
	}
	if table == 0 || !h.pushHandler(s, table, name) {
		return 0, args, &NoHandlerError{Script: h.script, Kind: kind, Name: name}
	}
	return s.Ref(), m.Args.Rest(1), nil
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

// reject refuses a message: its asker gets the error; if there is none, the log does.
func (h *Host) reject(err error) {
	if h.c.IsRequest() {
		h.c.Reply(nil, err)
		return
	}
	h.log.Warn("message refused", "error", err, "from", h.c.From().String())
}

// handled ends a handler: a table's answers with its results; a dispatch function has had to answer by itself.
func (h *Host) handled(co *coroutine, err *Error) {
	switch {
	case err != nil:
		// An error that is a table is meant for whoever asked; what else fails is a defect, which the operator has to see.
		if err.Value.Len() == 0 || !co.request {
			h.log.Error("handler failed", "error", err.Message, "traceback", err.Traceback)
		}
		co.promise.Reply(nil, err)
	case co.replied || !co.request:
	case h.module != 0:
		l, err := TakeList(co.th, 1)
		if err != nil {
			h.log.Error("handler failed", "error", "result: "+err.Error())
			co.promise.Reply(nil, fmt.Errorf("%s: result: %w", h.script, err))
			return
		}
		co.promise.Reply(l, nil)
	default:
		h.log.Error("handler did not answer: a call needs skynet.ret, skynet.response or skynet.ignoreret", "session", co.session)
		co.promise.Reply(nil, fmt.Errorf("%s: the handler did not answer (skynet.ret)", h.script))
	}
}

// runNext runs what was put off until after the present message.
func (h *Host) runNext() {
	for range maxRound {
		if len(h.next) == 0 {
			h.next = nil
			return
		}
		f := h.next[0]
		h.next[0] = nil
		h.next = h.next[1:]
		f()
	}
	if len(h.next) > 0 && !h.nextLater {
		h.nextLater = true // functions that fork on and on must not keep messages away
		h.c.Detached(func() {
			h.c.Resume(func() {
				h.nextLater = false
				h.runNext()
			})()
		})
	}
}

// after wraps a continuation of the actor: what it puts off runs right behind it.
func (h *Host) after(f func()) func() {
	return func() {
		f()
		h.runNext()
	}
}

// Stop lets the table's `stop` save what it has to; the service ends when that has returned.
func (h *Host) Stop(c *actor.Context, reason error) {
	if !h.ready || h.module == 0 || !h.pushHandler(h.vm.Main(), h.module, "stop") {
		return
	}
	stop := h.vm.Main().Ref()
	release := c.Hold()
	h.run(coroutine{done: func(_ *coroutine, err *Error) {
		if err != nil {
			h.log.Error("stop failed", "error", err.Message, "traceback", err.Traceback)
		}
		release()
	}}, func(s vm.State) int {
		s.Push(stop)
		s.Push(h.state)
		text := ""
		if reason != nil {
			text = reason.Error()
		}
		s.PushString(text)
		return 2
	})
	h.runNext()
}
