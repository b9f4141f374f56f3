package lua54

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/skua-go/skua/lua/vm"
)

func baseLibrary() goLibrary {
	return goLibrary{
		"assert": baseAssert, "collectgarbage": baseCollectGarbage, "error": baseError, "getmetatable": baseGetMetatable, "ipairs": baseIpairs,
		"load": baseLoad, "next": baseNext, "pairs": basePairs, "pcall": unreachable, "xpcall": unreachable, "rawequal": baseRawEqual, "rawget": baseRawGet,
		"rawlen": baseRawLen, "rawset": baseRawSet, "select": baseSelect, "setmetatable": baseSetMetatable, "tonumber": baseToNumber,
		"tostring": baseToString, "type": baseType,
	}
}

// unreachable is the body of functions that the loop does itself.
func unreachable(*thread) int { panic("lua54: a special function was called") }

// badArg raises the error for an argument.
func (th *thread) badArg(i int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	name, method := th.CalledAs()
	if method {
		if i--; i == 0 {
			th.Errorf("calling '%s' on bad self (%s)", name, text)
		}
	}
	if name == "" {
		if name = th.frames[len(th.frames)-1].g.name; name == "" {
			name = "?"
		}
	}
	th.Errorf("bad argument #%d to '%s' (%s)", i, name, text)
}

// CalledAs is how the script called the function of Go that runs, see std.Caller.
func (th *thread) CalledAs() (name string, method bool) {
	kind, name := th.calledAs(len(th.frames) - 1)
	return name, kind == "method"
}

// Pointer identifies the object at i, see std.Pointer.
func (th *thread) Pointer(i int) uint64 {
	return uint64(uintptr(unsafe.Pointer(th.value(i).o))) //nolint:gosec // a number to show
}

func (th *thread) wrongType(i int, want string) {
	got := "no value"
	if v := th.at(i); v != nil {
		got = th.m.typeNameOf(*v)
	}
	th.badArg(i, "%s expected, got %s", want, got)
}

func (th *thread) checkTable(i int) *table {
	t := th.value(i).asTable()
	if t == nil {
		th.wrongType(i, "table")
	}
	return t
}

func (th *thread) checkAny(i int) value {
	v := th.at(i)
	if v == nil {
		th.badArg(i, "value expected")
	}
	return *v
}

func (th *thread) checkInt(i int) int64 {
	v := th.value(i)
	if n, ok := v.toInt(); ok {
		return n
	}
	x, ok := th.m.number(v)
	if !ok {
		th.wrongType(i, "number")
	}
	n, ok := x.toInt()
	if !ok {
		th.badArg(i, "number has no integer representation")
	}
	return n
}

func (th *thread) one(v value) int {
	th.pushValue(v)
	return 1
}

func baseAssert(th *thread) int {
	if !th.checkAny(1).falsy() {
		return th.Top()
	}
	v := stringValue("assertion failed!")
	if th.Top() > 1 {
		v = th.value(2)
	}
	if v.isString() {
		v = stringValue(th.where(1) + v.text())
	}
	th.throw(v)
	return 0
}

func baseError(th *thread) int {
	v := th.value(1)
	level := int64(1)
	if th.value(2).o != nil {
		level = th.checkInt(2)
	}
	if v.isString() && level > 0 && level < maxFrames {
		v = stringValue(th.where(int(level)) + v.text())
	}
	th.throw(v)
	return 0
}

// baseCollectGarbage measures the VM's memory, which empties weak tables and lets __gc run. The memory itself is Go's collector's.
func baseCollectGarbage(th *thread) int {
	option := "collect"
	if v := th.at(1); v != nil && v.o != nil {
		option = th.checkString(1)
	}
	switch option {
	case "collect":
		th.collect()
		return th.one(intValue(0))
	case "count":
		return th.one(floatValue(float64(th.m.Memory()) / 1024))
	case "step":
		th.collect()
		return th.one(boolValue(true))
	case "isrunning":
		return th.one(boolValue(true))
	case "stop", "restart", "setpause", "setstepmul":
		return th.one(intValue(0))
	case "incremental", "generational":
		return th.one(th.m.newString("incremental"))
	}
	th.badArg(1, "invalid option '%s'", option)
	return 0
}

func baseGetMetatable(th *thread) int {
	meta := th.m.metatable(th.checkAny(1))
	if meta == nil {
		return th.one(value{})
	}
	if v := meta.method(evMetatable); v.o != nil {
		return th.one(v)
	}
	return th.one(value{o: &meta.object})
}

