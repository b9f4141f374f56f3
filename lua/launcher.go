package lua

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// LauncherName is the name of the actor that starts services for scripts.
const LauncherName = "launcher"

// Launcher starts the services that scripts ask for. They are its children, so they end with it. It closes the VMs of services that have ended.
type Launcher struct {
	rt      *Runtime
	uniques map[string]*unique
	waiting map[string][]actor.Promise // queries for unique services that nobody has started
	queries int
	sweepAt int // the number of queries at which those are looked for that were given up
	hosts   map[actor.Ref]*hosted
	keepers map[string][]*keeper // by script
	tidy    tidy
	watcher string    // the key of the service that is told of each one that has ended
	monitor actor.Ref // and that service, once it is ready
}

// hosted is a service that the launcher closes the VM of.
type hosted struct {
	host   *Host
	child  bool    // it ends before the launcher does
	keeper *keeper // whose VM it shares
}

type unique struct {
	ref   actor.Ref
	ready bool
	wait  []actor.Promise
}

// maxQueries bounds those who wait for services that nobody starts.
const maxQueries = 10_000

// born is what a service tells the launcher when it starts.
type born struct{ host *Host }

// forget ends the unique service of a key. It is answered by whether there was one.
type forget struct{ key string }

// Launcher is the Spec of the launcher; a System has one.
func (rt *Runtime) Launcher() actor.Spec {
	return actor.Spec{Name: LauncherName, New: func() actor.Actor {
		return &Launcher{rt: rt, uniques: map[string]*unique{}, waiting: map[string][]actor.Promise{}, hosts: map[actor.Ref]*hosted{}, keepers: map[string][]*keeper{}}
	}}
}

// Receive handles Launch.
func (l *Launcher) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Launch:
		if m.Monitor {
			l.watcher = m.key()
		}
		switch {
		case m.Query:
			l.query(c, m)
		case m.Unique:
			l.unique(c, m)
		case m.Shared:
			l.launchShared(c, m)
		default:
			l.launchFor(c, m)
		}
	case born:
		l.born(c, m.host)
	case forget:
		l.forget(c, m.key)
	case find:
		var host *Host
		if of := l.hosts[m.ref]; of != nil {
			host = of.host
		}
		c.Reply(host, nil)
	case fullCell:
		l.full(c, m)
	case actor.Terminated:
		l.ended(c, m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("lua: the launcher takes no %T", msg))
	}
}

func (l *Launcher) born(c *actor.Context, host *Host) {
	h := l.hosts[c.From()]
	if h == nil {
		h = &hosted{}
		l.hosts[c.From()] = h
	}
	h.host = host
	c.Watch(c.From())
}

func (h *hosted) close() {
	if h.host != nil {
		h.host.close()
	}
}

// Stop closes the VMs of the launcher's own services, which have all ended.
func (l *Launcher) Stop(*actor.Context, error) {
	for _, h := range l.hosts {
		if h.child {
			h.close()
		}
	}
}

// ended is for a service that nobody runs any more.
func (l *Launcher) ended(c *actor.Context, ref actor.Ref) {
	if h := l.hosts[ref]; h != nil {
		delete(l.hosts, ref)
		if !l.lost(c, ref) {
			h.close()
		}
		l.tidy.ended(c)
		if h.keeper != nil {
			l.left(c, h.keeper)
		}
	}
	for name, u := range l.uniques {
		if u.ref == ref {
			delete(l.uniques, name)
		}
	}
	switch {
	case ref == l.monitor:
		l.monitor = actor.Ref{}
	case !l.monitor.IsZero():
		c.Send(l.monitor, Message{Type: TypeClient, Raw: true, Args: textList(""), Envelope: &Envelope{From: ref}})
	}
}

// forget stops the unique service of a key, so that the next one who asks for it starts it anew.
func (l *Launcher) forget(c *actor.Context, key string) {
	u := l.uniques[key]
	if u == nil || !u.ready {
		c.Reply(value.Of(false), nil)
		return
	}
	delete(l.uniques, key)
	c.Stop(u.ref, errKilled)
	c.Reply(value.Of(true), nil)
}

