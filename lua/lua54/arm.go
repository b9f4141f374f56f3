package lua54

import (
	"reflect"
	"sync"
	"unsafe"

	lua "github.com/speedata/go-lua"
)

// The engine can lose the count hook, and with it the watch over a handler that computes for ever: when the count comes to 0 just as a function with `...`
// begins, traceExecution returns before it sets the count anew (vm.go, v0.1.6 to v0.1.10), and below 0 the count never comes to 0 again. It can
// only happen as such a function begins, so mended functions with `...` begin with a call of arm, and so does each Resume.

// armName is the field of the string library that holds arm: a string finds it whatever the chunk's environment is.
const armName = "__skua_arm"

// hookCountOffset says where a State keeps its count, if the engine is the one that this was written for.
var hookCountOffset = sync.OnceValues(func() (uintptr, bool) { //nolint:gochecknoglobals // a constant of the engine
	field, ok := reflect.TypeFor[lua.State]().FieldByName("hookCount")
	return field.Offset, ok && field.Type.Kind() == reflect.Int
})

// arm sets a lost count so that the hook is called at the next instruction.
func arm(l *lua.State) int {
	offset, ok := hookCountOffset()
	if !ok || lua.DebugHookMask(l) == 0 {
		return 0
	}
	count := (*int)(unsafe.Add(unsafe.Pointer(l), offset)) //nolint:gosec // hookCountOffset has seen that this is what stands there
	if *count <= 0 {
		*count = 1
	}
	return 0
}
