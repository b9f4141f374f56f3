package lua54

import (
	"errors"
	"slices"
	"weak"
)

// How memory is watched. Go's collector frees what a VM no longer uses; how much is in use it can't tell by VM. So allocations are counted, and when as much has
// been allocated again as was alive at the last look, everything that can be reached from the VM is measured. The same walk finds what weak tables alone refer to.

// firstLook is how much a VM allocates before it is measured for the first time.
const firstLook = 1 << 20

var errMemory = errors.New("not enough memory")

// Memory is what was alive at the last measurement, and what has been allocated since.
func (m *machine) Memory() int64 { return m.measured + m.allocated }

// Compact measures now, so that Memory has no garbage in it.
func (m *machine) Compact() { m.measure() }

// collect measures at the script's expense: some two instructions for each value.
func (th *thread) collect() {
	th.m.measure()
	for n := int(th.m.measured / 32); n > 0; n -= tickEvery {
		th.Spend(min(n, tickEvery))
	}
}

// SetMemoryLimit sets how many bytes the VM may keep; 0 is no limit.
func (m *machine) SetMemoryLimit(bytes int64) { m.limit = bytes }

// account lets the next step look at the memory if enough has been allocated.
func (m *machine) account() {
	if m.allocated > m.nextLook() {
		m.fuel = -1
	}
}

// nextLook is how much may be allocated before the memory is measured: as much as was alive, but not far beyond the limit.
func (m *machine) nextLook() int64 {
	next := max(firstLook, m.measured)
	if m.limit > 0 {
		next = min(next, max(m.limit-m.measured, m.limit/8)+firstLook)
	}
	return next
}

func (m *machine) grown(n int) {
	if n > 0 {
		m.allocated += int64(n)
		m.account()
	}
}

// reserve refuses an allocation that the limit has no room for.
func (m *machine) reserve(th *thread, n int) {
	if m.limit <= 0 || m.measured+m.allocated+int64(n) <= m.limit {
		return
	}
	if m.measure(); m.measured+int64(n) > m.limit {
		th.throw(stringValue(errMemory.Error()))
	}
}

// refuel lets the host look at the clock, and the VM at its memory.
func (th *thread) refuel() {
	m := th.m
	if m.allocated > m.nextLook() {
		if m.measure(); m.limit > 0 && m.measured > m.limit {
			m.fuel = 0
			th.throw(stringValue(errMemory.Error()))
		}
	}
	m.fuel = m.pace
	if m.tick == nil {
		return
	}
	err := m.tick()
	if err == nil {
		m.over, m.spent = false, false
		return
	}
	if m.spent = m.over; m.spent {
		m.fuel = 0
	} else {
		m.over, m.fuel = true, min(tidySteps, m.pace)
	}
	th.throw(stringValue(th.anywhere() + err.Error()))
}

// marker walks over all that can be reached.
type marker struct {
	m     *machine
	epoch uint8
	size  int64
	todo  []*object
	weak  []*table
	// waiting are values of weak tables by the keys that decide whether they are in use, see ephemerons.
	waiting map[*object][]value
	found   []value // those of them that are
}

// measure finds out how much memory is in use, empties weak tables, and lets __gc run for what is gone.
func (m *machine) measure() {
	m.beginWalk()
	w := &marker{m: m, epoch: m.epoch}
	w.add(value{o: &m.main.object})
	w.table(m.globals)
	w.table(m.loaded)
	for _, t := range m.metas {
		w.table(t)
	}
	for _, v := range m.refs {
		w.add(v)
	}
	for th := m.running; th != nil; th = th.parent {
		w.add(value{o: &th.object})
	}
	m.threads = slices.DeleteFunc(m.threads, func(p weak.Pointer[thread]) bool {
		th := p.Value()
		if th != nil {
			w.add(value{o: &th.object})
		}
		return th == nil
	})
	w.walk()
	w.ephemerons()
	w.clearValues()
	gone := w.gone()
	w.clearValues()
	w.clearKeys()
	m.measured, m.allocated = w.size+int64(16*(len(m.refs)+len(m.doomed))+64*len(m.threads)), 0
	m.fuel -= int(w.size / 512) // a script that asks for it again and again pays for it
	m.finalize(gone)
}

