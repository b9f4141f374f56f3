package lua54

import (
	"fmt"
	"weak"

	"github.com/skua-go/skua/lua/vm"
)

var _ vm.State = (*thread)(nil)

// at is the value at an index of the State, nil if there is none.
func (th *thread) at(i int) *value {
	if i > 0 {
		if i += th.base - 1; i < th.top {
			return &th.stack[i]
		}
		return nil
	}
	if i += th.top; i >= th.base && i < th.top {
		return &th.stack[i]
	}
	return nil
}

// abs is the place on the stack of an index that there is.
func (th *thread) abs(i int) int {
	if i > 0 {
		return th.base + i - 1
	}
	return th.top + i
}

func (th *thread) value(i int) value {
	if v := th.at(i); v != nil {
		return *v
	}
	return value{}
}

func (th *thread) pushValue(v value) {
	if th.top >= len(th.stack) {
		th.grow(th.top, 8)
	}
	th.stack[th.top] = v
	th.top++
}

func (th *thread) pop() value {
	if th.top <= th.base {
		return value{}
	}
	th.top--
	return th.stack[th.top]
}

func (th *thread) Top() int { return th.top - th.base }

func (th *thread) SetTop(n int) {
	if n < 0 {
		n = max(th.Top()+n+1, 0)
	}
	to := th.base + n
	th.grow(th.base, n)
	if to > th.top {
		clear(th.stack[th.top:to])
	}
	th.top = to
}

func (th *thread) Pop(n int)  { th.top = max(th.top-n, th.base) }
func (th *thread) Copy(i int) { th.pushValue(th.value(i)) }

func (th *thread) Insert(i int) {
	at := th.abs(i)
	v := th.stack[th.top-1]
	copy(th.stack[at+1:th.top], th.stack[at:th.top-1])
	th.stack[at] = v
}

func (th *thread) Remove(i int) {
	at := th.abs(i)
	copy(th.stack[at:th.top-1], th.stack[at+1:th.top])
	th.top--
}

//nolint:gochecknoglobals // a constant
var kindTypes = [...]vm.Type{
	vm.Nil, vm.Boolean, vm.Boolean, vm.Number, vm.Number, vm.String, vm.Table, vm.Function, vm.Function, vm.Userdata, vm.Thread,
}

func (th *thread) Type(i int) vm.Type {
	v := th.at(i)
	if v == nil {
		return vm.None
	}
	return kindTypes[v.kind()]
}

func (th *thread) IsInt(i int) bool { return th.value(i).isInt() }
func (th *thread) Bool(i int) bool  { return !th.value(i).falsy() }

func (th *thread) Int(i int) (int64, bool) {
	v := th.at(i)
	if v == nil {
		return 0, false
	}
	if v.o == &intObj {
		return v.int(), true
	}
	return v.toInt()
}

func (th *thread) Float(i int) (float64, bool) { return th.value(i).toFloat() }

func (th *thread) String(i int) (string, bool) {
	if v := th.at(i); v != nil && v.isString() {
		return v.text(), true
	}
	return "", false
}

func (th *thread) Userdata(i int) any {
	if v := th.value(i); v.kind() == kindUserdata {
		return v.o.userdata().v
	}
	return nil
}

func (th *thread) Text(i int) string { return th.text(th.value(i)) }

func (th *thread) Len(i int) int {
	v := th.value(i)
	if t := v.asTable(); t != nil {
		return len(t.arr)
	}
	if v.isString() {
		return len(v.text())
	}
	return 0
}

func (th *thread) Next(i int) bool {
	t := th.tableAt(i)
	place, ok := t.after(th.pop())
	if !ok {
		th.Errorf("invalid key to 'next'")
	}
	k, v, next := t.step(place)
	if next < 0 {
		return false
	}
	th.pushValue(k)
	th.pushValue(v)
	return true
}

func (th *thread) Equal(i, j int) bool {
	a, b := th.at(i), th.at(j)
	return a != nil && b != nil && equal(*a, *b)
}