func baseSetMetatable(th *thread) int {
	t := th.checkTable(1)
	meta := th.value(2)
	if th.Top() < 2 || meta.o != nil && meta.asTable() == nil {
		th.wrongType(2, "nil or table")
	}
	if t.meta.method(evMetatable).o != nil {
		th.Errorf("cannot change a protected metatable")
	}
	th.m.setMetatable(th.value(1), meta.asTable())
	return th.one(th.value(1))
}

func baseIpairs(th *thread) int {
	th.checkAny(1)
	th.pushValue(value{o: &ipairsFunc.object})
	th.pushValue(th.value(1))
	th.pushValue(intValue(0))
	return 3
}

//nolint:gochecknoglobals // a constant
var ipairsFunc = newGoFunc("ipairs_aux", func(s vm.State) int { return ipairsNext(s.(*thread)) }) //nolint:forcetypeassert // this engine's

func ipairsNext(th *thread) int {
	i := th.checkInt(2) + 1
	var v value
	if t := th.value(1).asTable(); t != nil {
		v = t.getInt(i)
		if v.o == nil && t.meta != nil {
			v = th.getMeta(th.value(1), intValue(i))
		}
	} else {
		v = th.getMeta(th.value(1), intValue(i))
	}
	if v.o == nil {
		return th.one(value{})
	}
	th.pushValue(intValue(i))
	th.pushValue(v)
	return 2
}

func baseNext(th *thread) int {
	th.checkTable(1)
	th.SetTop(2)
	if th.Next(1) {
		return 2
	}
	return th.one(value{})
}

//nolint:gochecknoglobals // a constant
var nextFunc = func() *goFunc {
	f := newGoFunc("next", func(s vm.State) int { return baseNext(s.(*thread)) }) //nolint:forcetypeassert // this engine's
	f.special = isNext
	return f
}()

func basePairs(th *thread) int {
	v := th.checkAny(1)
	if method := th.m.methodOf(v, evPairs); method.o != nil {
		at := th.top
		th.grow(at, 5)
		th.stack[at], th.stack[at+1] = method, v
		th.top = at + 2
		th.callNested(at, 1, 3)
		th.top = at + 3
		return 3
	}
	th.checkTable(1)
	th.pushValue(value{o: &nextFunc.object})
	th.pushValue(v)
	th.pushValue(value{})
	return 3
}

func baseRawEqual(th *thread) int { return th.one(boolValue(equal(th.checkAny(1), th.checkAny(2)))) }

func baseRawGet(th *thread) int {
	t := th.checkTable(1)
	return th.one(t.get(th.checkAny(2)))
}

func baseRawLen(th *thread) int {
	v := th.value(1)
	switch v.kind() {
	case kindTable:
		return th.one(intValue(v.o.table().length()))
	case kindString:
		return th.one(intValue(int64(len(v.text()))))
	}
	th.badArg(1, "table or string expected")
	return 0
}

func baseRawSet(th *thread) int {
	t := th.checkTable(1)
	k := th.checkAny(2)
	v := th.checkAny(3)
	if k.o == nil {
		th.Errorf("table index is nil")
	}
	if isNaN(k) {
		th.Errorf("table index is NaN")
	}
	th.m.grown(t.set(k, v))
	return th.one(th.value(1))
}

func baseSelect(th *thread) int {
	n := th.Top()
	if v := th.value(1); v.isString() && v.text() == "#" {
		return th.one(intValue(int64(n) - 1))
	}
	i := th.checkInt(1)
	switch {
	case i < 0:
		i += int64(n)
	case i > int64(n):
		i = int64(n)
	}
	if i < 1 {
		th.badArg(1, "index out of range")
	}
	return n - int(i)
}

func baseToString(th *thread) int {
	v := th.checkAny(1)
	if v.isString() {
		return th.one(v)
	}
	return th.one(th.m.newString(th.text(v)))
}

// text is what tostring makes of a value.
func (th *thread) text(v value) string {
	if method := th.m.methodOf(v, evToString); method.o != nil {
		r := th.callValue(method, v, value{})
		if r.isNumber() {
			return numberText(r)
		}
		if !r.isString() {
			th.Errorf("'__tostring' must return a string")
		}
		return r.text()
	}
	switch v.kind() {
	case kindNil:
		return "nil"
	case kindFalse:
		return "false"
	case kindTrue:
		return "true"
	case kindInt, kindFloat:
		return numberText(v)
	case kindString:
		return v.text()
	default:
		return fmt.Sprintf("%s: %p", th.m.typeNameOf(v), v.o)
	}
}

func baseType(th *thread) int {
	return th.one(value{o: &typeStrings[th.checkAny(1).kind()].object})
}

//nolint:gochecknoglobals // constants
var typeStrings = func() (names [len(kindNames)]*str) {
	for i, name := range kindNames {
		names[i] = constant(name)
	}
	return names
}()

