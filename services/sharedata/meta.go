package sharedata

import "github.com/skua-go/skua/lua/vm"

// openMeta makes the metatable of the VM's proxies.
func (c *client) openMeta(s vm.State) {
	s.NewTable(0, 8)
	for name, f := range map[string]vm.Func{
		"__index": index, "__newindex": newIndex, "__len": length, "__pairs": pairs, "__eq": equal, "__tostring": text,
	} {
		s.PushFunc(name, f)
		s.SetField(-2, name)
	}
	s.PushString("a shared table")
	s.SetField(-2, "__metatable")
	c.meta = s.Ref()
}

func index(s vm.State) int {
	p := self(s)
	node := p.resolve(s)
	pos := node.findAt(s, 2)
	if pos == none {
		s.PushNil()
		return 1
	}
	p.pushValue(s, pos)
	return 1
}

func newIndex(s vm.State) int {
	p := self(s)
	key, ok := scalarAt(s, 2)
	if !ok {
		key = slot{obj: "a " + s.Type(2).String()}
	}
	path := key.text()
	if above := p.path(); above != "" {
		path = above + "." + path
	}
	s.Errorf("%s %s is read-only: attempt to set [%s]", p.view.of.kind, p.view.of.name, path)
	return 0
}

func length(s vm.State) int {
	s.PushInt(int64(len(self(s).resolve(s).list)))
	return 1
}

// pairs goes through the version that is the newest when it begins, also if the loop's body waits while the table is updated; tables that an update has taken
// away meanwhile are left out.
func pairs(s vm.State) int {
	p := self(s)
	node, pos := p.resolve(s), -1
	s.PushFunc("next", func(s vm.State) int {
		for pos++; pos < node.size(); pos++ {
			if p.pushPair(s, node, pos) {
				return 2
			}
		}
		s.PushNil()
		return 1
	})
	s.Copy(1)
	s.PushNil()
	return 3
}

// pushPair pushes the key and the value at a position of node, which p stood for; false if the value is a table that is gone.
func (p *proxy) pushPair(s vm.State, node *frozen, pos int) bool {
	key := node.key(pos)
	if key.obj == (intKind{}) && tooLarge(s, key) {
		s.Errorf("%s %s: [%s] has the key %d, which an engine without 64-bit integers would round", p.view.of.kind, p.view.of.name, p.path(), int64(key.num))
	}
	if now := p.renew(); now != node {
		if v := node.at(pos); v.obj != any(nil) {
			if _, isTable := v.obj.(*frozen); !isTable {
				pushScalar(s, key)
				pushScalar(s, v)
				return true
			}
		}
		if now == nil {
			return false
		}
		pos = now.find(key)
		if now.table(pos) == nil {
			return false
		}
	}
	pushScalar(s, key)
	p.pushValue(s, pos)
	return true
}

func equal(s vm.State) int {
	a, b := proxyAt(s, 1), proxyAt(s, 2)
	same := a != nil && b != nil && a.view.of == b.view.of && a.renew() == b.renew() && a.renew() != nil
	s.PushBool(same)
	return 1
}

func text(s vm.State) int {
	p := self(s)
	name := p.view.of.kind.String() + " " + p.view.of.name
	if path := p.path(); path != "" {
		name += ": " + path
	}
	s.PushString(name)
	return 1
}
