// Package prefetch has the processor load memory into its caches that is about to be needed, without waiting for it.
//
// A server with thousands of connections finds what belongs to the next one in no near cache, and waits some hundred nanoseconds for each line of it, one after the
// other. Whoever knows several of them before it begins with the first can ask for all at once: the waits overlap. It is a hint; nothing is read or
// changed, and where there is no code for the processor nothing happens.
package prefetch

import (
	"reflect"
	"unsafe"
)

// line is the size of a cache line, in bytes.
const line = 64

// most bounds the lines of one object: what comes behind them is hardly needed at once.
const most = 8

// Object is where a value is, and how many lines of it are worth loading. The zero Object is none.
type Object struct {
	at    unsafe.Pointer
	lines int
}

// Of is the Object that v points to; none if v is no pointer.
func Of(v any) Object {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return Object{}
	}
	return Object{reflect.ValueOf(v).UnsafePointer(), Lines(t.Elem().Size())}
}

// Lines is how many lines are loaded of an object of that size.
func Lines(size uintptr) int { return int(min((size+line-1)/line, most)) }

// Range is where the object begins, for Bytes, and its lines.
func (o Object) Range() (at *byte, lines int) { return (*byte)(o.at), o.lines }

// Load asks for the object.
func (o Object) Load() { Bytes(o.Range()) }

// One asks for what p points to.
func One[T any](p *T) {
	load(unsafe.Pointer(p), Lines(unsafe.Sizeof(*p))) //nolint:gosec // an address, which nothing is read from
}

// First asks for the first n elements of a slice's memory, if it has any.
func First[T any](s []T, n int) {
	if p := unsafe.SliceData(s); p != nil && n > 0 { //nolint:gosec // the same
		load(unsafe.Pointer(p), Lines(uintptr(n)*unsafe.Sizeof(*p))) //nolint:gosec // the same
	}
}

// Bytes asks for so many lines from p on. Nothing need be there.
func Bytes(p *byte, lines int) {
	if lines > 0 {
		load(unsafe.Pointer(p), lines) //nolint:gosec // the same
	}
}