func (th *thread) Same(i int, s vm.State) bool {
	other, ok := s.(*thread)
	v := th.value(i)
	return ok && v.o == &other.object
}

func (th *thread) PushNil()            { th.pushValue(value{}) }
func (th *thread) PushBool(v bool)     { th.pushValue(boolValue(v)) }
func (th *thread) PushInt(v int64)     { th.pushValue(intValue(v)) }
func (th *thread) PushFloat(v float64) { th.pushValue(floatValue(v)) }
func (th *thread) PushString(v string) { th.pushValue(th.m.given(v)) }

// PushBytes finds short strings without making new ones.
func (th *thread) PushBytes(v []byte) {
	if len(v) > maxInterned {
		th.pushValue(th.m.newString(string(v)))
		return
	}
	th.pushValue(value{o: &internBytes(v).object})
}

func (th *thread) PushFunc(name string, f vm.Func) {
	g := &goFunc{object: th.m.object(kindGoFunc), name: name, f: f}
	th.pushValue(value{o: &g.object})
}

func (th *thread) PushUserdata(v any) {
	u := &userdata{object: th.m.object(kindUserdata), v: v}
	th.pushValue(value{o: &u.object})
}

func (th *thread) PushThread(s vm.State) {
	th.pushValue(value{o: &s.(*thread).object}) //nolint:forcetypeassert // a State of another engine is a bug of the caller
}

func (th *thread) NewTable(array, fields int) {
	th.pushValue(value{o: &th.m.newTable(array, fields).object})
}

func (th *thread) tableAt(i int) *table {
	t := th.value(i).asTable()
	if t == nil {
		th.Errorf("a table is expected, got %s", th.Type(i))
	}
	return t
}

func (th *thread) RawGet(i int) {
	t := th.tableAt(i)
	th.stack[th.top-1] = t.get(th.stack[th.top-1])
}

func (th *thread) RawSet(i int) {
	t := th.tableAt(i)
	k, v := th.stack[th.top-2], th.stack[th.top-1]
	th.top -= 2
	th.rawSet(t, k, v)
}

func (th *thread) RawGetInt(i int, k int64) { th.pushValue(th.tableAt(i).getInt(k)) }

func (th *thread) RawSetInt(i int, k int64) {
	t := th.tableAt(i)
	th.m.grown(t.setInt(k, th.pop()))
}

func (th *thread) Field(i int, k string) {
	if t := th.value(i).asTable(); t != nil && t.meta == nil {
		th.pushValue(t.getText(k))
		return
	}
	th.pushValue(th.getMeta(th.value(i), th.m.given(k)))
}

// getText is getStr for a string of Go.
func (t *table) getText(k string) value {
	s := str{object{kind: kindString}, k}
	return t.getStr(&s)
}

func (th *thread) SetField(i int, k string) {
	obj := th.value(i)
	v := th.pop()
	if t := obj.asTable(); t != nil && t.meta == nil {
		th.setText(t, k, v)
		return
	}
	th.setMeta(obj, th.m.given(k), v)
}

func (th *thread) setText(t *table, k string, v value) {
	s := str{object{kind: kindString}, k}
	if !t.frozen {
		if nd := t.findStr(&s); nd != nil && nd.val.o != nil && v.o != nil {
			nd.val = v
			return
		}
	}
	th.m.grown(t.setStr(th.m.given(k).o.str(), v))
}

func (th *thread) Global(k string)    { th.pushValue(th.m.globals.getText(k)) }
func (th *thread) SetGlobal(k string) { th.setText(th.m.globals, k, th.pop()) }

func (th *thread) SetMetatable(i int) {
	v := th.value(i)
	th.m.setMetatable(v, th.pop().asTable())
}

