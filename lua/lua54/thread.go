package lua54

import (
	"fmt"

	lua "github.com/speedata/go-lua"

	"github.com/skua-go/skua/lua/vm"
)

// thread is a State. It is a pointer and nothing else, so that handing one to a vm.Func allocates nothing.
type thread struct{ l *lua.State }

// refsField is where the registry keeps what Ref has been given: a table whose field 0 heads the list of free numbers, as in luaL_ref.
const refsField = "skua.refs"

// statusYield is what the engine, which keeps the type to itself, calls threadStatusYield: LUA_YIELD of lua.h.
const statusYield = 1

var _ vm.State = thread{}

func (t thread) Top() int     { return t.l.Top() }
func (t thread) SetTop(n int) { t.l.SetTop(n) }
func (t thread) Pop(n int)    { t.l.Pop(n) }
func (t thread) Copy(i int)   { t.l.CheckStack(1); t.l.PushValue(i) }
func (t thread) Insert(i int) { t.l.Insert(i) }
func (t thread) Remove(i int) { t.l.Remove(i) }

func (t thread) Type(i int) vm.Type {
	switch t.l.TypeOf(i) {
	case lua.TypeNil:
		return vm.Nil
	case lua.TypeBoolean:
		return vm.Boolean
	case lua.TypeNumber:
		return vm.Number
	case lua.TypeString:
		return vm.String
	case lua.TypeTable:
		return vm.Table
	case lua.TypeFunction:
		return vm.Function
	case lua.TypeUserData, lua.TypeLightUserData:
		return vm.Userdata
	case lua.TypeThread:
		return vm.Thread
	default:
		return vm.None
	}
}

func (t thread) IsInt(i int) bool { return t.l.IsInteger(i) }
func (t thread) Bool(i int) bool  { return t.l.ToBoolean(i) }

func (t thread) Int(i int) (int64, bool) {
	if t.l.TypeOf(i) != lua.TypeNumber {
		return 0, false
	}
	return t.l.ToInteger64(i)
}

func (t thread) Float(i int) (float64, bool) {
	if t.l.TypeOf(i) != lua.TypeNumber {
		return 0, false
	}
	return t.l.ToNumber(i)
}

func (t thread) String(i int) (string, bool) {
	if t.l.TypeOf(i) != lua.TypeString {
		return "", false
	}
	return t.l.ToString(i)
}

func (t thread) Userdata(i int) any {
	if t.l.TypeOf(i) != lua.TypeUserData {
		return nil
	}
	return t.l.ToUserData(i)
}

func (t thread) Text(i int) string {
	s, _ := lua.ToStringMeta(t.l, i)
	t.l.Pop(1)
	return s
}

func (t thread) Len(i int) int       { return t.l.RawLength(i) }
func (t thread) Next(table int) bool { t.l.CheckStack(2); return t.l.Next(table) }
func (t thread) Equal(i, j int) bool { return t.l.RawEqual(i, j) }
func (t thread) Same(i int, s vm.State) bool {
	other, ok := s.(thread)
	return ok && t.l.IsThread(i) && t.l.ToThread(i) == other.l
}

func (t thread) PushNil()            { t.l.CheckStack(1); t.l.PushNil() }
func (t thread) PushBool(v bool)     { t.l.CheckStack(1); t.l.PushBoolean(v) }
func (t thread) PushInt(v int64)     { t.l.CheckStack(1); t.l.PushInteger64(v) }
func (t thread) PushFloat(v float64) { t.l.CheckStack(1); t.l.PushNumber(v) }
func (t thread) PushString(v string) { t.l.CheckStack(1); t.l.PushString(v) }
func (t thread) PushUserdata(v any)  { t.l.CheckStack(1); t.l.PushUserData(v) }
func (t thread) PushThread(s vm.State) {
	from := s.(thread).l //nolint:forcetypeassert // a State of another engine is a bug of the caller
	from.PushThread()
	if from != t.l {
		t.l.CheckStack(1)
		lua.XMove(from, t.l, 1)
	}
}

func (t thread) PushFunc(_ string, f vm.Func) {
	t.l.CheckStack(1)
	t.l.PushGoFunction(func(l *lua.State) int { return f(thread{l}) })
}

