package lua

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// cell is a VM and what lives in it once, however many services it has. Most cells have one. The agents of a script whose handlers take their state as first
// argument can share one: each is an actor with an address, a mailbox, timers, waits and a state of its own, and the script's functions, modules and constants
// are there once. A service that handles nothing, the keeper, has run the script, and owns what its modules do for themselves.
type cell struct {
	vm     vm.VM
	module int // the table of handlers, if the script returned one
	client int // its field of that name
	pool   []*coroutine
	memory memory

	turn     sync.Mutex            // held by the service whose turn it is, if there are several
	now      *Host                 // that service
	guard    atomic.Pointer[guard] // what operators do to it, mostly nil
	guarding sync.Mutex            // of those who change guard
	lap      lap                   // the time since the last tick
	fast     bool                  // its ticks come more often than usual, for a profile
	first    *Host                 // the service, or the keeper

	manages   bool // skynet.manager has been required
	loop      int  // the function that coroutines run
	require   int  // the global of that name, and the function that skynet.init asks whether a module is being made
	requiring int
	skynet    int // the module
	begins    int // the function that runs what skynet.init was given

	lua                protocol
	protocols          map[string]*protocol
	types              map[Type]*protocol
	packRef, unpackRef int // skynet.pack and skynet.unpack
	errorMeta, arrived int

	reload reloading
}

func newCell() *cell { return &cell{lua: protocol{name: TypeLua.String(), id: TypeLua}} }

// Turn is what the runtime holds while a service of a shared VM runs.
type turn struct{ h *Host }

func (t turn) Lock() {
	t.h.turn.Lock()
	t.h.now = t.h
}

func (t turn) Unlock() { t.h.turn.Unlock() }

// active is the service that a module in Go acts for: the one whose turn it is, if the module belongs to the keeper of a VM with many.
func (h *Host) active() *Host {
	if h.keeps {
		return h.now
	}
	return h
}

// close frees what a service that nobody runs any more has: the VM, or what it had in the one that others go on with.
func (h *Host) close() {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.ended = true
	if h.vm == nil {
		return
	}
	h.now = h
	if !h.shares {
		h.isClosed()
		h.vm.Close()
		h.vm = nil
		return
	}
	h.abandon()
	for co := h.live; co != nil; co = h.live { // what an end without a word has left
		h.dropWait(co)
		h.drop(&co.job)
		h.unlink(co)
	}
	h.isClosed()
	h.reload.left(h)
	s := h.vm.Main()
	s.Unref(h.state)
	s.Unref(h.tokens)
	h.state, h.tokens = 0, 0
}

// join begins an agent in a VM that has the script.
func (h *Host) join() {
	s := h.vm.Main()
	s.NewTable(0, 8)
	h.state = s.Ref()
	h.reload.agents = append(h.reload.agents, h)
	h.runStart(0, h.startJob())
}

// errKeeper answers what is meant for an agent.
var errKeeper = errors.New("lua: this is the VM of agents that share it, not one of them")

// errLost ends agents whose VM has failed.
var errLost = errors.New("lua: the VM that the agent shares has failed")

// keeper is a VM with many agents, as the launcher sees it.
type keeper struct {
	script  string
	key     string // what newservice named it; empty if the launcher chose
	cell    *cell
	ref     actor.Ref
	agents  int
	ready   bool
	err     error
	waiting []func()
}

// seat finds the VM for one more agent of a script, or makes one.
func (l *Launcher) seat(c *actor.Context, m Launch) (*keeper, error) {
	for _, k := range l.keepers[m.Script] {
		if k.err == nil && k.key == m.Shard && (m.Shard != "" || k.agents < l.rt.cfg.AgentsPerVM) {
			return k, nil
		}
	}
	if err := l.rt.launchable(m.Script); err != nil {
		return nil, err
	}
	k := &keeper{script: m.Script, key: m.Shard, cell: newCell()}
	host := &Host{cell: k.cell, rt: l.rt, script: m.Script, maker: m.Script, keeps: true, sessions: firstSession}
	ref, err := c.Spawn(l.rt.sharedSpec(host))
	if err != nil {
		return nil, fmt.Errorf("lua: VM for agents of %s: %w", m.Script, err)
	}
	k.ref = ref
	l.hosts[ref] = &hosted{child: true}
	l.keepers[m.Script] = append(l.keepers[m.Script], k)
	c.Watch(ref)
	c.Detached(func() { // it is there for others than the one who asks
		c.AskFor(ref, Ready{}, l.rt.cfg.StartTimeout, func(_ any, err error) { l.seated(c, k, err) })
	})
	return k, nil
}

// seated goes on with those who wait for a VM.
func (l *Launcher) seated(c *actor.Context, k *keeper, err error) {
	k.ready, k.err = err == nil, err
	if err != nil {
		l.close(c, k)
	}
	waiting := k.waiting
	k.waiting = nil
	for _, f := range waiting {
		f()
	}
}

func (l *Launcher) close(c *actor.Context, k *keeper) {
	rest := l.keepers[k.script][:0]
	for _, other := range l.keepers[k.script] {
		if other != k {
			rest = append(rest, other)
		}
	}
	if l.keepers[k.script] = rest; len(rest) == 0 {
		delete(l.keepers, k.script)
	}
	c.Stop(k.ref, nil)
}

// launchShared starts an agent in a VM with others.
func (l *Launcher) launchShared(c *actor.Context, m Launch) {
	k, err := l.seat(c, m)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	k.agents++
	promise := c.Promise()
	start := func() {
		if k.err != nil {
			k.agents--
			promise.Reply(nil, k.err)
			return
		}
		host := &Host{cell: k.cell, rt: l.rt, script: m.Script, maker: m.Script, args: m.Args, shares: true, sessions: firstSession}
		ref, err := c.Spawn(l.rt.sharedSpec(host))
		if err != nil {
			l.left(c, k)
			promise.Reply(nil, err)
			return
		}
		l.hosts[ref] = &hosted{child: true, keeper: k}
		l.whenReady(c, ref, m, func(v any, err error) {
			if !promise.Reply(v, err) && err == nil {
				c.Stop(ref, nil) // nobody knows of it
			}
		})
	}
	if k.ready {
		start()
		return
	}
	k.waiting = append(k.waiting, start)
}

// lost is for a keeper that has ended, which it does by itself only if it has failed: its agents can't go on.
func (l *Launcher) lost(c *actor.Context, ref actor.Ref) (inUse bool) {
	for _, keepers := range l.keepers {
		for _, k := range keepers {
			if k.ref == ref && k.agents > 0 {
				k.err = errLost
				inUse = true
			}
		}
	}
	for agent, h := range l.hosts {
		if h.keeper != nil && h.keeper.ref == ref {
			inUse = true
			c.Stop(agent, errLost)
		}
	}
	return inUse
}

// left is for an agent that has ended. A VM without agents ends.
func (l *Launcher) left(c *actor.Context, k *keeper) {
	if k.agents--; k.agents == 0 {
		l.close(c, k)
	}
}
