package lua

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
)

// LauncherName is the name of the actor that starts services for scripts.
const LauncherName = "launcher"

// Launcher starts the services that scripts ask for. They are its children, so they end with it.
type Launcher struct {
	rt      *Runtime
	uniques map[string]*unique
	waiting map[string][]actor.Promise // queries for unique services that nobody has started
	queries int
}

type unique struct {
	ref   actor.Ref
	ready bool
	wait  []actor.Promise
}

// maxQueries bounds those who wait for services that nobody starts.
const maxQueries = 10_000

// Launcher is the Spec of the launcher; a System has one.
func (rt *Runtime) Launcher() actor.Spec {
	return actor.Spec{Name: LauncherName, New: func() actor.Actor {
		return &Launcher{rt: rt, uniques: map[string]*unique{}, waiting: map[string][]actor.Promise{}}
	}}
}

// Receive handles Launch.
func (l *Launcher) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Launch:
		switch {
		case m.Query:
			l.query(c, m)
		case m.Unique:
			l.unique(c, m)
		default:
			l.launch(c, m, c.Reply)
		}
	case actor.Terminated:
		for name, u := range l.uniques {
			if u.ref == m.Ref {
				delete(l.uniques, name)
			}
		}
	default:
		c.Reply(nil, fmt.Errorf("lua: the launcher takes no %T", msg))
	}
}

// launch spawns a service and answers when it is ready.
func (l *Launcher) launch(c *actor.Context, m Launch, then func(any, error)) actor.Ref {
	if _, _, err := l.rt.source(m.Script); err != nil {
		then(nil, err)
		return actor.Ref{}
	}
	ref, err := c.Spawn(l.rt.Spec(m.Script, m.Args))
	if err != nil {
		then(nil, err)
		return actor.Ref{}
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
	return ref
}

func (l *Launcher) unique(c *actor.Context, m Launch) {
	if u := l.uniques[m.Script]; u != nil {
		if u.ready {
			c.Reply(u.ref, nil)
			return
		}
		u.wait = append(u.wait, c.Promise())
		return
	}
	u := &unique{wait: []actor.Promise{c.Promise()}}
	for _, p := range l.waiting[m.Script] {
		u.wait = append(u.wait, p)
		l.queries--
	}
	delete(l.waiting, m.Script)
	l.uniques[m.Script] = u
	u.ref = l.launch(c, m, func(v any, err error) {
		u.ready = err == nil
		if err != nil && l.uniques[m.Script] == u {
			delete(l.uniques, m.Script)
		}
		for _, p := range u.wait {
			p.Reply(v, err)
		}
		u.wait = nil
	})
	if !u.ref.IsZero() {
		c.Watch(u.ref)
	}
}

func (l *Launcher) query(c *actor.Context, m Launch) {
	u := l.uniques[m.Script]
	switch {
	case u != nil && u.ready:
		c.Reply(u.ref, nil)
	case u != nil:
		u.wait = append(u.wait, c.Promise())
	case l.queries >= maxQueries:
		c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: LauncherName, Text: "too many queries for services that nobody has started"})
	default:
		l.queries++
		l.waiting[m.Script] = append(l.waiting[m.Script], c.Promise())
	}
}
