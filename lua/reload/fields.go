package reload

import (
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// updateField lets a field or a global follow its assignment, as long as nothing else has changed it.
func (m *module) updateField(s, old *slot) {
	if old != nil && (old.hash == s.hash && old.form == s.form || s.form == formCall) {
		return
	}
	if old != nil && s.form == formFunction && m.f.before.backFns[s.fn] == old.fn && old.fn != nil {
		return
	}
	if v := m.lost(s); v != nil {
		m.a.missed(m.f, s, v)
		return
	}
	if !m.pushPlace(s) {
		return
	}
	st := m.a.s
	live := st.Top()
	defer st.SetTop(live - 1)
	switch {
	case st.Type(live) == vm.Nil && old == nil:
		m.pushNew(s)
		m.setPlace(m.f.unit, s, true)
		m.a.report.State++
	case old == nil:
		if s.form != formFunction || !m.isGone(live) {
			return // it has been there without the chunk: what it has is state
		}
		m.pushNew(s)
		m.setPlace(m.f.unit, s, true)
	case old.form == formTable && s.form == formTable && st.Type(live) == vm.Table:
		st.Copy(live)
		m.follow(s, old)
	case m.isOld(live, old):
		m.pushNew(s)
		m.setPlace(m.f.unit, s, true)
		m.a.report.Values++
	default:
		m.a.conflict(m.f, s, "")
	}
}

// lost is the variable of the chunk that a field begins with, if that holds a table which nobody can be asked for: no function has the variable, and the chunk has
// put the table nowhere.
func (m *module) lost(s *slot) *variable {
	name := s.target
	if at := strings.IndexAny(name, ".["); at >= 0 {
		name = name[:at]
	}
	v := s.eval.variable(name)
	if v == nil || m.live[v] || v.slot == nil || m.f.before.backVars[v] == nil || v.slot.form != formCall && v.slot.form != formTable {
		return nil
	}
	st := m.a.s
	top := st.Top()
	defer st.SetTop(top)
	if m.pushAlias(v) {
		return nil
	}
	return v
}

// isGone tells whether the function at an index is one that the new source does not have.
func (m *module) isGone(i int) bool {
	cl := m.a.p.ClosureAt(i)
	if cl == nil {
		return false
	}
	u := m.a.p.UnitOf(cl)
	return u != nil && u.Chunk == m.f.file && u != m.f.made
}

// isOld tells whether the value at an index is what the source before has given the slot.
func (m *module) isOld(i int, old *slot) bool {
	if old.form == formFunction {
		return m.isGone(i)
	}
	if old.form == formNone {
		return m.a.s.Type(i) == vm.Nil
	}
	if old.form != formPlain {
		return false
	}
	m.pushOld(old)
	return m.a.failed == nil && m.a.s.Equal(i, -1)
}

// remove takes away a function or a constant that the source has no more.
func (m *module) remove(old *slot) {
	if old.form != formFunction && old.form != formPlain {
		return
	}
	if old.form == formFunction && m.f.before.funcs[old.fn] != nil && !m.renamed(old) {
		return
	}
	if !m.pushPlaceOf(m.f.oldUnit, old, false) {
		return
	}
	st := m.a.s
	live := st.Top()
	if st.Type(live) != vm.Nil && (m.isOld(live, old) || m.renamed(old) && m.p().ClosureAt(live) != nil) {
		st.PushNil()
		m.setPlace(m.f.oldUnit, old, false)
	}
	st.SetTop(live - 1)
}

// renamed tells whether the function of a slot that is gone lives on under another name.
func (m *module) renamed(old *slot) bool {
	fn := m.f.before.funcs[old.fn]
	return old.form == formFunction && fn != nil && fn.name != old.fn.name
}
