package sharedata

import (
	"math"
	"slices"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// proxy is a shared table as a script sees it: a Lua table that is empty but for its metatable and one hidden field, which holds the proxy. What the script
// reads comes straight from the frozen table.
type proxy struct {
	c      *client
	view   *view
	parent *proxy // nil for the root
	key    slot   // its key in the parent
	pos    int    // and the position of that, while it is one of the parent's kids
	depth  int

	node *frozen
	gen  uint32 // of the view when node was right
	kids map[int]*proxy

	ref   int // of the Lua table while it is cached, else 0
	place int // in the cache
	used  bool
}

// maxPath bounds the way from a root, which gets longer and longer when a table that contains itself is walked for ever.
const maxPath = 4 * maxDepth

// proxyAt is the proxy of the table at index i of the stack, nil if it is another table or none.
func proxyAt(s vm.State, i int) *proxy {
	if s.Type(i) != vm.Table {
		return nil
	}
	s.RawGetInt(i, hiddenKey)
	p, _ := s.Userdata(-1).(*proxy)
	s.Pop(1)
	return p
}

// self is the proxy whose metamethod runs.
func self(s vm.State) *proxy {
	p := proxyAt(s, 1)
	if p == nil {
		s.Errorf("a shared table is expected, got %s", s.Type(1))
	}
	return p
}

// resolve is the table that the proxy stands for. It raises an error if an update has taken it away.
func (p *proxy) resolve(s vm.State) *frozen {
	if p.gen == p.view.gen {
		return p.node
	}
	node := p.renew()
	if node == nil {
		s.Errorf("%s %s: the key [%s] doesn't exist after update", p.view.of.kind, p.view.of.name, p.path())
	}
	return node
}

// renew finds the table after an update by its keys; nil if it is not there any more.
func (p *proxy) renew() *frozen {
	if p.gen == p.view.gen {
		return p.node
	}
	node := p.view.root
	if p.parent != nil {
		above := (*frozen)(nil)
		if p.depth <= maxPath {
			above = p.parent.renew()
		}
		if above == nil {
			return nil
		}
		if node = above.table(above.find(p.key)); node == nil {
			return nil
		}
	}
	p.gen = p.view.gen
	if p.node != node {
		p.become(node)
	}
	return node
}

// become puts another table in the place of the one before. What is cached below it stays what it is, if it is there still.
func (p *proxy) become(node *frozen) {
	p.node = node
	kids := p.kids
	p.kids = make(map[int]*proxy, len(kids))
	for pos, kid := range kids {
		kid.pos = node.find(kid.key)
		if sub := node.table(kid.pos); sub != nil && !sub.shared {
			p.kids[kid.pos] = kid
			continue
		}
		kid.pos = pos
		p.c.cache.drop(kid)
	}
}

// uncache takes the proxy out of wherever it would be found.
func (p *proxy) uncache() {
	p.c.th.Unref(p.ref)
	p.ref = 0
	switch {
	case p.parent == nil:
		if p.view.proxy == p {
			p.view.proxy = nil
		}
	case p.parent.kids[p.pos] == p:
		delete(p.parent.kids, p.pos)
	}
	if p.view.shared[p.node] == p {
		delete(p.view.shared, p.node)
	}
}

// pushRoot pushes the table of a view.
func (c *client) pushRoot(s vm.State, v *view) {
	if p := v.proxy; p != nil {
		p.used = true
		s.Push(p.ref)
		return
	}
	p := &proxy{c: c, view: v, node: v.root, gen: v.gen}
	c.pushNew(s, p)
	if !v.stale {
		v.proxy = p
		c.keep(s, p)
	}
}

// pushTable pushes the table at a position of the one that p stands for.
func (p *proxy) pushTable(s vm.State, pos int, node *frozen) {
	v, byNode := p.view, p.view.byNode(node)
	kid := p.kids[pos]
	if byNode {
		kid = v.shared[node]
	}
	if kid != nil {
		kid.used = true
		s.Push(kid.ref)
		return
	}
	kid = &proxy{c: p.c, view: v, parent: p, key: p.node.key(pos), pos: pos, depth: p.depth + 1, node: node, gen: p.gen}
	p.c.pushNew(s, kid)
	if v.stale {
		return
	}
	p.c.keep(s, kid)
	if !byNode {
		if p.kids == nil {
			p.kids = map[int]*proxy{}
		}
		p.kids[pos] = kid
	}
}

// pushNew pushes the Lua table of a proxy.
func (c *client) pushNew(s vm.State, p *proxy) {
	s.NewTable(0, 1)
	s.PushUserdata(p)
	s.RawSetInt(-2, hiddenKey)
	s.Push(c.meta)
	s.SetMetatable(-2)
}

// keep caches a proxy whose table is on top of the stack.
func (c *client) keep(s vm.State, p *proxy) {
	s.Copy(-1)
	p.ref = s.Ref()
	c.cache.keep(p)
	if v := p.view; v.byNode(p.node) {
		if v.shared == nil {
			v.shared = map[*frozen]*proxy{}
		}
		v.shared[p.node] = p
	}
}

// byNode tells whether a table of the view is the same one wherever it is found. What follows its name is known by the way to it, which an update may part.
func (v *view) byNode(t *frozen) bool { return t.shared && v.of.kind == table }

// pushValue pushes the value at a position of the table that p stands for.
func (p *proxy) pushValue(s vm.State, pos int) {
	v := p.node.at(pos)
	if sub, ok := v.obj.(*frozen); ok {
		p.pushTable(s, pos, sub)
		return
	}
	if v.obj == (intKind{}) && tooLarge(s, v) {
		s.Errorf("%s %s: %s.%s is %d, which an engine without 64-bit integers would round",
			p.view.of.kind, p.view.of.name, p.path(), p.node.key(pos).text(), int64(v.num))
	}
	pushScalar(s, v)
}

// tooLarge tells whether the engine would round an integer.
func tooLarge(s vm.State, v slot) bool {
	const exact = 1 << 53
	n := int64(v.num)
	return (n > exact || n < -exact) && !s.Exact()
}

func pushScalar(s vm.State, v slot) {
	switch o := v.obj.(type) {
	case string:
		s.PushString(o)
	case intKind:
		s.PushInt(int64(v.num))
	case floatKind:
		s.PushFloat(math.Float64frombits(v.num))
	case boolKind:
		s.PushBool(v.num != 0)
	default:
		s.PushNil()
	}
}

// path is the keys that lead to the table.
func (p *proxy) path() string {
	const most = 20
	var keys []string
	for ; p.parent != nil; p = p.parent {
		if len(keys) == most {
			keys = append(keys, "...")
			break
		}
		keys = append(keys, p.key.text())
	}
	slices.Reverse(keys)
	return strings.Join(keys, ".")
}
