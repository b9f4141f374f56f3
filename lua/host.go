package lua

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/cputime"
	"github.com/skua-go/skua/lua/vm"
)

// Host is the actor that runs one script. Modules in Go reach their service through it, from the functions that Lua calls.
//
// A node has thousands of them, and a request finds its own in no near cache: what every message needs is together, in front.
type Host struct {
	*cell
	c         *actor.Context
	cur       *coroutine
	live      *coroutine // the list of those that have begun and not ended
	state     int        // the handlers' first argument
	sessions  int64
	hooks     *hooks // of modules in Go, nil if there are none
	failure   *Error // why it is not going to be ready
	behind    int    // how many messages that came early are in the mailbox again; whatever comes has to go behind them
	filter    int
	forward   map[Type]Type
	onHandled func(co *coroutine, err *Error)
	lent      *Lent     // the message that is being delivered, if it is one
	began     time.Time // when tick first looked at the clock in the running slice of a handler
	woken     queue
	forks     queue
	nextLater bool // the rest of them runs behind the messages that wait now
	ready     bool
	leaving   bool // it has called skynet.exit before it was ready
	keeps     bool // it has the VM of agents that share it, and handles nothing itself
	shares    bool // it is such an agent
	overruns  *overruns
	overran   bool // a handler has exceeded its budget since skynet.endless last asked
	limited   bool // by skynet.memlimit
	ended     bool
	asked     bool // somebody has asked whether it is ready

	rt     *Runtime
	script string
	maker  string // the script that is run: see servedAs
	args   value.List
	log    *slog.Logger
	ticks  int // how often tick has looked at the clock since began

	start   int // what skynet.start was given
	starter *coroutine

	unknownRequest, unknownResponse int
	tokens                          int

	traces      int64
	traceTimers bool
	sleepers    map[int64]*coroutine
	held        map[*held]struct{}
	sweepAt     int
	ignored     map[int64]actor.Promise
	ignoredAt   int
	asks        map[int64]*ask
	timers      *timer
	timerCount  int

	whenReady []actor.Promise
	early     []func() // messages that came before the service was ready to take them

	requireFailed requireFailure
	overrunning   overrunning
}

// firstSession is where a service begins to count. Gates redirect messages with the numbers of their connections as sessions, which must not be those of
// requests that the gate itself has to answer.
const firstSession = 1 << 30

// Context is what the service's actor can do now.
func (h *Host) Context() *actor.Context { return h.active().c }

// ActorType is the script, for traces.
func (h *Host) ActorType() string { return h.script }

// Log is the service's logger.
func (h *Host) Log() *slog.Logger { return h.active().log }

// Start makes the VM and begins to run the script; the service is ready when that has ended.
func (h *Host) Start(c *actor.Context) error {
	h.c = c
	h.log = h.rt.cfg.Log.With("service", fmt.Sprintf("%s:%08x", h.script, c.Self().ID()))
	h.onHandled = h.handled
	if !h.shares {
		h.first, h.now = h, h
	}
	if launcher, ok := c.System().Lookup(LauncherName); ok {
		c.Send(launcher, born{h})
	}
	if h.shares {
		h.join()
		return nil
	}
	if err := h.boot(); err != nil {
		h.started(&Error{Script: h.script, Message: strings.TrimPrefix(err.Error(), "lua: ")})
	}
	return nil
}

func (h *Host) boot() error {
	h.reload.version = h.rt.versionOf(h.script)
	file, text, err := h.source(h.maker)
	if err != nil {
		return err
	}
	h.reload.main = file
	h.vm = h.rt.EngineOf(h.script).New(vm.Options{Trusted: h.rt.trusts(h.script), Tick: func() error { return h.now.tick() }, Library: h.rt.ofLibrary})
	h.boundMemory()
	s := h.vm.Main()
	if err := h.openLoop(); err != nil {
		return err
	}
	h.openBase(s, file)
	h.openClock(s)
	if err := s.Load(file, text); err != nil {
		return fmt.Errorf("lua: %w", err)
	}
	co := h.coroutine()
	co.job = job{fn: s.Ref(), owned: true, list: true, msg: Message{Args: h.args}}
	co.done = h.loaded
	h.run(co)
	return nil
}

