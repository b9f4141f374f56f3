package reload

import (
	"fmt"
	"slices"

	"github.com/skua-go/skua/lua/syntax"
	"github.com/skua-go/skua/lua/vm"
)

// cell is that of a variable of the chunk; one that nobody had gets its initial value.
func (m *module) cell(v *variable) vm.Cell {
	c := m.cells[v]
	if c == nil {
		c = m.a.p.NewCell()
		m.cells[v] = c
		m.pending = append(m.pending, v)
	}
	if m.running {
		m.init(v)
	}
	return c
}

// initPending gives the variables that functions have come to use their values, in the order of the source.
func (m *module) initPending() {
	pending := m.pending
	slices.SortFunc(pending, func(v, w *variable) int { return orderOf(v) - orderOf(w) })
	for _, v := range pending {
		m.init(v)
	}
}

// update brings the module's variables and fields up to date.
func (m *module) update() {
	for _, s := range m.f.before.gone {
		m.remove(s)
	}
	for _, s := range m.f.slots {
		if m.a.failed != nil {
			return
		}
		old := m.f.before.slotBefore(s)
		switch {
		case s.v != nil:
			m.updateVariable(s, old)
		case s.target != "":
			m.updateField(s, old)
		default:
			m.updateResult(s, old)
		}
	}
	m.updateMetatables()
}

func orderOf(v *variable) int {
	if v.slot == nil {
		return -1
	}
	return v.slot.order
}

// init gives a variable that no function had its initial value.
func (m *module) init(v *variable) {
	if m.done[v] || m.a.failed != nil {
		return
	}
	m.done[v] = true
	if v.slot == nil {
		return
	}
	m.pushInitial(v)
	m.a.p.SetCell(m.cells[v])
	if m.f.before.backVars[v] == nil {
		m.a.report.State++
	}
}

// pushInitial pushes the value of a variable that is not known: what it was if that can be found, else what it is to begin with.
func (m *module) pushInitial(v *variable) {
	s := v.slot
	if top := m.a.s.Top(); m.f.before.backVars[v] != nil && m.pushAlias(v) {
		m.a.s.Insert(top + 1)
		m.a.s.SetTop(top + 1)
		return
	}
	m.pushNew(s)
}

// pushAlias finds a variable's value where the chunk has put it: in another variable, a field, or what it has returned, or in the table that is there, or
// as its
// metatable.
func (m *module) pushAlias(v *variable) bool {
	top := m.a.s.Top()
	for _, s := range m.f.slots {
		if s.v == v || s.expr == nil || m.f.before.slotBefore(s) == nil {
			continue
		}
		reach := m.reaching(s, v)
		if reach == nil {
			continue
		}
		if m.pushLive(s) && reach() && m.a.s.Type(-1) != vm.Nil {
			return true
		}
		m.a.s.SetTop(top)
	}
	return false
}

// pushLive pushes what a slot has now, if that is known.
func (m *module) pushLive(s *slot) bool {
	switch {
	case s.v != nil:
		if c := m.cells[s.v]; c != nil && m.live[s.v] {
			m.a.p.PushCell(c)
			return true
		}
		return false
	case s.target != "":
		return m.pushPlace(s)
	}
	return m.pushValue()
}

// reaching is how to come from what a slot has to a variable that its expression names: a function that replaces the value on top; nil if there is no way.
func (m *module) reaching(s *slot, v *variable) func() bool {
	st := m.a.s
	is := func(e syntax.Expr) bool {
		n, ok := e.(*syntax.NameExpr)
		return ok && s.eval.variable(n.Name) == v
	}
	switch e := s.expr.(type) {
	case *syntax.NameExpr:
		if is(e) {
			return func() bool { return true }
		}
	case *syntax.CallExpr:
		if targetName(e.Fn) != "setmetatable" || len(e.Args) != 2 {
			return nil
		}
		if is(e.Args[0]) {
			return func() bool { return true }
		}
		if is(e.Args[1]) {
			return func() bool { return st.Metatable(-1) }
		}
	case *syntax.TableExpr:
		for _, f := range e.Fields {
			if key, ok := f.Key.(*syntax.StringExpr); ok && is(f.Value) {
				return func() bool { return m.pushField(key.Value) }
			}
		}
	}
	return nil
}

