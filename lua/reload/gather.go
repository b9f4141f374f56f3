package reload

import (
	"slices"

	"github.com/skua-go/skua/lua/vm"
)

// met is a code that functions of VMs have, and what becomes of it: thousands of functions may have the same.
type met struct {
	t       *target // nil if the function is gone, or has its new code already
	becomes *function
	env     int // the index of _ENV, -1 if there is none
	shared  []sharedCell
}

// sharedCell is a variable of the chunk that functions of a code use.
type sharedCell struct {
	index int
	old   *variable // of the source that the code is from
	v     *variable // of the new one, nil if that does not have it
}

// meet finds out what becomes of a code, once for all VMs.
func (f *fileUpdate) meet(code vm.Code, u *vm.Unit) (*met, error) {
	f.mu.Lock()
	k := f.met[code]
	f.mu.Unlock()
	if k != nil {
		return k, nil
	}
	k = &met{env: -1}
	from, fn, now := f.unit, f.fns[code], func(v *variable) *variable { return v }
	if k.becomes = fn; u != f.made {
		c, err := f.changeFrom(u)
		if err != nil {
			return nil, err
		}
		from, fn, now = c.unit, c.unit.fns[code], func(v *variable) *variable { return c.vars[v] }
		k.t, k.becomes = c.targets[code], c.funcs[fn]
	}
	if fn != nil {
		for i, name := range from.ups[code] {
			switch v := fn.ups[name]; {
			case v == nil:
				k.env = i
			case v.of.parent == nil && !v.block:
				k.shared = append(k.shared, sharedCell{index: i, old: v, v: now(v)})
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.met[code] = k
	return k, nil
}

// lot is the functions of a VM that have the same code.
type lot struct {
	*met
	m *module
	g *vm.Group
}

// gather notes the cells of all functions by the variables that they are.
func (a *application) gather(found vm.Found) error {
	a.lots = make([]lot, 0, len(found.Groups))
	for i := range found.Groups {
		g := &found.Groups[i]
		f := a.files[g.Unit.Chunk]
		k, err := f.meet(g.Code, g.Unit)
		if err != nil {
			return err
		}
		l := lot{met: k, m: a.module(f), g: g}
		l.note()
		a.lots = append(a.lots, l)
	}
	for _, fr := range found.Frames {
		if f := a.files[fr.Unit.Chunk]; fr.Unit != f.made && len(a.report.Waiting) < maxListed {
			a.report.Waiting = append(a.report.Waiting, fr.Thread.Traceback(""))
		}
	}
	slices.Sort(a.report.Waiting)
	a.report.Waiting = slices.Compact(a.report.Waiting)
	return nil
}

// only is the function of the VM that a function of the chunk has become, nil if there is none, or several.
func (m *module) only(fn *function) vm.Closure {
	var is vm.Closure
	for i := range m.a.lots {
		l := &m.a.lots[i]
		if l.becomes != fn || fn.parent == nil || fn.parent.parent != nil {
			continue
		}
		if is != nil || len(l.g.Closures) > 1 {
			return nil
		}
		is = l.g.Closures[0]
	}
	return is
}

func (l *lot) note() {
	m, p := l.m, l.m.a.p
	if l.env >= 0 && m.env == nil {
		m.env = p.CellOf(l.g.Closures[0], l.env)
	}
	for _, s := range l.shared {
		var last vm.Cell
		for _, cl := range l.g.Closures {
			cell := p.CellOf(cl, s.index)
			if cell == last {
				continue
			}
			last = cell
			if s.v == nil {
				m.oldCells[s.old] = cell
				continue
			}
			switch other := m.cells[s.v]; {
			case other == cell:
				continue
			case other != nil:
				m.split = true
			}
			m.cells[s.v], m.live[s.v], m.done[s.v] = cell, true, true
		}
	}
}

// swap gives all functions their new code. Those that are gone keep theirs: who still has one goes on with it.
func (a *application) swap() {
	for _, l := range a.lots {
		switch t := l.t; {
		case t == nil:
		case t.same:
			a.p.SwapAll(*l.g, t.code)
			a.report.Functions += len(l.g.Closures)
		default:
			a.rejoin(l)
		}
	}
}

// rejoin gives functions code that uses other variables.
func (a *application) rejoin(l lot) {
	for _, cl := range l.g.Closures {
		cells, missing := l.m.cellsFor(cl, l.t)
		if missing != "" {
			a.kept(l.m.f, l.t.fn, missing)
			continue
		}
		a.p.Swap(cl, l.t.code, cells)
		a.report.Functions++
	}
}