// run runs a coroutine from the actor's own hooks, and what that puts off.
func (h *Host) run(co *coroutine) {
	h.begin(co)
	h.runNext()
}

// leastPace is the time that a script takes between two ticks at worst. One that has taken longer has not run all the time: the machine had others to run.
// Where it has: see lap.
const leastPace = 20 * time.Millisecond

// lap is the time between two ticks. Steps that take very long, of a table of millions of keys say, make it longer than leastPace by themselves. The clock of the
// thread tells them from a machine that has others to run; it is asked only behind a long lap, as long as laps are.
type lap struct {
	from   time.Duration // since the slice began
	long   bool          // the one before was
	thread int
	cpu    time.Duration // that the thread had run for
}

// begin starts a lap.
func (l *lap) begin(ran time.Duration) {
	if l.from = ran; l.long {
		l.thread, l.cpu = cputime.Current()
	}
}

// end counts a lap in which the thread has run longer than leastPace as the ticks that it should have had.
func (l *lap) end(h *Host) {
	if h.began.IsZero() {
		return
	}
	if l.long {
		if thread, cpu := cputime.Current(); thread == l.thread {
			h.ticks += int((cpu - l.cpu) / leastPace)
		}
	}
	l.long = time.Since(h.began)-l.from > leastPace
}

// tick is the watch over a handler that computes: see Config.Budget. It lets others have the core, who would wait 10 ms for it otherwise, until Go takes it.
func (h *Host) tick() error {
	if g := h.guard.Load(); g != nil {
		if skip, err := h.looked(g); skip || err != nil {
			return err
		}
	} else if h.fast {
		h.slowDown()
	}
	h.lap.end(h)
	runtime.Gosched()
	if h.began.IsZero() {
		h.began, h.ticks = time.Now(), 0
		h.lap = lap{}
		return nil
	}
	h.ticks++
	budget, ran := h.rt.cfg.Budget, time.Since(h.began)
	h.lap.begin(ran)
	if ran > budget && h.ticks > int(budget/leastPace) {
		h.overran = true
		h.overrun()
		return fmt.Errorf("CPU budget exceeded: the handler has run for %v without a wait, %v are allowed%s", ran.Round(time.Millisecond), budget, h.overranAt())
	}
	return nil
}

// overranAt tells, when a script has caught the error of an exceeded budget and goes on to the next one, where it was when it got the first: there is what takes so long.
func (h *Host) overranAt() string {
	if over := &h.overrunning; over.slice.Equal(h.began) {
		return over.at
	}
	h.overrunning = overrunning{slice: h.began}
	if at := placeIn.FindStringSubmatch(h.whereabouts()); at != nil {
		h.overrunning.at = "; it was in " + at[1] + " then, and has caught that error"
	}
	return ""
}

// overrunning is where a handler was when its budget was exceeded.
type overrunning struct {
	slice time.Time // of the handler, as Host.began
	at    string
}

// loaded goes on when the script's chunk has run: with the function given to skynet.start, or with the table of handlers.
func (h *Host) loaded(co *coroutine, err *Error) {
	switch {
	case err != nil:
		h.started(err)
	case h.leaving:
	case h.keeps && (h.start != 0 || co.th.Top() == 0 || co.th.Type(1) != vm.Table):
		msg := h.script + ": agents share the VM of a script that returns a table of handlers, and does not call skynet.start"
		h.started(&Error{Script: h.script, Message: msg})
	case h.start != 0:
		h.runStart(h.begins, job{fn: h.start})
	case co.th.Top() > 0 && co.th.Type(1) == vm.Table:
		h.openModule(co.th)
		h.runStart(h.begins, h.startJob())
	case h.timers != nil || h.forks.len() > 0: // one of them may call skynet.init_service
	default:
		msg := h.script + `: the script neither calls skynet.start nor returns a table of handlers (is "return M" missing at its end?)`
		h.started(&Error{Script: h.script, Message: msg})
	}
}

