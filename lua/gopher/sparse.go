package gopher

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// Integer keys. The engine keeps each below maxArray in the array part, so that one key of 200,000 allocates 3 MB, and finds none of these elsewhere. Here a
// key far behind the end of the array part is hashed, found there, and moved when the array part grows to it: a key up to the array's length is in the array,
// and any other in the hash part. The instructions that read and write t[k], next and the functions of the seam keep to that.

// nearItems is how far behind twice the length of the array part a key may be to extend it.
const nearItems = 64

// hashed tells whether a key of the hash part may be an integer that the engine would look for in the array part.
func (in *table) hashed(key lua.LValue) (lua.LNumber, bool) {
	if len(in.dict) == 0 {
		return 0, false
	}
	n, ok := key.(lua.LNumber)
	return n, ok && inArray(n) && int(n) > len(in.array)
}

// rawGet is t[k] without metamethods.
func rawGet(t *lua.LTable, key lua.LValue) lua.LValue {
	if _, ok := insides(t).hashed(key); ok {
		return t.RawGetH(key)
	}
	if v := t.RawGet(key); v != nil {
		return v
	}
	return lua.LNil
}

// rawSet is t[k] = v without metamethods.
func rawSet(t *lua.LTable, key, v lua.LValue) {
	n, ok := key.(lua.LNumber)
	if !ok || !inArray(n) {
		if name, ok := key.(lua.LString); ok && v != lua.LNil {
			insides(t).setName(name, key, v)
			return
		}
		t.RawSet(key, v)
		return
	}
	in, i := insides(t), int(n)
	switch size := len(in.array); {
	case i <= size:
		in.array[i-1] = v
	case v == lua.LNil:
		if len(in.dict) > 0 {
			t.RawSetH(n, v)
		}
	case i > 2*size+nearItems:
		t.RawSetH(n, v)
	default:
		if in.array == nil {
			in.array = make([]lua.LValue, 0, 4) // the library's own would have place for 32 items
		}
		for size++; size < i; size++ {
			in.array = append(in.array, in.take(size))
		}
		in.take(i)
		in.array = append(in.array, v)
		for next := in.take(i + 1); next != lua.LNil; next = in.take(len(in.array) + 1) {
			in.array = append(in.array, next)
		}
	}
}

// setName is the library's RawSetString for a value that is not nil. key is name: the library would make it anew for the list of keys.
func (in *table) setName(name lua.LString, key, v lua.LValue) {
	if in.strdict == nil {
		in.strdict = map[string]lua.LValue{}
	}
	if in.k2i == nil {
		in.keys, in.k2i = make([]lua.LValue, 0, 4), map[lua.LValue]int{}
	}
	live := len(in.strdict)
	if in.strdict[string(name)] = v; len(in.strdict) == live {
		return
	}
	if len(in.keys) > live+len(in.dict) { // it may be a dead one
		if _, ok := in.k2i[key]; ok {
			return
		}
	}
	in.k2i[key] = len(in.keys)
	in.keys = append(in.keys, key)
}

// take takes an item out of the hash part; nil if it is not there.
func (in *table) take(i int) lua.LValue {
	if len(in.dict) == 0 {
		return lua.LNil
	}
	key := lua.LNumber(i)
	v, ok := in.dict[key]
	if !ok {
		return lua.LNil
	}
	delete(in.dict, key)
	return v
}

// dense is how many items there are before the first that is missing.
func (in *table) dense() int {
	for i, v := range in.array {
		if v == nil || v == lua.LNil {
			return i
		}
	}
	return len(in.array)
}

// spill moves the items behind the first `keep` ones to the hash part. Traversals go on where they were: what was in the array comes before other keys, and keys
// that they have got to, which are in places, stay.
func (in *table) spill(keep int, places map[lua.LValue]struct{}) {
	if in.dict == nil {
		in.dict = map[lua.LValue]lua.LValue{}
	}
	var keys []lua.LValue
	for i, v := range in.array[keep:] {
		key := lua.LNumber(keep + i + 1)
		live := v != nil && v != lua.LNil
		if live {
			in.dict[key] = v
		}
		if _, place := places[key]; live || place {
			keys = append(keys, key)
		}
	}
	for _, key := range in.keys {
		if n, ok := key.(lua.LNumber); !ok || !inArray(n) || int(n) <= keep || int(n) > len(in.array) {
			keys = append(keys, key)
		}
	}
	in.keys, in.k2i = keys, make(map[lua.LValue]int, len(keys))
	for at, key := range keys {
		in.k2i[key] = at
	}
	in.array = slices.Clone(in.array[:keep])
}

// next is the key behind one in a traversal, and its value; the key is nil at the end. It is not ok behind a key that the table does not have.
func next(t *lua.LTable, key lua.LValue) (k, v lua.LValue, ok bool) {
	in := insides(t)
	at := 0
	if key != lua.LNil {
		place, hashed := in.k2i[key]
		n, isNumber := key.(lua.LNumber)
		switch item := isNumber && inArray(n); {
		case item && (int(n) <= len(in.array) || !hashed): // of a list that may have become shorter than where the traversal has got to
			at = int(n)
		case hashed:
			return nextHashed(t, place+1)
		default:
			return nil, nil, false
		}
	}
	for ; at < len(in.array); at++ {
		if v := in.array[at]; v != nil && v != lua.LNil {
			return lua.LNumber(at + 1), v, true
		}
	}
	return nextHashed(t, 0)
}

