package reload

import (
	"fmt"

	"github.com/skua-go/skua/lua/vm"
)

// merger brings a table up to date: what differs between two constructors is changed in it, unless it is not what the first one has made any more.
type merger struct {
	s        vm.State
	p        vm.Patcher
	depth    int
	changed  int
	added    int
	conflict func(key string)
}

// maxDepth bounds tables within tables.
const maxDepth = 100

// merge changes the table at the index live by what the tables at old and now differ in. The indices are from the bottom.
func (g *merger) merge(live, old, now int, path string) {
	s := g.s
	if g.depth++; g.depth > maxDepth {
		return
	}
	defer func() { g.depth-- }()
	s.PushNil()
	for s.Next(now) {
		v := s.Top() // behind its key
		g.get(old, v-1)
		g.get(live, v-1)
		g.one(live, v, v+1, v+2, path)
		s.SetTop(v - 1)
	}
	if old == now {
		return
	}
	s.PushNil()
	for s.Next(old) {
		v := s.Top()
		g.get(now, v-1)
		g.get(live, v-1)
		if s.Type(v+1) == vm.Nil && s.Type(v+2) != vm.Nil {
			if g.same(v+2, v) {
				s.Copy(v - 1)
				s.PushNil()
				s.RawSet(live)
				g.changed++
			} else {
				g.conflict(path + g.key(v-1))
			}
		}
		s.SetTop(v - 1)
	}
	g.metatable(live, old, now, path)
}

// one brings one value up to date: those at now, old and was are the new source's, the old one's, and what the game has; the key is below now.
func (g *merger) one(live, now, old, was int, path string) {
	s := g.s
	key := path + g.key(now-1)
	switch {
	case s.Type(now) == vm.Table && s.Type(was) == vm.Table:
		if s.Type(old) == vm.Table {
			g.merge(was, old, now, key)
		}
	case s.Type(now) == vm.Function && s.Type(old) == vm.Function && g.alike(now, old):
	case s.Type(old) != vm.Nil && g.same(now, old):
	case s.Type(was) == vm.Nil && s.Type(old) == vm.Nil:
		g.put(live, now)
		g.added++
	case g.same(was, old):
		g.put(live, now)
		g.changed++
	default:
		g.conflict(key)
	}
}

// alike tells whether two functions are both of Lua: the code of the one in the table has been replaced in place. Others are what they are.
func (g *merger) alike(now, old int) bool {
	a, b := g.p.ClosureAt(now), g.p.ClosureAt(old)
	return a != nil && b != nil || g.s.Equal(now, old)
}

func (g *merger) put(live, now int) {
	g.s.Copy(now - 1)
	g.s.Copy(now)
	g.s.RawSet(live)
}

func (g *merger) get(table, key int) {
	g.s.Copy(key)
	g.s.RawGet(table)
}

func (g *merger) key(i int) string {
	if text, ok := g.s.String(i); ok {
		return "." + text
	}
	return fmt.Sprintf("[%s]", g.s.Text(i))
}

// same tells whether two values are the same, tables by what they hold.
func (g *merger) same(i, j int) bool {
	s := g.s
	if s.Type(i) == vm.Function && s.Type(j) == vm.Function {
		return g.alike(i, j)
	}
	if s.Type(i) != vm.Table || s.Type(j) != vm.Table {
		return s.Equal(i, j)
	}
	if g.depth++; g.depth > maxDepth {
		return false
	}
	defer func() { g.depth-- }()
	return g.within(i, j) && g.within(j, i)
}

// within tells whether the table at j has all that the one at i has.
func (g *merger) within(i, j int) bool {
	s := g.s
	top := s.Top()
	defer s.SetTop(top)
	s.PushNil()
	for s.Next(i) {
		v := s.Top()
		g.get(j, v-1)
		if !g.same(v, v+1) {
			return false
		}
		s.SetTop(v - 1)
	}
	return true
}

// metatable brings what setmetatable has given the tables up to date.
func (g *merger) metatable(live, old, now int, path string) {
	s := g.s
	top := s.Top()
	defer s.SetTop(top)
	if !s.Metatable(live) {
		s.SetTop(top)
		if !s.Metatable(old) && s.Metatable(now) {
			s.SetMetatable(live)
			g.changed++
		}
		return
	}
	if !s.Metatable(old) || !s.Metatable(now) || s.Equal(top+2, top+3) {
		return
	}
	if s.Equal(top+1, top+2) { // they are one table: another one takes its place
		s.SetMetatable(live)
		g.changed++
		return
	}
	g.merge(top+1, top+2, top+3, path)
}