// startJob runs the handlers' start function, if there is one. The agents of a VM start one by one, its keeper does not.
func (h *Host) startJob() job {
	j := job{state: true, msg: Message{Args: h.args}}
	if s := h.vm.Main(); !h.keeps && h.pushHandler(s, h.module, "start") {
		j.fn, j.owned = s.Ref(), true
	}
	return j
}

// runStart runs what skynet.init was given and then the service's start function.
func (h *Host) runStart(begins int, j job) {
	run := func(j job, done func(co *coroutine, err *Error)) {
		if j.fn == 0 {
			done(nil, nil)
			return
		}
		co := h.coroutine()
		args := co.job.args
		co.job = j
		co.job.args = args
		co.done = done
		h.starter = co
		h.begin(co)
	}
	run(job{fn: begins}, func(_ *coroutine, err *Error) {
		if err != nil {
			h.started(err)
			return
		}
		run(j, func(_ *coroutine, err *Error) {
			h.starter = nil
			h.started(err)
		})
	})
}

// openModule keeps the table of handlers that is at index 1.
func (h *Host) openModule(s vm.State) {
	s.Copy(1)
	h.module = s.Ref()
	h.findClient()
	s.NewTable(0, 8)
	h.state = s.Ref()
}

// findClient keeps the handlers' table of routes, if there is one.
func (h *Host) findClient() {
	s := h.vm.Main()
	top := s.Top()
	defer s.SetTop(top)
	s.Push(h.module)
	s.PushString("client")
	s.RawGet(top + 1)
	if s.Type(-1) == vm.Table {
		h.client = s.Ref()
	}
}

// started answers those who wait for the service, and lets in the messages that came early.
func (h *Host) started(err *Error) {
	if h.ready || h.failure != nil {
		return
	}
	if err != nil {
		args := []any{"error", err.Message}
		if err.Traceback != "" {
			args = append(args, "traceback", err.Traceback)
		}
		h.log.Error("start failed", args...)
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

// leave ends the service. One that ends before it was ready, or in what its start function has forked, has done what it was started for: a first service that
// starts the others and exits, say. Whoever started it hears that all is well, so if that has yet to ask, the end waits for it.
func (h *Host) leave() {
	if !h.leaving {
		h.leaving = true
		if h.module == 0 { // handlers of a table may end what they have begun
			h.abandon()
		}
	}
	if h.failure == nil && !h.asked {
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

// Stop lets the table's `stop` save what it has to; the service ends when that has returned. What handlers still wait for is waited for, too, unless
// somebody has killed the service.
func (h *Host) Stop(c *actor.Context, reason error) {
	h.turnAway(reason)
	if errors.Is(reason, errKilled) {
		h.abandon()
	}
	if h.vm == nil || h.keeps || !h.ready || h.module == 0 || !h.pushHandler(h.vm.Main(), h.module, "stop") {
		h.isEnding(reason)
		return
	}
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	co := h.coroutine()
	co.job.fn, co.job.owned, co.job.state = h.vm.Main().Ref(), true, true
	co.job.msg.Args = textList(text)
	release := c.Hold()
	co.done = func(_ *coroutine, err *Error) {
		if err != nil {
			h.log.Error("stop failed", "error", err.Message, "traceback", err.Traceback)
		}
		h.isEnding(reason)
		release()
	}
	h.run(co)
}

// abandon ends all that the service waits for and has put off: nothing of it runs any more, but the coroutine that is
// running. Whoever waits for an answer gets an error when the service has ended.
func (h *Host) abandon() {
	for co := h.live; co != nil; {
		next := co.next
		if co != h.cur {
			h.stopCoroutine(co, errKilled)
		}
		co = next
	}
	for t := h.timers; t != nil; t = h.timers {
		t.unlink()
		if t.timer != nil {
			t.timer.Cancel()
		}
	}
	for _, a := range h.asks {
		a.call.Cancel()
	}
	h.asks = nil
	h.woken, h.forks = queue{}, queue{}
	h.held = nil
}