func baseToNumber(th *thread) int {
	if th.value(2).o == nil {
		v := th.checkAny(1)
		n, _ := th.m.number(v)
		return th.one(n)
	}
	base := th.checkInt(2)
	v := th.value(1)
	if !v.isString() {
		th.wrongType(1, "string")
	}
	if base < 2 || base > 36 {
		th.badArg(2, "base out of range")
	}
	th.m.numeral(v)
	n, ok := digits(v.text(), uint64(base))
	if !ok {
		return th.one(value{})
	}
	return th.one(intValue(n))
}

func digits(s string, base uint64) (int64, bool) {
	s = strings.Trim(s, " \f\n\r\t\v")
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	if s == "" {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		c := s[i]
		var d uint64
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			d = uint64(c|0x20-'a') + 10
		default:
			return 0, false
		}
		if d >= base {
			return 0, false
		}
		n = n*base + d
	}
	if negative {
		n = -n
	}
	return int64(n), true
}

// maxChunk bounds what load collects from a function.
const maxChunk = 64 << 20

func baseLoad(th *thread) int {
	v := th.value(1)
	var text, name string
	switch v.kind() {
	case kindString, kindInt, kindFloat:
		text = th.plainText(v)
		name = text
	case kindClosure, kindGoFunc:
		var problem value
		if text, problem = th.pieces(v); problem.o != nil {
			th.pushValue(value{})
			return th.one(problem) + 1
		}
		name = "=(load)"
	default:
		th.wrongType(1, "function")
	}
	if n := th.value(2); n.o != nil {
		name = th.checkString(2)
	}
	mode := "bt"
	if n := th.value(3); n.o != nil {
		mode = th.checkString(3)
	}
	env := value{o: &th.m.globals.object}
	if th.Top() >= 4 {
		env = th.value(4)
	}
	fn, problem := th.load(scriptChunkName(name), text, mode, env)
	if problem != "" {
		th.pushValue(value{})
		return th.one(th.m.newString(problem)) + 1
	}
	return th.one(fn)
}

// treeSize is how many bytes the tree of a source takes for each of its bytes.
const treeSize = 24

func (th *thread) load(chunk, text, mode string, env value) (fn value, problem string) {
	switch {
	case strings.HasPrefix(text, "\x1b"):
		return value{}, "attempt to load a binary chunk (mode is 't')"
	case !strings.Contains(mode, "t"):
		return value{}, fmt.Sprintf("attempt to load a text chunk (mode is '%s')", mode)
	}
	th.m.fuel -= len(text)
	th.m.reserve(th, treeSize*len(text))
	p, err := compile(chunk, text)
	if err != nil {
		return value{}, err.Error()
	}
	th.m.grown(40 * len(p.code))
	return th.chunk(p, env), ""
}

// scriptChunkName is what messages call a chunk that a script loads under a name: as in Lua, no more of it than fits into 60 bytes.
func scriptChunkName(name string) string {
	const most = 59
	switch {
	case strings.HasPrefix(name, "="):
		return name[1:min(len(name), most+1)]
	case strings.HasPrefix(name, "@"):
		if name = name[1:]; len(name) > most {
			return "..." + name[len(name)-most+3:]
		}
		return name
	}
	return sourceName(name)
}

// sourceName is what messages call a chunk that has no name but its text.
func sourceName(text string) string {
	const most = 60 - len(`[string "..."]`) - 1
	line, _, more := strings.Cut(text, "\n")
	if more || len(line) > most {
		if len(line) > most {
			line = line[:most]
		}
		return `[string "` + line + `..."]`
	}
	return `[string "` + line + `"]`
}

// pieces calls a function until it gives no more of a source. An error is what load returns.
func (th *thread) pieces(f value) (source string, problem value) {
	var b strings.Builder
	for {
		th.pushValue(f)
		if th.PCall(0, 1) != nil {
			return "", th.pop()
		}
		v := th.pop()
		switch {
		case v.o == nil, v.isString() && v.text() == "":
			return b.String(), value{}
		case !v.isString() && !v.isNumber():
			return "", th.m.newString(th.where(1) + "reader function must return a string")
		}
		text := th.plainText(v)
		if b.Len()+len(text) > maxChunk {
			return "", th.m.newString(fmt.Sprintf("%sload: the source is longer than %d bytes", th.where(1), maxChunk))
		}
		th.m.reserve(th, b.Len()+len(text))
		b.WriteString(text)
	}
}

// plainText is the text of a string or a number.
func (*thread) plainText(v value) string {
	if v.isString() {
		return v.text()
	}
	return numberText(v)
}

func (th *thread) checkString(i int) string {
	v := th.value(i)
	if !v.isString() && !v.isNumber() {
		th.wrongType(i, "string")
	}
	return th.plainText(v)
}