func nextHashed(t *lua.LTable, at int) (k, v lua.LValue, ok bool) {
	for keys := insides(t).keys; at < len(keys); at++ {
		if v := t.RawGetH(keys[at]); v != lua.LNil {
			return keys[at], v, true
		}
	}
	return lua.LNil, lua.LNil, true
}

// getIndex is t[k] with metamethods.
func getIndex(l *lua.LState, obj, key lua.LValue) lua.LValue {
	if v, found := hashedItem(obj, key); found {
		return v
	}
	return l.GetTable(obj, key)
}

// hashedItem finds what the engine would not: an integer key of the hash part, of a table or of one that stands behind it by __index.
func hashedItem(obj, key lua.LValue) (lua.LValue, bool) {
	if _, ok := key.(lua.LNumber); !ok {
		return nil, false
	}
	for range maxNested {
		t, ok := obj.(*lua.LTable)
		if !ok {
			return nil, false
		}
		in := insides(t)
		if n, hashed := in.hashed(key); hashed {
			if v, found := in.dict[n]; found {
				return v, true
			}
		} else if v := t.RawGet(key); v != nil && v != lua.LNil {
			return v, true
		}
		mt, ok := t.Metatable.(*lua.LTable)
		if !ok {
			return nil, false
		}
		obj = mt.RawGetString("__index")
	}
	return nil, false
}

// setIndex is t[k] = v with metamethods.
func (t *thread) setIndex(obj, key, v lua.LValue) {
	if tbl, ok := obj.(*lua.LTable); ok && far(tbl, key) {
		t.set(tbl, key, v)
		return
	}
	t.l.SetTable(obj, key, v)
}

// far tells whether a key is an integer that the engine would make an array for, and that no metamethod is asked about.
func far(t *lua.LTable, key lua.LValue) bool {
	n, ok := key.(lua.LNumber)
	if !ok || !inArray(n) {
		return false
	}
	in := insides(t)
	if int(n) <= len(in.array) || int(n) == len(in.array)+1 && len(in.dict) == 0 {
		return false
	}
	mt, ok := t.Metatable.(*lua.LTable)
	return !ok || mt.RawGetString("__newindex") == lua.LNil || t.RawGetH(n) != lua.LNil
}

// operand is what a field of an instruction stands for: a register of the frame, or a constant.
func operand(f *frame, reg *registry, i int) lua.LValue {
	const constant = 1 << 8
	if i&constant != 0 {
		return f.Fn.Proto.Constants[i&^constant]
	}
	return reg.array[f.LocalBase+i]
}

// getTable is the instruction that reads t[k].
func (e *Engine) getTable(l *lua.LState, inst uint32, base *frame) int {
	f := *e.o.frame(l)
	reg := e.o.registers(l)
	tbl, ok := reg.array[f.LocalBase+int(inst&0x1ff)].(*lua.LTable)
	key := operand(f, reg, int(inst>>9)&0x1ff)
	if s, isText := key.(lua.LString); isText && len(s) >= longString {
		stateOf(l).m.pass(key, 64)
	}
	if ok && (len(insides(tbl).dict) > 0 || tbl.Metatable != lua.LNil) {
		if v, found := hashedItem(tbl, key); found {
			at := f.LocalBase + int(inst>>18)&0xff
			reg.array[at] = v
			reg.top = max(reg.top, at+1)
			return 0
		}
	}
	return jumpTable[lua.OP_GETTABLE](l, inst, base)
}

// setTable is the instruction t[k] = v. An item behind the end of a list as long as one can be would be hashed, the length would stay, and the next item would
// take its place.
func (e *Engine) setTable() instruction {
	set := e.growing(lua.OP_SETTABLE)
	return func(l *lua.LState, inst uint32, base *frame) int {
		f := *e.o.frame(l)
		reg := e.o.registers(l)
		t, ok := reg.array[f.LocalBase+int(inst>>18)&0xff].(*lua.LTable)
		if !ok {
			return set(l, inst, base)
		}
		in := insides(t)
		switch key := operand(f, reg, int(inst&0x1ff)).(type) {
		case lua.LNumber:
			if far(t, key) {
				stateOf(l).set(t, key, operand(f, reg, int(inst>>9)&0x1ff))
				return 0
			}
			if key == maxArray && len(in.array) == maxArray-1 {
				dense := in.dense()
				if dense == len(in.array) {
					l.RaiseError("table too long: the engine %s keeps at most %d items in a list", Name, maxArray-1)
				}
				in.spill(dense, stateOf(l).m.places()) // this is no list, but ids that count up, say
			}
			if in.array == nil && key == 1 {
				in.array = make([]lua.LValue, 0, 4) // the library's own would have place for 32 items
			}
		case lua.LString:
			if in.strdict == nil {
				in.strdict = map[string]lua.LValue{} // as in growing
			}
			stateOf(l).m.pass(key, 64)
		}
		return set(l, inst, base)
	}
}

// baseRawGet is rawget.
func baseRawGet(l *lua.LState) int {
	t := checkTable(l, 1)
	l.Push(rawGet(t, l.Get(2)))
	return 1
}

// baseRawSet is rawset.
func baseRawSet(l *lua.LState) int {
	checkTable(l, 1)
	l.SetTop(3)
	stateOf(l).RawSet(1)
	return 1
}