func (w *marker) table(t *table) {
	if t != nil {
		w.add(value{o: &t.object})
	}
}

func (w *marker) marked(v value) bool {
	if v.o == nil || v.o.mark == shared {
		return true
	}
	return v.o.mark == w.epoch
}

func (w *marker) add(v value) {
	if w.marked(v) {
		return
	}
	v.o.mark = w.epoch
	if w.waiting != nil {
		if values, ok := w.waiting[v.o]; ok {
			delete(w.waiting, v.o)
			w.found = append(w.found, values...)
		}
	}
	if v.o.kind == kindString {
		w.size += int64(len(v.text())) + 24
		return
	}
	w.todo = append(w.todo, v.o)
}

func (w *marker) walk() {
	for len(w.todo) > 0 || len(w.found) > 0 {
		if n := len(w.found); n > 0 {
			v := w.found[n-1]
			w.found = w.found[:n-1]
			w.add(v)
			continue
		}
		o := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		switch o.kind {
		case kindTable:
			w.visitTable(o.table())
		case kindClosure:
			cl := o.closure()
			w.size += int64(48 + 56*len(cl.up))
			for _, u := range cl.up {
				w.add(*u.p)
			}
		case kindGoFunc:
			if co := o.goFunc().co; co != nil {
				w.add(value{o: &co.object})
			}
		case kindUserdata:
			w.size += 64
			w.table(o.userdata().meta)
		case kindThread:
			w.visitThread(o.thread())
		}
	}
}

func (w *marker) visitThread(th *thread) {
	w.size += int64(200 + valueSize*len(th.stack) + 100*cap(th.frames))
	for i := range th.frames {
		switch f := &th.frames[i]; {
		case f.fn != nil:
			w.add(value{o: &f.fn.object})
		case f.child != nil:
			w.add(value{o: &f.child.object})
		}
	}
	top := th.top // what is above the function on top is in use by none of those below it
	if n := len(th.frames); n > 0 {
		f := &th.frames[n-1]
		if top = max(top, f.base); f.fn != nil {
			top = max(top, f.base+f.fn.p.regs)
		}
	}
	top = min(top, len(th.stack))
	for _, v := range th.stack[:top] {
		w.add(v)
	}
	clear(th.stack[top:]) // what has been there is kept by nobody
	clear(th.frames[len(th.frames):cap(th.frames)])
	w.add(th.failed)
}

func (w *marker) visitTable(t *table) {
	w.size += tableSize
	if !t.frozen || t.watched {
		w.size += int64(valueSize*cap(t.arr) + nodeSize*len(t.nodes))
	}
	if t.meta != nil {
		w.table(t.meta)
		t.weak = 0
		if mode := t.meta.method(evMode); mode.isString() {
			t.weak = weakness(mode.text())
		}
	}
	if t.weak != 0 {
		w.weak = append(w.weak, t)
	}
	if t.weak&weakValues == 0 {
		for _, v := range t.arr {
			w.add(v)
		}
	}
	for i := range t.nodes {
		nd := &t.nodes[i]
		if nd.val.o == nil {
			continue
		}
		if t.weak&weakKeys == 0 {
			w.add(nd.key)
		}
		if t.weak == 0 {
			w.add(nd.val)
		}
	}
	if t.weak == weakValues {
		for i := range t.nodes {
			if nd := &t.nodes[i]; nd.val.isString() {
				w.add(nd.val)
			}
		}
	}
}

