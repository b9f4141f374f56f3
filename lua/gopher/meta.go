package gopher

import lua "github.com/yuin/gopher-lua"

// Metatable pushes the metatable of the value at i, if it has one.
func (t *thread) Metatable(i int) bool {
	var mt lua.LValue
	switch v := t.value(i).(type) { // the library's own function gives what the field __metatable says
	case *lua.LTable:
		mt = v.Metatable
	case *lua.LUserData:
		mt = v.Metatable
	default:
		mt = t.l.GetMetatable(v)
	}
	if mt == lua.LNil || mt == nil {
		return false
	}
	t.push(mt)
	return true
}

// Index pops a key and pushes the value, with metamethods.
func (t *thread) Index(i int) {
	obj := t.value(i)
	t.push(getIndex(t.l, obj, t.pop()))
}

// SetIndex pops a value and, below it, a key, and sets it with metamethods.
func (t *thread) SetIndex(i int) {
	obj := t.value(i)
	v := t.pop()
	t.setIndex(obj, t.pop(), v)
}

// Length is #value. Tables have no __len in Lua 5.1.
func (t *thread) Length(i int) int64 { return int64(t.l.ObjLen(t.value(i))) }

// Less is a < b, with metamethods.
func (t *thread) Less(i, j int) bool { return t.l.LessThan(t.value(i), t.value(j)) }

// Exact is false: all numbers are float64.
func (t *thread) Exact() bool { return false }

// Spend counts steps of work done in Go like instructions.
func (t *thread) Spend(n int) { t.m.spend(t.l, n) }

// Wants is how many results the caller of the running function takes, all if it is below 0.
func (t *thread) Wants() int { return t.frame().NRet }

// CloseThread ends a thread that waits or has not begun. Lua 5.1 has no variables that are to be closed.
func (t *thread) CloseThread() {
	if t.state == waiting {
		t.closeUpvalues(0) // closures that others have go on with their values
	}
	if t.state == fresh || t.state == waiting {
		t.state, t.host, t.box = finished, false, nil
	}
}
