package lua

import (
	"errors"
	"fmt"
	"time"

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
	Version string   // the ID; empty if it began before the runtime had a version
	Waiting []string // the stacks of handlers that have begun with a version before, and wait
}

// reloading is what a VM knows of the version that it runs.
type reloading struct {
	version *reload.Version
	main    string // the file of its script
	quiet   bool   // initial values are made, which must not reach others
	agents  []*Host
	behind  int            // handlers that run code of a version before
	update  *reload.Update // the last, while there are such
}

func (r *reloading) left(h *Host) {
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

// upgrade replaces the VM's code.
func (h *Host) upgrade(m Upgrade) (any, error) {
	r := &h.reload
	switch {
	case h.vm == nil || !h.ready && !h.keeps || h.failure != nil:
		return nil, errNotReady
	case r.version == nil:
		return nil, fmt.Errorf("lua: %s runs no version: Runtime.Use has not been called before it began", h.script)
	case h.cur != nil:
		return nil, fmt.Errorf("lua: %s: a handler runs", h.script)
	}
	report, err := h.apply(m.Update, r.version.ID())
	if err != nil {
		return nil, fmt.Errorf("lua: %s: %w", h.script, err)
	}
	h.follow(m.Update, report)
	return report, nil
}

// apply applies an update to the VM, which runs a version.
func (h *Host) apply(u *reload.Update, version string) (reload.Report, error) {
	r, s := &h.reload, h.vm.Main()
	services := []*Host{h}
	if h.keeps || h.shares {
		services = r.agents
	}
	now, hooks := h.now, false
	defer func() { h.now = now }()
	t := reload.Target{
		VM: h.vm, Version: version, Main: r.main, Module: h.module, Use: func(v *reload.Version) { r.version = v },
		Enter: func(i int) {
			if hooks = true; i >= 0 {
				h.now = services[i]
			}
		},
		Call: func(n, results int) error {
			h.now.began = time.Time{} // tick looks at the clock
			r.quiet = !hooks
			defer func() { r.quiet = false }()
			return s.PCall(n, results)
		},
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
	r.update = u
	for _, service := range h.services() {
		for co := service.live; co != nil; co = co.next {
			if !co.old {
				co.old = true
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
	co.old = false
	r := &h.reload
	if r.behind--; r.behind == 0 && r.update != nil {
		h.c.Detached(func() { h.c.Resume(h.catchUp)() })
	}
}

func (h *Host) catchUp() {
	r := &h.reload
	u := r.update
	if u == nil || r.behind > 0 || h.vm == nil {
		return
	}
	r.update = nil
	if report, err := h.apply(u, u.To().ID()); err != nil {
		h.log.Error("the functions that were made meanwhile keep their code", "version", u.To().ID(), "error", err.Error())
	} else {
		h.follow(u, report)
	}
}

// running tells which version the service runs, and what is under way with another.
func (h *Host) running() Running {
	r := Running{}
	if v := h.reload.version; v != nil {
		r.Version = v.ID()
	}
	for _, service := range h.services() {
		for co := service.live; co != nil; co = co.next {
			if co.old {
				r.Waiting = append(r.Waiting, stackOf(co.th))
			}
		}
	}
	return r
}