// ephemerons marks the values of tables with weak keys, whose keys are in use, until no more are found. Where that takes many rounds, as along a chain of
// keys, those that wait are put under their keys, so that the time does not grow with the square of the chain.
func (w *marker) ephemerons() {
	const rounds = 4
	for round, again := 0, true; again; round++ {
		again = false
		if round == rounds {
			w.waiting = map[*object][]value{}
		}
		for _, t := range w.weak {
			if t.weak != weakKeys {
				continue
			}
			for i := range t.nodes {
				nd := &t.nodes[i]
				switch {
				case nd.val.o == nil || w.marked(nd.val):
				case w.marked(nd.key) || nd.key.isString():
					w.add(nd.key)
					w.add(nd.val)
					again = true
				case w.waiting != nil:
					w.waiting[nd.key.o] = append(w.waiting[nd.key.o], nd.val)
				}
			}
		}
		w.walk()
		if w.waiting != nil {
			w.waiting = nil
			return
		}
	}
}

// clearValues takes the entries whose values nothing else refers to out of tables with weak values.
func (w *marker) clearValues() {
	for _, t := range w.weak {
		if t.weak&weakValues == 0 {
			continue
		}
		for i, v := range t.arr {
			if !w.marked(v) && !v.isString() {
				t.arr[i] = value{}
			}
		}
		t.trim()
		for i := range t.nodes {
			if nd := &t.nodes[i]; nd.val.o != nil && !w.marked(nd.val) && !nd.val.isString() {
				nd.val = value{}
				t.live--
			}
		}
		t.forgetIfEmpty()
	}
}

// clearKeys is clearValues for tables with weak keys.
func (w *marker) clearKeys() {
	for _, t := range w.weak {
		if t.weak&weakKeys == 0 {
			continue
		}
		for i := range t.nodes {
			if nd := &t.nodes[i]; nd.val.o != nil && !w.marked(nd.key) && !nd.key.isString() {
				nd.val = value{}
				t.live--
			}
		}
		t.forgetIfEmpty()
	}
}

func (t *table) forgetIfEmpty() {
	if t.live == 0 && len(t.nodes) > 0 {
		t.nodes, t.free, t.emptied = nil, 0, true
	}
}

// gone are the objects with __gc that nothing refers to; they live on until that has run.
func (w *marker) gone() []value {
	var gone []value
	rest := w.m.doomed[:0]
	for _, v := range w.m.doomed {
		if w.marked(v) {
			rest = append(rest, v)
		} else {
			gone = append(gone, v)
		}
	}
	clear(w.m.doomed[len(rest):])
	w.m.doomed = rest
	if w.m.ending { // they wait for the next measurement
		w.m.doomed = append(w.m.doomed, gone...)
	}
	for _, v := range gone {
		w.add(v)
	}
	w.walk()
	w.ephemerons()
	if w.m.ending {
		return nil
	}
	return gone
}

// finalize calls __gc, the last made first. Errors in it are the finalizer's own.
func (m *machine) finalize(gone []value) {
	if len(gone) == 0 {
		return
	}
	m.ending = true
	defer func() { m.ending = false }()
	for i := len(gone) - 1; i >= 0; i-- {
		m.setDoomed(gone[i], false)
		method := m.methodOf(gone[i], evGC)
		if method.kind() != kindClosure && method.kind() != kindGoFunc {
			continue
		}
		th := m.newThread()
		th.stack[0], th.stack[1], th.top = method, gone[i], 2
		running, fuel := m.running, m.fuel
		th.resume(nil, attempt{what: tryResume, n: 1})
		m.running, m.fuel = running, min(fuel, m.fuel) // its time is that of the script
	}
}

// setDoomed notes whether an object waits for its __gc to be called, and returns whether it did.
func (*machine) setDoomed(v value, doomed bool) (was bool) {
	if t := v.asTable(); t != nil {
		was, t.doomed = t.doomed, doomed
		return was
	}
	u := v.o.userdata()
	was, u.doomed = u.doomed, doomed
	return was
}

// beginWalk gives the next walk over all objects its own epoch, by which it marks those that it has seen.
func (m *machine) beginWalk() {
	if m.epoch++; m.epoch == shared {
		m.epoch = 1
	}
}
