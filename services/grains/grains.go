// Package grains has grains that are written in Lua: kinds of [grain.Kind] whose actors are services of a script, and the module grain by which scripts speak to grains of all nodes.
package grains

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/lua"
)

// Kind is grains of a script.
type Kind struct {
	// Name, Placement, Role and Idle are those of [grain.Kind].
	Name      string
	Placement grain.Placement
	Role      string
	Idle      time.Duration
	// Script is the service. It gets the id, the kind and the epoch as arguments, and its first message when its start function has returned. Empty on a node that has none of these grains.
	Script string
}

// Config is what Scripts stand on.
type Config struct {
	// StartTimeout is how long a script may take until its start function has returned. Default 15 s: less than others wait for a grain to start.
	StartTimeout time.Duration
}

// Scripts are the grains of scripts, and those that scripts speak to. All methods may be called from any goroutine.
type Scripts struct {
	cfg   Config
	all   atomic.Pointer[grain.Grains]
	lives sync.Map // actor.Ref to grain.Identity: activations of scripts on this node
}

// New makes the Scripts of a node. Their Module goes into the Runtime, their Kinds into the [grain.Grains], which are told by Use then.
func New(cfg Config) *Scripts {
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = 15 * time.Second
	}
	return &Scripts{cfg: cfg}
}

// Use has scripts speak to these grains from now on. Before, the module's functions are errors.
func (x *Scripts) Use(g *grain.Grains) { x.all.Store(g) }

// Epoch is that of the activation which a service is, 0 for a service that is no grain: what it writes carries it.
func (x *Scripts) Epoch(service actor.Ref) uint64 {
	v, ok := x.lives.Load(service)
	if !ok {
		return 0
	}
	return v.(grain.Identity).Epoch //nolint:forcetypeassert // what the map is of
}

// Kinds makes the kinds of scripts of a Runtime. The error wraps that of a script which there is not.
func (x *Scripts) Kinds(rt *lua.Runtime, kinds []Kind) ([]grain.Kind, error) {
	made := make([]grain.Kind, 0, len(kinds))
	for _, k := range kinds {
		if k.Script != "" && !rt.Has(k.Script) {
			return nil, fmt.Errorf("grains: kind %s: there is no script %s", k.Name, k.Script)
		}
		g := grain.Kind{Name: k.Name, Placement: k.Placement, Role: k.Role, Idle: k.Idle}
		if script := k.Script; script != "" {
			g.New = func(id grain.Identity) actor.Spec { return x.spec(rt, script, id) }
		}
		made = append(made, g)
	}
	return made, nil
}

// spec is that of an activation.
func (x *Scripts) spec(rt *lua.Runtime, script string, id grain.Identity) actor.Spec {
	spec := rt.Spec(script, value.Of(id.ID, id.Kind, int64(id.Epoch)))
	made := spec.New
	spec.New = func() actor.Actor {
		host, ok := made().(*lua.Host)
		if !ok {
			return broken{}
		}
		return &life{Host: host, x: x, id: id}
	}
	return spec
}

// broken is what a Runtime can't make.
type broken struct{}

var errHost = errors.New("grains: the runtime makes no host of a script")

// Start fails.
func (broken) Start(*actor.Context) error { return errHost }

// Receive is never called.
func (broken) Receive(*actor.Context, any) {}

// life is the actor of an activation: the host of its script, which is loaded when the script's start function has returned.
type life struct {
	*lua.Host
	x  *Scripts
	id grain.Identity
}

// Start begins to run the script.
func (l *life) Start(c *actor.Context) error {
	self := c.Self()
	l.x.lives.Store(self, l.id)
	if err := l.Host.Start(c); err != nil {
		l.x.lives.Delete(self)
		return err
	}
	l.Closed(func() { l.x.lives.Delete(self) })
	return nil
}

// Load waits until the script's start function has returned.
func (l *life) Load(c *actor.Context, done func(error)) {
	c.Detached(func() {
		c.AskFor(c.Self(), lua.Ready{}, l.x.cfg.StartTimeout, func(_ any, err error) { done(err) })
	})
}
