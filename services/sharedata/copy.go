package sharedata

import "github.com/skua-go/skua/lua/vm"

// copier pushes plain Lua tables with all that is in shared ones, which must not contain themselves. A table that is found twice is one table in the copy.
type copier struct {
	s    vm.State
	of   *object
	made map[*frozen]int // references to the copies of tables that are found twice
}

// close lets go of what has been made.
func (c *copier) close() {
	for _, ref := range c.made {
		c.s.Unref(ref)
	}
}

func (c *copier) push(t *frozen) {
	s := c.s
	if ref, ok := c.made[t]; ok {
		s.Push(ref)
		return
	}
	s.Spend(t.size() + 1)
	s.NewTable(len(t.list), len(t.fields))
	top := s.Top()
	for i, v := range t.list {
		c.value(v)
		s.RawSetInt(top, int64(i)+1)
	}
	for i, v := range t.fields {
		c.value(t.shape.keys[i])
		c.value(v)
		s.RawSet(top)
	}
	if t.shared {
		if c.made == nil {
			c.made = map[*frozen]int{}
		}
		s.Copy(top)
		c.made[t] = s.Ref()
	}
}

func (c *copier) value(v slot) {
	if sub, ok := v.obj.(*frozen); ok {
		c.push(sub)
		return
	}
	if v.obj == (intKind{}) && tooLarge(c.s, v) {
		c.s.Errorf("%s %s: it has the integer %d, which an engine without 64-bit integers would round", c.of.kind, c.of.name, int64(v.num))
	}
	pushScalar(c.s, v)
}
