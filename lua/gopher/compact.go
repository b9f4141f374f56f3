package gopher

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// The engine's tables never forget a key: a million players that have come and gone leave 119 MB in an empty table, and traversals walk over all of them. From
// time to time a survey looks through all tables and makes those anew, in place, that keep more dead keys than live ones; it measures the VM as well. References
// to tables, their order and their metatables stay as they are. A traversal goes on from its last key even if that has been removed: dead keys that a thread has
// in a register are kept.

const (
	// firstLook is how many instructions a VM runs before the first survey.
	firstLook = 1_000_000
	// lookFactor is how many instructions a VM runs, for each value seen by the last survey, before the next: they stay below some 6 % of the time.
	lookFactor = 32
	// minDead is how many dead keys a table has to have.
	minDead = 64
)

// idle is called when no thread runs.
func (m *machine) idle() {
	m.ran += m.every - m.count
	m.count = m.every
	if m.due() {
		m.survey()
	}
}

// Compact looks through all tables now.
func (m *machine) Compact() { m.survey() }

// survey looks through all that lives. Threads may be running, between two instructions or in a function of Go that keeps no part of a table.
func (m *machine) survey() {
	m.forget()
	w := &walker{m: m, seen: make(map[unsafe.Pointer]struct{}, m.found), places: m.places()}
	w.all()
	m.found, m.size, m.grown = len(w.seen), w.size, 0
	m.most = m.unseen()
	m.ran = 0
	m.look = firstLook + lookFactor*m.found
}

// walker visits all values of a VM. It keeps a list of what is still to visit: values nest without bound.
type walker struct {
	m    *machine
	seen map[unsafe.Pointer]struct{}
	todo []lua.LValue
	size int64

	places map[lua.LValue]struct{}
}

// places are the values that threads have in registers or on their stacks and that can be keys of tables: where traversals have got to.
func (m *machine) places() map[lua.LValue]struct{} {
	places := map[lua.LValue]struct{}{}
	for t := range m.all {
		for _, values := range [][]lua.LValue{t.live(), t.box} {
			for _, v := range values {
				if v != nil && v != lua.LNil {
					places[v] = struct{}{}
				}
			}
		}
	}
	return places
}

// live are the registers that the thread may still read.
func (t *thread) live() []lua.LValue {
	reg := t.m.o.registers(t.l)
	top := reg.top
	if f := t.frame(); f != nil && !f.Fn.IsG {
		top = max(top, f.LocalBase+int(f.Fn.Proto.NumUsedRegisters))
	}
	return reg.array[:min(top, len(reg.array))]
}

// all are the threads that have not ended.
func (m *machine) all(yield func(*thread) bool) {
	if !yield(m.main) {
		return
	}
	for _, weakly := range m.threads {
		if t := weakly.Value(); t != nil && t.state != finished && t.state != failed && !yield(t) {
			return
		}
	}
}

// all visits everything. A thread that a script has made and nothing of the VM knows is garbage, which Go has yet to find.
func (w *walker) all() {
	m := w.m
	w.add(m.root.G.Global)
	w.add(m.root.G.Registry)
	w.add(m.root.GetMetatable(lua.LString("")))
	for _, v := range m.refs {
		w.add(v)
	}
	for t := range m.all {
		if !t.scripts || t.state == running {
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
	switch v := v.(type) {
	case lua.LString:
		w.text(string(v))
		return
	case lua.LNumber:
		w.size += 8
		return
	}
	p := identity(v)
	if p == nil {
		return
	}
	if _, ok := w.seen[p]; ok {
		return
	}
	w.seen[p] = struct{}{}
	w.todo = append(w.todo, v)
}

// identity tells values apart that are what others refer to; nil for plain ones. Nothing is read through it.
func identity(v lua.LValue) unsafe.Pointer {
	switch v := v.(type) {
	case *lua.LTable:
		return unsafe.Pointer(v) //nolint:gosec // an identity
	case *lua.LFunction:
		return unsafe.Pointer(v) //nolint:gosec // an identity
	case *lua.LState:
		return unsafe.Pointer(v) //nolint:gosec // an identity
	case *lua.LUserData:
		return unsafe.Pointer(v) //nolint:gosec // an identity
	}
	return nil
}

// text counts a string. The same large one may be at many places.
func (w *walker) text(s string) {
	if len(s) > smallString {
		p := unsafe.Pointer(unsafe.StringData(s)) //nolint:gosec // an identity, nothing is read through it
		if _, ok := w.seen[p]; ok {
			w.size += stringSize
			return
		}
		w.seen[p] = struct{}{}
	}
	w.size += int64(len(s)) + stringSize
}

func (w *walker) visit(v lua.LValue) {
	switch v := v.(type) {
	case *lua.LTable:
		w.table(v)
	case *lua.LFunction:
		w.size += closureSize + upvalueSize*int64(len(v.Upvalues))
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
		if t, ok := v.Context().(*thread); ok {
			w.thread(t)
		}
	}
}

func (w *walker) thread(t *thread) {
	w.size += 16*int64(len(w.m.o.registers(t.l).array)) + threadSize
	for _, v := range t.live() {
		w.add(v)
	}
	for f := t.frame(); f != nil; f = f.Parent {
		w.add(f.Fn)
	}
	for _, v := range t.box {
		w.add(v)
	}
	if t.inner != nil {
		w.add(t.inner.l)
	}
}

func (w *walker) table(t *lua.LTable) {
	shrink(t, w.places)
	in := insides(t)
	w.add(t.Metatable)
	w.size += tableSize + 16*int64(cap(in.array)) + int64(hashBytes(len(in.keys)))
	for _, v := range in.array {
		w.add(v)
	}
	for k, v := range in.dict {
		w.add(k)
		w.add(v)
	}
	for k, v := range in.strdict {
		w.text(k)
		w.add(v)
	}
}

// shrink makes a table's parts anew that are much larger than what they hold.
func shrink(t *lua.LTable, places map[lua.LValue]struct{}) {
	in := insides(t)
	if n := t.Len(); cap(in.array) > 64 && n < cap(in.array)/4 && !holes(in.array[n:]) {
		array := make([]lua.LValue, n, n+n/4)
		copy(array, in.array[:n])
		in.array = array
	} else if size := len(in.array); size > 64 && in.items() < size/4 {
		in.spill(in.dense(), places)
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

// items is how many there are in the array part.
func (in *table) items() int {
	n := 0
	for _, v := range in.array {
		if v != nil && v != lua.LNil {
			n++
		}
	}
	return n
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
