package gopher

import lua "github.com/yuin/gopher-lua"

// baseCollectGarbage is collectgarbage. Go's collector frees what scripts no longer use; what there is to do here is to measure, and to make tables anew that are
// mostly dead keys.
func baseCollectGarbage(l *lua.LState) int {
	option := "collect"
	if v := l.Get(1); v != lua.LNil {
		s, ok := v.(lua.LString)
		if !ok {
			badArgument(l, 1, "string expected, got %s", v.Type())
		}
		option = string(s)
	}
	t := stateOf(l)
	var result lua.LValue = lua.LNumber(0)
	switch option {
	case "collect":
		t.collect()
	case "step":
		t.collect()
		result = lua.LTrue
	case "count":
		if t.m.size == 0 {
			t.m.survey()
		}
		result = lua.LNumber(t.m.size+t.m.grown) / 1024
	case "isrunning":
		result = lua.LTrue
	case "stop", "restart", "setpause", "setstepmul":
	case "incremental", "generational":
		result = lua.LString("incremental")
	default:
		badArgument(l, 1, "invalid option '%s'", option)
	}
	l.Push(result)
	return 1
}

// collect surveys the VM at the script's expense: two instructions take about as long as one value.
func (t *thread) collect() {
	t.m.survey()
	t.m.spend(t.l, 2*t.m.found)
}