// pushField pushes a field of the table on top.
func (m *module) pushField(name string) bool {
	st := m.a.s
	if st.Type(-1) != vm.Table {
		return false
	}
	st.PushString(name)
	st.RawGet(st.Top() - 1)
	return true
}

// pushNew pushes what the source gives a slot, nil if that fails.
func (m *module) pushNew(s *slot) {
	if s.form == formFunction && s.fn != nil {
		if had := m.only(s.fn); had != nil {
			m.a.p.PushClosure(had)
			return
		}
		code := m.f.code[s.fn]
		if code == nil {
			m.a.s.PushNil()
			return
		}
		cells, missing := m.cellsOf(s.fn, map[*variable]vm.Cell{})
		if missing != "" {
			m.a.fail(fmt.Errorf("reload: %s: %s", m.f.at(s.fn), missing))
			m.a.s.PushNil()
			return
		}
		m.a.p.PushClosure(m.a.p.NewClosure(code, cells))
		return
	}
	if s.form == formNone {
		m.a.s.PushNil()
		return
	}
	m.pushEvaluated(m.f.unit, s, true)
}

// pushOld pushes what the source of the version before gave a slot.
func (m *module) pushOld(s *slot) { m.pushEvaluated(m.f.oldUnit, s, false) }

func (m *module) pushEvaluated(u *unit, s *slot, now bool) {
	st := m.a.s
	top := st.Top()
	if !m.evaluate(u, s.eval, now, s.index+1) {
		st.SetTop(top)
		st.PushNil()
		return
	}
	st.SetTop(top + s.index + 1)
	for range s.index {
		st.Remove(top + 1)
	}
}

// evaluate leaves n values of an evaluation on the stack.
func (m *module) evaluate(u *unit, e *evaluation, now bool, n int) bool {
	c, err := m.f.evals.get(u, e, now)
	if err != nil {
		m.a.fail(err)
		return false
	}
	m.pushCode(c, c.values, e, now)
	return m.call(u, e, 0, n)
}

func (m *module) call(u *unit, e *evaluation, args, results int) bool {
	if err := m.a.t.Call(args, results); err != nil {
		m.a.fail(fmt.Errorf("reload: the initial value at %s: %w", u.place(e.line), err))
		return false
	}
	return m.a.failed == nil
}

// pushCode pushes a function of an evaluation, with the variables of the module.
func (m *module) pushCode(c *compiled, code vm.Code, e *evaluation, now bool) {
	var cells []vm.Cell
	for _, name := range c.names[code] {
		v := e.variable(name)
		if v == nil {
			cells = append(cells, m.environment())
			continue
		}
		if !now {
			w := m.f.before.vars[v]
			if w == nil {
				cells = append(cells, m.oldCells[v]) // nil for one that nobody has
				continue
			}
			v = w
		}
		cells = append(cells, m.cell(v))
	}
	m.a.p.PushClosure(m.a.p.NewClosure(code, cells))
}

// pushPlace pushes what is at the place of a field, and is false if that can't be read: what it is in is not there.
func (m *module) pushPlace(s *slot) bool { return m.pushPlaceOf(m.f.unit, s, true) }

func (m *module) pushPlaceOf(u *unit, s *slot, now bool) bool {
	c, err := m.f.evals.get(u, s.eval, now)
	if err != nil {
		m.a.fail(err)
		return false
	}
	st := m.a.s
	top := st.Top()
	m.pushCode(c, c.places[s.place][0], s.eval, now)
	if err := m.a.t.Call(0, 1); err != nil {
		st.SetTop(top)
		return false
	}
	return m.a.failed == nil
}