func (m *machine) setMetatable(v value, meta *table) {
	switch v.kind() {
	case kindTable:
		t := v.o.table()
		t.meta, t.weak = meta, 0 // measure sees whether it is weak
		m.seen(meta)
	case kindUserdata:
		v.o.userdata().meta = meta
		m.seen(meta)
	default:
		m.metas[v.kind()] = meta
		if v.kind() == kindTrue || v.kind() == kindFalse {
			m.metas[kindTrue], m.metas[kindFalse] = meta, meta
		}
		if v.isNumber() {
			m.metas[kindInt], m.metas[kindFloat] = meta, meta
		}
		return
	}
	if meta.method(evGC).o != nil && !m.setDoomed(v, true) {
		m.doomed = append(m.doomed, v)
	}
}

func weakness(mode string) (weak uint8) {
	for _, c := range mode {
		switch c {
		case 'k':
			weak |= weakKeys
		case 'v':
			weak |= weakValues
		}
	}
	return weak
}

func (th *thread) Metatable(i int) bool {
	t := th.m.metatable(th.value(i))
	if t == nil {
		return false
	}
	th.pushValue(value{o: &t.object})
	return true
}

// getMeta is obj[key] with metamethods, called from Go.
func (th *thread) getMeta(obj, key value) value {
	v, method, self := th.lookup(obj, key, nil)
	if method.o == nil {
		return v
	}
	return th.callValue(method, self, key)
}

func (th *thread) setMeta(obj, key, v value) {
	method, self := th.store(obj, key, v, nil)
	if method.o != nil {
		at := th.top
		th.grow(at, 5)
		th.stack[at], th.stack[at+1], th.stack[at+2], th.stack[at+3] = method, self, key, v
		th.top = at + 4
		th.callNested(at, 3, 0)
		th.top = at
	}
}

// callValue calls a function with two arguments for one result, from a function of Go.
func (th *thread) callValue(method, a, b value) value {
	at := th.top
	th.grow(at, 4)
	th.stack[at], th.stack[at+1], th.stack[at+2] = method, a, b
	th.top = at + 3
	th.callNested(at, 2, 1)
	th.top = at
	return th.stack[at]
}

func (th *thread) Index(i int) {
	obj := th.value(i)
	v := th.getMeta(obj, th.pop())
	th.pushValue(v)
}

func (th *thread) SetIndex(i int) {
	obj := th.value(i)
	v := th.pop()
	k := th.pop()
	th.setMeta(obj, k, v)
}

func (th *thread) Length(i int) int64 {
	v := th.value(i)
	if v.isString() {
		return int64(len(v.text()))
	}
	if method := th.m.methodOf(v, evLen); method.o != nil {
		n, ok := th.callValue(method, v, v).toInt()
		if !ok {
			th.Errorf("object length is not an integer")
		}
		return n
	}
	t := v.asTable()
	if t == nil {
		th.errorf("attempt to get length of a %s value", th.m.typeNameOf(v))
	}
	return t.length()
}

func (th *thread) Less(i, j int) bool {
	a, b := th.value(i), th.value(j)
	if less, ok := lessThan(a, b, evLt); ok {
		return less
	}
	method := th.m.methodOf(a, evLt)
	if method.o == nil {
		method = th.m.methodOf(b, evLt)
	}
	if method.o == nil {
		x, y := th.m.typeNameOf(a), th.m.typeNameOf(b)
		if x == y {
			th.errorf("attempt to compare two %s values", x)
		}
		th.errorf("attempt to compare %s with %s", x, y)
	}
	return !th.callValue(method, a, b).falsy()
}

func (*thread) Exact() bool { return true }

func (th *thread) Spend(n int) {
	if th.m.fuel -= n; th.m.fuel < 0 {
		th.refuel()
	}
}

// Wants is how many results the caller of the running function takes, all if it is below 0.
func (th *thread) Wants() int { return th.frames[len(th.frames)-1].want }

// Alloc checks the limit only: what is made is counted when it is.
func (th *thread) Alloc(bytes int) { th.m.reserve(th, bytes) }

func (th *thread) Ref() int      { return th.m.ref(th.pop()) }
func (th *thread) Unref(ref int) { th.m.unref(ref) }

func (th *thread) Push(ref int) {
	if ref <= 0 || ref >= len(th.m.refs) {
		th.pushValue(value{})
		return
	}
	th.pushValue(th.m.refs[ref])
}

