// Package datacenter keeps a tree of values that all services read and write by paths, and wait for. Scripts use it as skynet.datacenter. It is the node's
// with Spec, and lives as long as that; with Cluster all nodes of a cluster have one, which one of them keeps for all, and which stays when that one ends. What is to be read fast and
// often belongs into services/sharedata.
//
// A value under a path is a boolean, a number or a string, or a branch: a table that is set is one, and a branch that is read is a table.
package datacenter

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// ServiceName is the name under which a node's scripts find the tree.
const ServiceName = "datacenter"

// Get asks for what is at a path: answered by a value.Value, which is nil if nothing is there, or by ErrLeaf.
type Get struct{ Path []value.Value }

// Set puts a value at a path, in place of whatever is there; nil takes that away. It is answered by the value.Value that was there, or by ErrLeaf, ErrFull or
// value.ErrDepth.
type Set struct {
	Path  []value.Value
	Value value.Value
}

// Wait is Get that waits until there is something: answered by a value.Value, or by ErrLeaf, ErrBranch, or an actor.ErrOverloaded if too many wait.
type Wait struct{ Path []value.Value }

// The errors, wrapped with the path.
var (
	// ErrLeaf is for a path that leads through a value that is no table.
	ErrLeaf = errors.New("there is a value on the way that is no table")
	// ErrBranch is for a wait that can't end: for a path to which others are longer, because somebody waits there or something has been set there.
	ErrBranch = errors.New("a branch can't be waited for")
	// ErrFull is for a value for which there is no room.
	ErrFull = errors.New("the tree is full")
	// ErrPath is for a path that has no keys, too many, or such that are neither boolean, number nor string.
	ErrPath = errors.New("no path")
)

// Config tells the service its bounds. The zero value works.
type Config struct {
	// MaxValues is how many values and branches the tree may have. Default 1,000,000; each takes some 100 bytes, and what it holds.
	MaxValues int
	// MaxWaits is how many may wait at a time. Default 10,000.
	MaxWaits int
}

func (cfg Config) withDefaults() Config {
	if cfg.MaxValues <= 0 {
		cfg.MaxValues = 1_000_000
	}
	if cfg.MaxWaits <= 0 {
		cfg.MaxWaits = 10_000
	}
	return cfg
}

// Spec is how to spawn the datacenter of a node. It needs no other service; those that use it are to be spawned later.
func Spec(cfg Config) actor.Spec {
	cfg = cfg.withDefaults()
	return actor.Spec{
		Name: ServiceName,
		New:  func() actor.Actor { return newService(cfg) },
		// The values are nowhere else, so a restart without them would pretend that all is well.
		Supervision: actor.Supervision{Limit: -1},
	}
}

func newService(cfg Config) *service {
	return &service{root: branch(), waits: waits{limit: cfg.MaxWaits}, max: cfg.MaxValues}
}

// service is the actor that has the tree.
type service struct {
	root  *node
	count int // of the nodes below root
	max   int
	waits waits
	keep  *keeper // nil for a tree that is nowhere else
}

// Receive takes the messages of this package; scripts send theirs as Skynet's do.
func (d *service) Receive(c *actor.Context, msg any) {
	if d.keep != nil && !d.keep.line.free() {
		d.keep.line.add(c, func() { d.handle(c, msg) })
		return
	}
	d.handle(c, msg)
}

func (d *service) handle(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Get:
		d.reply(c, m.Path, false, d.get)
	case Set:
		d.change(c, m.Path, false, m.Value)
	case Wait:
		d.wait(c, m.Path, false)
	case lua.Message:
		d.fromScript(c, m)
	default:
		c.Reply(nil, fmt.Errorf("datacenter: %T is no message of this service", msg))
	}
}

