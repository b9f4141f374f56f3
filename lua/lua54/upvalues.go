package lua54

import (
	"reflect"
	"sync"
	"unsafe"

	lua "github.com/speedata/go-lua"
)

// The engine forgets to take upvalues off a thread's list of open ones when it closes several at once (stack.go, closeUpValues, v0.1.6 to v0.1.10: it goes
// on from the entry that it has just taken out). They stay there for as long as the thread lives, and each closure that is made looks through all of them:
// a script that makes closures over two locals gets slower with each, 700 µs a closure after 40,000. forgetClosed takes them off from outside.

// openUpValue is the engine's type of this name.
type openUpValue struct {
	upValue *struct{ home any }
	next    *openUpValue
}

// upValueLayout says where a State keeps its list, and the type of the home of an upvalue that is open. found is false if the engine is not the one that
// this was written for; then nothing is done.
type upValueLayout struct {
	openList uintptr
	location reflect.Type
	found    bool
}

var upValues = sync.OnceValue(findLayout) //nolint:gochecknoglobals // a constant of the engine

// findLayout looks into the engine's types, so that a newer version can at worst switch the remedy off.
func findLayout() upValueLayout {
	state := reflect.TypeFor[lua.State]()
	field, ok := state.FieldByName("upValues")
	if !ok || !sameShape(field.Type, reflect.TypeFor[*openUpValue]()) {
		return upValueLayout{}
	}
	layout := upValueLayout{openList: field.Offset, found: true}
	// A closure over a local of a function that has not returned yet has an open upvalue, from which we learn how its home looks.
	l := lua.NewState()
	l.PushGoFunction(func(l *lua.State) int {
		if e := layout.list(l); *e != nil {
			layout.location = reflect.TypeOf((*e).upValue.home)
		}
		return 0
	})
	l.SetGlobal("look")
	if err := lua.DoString(l, `local a = 1 local f = function() return a end look() return f`); err != nil || layout.location == nil {
		return upValueLayout{}
	}
	return layout
}

// sameShape compares two types by their fields, not their names.
func sameShape(theirs, ours reflect.Type) bool {
	if theirs.Kind() != reflect.Pointer || theirs.Elem().Kind() != reflect.Struct || theirs.Elem().NumField() != 2 {
		return false
	}
	up, next := theirs.Elem().Field(0), theirs.Elem().Field(1)
	home := up.Type
	return up.Name == "upValue" && home.Kind() == reflect.Pointer && home.Elem().Kind() == reflect.Struct && home.Elem().NumField() == 1 &&
		home.Elem().Field(0).Type.Kind() == reflect.Interface && home.Elem().Field(0).Type.NumMethod() == 0 &&
		next.Name == "next" && next.Type == theirs && next.Offset == ours.Elem().Field(1).Offset
}

// list is the head of a thread's list.
func (u upValueLayout) list(l *lua.State) **openUpValue {
	return (**openUpValue)(unsafe.Add(unsafe.Pointer(l), u.openList)) //nolint:gosec // findLayout has seen that this is what stands there
}

// forgetClosed takes closed upvalues off the thread's list and returns how many there were. Whoever has them keeps them: they have their values.
func (u upValueLayout) forgetClosed(l *lua.State) int {
	if !u.found {
		return 0
	}
	forgotten := 0
	for e := u.list(l); *e != nil; {
		if reflect.TypeOf((*e).upValue.home) == u.location {
			e = &(*e).next
			continue
		}
		*e = (*e).next
		forgotten++
	}
	return forgotten
}