func (t thread) NewTable(array, fields int)   { t.l.CheckStack(1); t.l.CreateTable(array, fields) }
func (t thread) RawGet(table int)             { t.l.RawGet(table) }
func (t thread) RawSet(table int)             { t.l.RawSet(table) }
func (t thread) RawGetInt(table int, k int64) { t.l.CheckStack(1); t.l.RawGetInt(table, int(k)) }
func (t thread) RawSetInt(table int, k int64) { t.l.RawSetInt(table, int(k)) }
func (t thread) Field(table int, k string)    { t.l.CheckStack(1); t.l.Field(table, k) }
func (t thread) SetField(table int, k string) { t.l.SetField(table, k) }
func (t thread) Global(k string)              { t.l.CheckStack(1); t.l.Global(k) }
func (t thread) SetGlobal(k string)           { t.l.SetGlobal(k) }
func (t thread) SetMetatable(i int)           { t.l.SetMetaTable(i) }

func (t thread) Ref() int {
	l := t.l
	if l.IsNil(-1) {
		l.Pop(1)
		return 0
	}
	l.CheckStack(2)
	l.Field(lua.RegistryIndex, refsField)
	l.Insert(-2)
	l.RawGetInt(-2, 0)
	free, _ := l.ToInteger(-1)
	l.Pop(1)
	ref := free
	if ref != 0 {
		l.RawGetInt(-2, ref)
		l.RawSetInt(-3, 0)
	} else {
		ref = l.RawLength(-2) + 1
	}
	l.RawSetInt(-2, ref)
	l.Pop(1)
	return ref
}

func (t thread) Push(ref int) {
	l := t.l
	l.CheckStack(2)
	if ref == 0 {
		l.PushNil()
		return
	}
	l.Field(lua.RegistryIndex, refsField)
	l.RawGetInt(-1, ref)
	l.Remove(-2)
}

func (t thread) Unref(ref int) {
	if ref == 0 {
		return
	}
	l := t.l
	l.CheckStack(2)
	l.Field(lua.RegistryIndex, refsField)
	l.RawGetInt(-1, 0)
	if l.IsNil(-1) {
		l.Pop(1)
		l.PushInteger(0)
	}
	l.RawSetInt(-2, ref)
	l.PushInteger(ref)
	l.RawSetInt(-2, 0)
	l.Pop(1)
}

func (t thread) Load(chunk, source string) error { return load(t.l, chunk, source) }
func (t thread) Call(args, results int)          { t.l.Call(args, results) }

func (t thread) PCall(args, results int) error { return t.l.ProtectedCall(args, results, 0) }

func (t thread) NewThread() vm.State {
	co := t.l.NewThread()
	t.l.Pop(1)
	if hook := lua.DebugHook(t.l); hook != nil {
		lua.SetDebugHook(co, hook, lua.MaskCount, tickEvery)
	}
	return thread{co}
}

func (t thread) Resume(n int) vm.Status {
	arm(t.l)
	err := t.l.Resume(nil, n)
	upValues().forgetClosed(t.l)
	if err != nil {
		return vm.Failed
	}
	if t.l.Status() == statusYield {
		return vm.Yielded
	}
	return vm.Finished
}

// Yield leaves nothing but its n values in the frame, and says how to go on: with whatever Resume was given. The engine would otherwise go on with
// the continuation of whoever had this frame before: it uses frames again without forgetting it (v0.1.6, pushGoFrame), so that the first wait
// behind a pcall got the pcall's results.
func (t thread) Yield(n int) int {
	l := t.l
	for extra := l.Top() - n; extra > 0; extra-- {
		l.Remove(1)
	}
	l.CheckStack(1)
	l.PushGoFunction(nothing)
	l.CallWithContinuation(0, 0, 0, resumed)
	return l.Yield(n)
}

func nothing(*lua.State) int { return 0 }

func resumed(l *lua.State) int { return l.Top() }

func (t thread) Move(to vm.State, n int) {
	dst := to.(thread).l //nolint:forcetypeassert // a State of another engine is a bug of the caller
	dst.CheckStack(n)
	lua.XMove(t.l, dst, n)
}

// Errorf formats as fmt does; the engine's own formatter knows less.
func (t thread) Errorf(format string, args ...any) {
	lua.Errorf(t.l, "%s", fmt.Sprintf(format, args...))
}

func (t thread) Raise() { t.l.Error() }

func (t thread) Traceback(msg string) string {
	lua.Traceback(t.l, t.l, msg, 0)
	s, _ := t.l.ToString(-1)
	t.l.Pop(1)
	return s
}

func (t thread) Metatable(i int) bool { t.l.CheckStack(1); return t.l.MetaTable(i) }
func (t thread) Index(i int)          { t.l.Table(i) }
func (t thread) SetIndex(i int)       { t.l.SetTable(i) }
func (t thread) Length(i int) int64   { return int64(lua.LengthEx(t.l, i)) }
func (t thread) Less(i, j int) bool   { return t.l.Compare(i, j, lua.OpLT) }
func (t thread) Exact() bool          { return true }
func (t thread) Spend(int)            {} // the hook counts instructions only
