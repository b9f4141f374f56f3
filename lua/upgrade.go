package lua

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
)

// Upgrade asks a service to go over to another version of its scripts before it handles its next message. It is answered by a reload.Report, or an error:
// then the
// service is as it was. Agents that share a VM go over together: the message is for one of them, or for the one that keeps the VM.
type Upgrade struct{ Update *reload.Update }

// AskRunning asks a service which version it runs. It is answered by a Running.
type AskRunning struct{}

// Running is what a service runs.
type Running struct {
	Version string    // the ID; empty if it began before the runtime had a version
	Waiting []string  // the stacks of Behind
	Behind  []Behind  // the handlers that still run code of a version before
	Agents  int       // how many share the VM and go over together, this one included
	Keeper  bool      // it keeps the VM of agents that share it, and handles nothing itself
	VM      actor.Ref // who keeps the VM: itself, unless it shares one
}

// Behind is a handler that runs code of a version before that of its VM, until it ends.
type Behind struct {
	Service actor.Ref // whose it is: one of those that share the VM
	Version string    // that it has begun with
	Stack   string    // where it waits
}

// ErrUpgrading answers an Upgrade of a VM that another one is looking through.
var ErrUpgrading = errors.New("lua: another upgrade of the VM is under way")

// reloading is what a VM knows of the version that it runs.
type reloading struct {
	version *reload.Version
	main    string // the file of its script
	quiet   bool   // initial values are made, which must not reach others
	agents  []*Host
	by      *Host            // whose Upgrade is under way
	behind  int              // handlers that run code of a version before
	updates []*reload.Update // those that such handlers have met
}

func (r *reloading) left(h *Host) {
	if r.by == h {
		r.by = nil
	}
	for i, other := range r.agents {
		if other == h {
			r.agents[i] = r.agents[len(r.agents)-1]
			r.agents = r.agents[:len(r.agents)-1]
			return
		}
	}
}

// Use sets the version that services get which start from now on. Until it is called, they read Config.Scripts when they start, and can't be upgraded.
// Scripts and
// modules that the version does not have are looked for in Config.Scripts and Config.Library. It may be called from any goroutine.
func (rt *Runtime) Use(v *reload.Version) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.version = v
}

// Version is the one of Use, nil if there is none.
func (rt *Runtime) Version() *reload.Version {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.version
}

// Choose sets what chooses the version of each VM that begins from now on, by the name of its script, as long as some are to have another one than Use's, which
// they get where it gives nil. Nil ends that. It is called on any goroutine, once a VM, and must not block. Agents that share a VM have its version.
func (rt *Runtime) Choose(choose func(script string) *reload.Version) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.choose = choose
}

// versionOf is the version for a VM that begins.
func (rt *Runtime) versionOf(script string) *reload.Version {
	rt.mu.Lock()
	choose, v := rt.choose, rt.version
	rt.mu.Unlock()
	if choose != nil {
		if chosen := choose(script); chosen != nil {
			return chosen
		}
	}
	return v
}

// chooses tells whether VMs that begin may have another version than Use's.
func (rt *Runtime) chooses() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.choose != nil
}

// source finds the text of a service or module in the version that the VM runs.
func (h *Host) source(name string) (file, text string, err error) {
	if v := h.reload.version; v != nil {
		if file, ok := v.Find(name); ok {
			text, _ := v.Text(file)
			return file, text, nil
		}
	}
	return h.rt.source(name)
}

// file reads a file of the project as it is in the version that the VM runs.
func (h *Host) file(name string) (string, error) {
	if v := h.reload.version; v != nil {
		if text, ok := v.Text(name); ok {
			return text, nil
		}
	}
	return h.rt.file(name)
}

// still refuses what reaches others while initial values are made: if the update is undone, that can't be.
func (h *Host) still(s vm.State, what string) {
	if h.reload.quiet {
		s.Errorf("%s: the initial value of a variable that a reload adds must have no effects: do that in on_upgrade", what)
	}
}

var errNotReady = errors.New("lua: the service has not started yet, or has failed: it can't be upgraded")

// A VM is looked through in parts, so that nobody waits for long: the walk takes as long as the VM has much in it.
const (
	lookPart  = time.Millisecond
	lookPause = time.Millisecond // between them: it lets others that share the VM have it
	lookMost  = 10 * time.Second // a VM that makes more than the parts get through is stopped for the rest
)

// upgrade replaces the VM's code, when it has been looked through.
func (h *Host) upgrade(m Upgrade) {
	r := &h.reload
	if err := h.upgradable(); err != nil {
		h.c.Reply(nil, err)
		return
	}
	r.by = h
	h.lookThrough(&upgrading{update: m.Update, promise: h.c.Promise(), until: time.Now().Add(lookMost)})
}

func (h *Host) upgradable() error {
	r := &h.reload
	switch {
	case h.vm == nil || !h.ready && !h.keeps || h.failure != nil:
		return errNotReady
	case r.version == nil:
		return fmt.Errorf("lua: %s runs no version: Runtime.Use has not been called before it began", h.script)
	case h.cur != nil:
		return fmt.Errorf("lua: %s: a handler runs", h.script)
	case r.by != nil:
		return fmt.Errorf("%w: %s", ErrUpgrading, h.script)
	}
	return nil
}

// upgrading is an Upgrade under way.
type upgrading struct {
	update  *reload.Update
	promise actor.Promise
	until   time.Time
	ahead   time.Duration // what the parts have taken
}

