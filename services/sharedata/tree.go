package sharedata

import (
	"math"
)

// frozen is a Lua table that nobody can change any more, so that any number of VMs read it at a time. It may hold a table twice, and itself.
type frozen struct {
	list   []slot // the values of the keys 1, 2, 3, ...
	shape  *shape // the other keys; nil if there are none
	fields []slot // their values, in the shape's order
	shared bool   // more than one place of the tree holds it
	loops  bool   // it contains itself, or a table that does
	height uint16 // how deep tables nest in it, cycles not counted
}

// slot is a value. obj tells what it is: a string, a *frozen, or one of the kinds whose value is in num; nil is nil.
type slot struct {
	num uint64
	obj any
}

type (
	intKind   struct{}
	floatKind struct{}
	boolKind  struct{}
)

func intSlot(n int64) slot     { return slot{uint64(n), intKind{}} }
func floatSlot(f float64) slot { return slot{math.Float64bits(f), floatKind{}} }

func boolSlot(b bool) slot {
	if b {
		return slot{1, boolKind{}}
	}
	return slot{0, boolKind{}}
}

// shape is what tables with the same keys share: the rows of a sheet have their keys once.
type shape struct {
	keys   []slot           // in the order of iteration
	names  map[string]int32 // where each string is among them,
	others map[slot]int32   // and each other key
}

// newShape takes over the keys.
func newShape(keys []slot) *shape {
	sh := &shape{keys: keys}
	for i, k := range keys {
		if name, ok := k.obj.(string); ok {
			if sh.names == nil {
				sh.names = make(map[string]int32, len(keys))
			}
			sh.names[name] = int32(i)
			continue
		}
		if sh.others == nil {
			sh.others = make(map[slot]int32, len(keys))
		}
		sh.others[k] = int32(i)
	}
	return sh
}

// size is the number of values.
func (t *frozen) size() int { return len(t.list) + len(t.fields) }

// at is the value at a position below size.
func (t *frozen) at(pos int) slot {
	if pos < len(t.list) {
		return t.list[pos]
	}
	return t.fields[pos-len(t.list)]
}

// key is the key at a position below size.
func (t *frozen) key(pos int) slot {
	if pos < len(t.list) {
		return intSlot(int64(pos) + 1)
	}
	return t.shape.keys[pos-len(t.list)]
}

// within tells whether an integer is a key of a list of that length.
func (k slot) within(list int) bool {
	n := int64(k.num)
	return n >= 1 && n <= int64(list)
}

// none is the position of a key that is not there.
const none = -1

// name is the position of a string key.
func (t *frozen) name(k string) int {
	if t.shape != nil {
		if i, ok := t.shape.names[k]; ok {
			return len(t.list) + int(i)
		}
	}
	return none
}

// find is the position of a key.
func (t *frozen) find(k slot) int {
	switch o := k.obj.(type) {
	case string:
		return t.name(o)
	case intKind:
		if k.within(len(t.list)) {
			return int(k.num - 1)
		}
	}
	if t.shape != nil {
		if i, ok := t.shape.others[k]; ok {
			return len(t.list) + int(i)
		}
	}
	return none
}

// table is the table at a position, nil if something else is there or nothing.
func (t *frozen) table(pos int) *frozen {
	if pos == none {
		return nil
	}
	sub, _ := t.at(pos).obj.(*frozen)
	return sub
}
