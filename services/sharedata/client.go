package sharedata

import (
	"sync/atomic"
	"weak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// client is what one VM has of the shared tables. But for hear, it belongs to the goroutine that runs the VM.
type client struct {
	srv  *Service
	self weak.Pointer[client] // by which the registry knows it: what a VM that has ended holds is to go with it

	awake  func() // runs adopt between two messages
	called atomic.Bool

	th     vm.State // to let go of what is cached while no script runs
	meta   int      // the metatable of all proxies
	follow map[*object]*view
	tables map[*object][]weak.Pointer[view] // what sharetable.query gave
	cache  cache
}

// view is a table as a VM sees it. One that follows its name changes between two messages of the service only, so that a handler which does not wait reads one
// version from its beginning to its end.
type view struct {
	of    *object
	root  *frozen
	gen   uint32 // counts the changes of root
	stale bool   // a later version is known: what is read is not cached, so that it goes when the script lets it go
	proxy *proxy // the root's
	// cached proxies of tables that the tree holds at more than one place
	shared map[*frozen]*proxy
}

func newClient(srv *Service, ctx *actor.Context, s vm.State) *client {
	c := &client{srv: srv, th: s.NewThread(), follow: map[*object]*view{}, tables: map[*object][]weak.Pointer[view]{}}
	c.self = weak.Make(c)
	ctx.Detached(func() { c.awake = ctx.Resume(c.adopt) })
	return c
}

// hear is called from any goroutine when a table that this VM knows has changed.
func (c *client) hear() {
	if !c.called.Swap(true) {
		c.awake()
	}
}

// adopt sees to it that the VM reads the newest versions from now on.
func (c *client) adopt() {
	c.called.Store(false)
	for o, v := range c.follow {
		c.show(v, o.now.Load())
		if o.gone.Load() {
			delete(c.follow, o) // who holds it reads on; the name may come to mean another one
		}
	}
	for o := range c.tables {
		c.outdate(o)
	}
}

// show makes a view one of another version.
func (c *client) show(v *view, root *frozen) {
	if v.root == root {
		return
	}
	v.root = root
	v.gen++
	for _, p := range v.shared {
		c.cache.drop(p)
	}
	v.shared = nil
}

// outdate stops the caching for views of a sharetable that are not of its newest version.
func (c *client) outdate(o *object) {
	now, alive := o.now.Load(), c.tables[o][:0]
	for _, w := range c.tables[o] {
		v := w.Value()
		if v == nil {
			continue
		}
		alive = append(alive, w)
		if v.root != now && !v.stale {
			v.stale = true
			c.cache.dropView(v)
		}
	}
	clear(c.tables[o][len(alive):])
	if len(alive) == 0 {
		delete(c.tables, o)
		return
	}
	c.tables[o] = alive
}

// pushFollowing pushes the table of a name as it is and will be; false if there is none.
func (c *client) pushFollowing(s vm.State, k kind, name string) bool {
	o := c.srv.reg.find(k, name)
	if o == nil {
		return false
	}
	v := c.follow[o]
	if v == nil {
		v = &view{of: o}
		c.follow[o] = v
		o.watch(c)
		v.root = o.now.Load()
	}
	c.pushRoot(s, v)
	return true
}

// pushVersion pushes the table of a name as it is now; false if there is none.
func (c *client) pushVersion(s vm.State, k kind, name string) bool {
	o := c.srv.reg.find(k, name)
	if o == nil {
		return false
	}
	known, has := c.tables[o]
	if !has {
		o.watch(c)
	}
	now := o.now.Load()
	for _, w := range known {
		if v := w.Value(); v != nil && v.root == now {
			v.stale = false
			c.pushRoot(s, v)
			return true
		}
	}
	c.outdate(o)
	v := &view{of: o, root: now}
	c.tables[o] = append(c.tables[o], weak.Make(v))
	c.pushRoot(s, v)
	return true
}

// renew makes what a script holds of a sharetable the newest version of it.
func (c *client) renew(k kind, name string) {
	o := c.srv.reg.find(k, name)
	if o == nil {
		return
	}
	now := o.now.Load()
	for _, w := range c.tables[o] {
		if v := w.Value(); v != nil {
			c.show(v, now)
			v.stale = false
		}
	}
}
