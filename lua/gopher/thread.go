package gopher

import (
	"context"
	"fmt"
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

// thread is a State. Its LState finds it through its context, which nothing else uses: see stateOf.
type thread struct {
	context.Context //nolint:containedctx // never asked for anything: it makes a thread something that an LState can carry

	m      *machine
	l      *lua.LState
	stack  *stack
	first  []*piece // its list of pieces while it waits, if there is one
	state  threadState
	box    []lua.LValue // the stack while the thread does not run: what was yielded, what it is going to be resumed with
	want   int          // how many results the call takes that the thread waits in; all if it is below 0
	fixed  int          // above 0 while what runs must not be left: a message handler
	refuse string       // why the next Resume fails
	yields bool         // its function has just said that it yields

	scripts   bool // it was made by a script
	registers int  // how many of its registers have been counted, see memory.go

	host    bool    // it waits for the host: no script can end that
	resumer *thread // the thread whose coroutine.resume it runs in; nil if the host has resumed it
	inner   *thread // the coroutine that its coroutine.resume runs, while both wait for the host
	wraps   bool    // that call is one of a function of coroutine.wrap
}

type threadState uint8

const (
	fresh threadState = iota
	running
	waiting
	finished
	failed
)

// maxExact is the largest integer up to which a float64 has all: 2^53.
const maxExact = 1 << 53

var _ vm.State = (*thread)(nil)

// stateOf is the State of a thread of the library.
func stateOf(l *lua.LState) *thread {
	return l.Context().(*thread) //nolint:forcetypeassert // every thread of a machine gets one, see newThread
}

func (t *thread) Top() int {
	if t.state != running {
		return len(t.box)
	}
	return t.l.GetTop()
}

func (t *thread) SetTop(n int) {
	if t.state == running {
		if n < 0 {
			n = max(t.l.GetTop()+n+1, 0)
		}
		if n == 0 {
			t.l.SetTop(0)
			return
		}
		t.l.SetTop(n)
		return
	}
	if n < 0 {
		n = max(len(t.box)+n+1, 0)
	}
	for len(t.box) < n {
		t.box = append(t.box, lua.LNil)
	}
	clear(t.box[n:])
	t.box = t.box[:n]
}

func (t *thread) Pop(n int) { t.SetTop(max(t.Top()-n, 0)) }

func (t *thread) push(v lua.LValue) {
	if t.state == running {
		t.l.Push(v)
		return
	}
	t.box = append(t.box, v)
}

// at is the value at an index, nil if there is none.
func (t *thread) at(i int) lua.LValue {
	top := t.Top()
	if i < 0 {
		i = top + i + 1
	}
	if i < 1 || i > top {
		return nil
	}
	if t.state != running {
		return t.box[i-1]
	}
	if v := t.l.Get(i); v != nil {
		return v
	}
	return lua.LNil
}

// value is at with nil of Lua where there is none.
func (t *thread) value(i int) lua.LValue {
	if v := t.at(i); v != nil {
		return v
	}
	return lua.LNil
}

func (t *thread) pop() lua.LValue {
	v := t.value(-1)
	t.Pop(1)
	return v
}

func (t *thread) Copy(i int) { t.push(t.value(i)) }

func (t *thread) Insert(i int) {
	if i < 0 {
		i = t.Top() + i + 1
	}
	v := t.pop()
	if t.state == running {
		t.l.Insert(v, i)
		return
	}
	t.box = append(t.box, nil)
	copy(t.box[i:], t.box[i-1:])
	t.box[i-1] = v
}

func (t *thread) Remove(i int) {
	if i < 0 {
		i = t.Top() + i + 1
	}
	if t.state == running {
		t.l.Remove(i)
		return
	}
	copy(t.box[i-1:], t.box[i:])
	t.box[len(t.box)-1] = nil
	t.box = t.box[:len(t.box)-1]
}

func (t *thread) Type(i int) vm.Type {
	v := t.at(i)
	if v == nil {
		return vm.None
	}
	return typeOf(v)
}

func typeOf(v lua.LValue) vm.Type {
	switch v.Type() {
	case lua.LTNil:
		return vm.Nil
	case lua.LTBool:
		return vm.Boolean
	case lua.LTNumber:
		return vm.Number
	case lua.LTString:
		return vm.String
	case lua.LTFunction:
		return vm.Function
	case lua.LTThread:
		return vm.Thread
	case lua.LTTable:
		return vm.Table
	default:
		return vm.Userdata
	}
}

// exact is the integer that a number is. Beyond 2^53 it may have been another before it was rounded, so none is told.
func exact(n float64) (int64, bool) {
	if n != math.Trunc(n) || math.Abs(n) > maxExact {
		return 0, false
	}
	return int64(n), true
}

func (t *thread) IsInt(i int) bool {
	_, ok := t.Int(i)
	return ok
}

func (t *thread) Bool(i int) bool { return lua.LVAsBool(t.value(i)) }

func (t *thread) Int(i int) (int64, bool) {
	n, ok := t.at(i).(lua.LNumber)
	if !ok {
		return 0, false
	}
	return exact(float64(n))
}

func (t *thread) Float(i int) (float64, bool) {
	n, ok := t.at(i).(lua.LNumber)
	return float64(n), ok
}

func (t *thread) String(i int) (string, bool) {
	s, ok := t.at(i).(lua.LString)
	return string(s), ok
}

func (t *thread) Userdata(i int) any {
	if u, ok := t.at(i).(*lua.LUserData); ok {
		return u.Value
	}
	return nil
}

func (t *thread) Text(i int) string { return string(toText(t, t.value(i))) }

func (t *thread) Len(i int) int {
	switch v := t.at(i).(type) {
	case *lua.LTable:
		return v.Len()
	case lua.LString:
		return len(v)
	}
	return 0
}

func (t *thread) Next(at int) bool {
	tbl := t.tableAt(at)
	key, v, ok := next(tbl, t.pop())
	if !ok {
		t.Errorf("invalid key to 'next'")
	}
	if key == lua.LNil {
		return false
	}
	t.push(key)
	t.push(v)
	return true
}

func (t *thread) Equal(i, j int) bool {
	a, b := t.at(i), t.at(j)
	return a != nil && b != nil && t.l.RawEqual(a, b)
}

func (t *thread) Same(i int, s vm.State) bool {
	other, ok := s.(*thread)
	l, isThread := t.at(i).(*lua.LState)
	return ok && isThread && l == other.l
}

func (t *thread) PushNil()            { t.push(lua.LNil) }
func (t *thread) PushBool(v bool)     { t.push(lua.LBool(v)) }
func (t *thread) PushFloat(v float64) { t.push(lua.LNumber(v)) }
func (t *thread) PushString(v string) {
	t.m.took(stringSize + len(v))
	t.push(lua.LString(v))
}

// PushBytes finds short strings, which are the names of fields again and again, without making new ones.
func (t *thread) PushBytes(v []byte) {
	if len(v) > maxInterned {
		t.PushString(string(v))
		return
	}
	t.m.took(stringSize + len(v))
	t.push(internBytes(v))
}

// PushInt refuses what a float64 would round: with an error where a function runs, else with one at the wait that the value was meant for.
func (t *thread) PushInt(v int64) {
	if v >= -maxExact && v <= maxExact {
		t.push(lua.LNumber(v))
		return
	}
	t.pushLarge(v, "")
}

// PushIntOf is PushInt of a part of a larger value, whose error tells the way to it: it begins with what.
func (t *thread) PushIntOf(v int64, what string) {
	if v >= -maxExact && v <= maxExact {
		t.push(lua.LNumber(v))
		return
	}
	t.pushLarge(v, what+": ")
}

// TextIntegers tells whether scripts get integers beyond 2^53 as strings.
func (t *thread) TextIntegers() bool { return t.m.engine.cfg.TextIntegers }

func (t *thread) pushLarge(v int64, what string) {
	if t.TextIntegers() {
		t.push(lua.LString(strconv.FormatInt(v, 10)))
		return
	}
	text := fmt.Sprintf("%sinteger %d is beyond 2^53: the engine %s would round it", what, v, Name)
	if t.state == running {
		t.Errorf("%s", text)
	}
	if t.refuse == "" {
		t.refuse = text
	}
	t.push(lua.LNil)
}

func (t *thread) PushFunc(_ string, f vm.Func) {
	t.push(t.m.root.NewFunction(func(l *lua.LState) int { return f(stateOf(l)) }))
}

func (t *thread) PushUserdata(v any) {
	u := t.m.root.NewUserData()
	u.Value = v
	t.push(u)
}

func (t *thread) PushThread(s vm.State) {
	t.push(s.(*thread).l) //nolint:forcetypeassert // a State of another engine is a bug of the caller
}

func (t *thread) NewTable(array, fields int) {
	t.m.took(tableSize + 16*array + fieldSize*max(fields-leastKeys, 0))
	made := t.l.CreateTable(array, fields)
	if fields > leastKeys { // the library makes room for the values only
		in := insides(made)
		in.keys, in.k2i = make([]lua.LValue, 0, fields), make(map[lua.LValue]int, fields)
	}
	t.push(made)
}

// tableAt raises an error if there is no table.
func (t *thread) tableAt(i int) *lua.LTable {
	tbl, ok := t.at(i).(*lua.LTable)
	if !ok {
		t.Errorf("a table is expected, got %s", t.Type(i))
	}
	return tbl
}

func (t *thread) RawGet(at int) {
	tbl := t.tableAt(at)
	t.push(rawGet(tbl, t.pop()))
}

func (t *thread) RawSet(at int) {
	tbl := t.tableAt(at)
	v := t.pop()
	k := t.pop()
	if n, ok := k.(lua.LNumber); k == lua.LNil || ok && math.IsNaN(float64(n)) {
		t.Errorf("table index is %s", k.String())
	}
	t.set(tbl, k, v)
}

// set is RawSet that counts what the table grows by.
func (t *thread) set(tbl *lua.LTable, k, v lua.LValue) {
	in := insides(tbl)
	keys, items := len(in.keys), len(in.array)
	rawSet(tbl, k, v)
	t.m.tookKeys(in, keys, items)
}

func (t *thread) RawGetInt(at int, k int64) { t.push(rawGet(t.tableAt(at), t.key(k))) }

func (t *thread) RawSetInt(at int, k int64) {
	tbl := t.tableAt(at)
	t.set(tbl, t.key(k), t.pop())
}

func (t *thread) key(k int64) lua.LNumber {
	if k < -maxExact || k > maxExact {
		t.Errorf("key %d is beyond 2^53: the engine %s would round it", k, Name)
	}
	return lua.LNumber(k)
}

func (t *thread) Field(at int, k string) { t.push(t.l.GetField(t.value(at), k)) }

func (t *thread) SetField(at int, k string) {
	obj := t.value(at)
	if tbl, ok := obj.(*lua.LTable); ok {
		if in := insides(tbl); in.strdict == nil {
			in.strdict = map[string]lua.LValue{} // the library's own would have place for 32 fields
		}
	}
	t.l.SetField(obj, k, t.pop())
}

func (t *thread) Global(k string)    { t.push(t.l.GetField(t.l.G.Global, k)) }
func (t *thread) SetGlobal(k string) { t.l.SetField(t.l.G.Global, k, t.pop()) }

func (t *thread) SetMetatable(i int) {
	obj := t.value(i)
	t.l.SetMetatable(obj, t.pop())
}

func (t *thread) Ref() int            { return t.m.ref(t.pop()) }
func (t *thread) Push(ref int)        { t.push(t.m.refs[ref]) }
func (t *thread) Unref(ref int)       { t.m.unref(ref) }
func (t *thread) NewThread() vm.State { return t.m.newThread() }

func (t *thread) Load(chunk, source string) error {
	proto, err := t.m.engine.load(chunk, source)
	if err != nil {
		return err
	}
	t.push(t.m.root.NewFunctionFromProto(proto))
	return nil
}

func (t *thread) Move(to vm.State, n int) {
	dst := to.(*thread) //nolint:forcetypeassert // a State of another engine is a bug of the caller
	top := t.Top()
	for i := top - n + 1; i <= top; i++ {
		dst.push(t.value(i))
	}
	t.SetTop(top - n)
}
