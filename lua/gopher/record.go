package gopher

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

// Records. The library's tables know the order and the place of each of their keys, in a list and a second map. Most small tables that come in messages have the
// names of one that came before, in the same order; they share its list, and copy its map, which Go does at once for up to maxNames keys. All VMs of the process
// share the records. What collides is replaced, so there is a bound.

const (
	maxNames    = 8
	recordSlots = 1024
)

// record is what tables of the same names have in common. Nothing in it changes: the list is full, so that who appends to it gets another.
type record struct {
	names  []string
	keys   []lua.LValue
	places map[lua.LValue]int
}

var records [recordSlots]atomic.Pointer[record] //nolint:gochecknoglobals // a cache

// recordOf is the record of up to maxNames names; nil if one is there twice, or too long to be kept.
func recordOf(names []string) *record {
	var sum uint64
	for _, name := range names {
		if len(name) > maxInterned {
			return nil
		}
		sum = sum*31 + maphash.String(seed, name)
	}
	slot := &records[sum%recordSlots]
	of := slot.Load()
	if of == nil || !slices.Equal(of.names, names) {
		if of = newRecord(names); of != nil {
			slot.Store(of)
		}
	}
	return of
}

func newRecord(names []string) *record {
	of := &record{names: make([]string, len(names)), keys: make([]lua.LValue, len(names)), places: make(map[lua.LValue]int, len(names))}
	for i, name := range names {
		name = strings.Clone(name) // of a message that may be large
		of.names[i], of.keys[i] = name, lua.LString(name)
		of.places[of.keys[i]] = i
	}
	if len(of.places) < len(names) {
		return nil
	}
	return of
}
