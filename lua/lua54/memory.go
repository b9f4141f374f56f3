package lua54

import "errors"

// How memory is watched. Go's collector frees what a VM no longer uses; how much is in use it can't tell by VM. So allocations are counted, and when as much has
// been allocated again as was alive at the last look, everything that can be reached from the VM is measured. The same walk finds what weak tables alone refer to.

// firstLook is how much a VM allocates before it is measured for the first time.
const firstLook = 1 << 20

var errMemory = errors.New("not enough memory")

// Memory is what was alive at the last measurement, and what has been allocated since.
func (m *machine) Memory() int64 { return m.measured + m.allocated }

// Compact measures now, so that Memory has no garbage in it.
func (m *machine) Compact() { m.measure() }

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
	m.fuel = tickEvery
	if m.tick == nil {
		return
	}
	if err := m.tick(); err != nil {
		m.fuel = 0
		th.throw(stringValue(th.anywhere() + err.Error()))
	}
}

// marker walks over all that can be reached.
type marker struct {
	m     *machine
	epoch uint8
	size  int64
	todo  []*object
	weak  []*table
}

// measure finds out how much memory is in use, empties weak tables, and lets __gc run for what is gone.
func (m *machine) measure() {
	if m.epoch++; m.epoch == shared {
		m.epoch = 1
	}
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
	w.walk()
	w.ephemerons()
	doomed := w.doomed()
	w.clear()
	m.measured, m.allocated = w.size+int64(16*len(m.refs)), 0
	m.finalize(doomed)
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
	if v.o.kind == kindString {
		w.size += int64(len(v.text())) + 24
		return
	}
	w.todo = append(w.todo, v.o)
}

func (w *marker) walk() {
	for len(w.todo) > 0 {
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
	top := th.top
	for i := range th.frames {
		f := &th.frames[i]
		switch {
		case f.fn != nil:
			w.add(value{o: &f.fn.object})
			top = max(top, f.base+f.fn.p.regs)
		case f.child != nil:
			w.add(value{o: &f.child.object})
		}
		top = max(top, f.base)
	}
	for _, v := range th.stack[:min(top, len(th.stack))] {
		w.add(v)
	}
	w.add(th.failed)
}

func (w *marker) visitTable(t *table) {
	w.size += tableSize
	if !t.frozen {
		w.size += int64(valueSize*cap(t.arr) + nodeSize*len(t.nodes))
	}
	w.table(t.meta)
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

// ephemerons marks the values of tables with weak keys, whose keys are in use, until no more are found.
func (w *marker) ephemerons() {
	for again := true; again; {
		again = false
		for _, t := range w.weak {
			if t.weak != weakKeys {
				continue
			}
			for i := range t.nodes {
				nd := &t.nodes[i]
				if nd.val.o == nil || w.marked(nd.val) {
					continue
				}
				if w.marked(nd.key) || nd.key.isString() {
					w.add(nd.key)
					w.add(nd.val)
					again = true
				}
			}
		}
		w.walk()
	}
}

// clear takes the entries out of weak tables that nothing else refers to.
func (w *marker) clear() {
	for _, t := range w.weak {
		if t.weak&weakValues != 0 {
			for i, v := range t.arr {
				if !w.marked(v) && !v.isString() {
					t.arr[i] = value{}
				}
			}
			t.trim()
		}
		for i := range t.nodes {
			nd := &t.nodes[i]
			if nd.val.o == nil {
				continue
			}
			if t.weak&weakValues != 0 && !w.marked(nd.val) && !nd.val.isString() || t.weak&weakKeys != 0 && !w.marked(nd.key) && !nd.key.isString() {
				nd.val = value{}
				if t.live--; t.live == 0 {
					break
				}
			}
		}
		if t.live == 0 {
			t.nodes, t.free = nil, 0
		}
	}
}

// doomed are the objects with __gc that nothing refers to; they live on until that has run.
func (w *marker) doomed() []value {
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
	for _, v := range gone {
		w.add(v)
	}
	w.walk()
	return gone
}

// finalize calls __gc, the last made first. Errors in it are the finalizer's own.
func (m *machine) finalize(gone []value) {
	for i := len(gone) - 1; i >= 0; i-- {
		method := m.methodOf(gone[i], evGC)
		if method.kind() != kindClosure && method.kind() != kindGoFunc {
			continue
		}
		th := m.newThread()
		th.stack[0], th.stack[1], th.top = method, gone[i], 2
		running, fuel := m.running, m.fuel
		th.resume(nil, attempt{what: tryResume, n: 1})
		m.running, m.fuel = running, fuel
	}
}