// launchFor starts a service for the one who asks.
func (l *Launcher) launchFor(c *actor.Context, m Launch) {
	if !c.IsRequest() {
		l.launch(c, m, func(any, error) {})
		return
	}
	promise := c.Promise()
	l.launch(c, m, func(v any, err error) {
		if ref, ok := v.(actor.Ref); !c.ReplyTo(promise, v, err) && ok && err == nil {
			c.Stop(ref, nil) // nobody knows of it
		}
	})
}

// launch spawns a service and answers when it is ready.
func (l *Launcher) launch(c *actor.Context, m Launch, then func(any, error)) actor.Ref {
	if err := l.rt.launchable(m.Script); err != nil {
		then(nil, err)
		return actor.Ref{}
	}
	ref, err := c.Spawn(l.rt.Spec(m.Script, m.Args))
	if err != nil {
		then(nil, err)
		return actor.Ref{}
	}
	l.hosts[ref] = &hosted{child: true}
	l.whenReady(c, ref, m, then)
	return ref
}

// whenReady answers for a service that has been spawned when it is ready.
func (l *Launcher) whenReady(c *actor.Context, ref actor.Ref, m Launch, then func(any, error)) {
	c.Watch(ref)
	if m.Soon {
		then(ref, nil)
		then = func(any, error) {}
	}
	c.AskFor(ref, Ready{}, l.rt.cfg.StartTimeout, func(_ any, err error) {
		if err == nil {
			then(ref, nil)
			return
		}
		c.Stop(ref, err)
		if errors.Is(err, actor.ErrDeadline) {
			err = fmt.Errorf("lua: service %q: its start function did not return in time: %w", m.Script, err)
		}
		then(nil, err)
	})
}

func (l *Launcher) unique(c *actor.Context, m Launch) {
	key := m.key()
	if u := l.uniques[key]; u != nil {
		if u.ready {
			l.found(key, u.ref)
			c.Reply(u.ref, nil)
			return
		}
		u.wait = append(u.wait, c.Promise())
		return
	}
	u := &unique{wait: []actor.Promise{c.Promise()}}
	for _, p := range l.waiting[key] {
		u.wait = append(u.wait, p)
		l.queries--
	}
	delete(l.waiting, key)
	l.uniques[key] = u
	c.Within(c.Span(), func() { // it is there for others than the one who asks first, and may give up
		u.ref = l.launch(c, m, func(v any, err error) {
			u.ready = err == nil
			if err != nil && l.uniques[key] == u {
				delete(l.uniques, key)
			}
			if ref, ok := v.(actor.Ref); ok {
				l.found(key, ref)
			}
			for _, p := range u.wait {
				p.Reply(v, err)
			}
			u.wait = nil
		})
	})
}

// found is called when the unique service of a key is ready.
func (l *Launcher) found(key string, ref actor.Ref) {
	if key == l.watcher {
		l.monitor = ref
	}
}

func (l *Launcher) query(c *actor.Context, m Launch) {
	key := m.key()
	u := l.uniques[key]
	if u == nil {
		l.sweepQueries()
	}
	switch {
	case u != nil && u.ready:
		l.found(key, u.ref)
		c.Reply(u.ref, nil)
	case u != nil:
		u.wait = append(u.wait, c.Promise())
	case l.queries >= maxQueries:
		c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: LauncherName, Text: "too many queries for services that nobody has started"})
	default:
		l.queries++
		l.waiting[key] = append(l.waiting[key], c.Promise())
	}
}

// sweepQueries forgets the queries for which nobody waits any more, each time that there are twice as many.
func (l *Launcher) sweepQueries() {
	if l.queries < l.sweepAt {
		return
	}
	l.queries = 0
	for key, all := range l.waiting {
		all = slices.DeleteFunc(all, func(p actor.Promise) bool { return !p.Open() })
		l.queries += len(all)
		if l.waiting[key] = all; len(all) == 0 {
			delete(l.waiting, key)
		}
	}
	l.sweepAt = min(2*l.queries+64, maxQueries)
}
