package gopher

import (
	"hash/maphash"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

// Short strings that come from outside as bytes are kept in a table that all VMs of the process share: a name is found there without a new string, and without a new
// value, which the library would make for each. What collides is replaced, so the table is bounded.

const (
	maxInterned = 40
	internSlots = 4096
)

// name is a string and the value that it is.
type name struct {
	text  string
	value lua.LValue
}

var (
	interned [internSlots]atomic.Pointer[name] //nolint:gochecknoglobals // a cache
	seed     = maphash.MakeSeed()              //nolint:gochecknoglobals // of its places
)

// internBytes is a string of bytes, of which it keeps nothing.
func internBytes(b []byte) lua.LValue {
	slot := &interned[maphash.Bytes(seed, b)%internSlots]
	if n := slot.Load(); n != nil && n.text == string(b) {
		return n.value
	}
	text := string(b)
	n := &name{text, lua.LString(text)}
	slot.Store(n)
	return n.value
}