func (th *thread) Load(chunk, source string) error {
	p, err := th.m.engine.load(chunkName(chunk), source)
	if err != nil {
		return err
	}
	th.pushValue(th.m.main.chunk(p, value{o: &th.m.globals.object}))
	return nil
}

// chunk makes the function of a chunk with its _ENV.
func (th *thread) chunk(p *proto, env value) value {
	cl := &closure{object: th.m.object(kindClosure), p: p}
	for i := range p.ups {
		u := &upvalue{}
		u.p = &u.v
		if i == 0 {
			u.v = env
		}
		cl.up = append(cl.up, u)
	}
	return value{o: &cl.object}
}

// chunkName is what messages call a chunk: as in Lua, the text behind "@" or "=".
func chunkName(chunk string) string {
	if chunk != "" && (chunk[0] == '@' || chunk[0] == '=') {
		return chunk[1:]
	}
	return chunk
}

func (th *thread) Call(args, results int) {
	fun := th.top - args - 1
	th.callNested(fun, args, results)
	if results >= 0 {
		th.top = fun + results
	}
}

func (th *thread) PCall(args, results int) error {
	fun, base, stop := th.top-args-1, th.base, len(th.frames)
	if th.depth+th.nested >= maxNested {
		th.top = fun
		th.pushValue(stringValue(th.anywhere() + "C stack overflow"))
		return &thrown{th.stack[fun]}
	}
	th.nested++
	st := th.execute(attempt{what: tryCall, fun: fun, n: args, want: results}, stop)
	th.nested--
	th.base = base
	if st != failed {
		if results >= 0 {
			th.top = fun + results
		}
		return nil
	}
	v := th.failed
	th.failed = value{}
	th.frames = th.frames[:stop]
	th.top = fun
	v = th.closeErr(fun, v)
	th.base, th.top = base, fun
	th.shrink()
	th.pushValue(v)
	return &thrown{v}
}

func (th *thread) NewThread() vm.State {
	co := th.m.newThread()
	th.m.threads = append(th.m.threads, weak.Make(co))
	return co
}

func (th *thread) Resume(n int) vm.Status { return th.resumeByHost(attempt{what: tryResume, n: n}) }

// Throw goes on behind Yield by raising the value on top there.
func (th *thread) Throw() vm.Status {
	return th.resumeByHost(attempt{what: tryThrow, err: th.pop()})
}

func (th *thread) resumeByHost(a attempt) vm.Status {
	outer := th.m.running
	st := th.resume(nil, a)
	th.m.running = outer
	switch st {
	case held, yielded:
		return vm.Yielded
	case finished:
		return vm.Finished
	default:
		if len(th.tbc) > 0 { // nobody can close it: its variables are closed here, with the frames as they are, for Traceback
			th.failed = th.closeErr(0, th.failed)
		}
		th.base = th.free()
		th.top = th.base
		th.pushValue(th.failed)
		return vm.Failed
	}
}

// Yield waits for the host.
func (th *thread) Yield(n int) int {
	if th.nested > 0 || !th.waits {
		if th == th.m.main || th.parent == nil && !th.waits {
			th.Errorf("attempt to yield from outside a coroutine")
		}
		th.Errorf("attempt to yield across a Go-call boundary: a wait is not possible in callbacks of the library (table.sort, string.gsub), in __close and in __gc")
	}
	th.base = th.top - n
	return waitMark
}

func (th *thread) Move(to vm.State, n int) {
	dst := to.(*thread) //nolint:forcetypeassert // a State of another engine is a bug of the caller
	th.top -= n
	for _, v := range th.stack[th.top : th.top+n] {
		dst.pushValue(v)
	}
}

// Errorf raises an error with the position of the function that called the present one.
func (th *thread) Errorf(format string, args ...any) {
	th.throw(stringValue(th.calledFrom() + fmt.Sprintf(format, args...)))
}

func (th *thread) Raise() { th.throw(th.pop()) }