// fromScript takes QUERY and WAIT with a path, and UPDATE with a path and a value.
func (d *service) fromScript(c *actor.Context, m lua.Message) {
	cmd, _ := m.Args.At(0).Str()
	var args []value.Value
	for _, v := range m.Args.Rest(1).All {
		args = append(args, v)
	}
	switch {
	case cmd == "QUERY":
		d.reply(c, keys(args), true, d.get)
	case cmd == "WAIT":
		d.wait(c, keys(args), true)
	case cmd == "UPDATE" && len(args) >= 2:
		last := len(args) - 1
		d.change(c, args[:last], true, args[last])
	case cmd == "UPDATE":
		c.Reply(nil, fmt.Errorf("datacenter: %w: a path and a value are expected, got %d arguments", ErrPath, len(args)))
	default:
		c.Reply(nil, fmt.Errorf("datacenter: %q is no command: QUERY, UPDATE or WAIT is expected", cmd))
	}
}

// keys is a path without the nils at its end.
func keys(args []value.Value) []value.Value {
	for len(args) > 0 && args[len(args)-1].IsNil() {
		args = args[:len(args)-1]
	}
	return args
}

// reply answers with what do makes of a path. Scripts get it as a list.
func (d *service) reply(c *actor.Context, raw []value.Value, script bool, do func(p path) (value.Value, error)) {
	p, err := pathOf(raw)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	v, err := do(p)
	if err != nil {
		c.Reply(nil, fmt.Errorf("datacenter: %s: %w", p, err))
		return
	}
	if d.keep == nil {
		c.Reply(answer(v, script), nil)
		return
	}
	promise := c.Promise()
	d.keep.out(func() { promise.Reply(answer(v, script), nil) })
}

// change sets a value, and answers when that is kept.
func (d *service) change(c *actor.Context, raw []value.Value, script bool, v value.Value) {
	d.reply(c, raw, script, func(p path) (value.Value, error) {
		if d.keep == nil {
			return d.set(p, v)
		}
		return d.keep.set(c, d, p, raw, v)
	})
}

func answer(v value.Value, script bool) any {
	if script {
		return v.List()
	}
	return v
}

func (d *service) get(p path) (value.Value, error) {
	n, err := d.root.find(p)
	if err != nil || n == nil {
		return value.Value{}, err
	}
	return n.value()
}

// set changes the tree and answers those who have waited for that.
func (d *service) set(p path, v value.Value) (value.Value, error) {
	above, err := d.root.find(p[:len(p)-1])
	if err != nil {
		return value.Value{}, err
	}
	var before value.Value
	if above != nil {
		if above.kids == nil {
			return value.Value{}, ErrLeaf
		}
		if old := above.kids[p[len(p)-1]]; old != nil {
			if before, err = old.value(); err != nil {
				return value.Value{}, err
			}
		}
	}
	if v.IsNil() {
		if above != nil {
			d.put(above, p[len(p)-1], nil)
		}
		return before, nil
	}
	n := nodeOf(v)
	if len(p)-1+n.height() > value.MaxDepth { // else nobody could read it in one piece
		return value.Value{}, value.ErrDepth
	}
	if d.count+len(p)+n.size() > d.max {
		return value.Value{}, fmt.Errorf("%w: it has %d of %d values", ErrFull, d.count, d.max)
	}
	at := d.root
	for _, k := range p[:len(p)-1] {
		next := at.kids[k]
		if next == nil {
			next = branch()
			d.put(at, k, next)
		}
		at = next
	}
	d.put(at, p[len(p)-1], n)
	d.waits.settle(p, n)
	return before, nil
}

// put replaces what is below a node, and counts.
func (d *service) put(at *node, k any, n *node) {
	if old := at.kids[k]; old != nil {
		d.count -= old.size()
		delete(at.kids, k)
	}
	if n != nil {
		at.kids[k] = n
		d.count += n.size()
	}
}

func (d *service) wait(c *actor.Context, raw []value.Value, script bool) {
	p, err := pathOf(raw)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	v, err := d.get(p)
	switch {
	case err != nil:
	case !v.IsNil():
		d.reply(c, raw, script, func(path) (value.Value, error) { return v, nil })
		return
	case c.IsRequest():
		err = d.waits.add(p, waiter{c.Promise(), script})
	}
	if err != nil {
		c.Reply(nil, fmt.Errorf("datacenter: %s: %w", p, err))
	}
}
