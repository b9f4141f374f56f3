package gate

import (
	"github.com/skua-go/skua/lua/vm"
)

// apiGroup makes a group: a table whose functions know it.
func (s *Sessions) apiGroup(st vm.State) int {
	g := NewGroup()
	st.NewTable(0, 5)
	for name, f := range map[string]vm.Func{
		"add":    func(st vm.State) int { return s.groupAdd(g, st) },
		"remove": func(st vm.State) int { return s.groupRemove(g, st) },
		"push":   func(st vm.State) int { return groupPush(g, st) },
		"count":  func(st vm.State) int { st.PushInt(int64(g.Count())); return 1 },
		"close":  func(vm.State) int { g.Close(); return 0 },
	} {
		st.PushFunc(name, f)
		st.SetField(-2, name)
	}
	return 1
}

func (s *Sessions) groupAdd(g *Group, st vm.State) int {
	added := false
	if one := s.Find(sessionAt(st, 2, "group:add")); one != nil {
		var err error
		if added, err = g.Add(one); err != nil {
			st.Errorf("group:add: %s", err.Error())
		}
	}
	st.PushBool(added)
	return 1
}

func (s *Sessions) groupRemove(g *Group, st vm.State) int {
	one := s.Find(sessionAt(st, 2, "group:remove"))
	st.PushBool(one != nil && g.Remove(one))
	return 1
}

func groupPush(g *Group, st vm.State) int {
	route, body, d := pushed(st, 2, "group:push")
	if err := g.Push(route, body, d); err != nil {
		st.Errorf("group:push %s: %s", route, err.Error())
	}
	return 0
}
