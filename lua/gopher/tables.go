package gopher

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// tableConcat takes linear time and no registers, unlike the engine's.
func tableConcat(l *lua.LState) int {
	t, sep := checkTable(l, 1), ""
	if l.Get(2) != lua.LNil {
		sep = checkString(l, 2)
	}
	from, to := optInt(l, 3, 1), optInt(l, 4, t.Len())
	var b strings.Builder
	m := stateOf(l).m
	for i := from; i <= to; i++ {
		switch v := t.RawGet(lua.LNumber(i)).(type) {
		case lua.LString:
			b.WriteString(string(v))
		case lua.LNumber:
			b.WriteString(v.String())
		default:
			stateOf(l).Errorf("invalid value (at index %d) in table for 'concat'", i)
		}
		if i < to {
			b.WriteString(sep)
		}
		if b.Len() > maxString {
			stateOf(l).Errorf("resulting string too large")
		}
		m.spend(l, 1)
	}
	l.Push(lua.LString(b.String()))
	return 1
}

func tableInsert(l *lua.LState) int {
	t := checkTable(l, 1)
	n := t.Len()
	if n+1 >= maxArray {
		stateOf(l).Errorf("table too long: the engine %s keeps at most %d items in a list", Name, maxArray-1)
	}
	switch l.GetTop() {
	case 2:
		t.RawSetInt(n+1, l.Get(2))
	case 3:
		at := checkInt(l, 2)
		if at < 1 || at > n+1 {
			badArgument(l, 2, "position out of bounds")
		}
		stateOf(l).m.spend(l, (n-at)/64+1)
		for i := n; i >= at; i-- {
			t.RawSetInt(i+1, t.RawGetInt(i))
		}
		t.RawSetInt(at, l.Get(3))
	default:
		stateOf(l).Errorf("wrong number of arguments to 'insert'")
	}
	return 0
}

func tableRemove(l *lua.LState) int {
	t := checkTable(l, 1)
	n := t.Len()
	at := n
	if l.GetTop() > 1 {
		if at = checkInt(l, 2); n+1 != at && (at < 1 || at > n) && (n != 0 || at != 0) {
			badArgument(l, 2, "position out of bounds")
		}
	}
	l.Push(t.RawGet(lua.LNumber(at)))
	if at > n {
		t.RawSet(lua.LNumber(at), lua.LNil)
		return 1
	}
	stateOf(l).m.spend(l, (n-at)/64+1)
	for i := at; i < n; i++ {
		t.RawSetInt(i, t.RawGetInt(i+1))
	}
	if n > 0 {
		t.Remove(n) // the array itself gets shorter
	}
	return 1
}

func tablePack(l *lua.LState) int {
	n := l.GetTop()
	t := l.CreateTable(n, 1)
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, l.Get(i))
	}
	t.RawSetString("n", lua.LNumber(n))
	l.Push(t)
	return 1
}

func tableUnpack(l *lua.LState) int {
	from := optInt(l, 2, 1)
	var to int
	if l.Get(3) == lua.LNil {
		to = l.ObjLen(l.Get(1))
	} else {
		to = checkInt(l, 3)
	}
	if from > to {
		return 0
	}
	n := to - from + 1
	if n > maxResults {
		stateOf(l).Errorf("too many results to unpack: %d, at most %d are possible", n, maxResults)
	}
	top := room(l, n)
	v := l.Get(1)
	t, isTable := v.(*lua.LTable)
	plain := isTable && t.Metatable == lua.LNil
	for i := range n {
		key := lua.LNumber(from + i)
		if plain {
			l.Replace(top+i+1, t.RawGet(key))
		} else {
			l.Replace(top+i+1, l.GetTable(v, key))
		}
	}
	return n
}

func tableMove(l *lua.LState) int {
	from, to := checkTable(l, 1), checkTable(l, 1)
	f, e, at := checkInt(l, 2), checkInt(l, 3), checkInt(l, 4)
	if l.Get(5) != lua.LNil {
		to = checkTable(l, 5)
	}
	if e-f >= maxResults*64 {
		badArgument(l, 3, "too many elements to move")
	}
	m := stateOf(l).m
	move := func(i int) {
		m.spend(l, 1)
		l.SetTable(to, lua.LNumber(at+i), l.GetTable(from, lua.LNumber(f+i)))
	}
	if at > e || at <= f || to != from {
		for i := 0; i <= e-f; i++ {
			move(i)
		}
	} else {
		for i := e - f; i >= 0; i-- {
			move(i)
		}
	}
	l.Push(to)
	return 1
}

// tableSort sorts the items of a list; the order of equal ones is not defined, as in Lua.
func tableSort(l *lua.LState) int {
	t := checkTable(l, 1)
	less, _ := l.Get(2).(*lua.LFunction)
	if less == nil && l.Get(2) != lua.LNil {
		wrongType(l, 2, "function")
	}
	n := t.Len()
	items := make([]lua.LValue, n)
	for i := range items {
		items[i] = t.RawGetInt(i + 1)
	}
	m := stateOf(l).m
	before := func(a, b lua.LValue) bool {
		if less == nil {
			return l.LessThan(a, b)
		}
		l.Push(less)
		l.Push(a)
		l.Push(b)
		l.Call(2, 1)
		yes := lua.LVAsBool(l.Get(-1))
		l.Pop(1)
		return yes
	}
	slices.SortFunc(items, func(a, b lua.LValue) int {
		m.spend(l, 1)
		switch {
		case before(a, b):
			return -1
		case before(b, a):
			return 1
		}
		return 0
	})
	for i, v := range items {
		t.RawSetInt(i+1, v)
	}
	return 0
}