func (h *Host) lookThrough(u *upgrading) {
	r := &h.reload
	if h.vm == nil || r.by != h {
		return // it is ending
	}
	began := time.Now()
	more := u.update.Ahead(h.vm, lookPart)
	u.ahead += time.Since(began)
	if more && began.Before(u.until) {
		h.c.After(lookPause, func() {
			h.lookThrough(u)
			h.runNext()
		})
		return
	}
	r.by = nil
	report, err := h.apply(u.update, reload.Target{Version: r.version.ID(), Use: func(v *reload.Version) { r.version = v }})
	if err != nil {
		h.c.ReplyTo(u.promise, nil, fmt.Errorf("lua: %s: %w", h.script, err))
		return
	}
	report.Ahead = u.ahead
	h.follow(u.update, report)
	h.c.ReplyTo(u.promise, report, nil)
}

// apply applies an update to the VM; t says which version that runs.
func (h *Host) apply(u *reload.Update, t reload.Target) (reload.Report, error) {
	r, s := &h.reload, h.vm.Main()
	services := []*Host{h}
	if h.keeps || h.shares {
		services = r.agents
	}
	now, hooks := h.now, false
	defer func() { h.now = now }()
	t.VM, t.Main, t.Module = h.vm, r.main, h.module
	t.Enter = func(i int) {
		if hooks = true; i >= 0 {
			h.now = services[i]
		}
	}
	t.Call = func(n, results int) error {
		h.now.began = time.Time{} // tick looks at the clock
		r.quiet = !hooks
		defer func() { r.quiet = false }()
		return s.PCall(n, results)
	}
	before := make([]put, 0, len(services))
	for _, service := range services {
		t.States = append(t.States, service.state)
		before = append(before, service.putOff())
	}
	report, err := u.Apply(t)
	if err != nil {
		for _, b := range before {
			b.takeBack()
		}
	}
	return report, err
}

// put is what a service had put off.
type put struct {
	h     *Host
	forks int
	timer *timer
}

func (h *Host) putOff() put { return put{h, len(h.forks.items), h.timers} }

// takeBack ends what hooks have put off that have then failed.
func (b put) takeBack() {
	h := b.h
	for _, f := range h.forks.items[b.forks:] {
		if f.fork != nil {
			h.drop(f.fork)
		} else {
			h.drop(&f.co.job)
		}
	}
	clear(h.forks.items[b.forks:])
	h.forks.items = h.forks.items[:b.forks]
	for t := h.timers; t != b.timer; t = h.timers {
		t.unlink()
		t.timer.Cancel()
		h.vm.Main().Unref(t.fn)
	}
}

// follow notes which handlers go on with the code that they have begun with.
func (h *Host) follow(u *reload.Update, report reload.Report) {
	if h.module != 0 && h.client == 0 {
		h.findClient()
	}
	if len(report.Waiting) == 0 {
		return
	}
	r := &h.reload
	for _, service := range h.services() {
		for co := service.live; co != nil; co = co.next {
			if !u.Behind(h.vm, co.th, r.version) {
				continue
			}
			if !slices.Contains(r.updates, u) {
				r.updates = append(r.updates, u)
			}
			if co.behind == "" {
				co.behind = u.From().ID()
				r.behind++
			}
		}
	}
}

// services are all that have handlers in the VM.
func (h *Host) services() []*Host {
	return append([]*Host{h.first}, h.reload.agents...)
}

// caughtUp is for a handler that has ended, having begun with code of a version before. When it was the last one, the functions that such handlers have made
// meanwhile get the new code, too.
func (h *Host) caughtUp(co *coroutine) {
	co.behind = ""
	r := &h.reload
	if r.behind--; r.behind == 0 && len(r.updates) > 0 {
		h.c.Detached(func() { h.c.Resume(h.catchUp)() })
	}
}

func (h *Host) catchUp() {
	r := &h.reload
	if r.behind > 0 || h.vm == nil {
		return
	}
	updates := r.updates
	r.updates = nil
	for _, u := range updates {
		report, err := h.apply(u, reload.Target{Version: r.version.ID(), Now: r.version})
		if err != nil {
			h.log.Error("the functions that were made meanwhile keep their code", "version", u.To().ID(), "error", err.Error())
			continue
		}
		h.follow(u, report)
	}
}

// running tells which version the service runs, and what is under way with another.
func (h *Host) running() Running {
	r := Running{Agents: 1, Keeper: h.keeps, VM: h.first.c.Self()}
	if h.keeps || h.shares {
		r.Agents = len(h.reload.agents)
	}
	if v := h.reload.version; v != nil {
		r.Version = v.ID()
	}
	for _, service := range h.services() {
		for co := service.live; co != nil; co = co.next {
			if co.behind != "" {
				stack := h.fullStack(co.th)
				r.Waiting = append(r.Waiting, stack)
				r.Behind = append(r.Behind, Behind{Service: service.c.Self(), Version: co.behind, Stack: stack})
			}
		}
	}
	return r
}

// fullStack is the stack of a thread that waits, below those of the coroutines that it has resumed.
func (h *Host) fullStack(th vm.State) string {
	stack := stackOf(th)
	p, ok := h.vm.(vm.Patcher)
	for ok && th != nil {
		if th = p.Resumed(th); th != nil {
			stack = stackOf(th) + "\n" + stack
		}
	}
	return stack
}
