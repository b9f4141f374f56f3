package gopher

import lua "github.com/yuin/gopher-lua"

// mendTables puts what the engine's lists need around functions of the library table.
func (lib library) mendTables() {
	insert := lib["table"]["insert"].(*lua.LFunction).GFunction //nolint:forcetypeassert // package std has it
	remove := lib["table"]["remove"].(*lua.LFunction).GFunction //nolint:forcetypeassert // package std has it
	lib.set("table", "insert", &lua.LFunction{IsG: true, GFunction: func(l *lua.LState) int {
		if t, ok := l.Get(1).(*lua.LTable); ok && t.Len()+1 >= maxArray {
			stateOf(l).Errorf("table too long: the engine %s keeps at most %d items in a list", Name, maxArray-1)
		}
		return insert(l)
	}})
	lib.set("table", "remove", &lua.LFunction{IsG: true, GFunction: func(l *lua.LState) int {
		t, isTable := l.Get(1).(*lua.LTable)
		n := remove(l)
		if isTable {
			shorten(insides(t))
		}
		return n
	}})
}

// shorten takes what is nil off the end of an array, which would else be passed over each time that the table's length is asked for.
func shorten(t *table) {
	n := len(t.array)
	for n > 0 && t.array[n-1] == lua.LNil {
		n--
	}
	t.array = t.array[:n]
}
