package gopher

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// The engine's tables never forget a key: a million players that have come and gone leave 119 MB in an empty table, and traversals walk over all of them. From
// time to time, when no thread of the VM runs, compact looks through all tables and makes those anew, in place, that keep more dead keys than live ones.
// References to them, their order and their metatables stay as they are. A waiting thread may be half through a traversal, which goes on from its last key even
// if that has been removed: dead keys that a waiting thread has in a register are kept.

const (
	// firstLook is how many instructions a VM runs before the first look at its tables.
	firstLook = 1_000_000
	// lookFactor is how many instructions a VM runs, for each value seen by the last look, before the next: looking stays below some 6 % of the time.
	lookFactor = 32
	// minDead is how many dead keys a table has to have.
	minDead = 64
)

// idle is called when no thread runs.
func (m *machine) idle() {
	if m.ran+(m.every-m.count) >= m.look {
		m.compact()
	}
}

// Compact looks through all tables now. No thread of the VM may be running.
func (m *machine) Compact() { m.compact() }

func (m *machine) compact() {
	m.forget()
	w := &walker{m: m, seen: map[unsafe.Pointer]struct{}{}, mend: true}
	w.places = m.places()
	w.all()
	m.ran = 0
	m.count = m.every
	m.look = firstLook + lookFactor*len(w.seen)
}

// Memory is the size of everything that the VM's values reach; shared code is not counted. It looks through all of it.
func (m *machine) Memory() int64 {
	w := &walker{m: m, seen: map[unsafe.Pointer]struct{}{}}
	w.all()
	return w.size
}

// walker visits all values of a VM. It keeps a list of what is still to visit: values nest without bound.
type walker struct {
	m    *machine
	seen map[unsafe.Pointer]struct{}
	todo []lua.LValue
	size int64

	mend   bool
	places map[lua.LValue]struct{}
}

// places are the values in the registers of waiting threads that can be keys of tables: where traversals have got to.
func (m *machine) places() map[lua.LValue]struct{} {
	places := map[lua.LValue]struct{}{}
	for _, weakly := range m.threads {
		if t := weakly.Value(); t != nil && t.state == waiting {
			reg := m.o.registers(t.l)
			for _, v := range reg.array[:min(reg.top, len(reg.array))] {
				if v != nil && v != lua.LNil {
					places[v] = struct{}{}
				}
			}
		}
	}
	return places
}

func (w *walker) all() {
	m := w.m
	w.add(m.root.G.Global)
	w.add(m.root.G.Registry)
	w.add(m.root.GetMetatable(lua.LString("")))
	for _, v := range m.refs {
		w.add(v)
	}
	w.add(m.main.l)
	for _, weakly := range m.threads {
		if t := weakly.Value(); t != nil {
			w.add(t.l)
		}
	}
	for len(w.todo) > 0 {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.visit(v)
	}
}

// add puts a value on the list, once.
func (w *walker) add(v lua.LValue) {
	var p unsafe.Pointer
	switch v := v.(type) {
	case *lua.LTable:
		p = unsafe.Pointer(v) //nolint:gosec // an identity, nothing is read through it
	case *lua.LFunction:
		p = unsafe.Pointer(v) //nolint:gosec // an identity, nothing is read through it
	case *lua.LState:
		p = unsafe.Pointer(v) //nolint:gosec // an identity, nothing is read through it
	case *lua.LUserData:
		p = unsafe.Pointer(v) //nolint:gosec // an identity, nothing is read through it
	case lua.LString:
		w.size += int64(len(v)) + 16
		return
	case lua.LNumber:
		w.size += 8
		return
	}
	if p == nil {
		return
	}
	if _, ok := w.seen[p]; ok {
		return
	}
	w.seen[p] = struct{}{}
	w.todo = append(w.todo, v)
}

func (w *walker) visit(v lua.LValue) {
	switch v := v.(type) {
	case *lua.LTable:
		w.table(v)
	case *lua.LFunction:
		w.size += 96 + 56*int64(len(v.Upvalues))
		if v.Env != nil {
			w.add(v.Env)
		}
		for _, u := range v.Upvalues {
			if u != nil {
				w.add(u.Value())
			}
		}
	case *lua.LUserData:
		w.size += 64
		w.add(v.Metatable)
	case *lua.LState:
		reg := w.m.o.registers(v)
		w.size += 16*int64(len(reg.array)) + 3500
		for _, r := range reg.array[:min(reg.top, len(reg.array))] {
			w.add(r)
		}
		for f := *w.m.o.frame(v); f != nil; f = f.Parent {
			w.add(f.Fn)
		}
		if t, ok := v.Context().(*thread); ok {
			for _, b := range t.box {
				w.add(b)
			}
			if t.inner != nil {
				w.add(t.inner.l)
			}
		}
	}
}

func (w *walker) table(t *lua.LTable) {
	in := insides(t)
	w.add(t.Metatable)
	w.size += 96 + 16*int64(cap(in.array)) + 48*int64(len(in.dict)+len(in.strdict)) + 64*int64(len(in.keys))
	for _, v := range in.array {
		w.add(v)
	}
	for k, v := range in.dict {
		w.add(k)
		w.add(v)
	}
	for k, v := range in.strdict {
		w.size += int64(len(k))
		w.add(v)
	}
	if w.mend {
		shrink(t, w.places)
	}
}

// shrink makes a table's parts anew that are much larger than what they hold.
func shrink(t *lua.LTable, places map[lua.LValue]struct{}) {
	in := insides(t)
	if n := t.Len(); cap(in.array) > 64 && n < cap(in.array)/4 && !holes(in.array[n:]) {
		array := make([]lua.LValue, n, n+n/4)
		copy(array, in.array[:n])
		in.array = array
	}
	live := len(in.dict) + len(in.strdict)
	if dead := len(in.keys) - live; dead < minDead || dead < live {
		return
	}
	keys := make([]lua.LValue, 0, live)
	k2i := make(map[lua.LValue]int, live)
	var dict map[lua.LValue]lua.LValue
	var strdict map[string]lua.LValue
	if len(in.dict) > 0 {
		dict = make(map[lua.LValue]lua.LValue, len(in.dict))
	}
	if len(in.strdict) > 0 {
		strdict = make(map[string]lua.LValue, len(in.strdict))
	}
	for _, k := range in.keys {
		v := t.RawGetH(k)
		_, place := places[k]
		switch s, isText := k.(lua.LString); {
		case v == lua.LNil && !place:
			continue
		case v == lua.LNil:
		case isText:
			strdict[string(s)] = v
		default:
			dict[k] = v
		}
		k2i[k] = len(keys)
		keys = append(keys, k)
	}
	in.dict, in.strdict, in.keys, in.k2i = dict, strdict, keys, k2i
}

// holes tells whether there is a value behind the end of a list.
func holes(rest []lua.LValue) bool {
	for _, v := range rest {
		if v != nil && v != lua.LNil {
			return true
		}
	}
	return false
}
