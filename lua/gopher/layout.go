package gopher

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// What this engine needs of gopher-lua and cannot have by its interface: the frames of a thread (to know whether a wait can be taken out of it, and to cut
// it down behind a caught error), its open upvalues, its registers, the loop that runs it, and the hash part of a table. The types here repeat the library's;
// findLayout holds them against it, so another version is refused when an Engine is made, and not met in the middle of a script.

// frame is lua.callFrame.
type frame struct {
	Idx        int
	Fn         *lua.LFunction
	Parent     *frame
	Pc         int
	Base       int
	LocalBase  int
	ReturnBase int
	NArgs      int
	NRet       int
	TailCall   int
}

// upvalue is lua.Upvalue.
type upvalue struct {
	next   *upvalue
	reg    *registry
	index  int
	value  lua.LValue
	closed bool
}

// table is lua.LTable.
type table struct {
	Metatable lua.LValue
	array     []lua.LValue
	dict      map[lua.LValue]lua.LValue
	strdict   map[string]lua.LValue
	keys      []lua.LValue
	k2i       map[lua.LValue]int
}

// loop is the type of lua.LState.mainLoop.
type loop = func(l *lua.LState, base *frame)

// instruction runs one instruction, and returns 1 when its loop has to end.
type instruction = func(l *lua.LState, inst uint32, base *frame) int

// jumpTable is the library's table of instructions.
//
//go:linkname jumpTable github.com/yuin/gopher-lua.jumpTable
var jumpTable [lua.OP_NOP + 1]instruction //nolint:gochecknoglobals // of the library

// offsets are where an LState keeps what we need.
type offsets struct {
	currentFrame, stack, upvalues, registry, errorFunc, mainLoop, numbers uintptr // of an LState
	metatables                                                            uintptr // of a Global
}

var layout = sync.OnceValues(findLayout) //nolint:gochecknoglobals // a constant of the library

func findLayout() (offsets, error) {
	state := reflect.TypeFor[lua.LState]()
	var o offsets
	for _, f := range []struct {
		name string
		at   *uintptr
		as   reflect.Type
	}{
		{"currentFrame", &o.currentFrame, reflect.TypeFor[*frame]()},
		{"stack", &o.stack, nil},
		{"uvcache", &o.upvalues, reflect.TypeFor[*upvalue]()},
		{"reg", &o.registry, reflect.TypeFor[*registry]()},
		{"hasErrorFunc", &o.errorFunc, reflect.TypeFor[bool]()},
		{"mainLoop", &o.mainLoop, nil},
		{"alloc", &o.numbers, reflect.TypeFor[*numbers]()},
	} {
		field, ok := state.FieldByName(f.name)
		if !ok {
			return o, fmt.Errorf("gopher: this version of gopher-lua is not known: its LState has no %s", f.name)
		}
		if f.as != nil && !sameType(field.Type, f.as) {
			return o, fmt.Errorf("gopher: this version of gopher-lua is not known: its LState.%s is a %s", f.name, field.Type)
		}
		*f.at = field.Offset
	}
	if !sameFields(reflect.TypeFor[lua.LTable](), reflect.TypeFor[table](), true) || !sameFields(reflect.TypeFor[lua.Upvalue](), reflect.TypeFor[upvalue](), true) {
		return o, errors.New("gopher: this version of gopher-lua is not known: its LTable or Upvalue has other fields")
	}
	metatables, ok := reflect.TypeFor[lua.Global]().FieldByName("builtinMts")
	if !ok || metatables.Type != reflect.TypeFor[map[int]lua.LValue]() {
		return o, errors.New("gopher: this version of gopher-lua is not known: its Global has no builtinMts")
	}
	o.metatables = metatables.Offset
	if err := sameStack(state, o.stack); err != nil {
		return o, err
	}
	for i, f := range jumpTable {
		if f == nil {
			return o, fmt.Errorf("gopher: this version of gopher-lua is not known: instruction %d is missing", i)
		}
	}
	return o, nil
}

// sameStack looks at the call stack of an LState, an interface.
func sameStack(state reflect.Type, at uintptr) error {
	field, _ := state.FieldByName("stack")
	if field.Type.Kind() != reflect.Interface {
		return fmt.Errorf("gopher: this version of gopher-lua is not known: its LState.stack is a %s", field.Type)
	}
	l := template()
	defer l.Close()
	made := reflect.NewAt(field.Type, unsafe.Add(unsafe.Pointer(l), at)).Elem().Elem().Type() //nolint:gosec // see frame
	if !sameType(made, reflect.TypeFor[*stack]()) || !sameType(made.Elem().Field(0).Type.Elem(), reflect.TypeFor[*piece]()) ||
		made.Elem().Field(0).Type.Elem().Elem().Size() != reflect.TypeFor[piece]().Size() {
		return fmt.Errorf("gopher: this version of gopher-lua is not known: its call stack is a %s of other parts", made)
	}
	return nil
}

func sameType(theirs, ours reflect.Type) bool {
	if theirs.Kind() != ours.Kind() {
		return false
	}
	if ours.Kind() != reflect.Pointer {
		return theirs == ours
	}
	return sameFields(theirs.Elem(), ours.Elem(), true)
}

// sameFields compares two structs by the names, kinds and places of the fields of ours.
func sameFields(theirs, ours reflect.Type, whole bool) bool {
	if theirs.Kind() != reflect.Struct || theirs.NumField() < ours.NumField() || whole && theirs.NumField() != ours.NumField() {
		return false
	}
	for i := range ours.NumField() {
		a, b := theirs.Field(i), ours.Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || a.Type.Kind() != b.Type.Kind() {
			return false
		}
	}
	return true
}

func (o *offsets) frame(l *lua.LState) **frame {
	return (**frame)(unsafe.Add(unsafe.Pointer(l), o.currentFrame)) //nolint:gosec // findLayout has seen that this is what stands there; so below
}

func (o *offsets) openUpvalues(l *lua.LState) **upvalue {
	return (**upvalue)(unsafe.Add(unsafe.Pointer(l), o.upvalues)) //nolint:gosec // see frame
}

func (o *offsets) registers(l *lua.LState) *registry {
	return *(**registry)(unsafe.Add(unsafe.Pointer(l), o.registry)) //nolint:gosec // see frame
}

func (o *offsets) hasErrorFunc(l *lua.LState) *bool {
	return (*bool)(unsafe.Add(unsafe.Pointer(l), o.errorFunc)) //nolint:gosec // see frame
}

func (o *offsets) loop(l *lua.LState) *loop {
	return (*loop)(unsafe.Add(unsafe.Pointer(l), o.mainLoop)) //nolint:gosec // see frame
}

// own has an LState use the parts of its own.
func (o *offsets) own(s *state) {
	l := unsafe.Pointer(&s.l) //nolint:gosec // see frame
	*(**registry)(unsafe.Add(l, o.registry)) = &s.reg
	*(**numbers)(unsafe.Add(l, o.numbers)) = s.reg.alloc
	// Of an interface only the value; its type is as it was.
	(*[2]unsafe.Pointer)(unsafe.Add(l, o.stack))[1] = unsafe.Pointer(&s.stack) //nolint:gosec // see frame
	(*[2]unsafe.Pointer)(unsafe.Pointer(&s.reg.handler))[1] = l                //nolint:gosec // see frame
}

func insides(t *lua.LTable) *table { return (*table)(unsafe.Pointer(t)) } //nolint:gosec // see frame