// setPlace pops a value and puts it where a field is.
func (m *module) setPlace(u *unit, s *slot, now bool) {
	c, err := m.f.evals.get(u, s.eval, now)
	if err != nil {
		m.a.fail(err)
		return
	}
	m.pushCode(c, c.places[s.place][1], s.eval, now)
	m.a.s.Insert(-2)
	if err := m.a.t.Call(1, 0); err != nil {
		m.a.fail(fmt.Errorf("reload: %s: %s: %w", u.place(s.line), s, err))
	}
}

// updateVariable lets a variable that nobody assigns to follow its declaration.
func (m *module) updateVariable(s, old *slot) {
	cell := m.cells[s.v]
	if old == nil || s.v.assigned || old.v.assigned || old.hash == s.hash && old.form == s.form {
		return
	}
	if cell == nil || !m.live[s.v] {
		m.updateHidden(s, old)
		return
	}
	switch s.form {
	case formPlain:
		m.pushNew(s)
		m.set(cell)
	case formTable:
		m.p().PushCell(cell)
		if old.form != formTable || m.a.s.Type(-1) != vm.Table {
			m.a.s.Pop(1)
			m.pushNew(s)
			m.set(cell)
			return
		}
		m.follow(s, old)
	case formFunction:
		if old.form != formFunction || m.f.before.backFns[s.fn] == nil {
			m.pushNew(s)
			m.set(cell)
		}
	}
}

// updateHidden is updateVariable for a table that no function has as a variable, but that is known by other ways.
func (m *module) updateHidden(s, old *slot) {
	st := m.a.s
	top := st.Top()
	defer st.SetTop(top)
	if s.form != formTable || old.form != formTable || !m.pushAlias(s.v) || st.Type(-1) != vm.Table {
		return
	}
	m.follow(s, old)
}

func (m *module) p() vm.Patcher { return m.a.p }

func (m *module) set(cell vm.Cell) {
	m.a.p.SetCell(cell)
	m.a.report.Values++
}

// follow brings the table on the stack, which it pops, up to date with its constructor.
func (m *module) follow(s, old *slot) {
	st := m.a.s
	live := st.Top()
	m.pushOld(old)
	m.pushNew(s)
	if m.a.failed == nil {
		g := merger{s: st, p: m.a.p, conflict: func(key string) { m.a.conflict(m.f, s, key) }}
		g.merge(live, live+1, live+2, "")
		m.a.report.Values += g.changed
		m.a.report.State += g.added
	}
	st.SetTop(live - 1)
}

// updateResult lets what the chunk returns follow, where that is no variable.
func (m *module) updateResult(s, old *slot) {
	if old == nil || old.hash == s.hash && old.form == s.form || s.form == formCall {
		return
	}
	for _, v := range m.values {
		st := m.a.s
		m.pushOne(v)
		switch {
		case s.form == formTable && old.form == formTable && st.Type(-1) == vm.Table:
			m.follow(s, old)
		case v.name != "" && s.form == formPlain && m.isOld(st.Top(), old):
			m.replace(v.name, s)
		}
	}
}

// replace puts another value into package.loaded.
func (m *module) replace(name string, s *slot) {
	st := m.a.s
	top := st.Top()
	defer st.SetTop(top)
	st.Global("package")
	st.Field(-1, "loaded")
	st.PushString(name)
	m.pushNew(s)
	st.RawSet(-3)
	m.a.report.Values++
}

// updateMetatables calls setmetatable where the source does so in another way than before.
func (m *module) updateMetatables() {
	had := map[uint64]bool{}
	for _, l := range m.f.before.old.loose {
		had[l.hash] = true
	}
	for _, l := range m.f.loose {
		if l.eval != nil && !had[l.hash] && m.a.failed == nil {
			if m.evaluate(m.f.unit, l.eval, true, 0) {
				m.a.report.Values++
			}
		}
	}
}
