package reload

import "slices"

// pairing tells what functions and variables of one outline are in another.
type pairing struct {
	old, new *outline
	funcs    map[*function]*function // from the old ones
	vars     map[*variable]*variable
	backVars map[*variable]*variable
	backFns  map[*function]*function
	before   map[*slot]*slot // what a slot that is no variable was
	gone     []*slot         // that are no variables, and that the new outline does not have
}

func pair(old, to *outline) *pairing {
	p := &pairing{
		old: old, new: to, funcs: map[*function]*function{}, vars: map[*variable]*variable{}, backVars: map[*variable]*variable{},
		backFns: map[*function]*function{},
	}
	p.join(old.main, to.main)
	p.captured(old.main)
	p.declared(old.main)
	p.slots()
	return p
}

func (p *pairing) join(a, b *function) {
	p.funcs[a], p.backFns[b] = b, a
	p.inner(a, b)
}

// leastRename is how much of a function there has to be for it to be known under another name.
const leastRename = 12

// inner pairs the functions within two that are paired: first those of the same name, among these the ones that have not changed, then those between them,
// then the
// rest in their order; and then those that have another name but have not changed.
func (p *pairing) inner(a, b *function) {
	p.pairBy(a.inner, b.inner, func(x, y *function) bool { return x.name == y.name && x.hash == y.hash })
	p.pairBy(a.inner, b.inner, func(x, y *function) bool { return x.name == y.name && p.between(a.inner, b.inner, x, y) })
	p.pairBy(a.inner, b.inner, func(x, y *function) bool { return x.name == y.name })
	p.pairBy(a.inner, b.inner, func(x, y *function) bool { return x.hash == y.hash && x.size >= leastRename })
	for _, f := range a.inner {
		if g := p.funcs[f]; g != nil {
			p.inner(f, g)
		}
	}
}

// between tells whether pairing two functions crosses no pair of others of their name.
func (p *pairing) between(a, b []*function, x, y *function) bool {
	before := true
	for _, f := range a {
		g := p.funcs[f]
		switch {
		case f == x:
			before = false
		case f.name != x.name || g == nil:
		case (slices.Index(b, g) < slices.Index(b, y)) != before:
			return false
		}
	}
	return true
}

func (p *pairing) pairBy(a, b []*function, same func(x, y *function) bool) {
	for _, f := range a {
		if p.funcs[f] != nil {
			continue
		}
		for _, g := range b {
			if p.backFns[g] == nil && same(f, g) {
				p.funcs[f], p.backFns[g] = g, f
				break
			}
		}
	}
}

// captured pairs variables that a function and the one that it is paired with use by the same name.
func (p *pairing) captured(f *function) {
	if g := p.funcs[f]; g != nil {
		for name, v := range f.ups {
			if w := g.ups[name]; w != nil && p.funcs[v.of] == w.of {
				p.tie(v, w)
			}
		}
	}
	for _, inner := range f.inner {
		p.captured(inner)
	}
}

func (p *pairing) tie(v, w *variable) {
	if p.vars[v] == nil && p.backVars[w] == nil {
		p.vars[v], p.backVars[w] = w, v
	}
}

// declared pairs the rest by name and order.
func (p *pairing) declared(f *function) {
	if g := p.funcs[f]; g != nil {
		for _, v := range f.vars {
			for _, w := range g.vars {
				if v.name == w.name && p.vars[v] == nil && p.backVars[w] == nil {
					p.tie(v, w)
				}
			}
		}
	}
	for _, inner := range f.inner {
		p.declared(inner)
	}
}

// slots pairs what is no variable by its key.
func (p *pairing) slots() {
	was, is := map[string]*slot{}, map[string]bool{}
	for _, s := range p.old.slots {
		if s.v == nil {
			was[s.key] = s
		}
	}
	p.before = map[*slot]*slot{}
	for _, s := range p.new.slots {
		if s.v == nil {
			is[s.key] = true
			if old := was[s.key]; old != nil {
				p.before[s] = old
			}
		}
	}
	for _, s := range p.old.slots {
		if s.v == nil && s.target != "" && !is[s.key] {
			p.gone = append(p.gone, s)
		}
	}
}

// slotBefore is what a slot of the new outline was in the old one.
func (p *pairing) slotBefore(s *slot) *slot {
	if s.v == nil {
		return p.before[s]
	}
	if v := p.backVars[s.v]; v != nil {
		return v.slot
	}
	return nil
}
