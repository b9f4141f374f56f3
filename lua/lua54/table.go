package lua54

import (
	"math"
	"unsafe"
)

// table is a table: an array for the keys from 1 on without a gap at its end, and a hash for the rest.
//
// The hash is a chained scatter table with Brent's variation, as in PUC Lua: a collision takes a free node, and whoever sits on another's main position is moved.
// A deleted entry keeps its node until the table is full or empty, so that a traversal may delete.
type table struct {
	object
	absent  uint8 // metamethods that it is known not to have, as a metatable
	frozen  bool  // arr and nodes belong to a template: copied before the first write
	weak    uint8 // weakKeys, weakValues
	library bool  // of functions whose names tracebacks tell
	doomed  bool  // its __gc is to be called
	emptied bool  // deletions have emptied the hash: a traversal may still be at a key that is gone
	watched bool  // frozen only so that a survey, which has been here, sees that it is written to
	meta    *table
	arr     []value // its last one is never nil
	nodes   []node  // a power of two of them
	free    int32   // all nodes from here on are taken
	live    int32   // nodes with a value
}

type node struct {
	key, val value
	next     int32 // how far it is to the next of the chain, 0 at its end
}

const (
	weakKeys   = 1
	weakValues = 2
)

const (
	valueSize = 16
	nodeSize  = 40
	tableSize = 96
)

// getStr finds a string.
func (t *table) getStr(k *str) value {
	if len(t.nodes) == 0 {
		return value{}
	}
	h := k.hash
	if h == 0 {
		h = k.key()
	}
	nodes := t.nodes
	i := int(h) & (len(nodes) - 1)
	for {
		nd := &nodes[i]
		if nd.key.o == &k.object {
			return nd.val
		}
		if nd.key.n == uint64(h) && nd.key.o != nil && nd.key.o.kind == kindString && nd.key.o.str().s == k.s {
			return nd.val
		}
		if nd.next == 0 {
			return value{}
		}
		i += int(nd.next)
	}
}

func (t *table) getInt(k int64) value {
	if uint64(k-1) < uint64(len(t.arr)) {
		return t.arr[k-1]
	}
	if nd := t.findInt(k); nd != nil {
		return nd.val
	}
	return value{}
}

func (t *table) findInt(k int64) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	i := int(hashInt(k)) & (len(t.nodes) - 1)
	for {
		nd := &t.nodes[i]
		if nd.key.o == &intObj && nd.key.n == uint64(k) {
			return nd
		}
		if nd.next == 0 {
			return nil
		}
		i += int(nd.next)
	}
}

// hashInt spreads keys that differ in their high bits only, too.
func hashInt(k int64) uint32 { return uint32((uint64(k) * 0x9E3779B97F4A7C15) >> 32) }

func hashFloat(f float64) uint32 { return hashInt(int64(math.Float64bits(f))) }

func hashValue(k value) uint32 {
	switch k.o.kind {
	case kindInt:
		return hashInt(k.int())
	case kindFloat:
		return hashFloat(k.float())
	case kindString:
		return k.o.str().key()
	default:
		return hashInt(int64(k.o.hash))
	}
}

// find is the node of a key that is not nil and no float that is an integer.
func (t *table) find(k value) *node {
	switch k.o.kind {
	case kindInt:
		return t.findInt(k.int())
	case kindString:
		return t.findStr(k.o.str())
	}
	if len(t.nodes) == 0 {
		return nil
	}
	i := int(hashValue(k)) & (len(t.nodes) - 1)
	for {
		nd := &t.nodes[i]
		if nd.key.o == k.o && (k.o != &floatObj || nd.key.n == k.n) {
			return nd
		}
		if nd.next == 0 {
			return nil
		}
		i += int(nd.next)
	}
}

func (t *table) findStr(k *str) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	h := k.key()
	i := int(h) & (len(t.nodes) - 1)
	for {
		nd := &t.nodes[i]
		if nd.key.o == &k.object || nd.key.n == uint64(h) && nd.key.o != nil && nd.key.o.kind == kindString && nd.key.o.str().s == k.s {
			return nd
		}
		if nd.next == 0 {
			return nil
		}
		i += int(nd.next)
	}
}

// get is the value of any key.
func (t *table) get(k value) value {
	if k.o == nil {
		return value{}
	}
	switch k.o.kind {
	case kindString:
		return t.getStr(k.o.str())
	case kindInt:
		return t.getInt(k.int())
	case kindFloat:
		if n, ok := floatToInt(k.float()); ok {
			return t.getInt(n)
		}
	}
	if nd := t.find(k); nd != nil {
		return nd.val
	}
	return value{}
}

// set sets the value of a key that is neither nil nor NaN, and returns how many bytes the table has grown by.
func (t *table) set(k, v value) int {
	switch k.o.kind {
	case kindInt:
		return t.setInt(k.int(), v)
	case kindFloat:
		if n, ok := floatToInt(k.float()); ok {
			return t.setInt(n, v)
		}
	}
	if t.frozen {
		t.thaw()
	}
	return t.setNode(t.find(k), k, v)
}

func (t *table) setStr(k *str, v value) int {
	if t.frozen {
		t.thaw()
	}
	return t.setNode(t.findStr(k), value{o: &k.object}, v)
}

func (t *table) setNode(nd *node, k, v value) int {
	if nd != nil && nd.val.o != nil {
		nd.val = v
		if v.o == nil {
			t.deleted()
		}
		return 0
	}
	if v.o == nil {
		return 0
	}
	t.absent = 0
	t.live++
	if nd != nil {
		nd.val = v
		return 0
	}
	if len(t.nodes) >= 64 && 8*int(t.live) < len(t.nodes) {
		t.resize(int(t.live)) // who adds a key is not in a traversal
	}
	return t.insert(k, v)
}

// deleted gives the memory of an empty hash back. A traversal that emptied it finds nothing more, which is right.
func (t *table) deleted() {
	if t.live--; t.live == 0 && len(t.nodes) > 4 {
		t.nodes, t.free, t.emptied = nil, 0, true
	}
}

func (t *table) setInt(k int64, v value) int {
	if t.frozen {
		t.thaw()
	}
	if uint64(k-1) < uint64(len(t.arr)) {
		t.arr[k-1] = v
		if v.o == nil && int(k) == len(t.arr) {
			t.trim()
		}
		return 0
	}
	if k == int64(len(t.arr))+1 {
		if v.o == nil {
			return 0 // it is not in the hash either, see append
		}
		return t.append(k, v)
	}
	return t.setNode(t.findInt(k), intValue(k), v)
}

// trim drops the nils at the array's end.
func (t *table) trim() {
	n := len(t.arr)
	for n > 0 && t.arr[n-1].o == nil {
		n--
	}
	t.arr = t.arr[:n]
	if cap(t.arr) > 16 && 8*n <= cap(t.arr) {
		t.arr = append([]value(nil), t.arr...)
	}
}

// append adds the value v of the key k, the one behind the array's last, and what follows it in the hash.
func (t *table) append(k int64, v value) int {
	grown := 0
	if len(t.arr) == cap(t.arr) {
		if len(t.arr) >= 16 && t.demote() {
			return t.setInt(k, v)
		}
		size := max(4, 2*cap(t.arr))
		arr := make([]value, len(t.arr), size)
		copy(arr, t.arr)
		grown = (size - cap(t.arr)) * valueSize
		t.arr = arr
	}
	t.arr = append(t.arr, v)
	if len(t.nodes) > 0 {
		t.promote()
	}
	return grown
}

// promote moves the keys that follow the array's last from the hash. Behind it no node has the key that is next, be it a deleted one: a traversal that deletes
// at the array's end would go on from there.
func (t *table) promote() {
	for len(t.nodes) > 0 {
		nd := t.findInt(int64(len(t.arr)) + 1)
		if nd == nil {
			return
		}
		v := nd.val
		nd.key, nd.val = value{o: &goneKey}, value{}
		if v.o == nil {
			return
		}
		t.arr = append(t.arr, v)
		t.deleted()
	}
}

// goneKey is the key of a node that stays in its chain, but is not found.
var goneKey = object{kindNil, shared, 5} //nolint:gochecknoglobals // a constant

// demote moves the array's end to the hash if less than half of the array is in use, as that of a queue is, whose first entries have been taken out. It keeps
// the longest beginning that is half full.
func (t *table) demote() bool {
	used := 0
	for i := range t.arr {
		if t.arr[i].o != nil {
			used++
		}
	}
	if 2*used > len(t.arr) {
		return false
	}
	keep, seen, at := 0, 0, 0
	for n := 1; n <= len(t.arr); n *= 2 {
		for ; at < n; at++ {
			if t.arr[at].o != nil {
				seen++
			}
		}
		if 2*seen > n {
			keep = n
		}
	}
	old := t.arr
	t.arr = append(make([]value, 0, keep), old[:keep]...)
	t.trim()
	for i := keep; i < len(old); i++ {
		if old[i].o != nil {
			t.setNode(nil, intValue(int64(i)+1), old[i])
		}
	}
	t.promote() // the first of them may follow the array's last
	return true
}

// insert adds a key that is not there.
func (t *table) insert(k, v value) int {
	h := hashValue(k)
	if k.o.kind == kindString {
		k.n = uint64(h) // what getStr compares first
	}
	if len(t.nodes) == 0 {
		return t.resize(4) + t.insert(k, v)
	}
	mask := len(t.nodes) - 1
	main := int(h) & mask
	mp := &t.nodes[main]
	if mp.val.o == nil {
		mp.key, mp.val = k, v
		return 0
	}
	at := t.freeNode()
	if at < 0 {
		grown := t.resize(int(t.live))
		return grown + t.insert(k, v)
	}
	fr := &t.nodes[at]
	if other := int(hashValue(mp.key)) & mask; other != main {
		prev := other // the colliding node is not on its main position: it moves
		for prev+int(t.nodes[prev].next) != main {
			prev += int(t.nodes[prev].next)
		}
		t.nodes[prev].next = int32(at - prev)
		*fr = *mp
		if mp.next != 0 {
			fr.next += int32(main - at)
			mp.next = 0
		}
		mp.key, mp.val = k, v
		return 0
	}
	if mp.next != 0 {
		fr.next = int32(main + int(mp.next) - at)
	} else {
		fr.next = 0
	}
	mp.next = int32(at - main)
	fr.key, fr.val = k, v
	return 0
}

// freeNode is a node that no chain uses, or -1.
func (t *table) freeNode() int {
	for t.free > 0 {
		t.free--
		if t.nodes[t.free].key.o == nil {
			return int(t.free)
		}
	}
	return -1
}

// resize makes a hash for n entries and drops the deleted ones.
func (t *table) resize(n int) int {
	before := len(t.nodes)
	size := 1
	for size < n {
		size *= 2
	}
	if size <= before && 4*n > 3*size {
		size *= 2 // as many come as go: the next time has to be far away
	}
	old := t.nodes
	t.nodes = make([]node, size)
	t.free = int32(size)
	for i := range old {
		if nd := &old[i]; nd.val.o != nil {
			t.insert(nd.key, nd.val)
		}
	}
	return max(size-before, 0) * nodeSize
}

// thaw makes the table's entries its own.
func (t *table) thaw() {
	if t.watched {
		t.watched, t.frozen = false, false
		return
	}
	t.arr = append([]value(nil), t.arr...)
	t.nodes = append([]node(nil), t.nodes...)
	t.frozen = false
}

// length is a border: what # tells.
func (t *table) length() int64 { return int64(len(t.arr)) }

// at is where a traversal is behind the key k: an index into the array, and behind it into the nodes. ok is false if k is no key.
func (t *table) after(k value) (i int, ok bool) {
	if k.o == nil {
		return 0, true
	}
	n, isInt := k.toInt()
	if isInt && uint64(n-1) < uint64(len(t.arr)) {
		return int(n), true
	}
	if isInt {
		k = intValue(n)
	}
	if nd := t.find(k); nd != nil {
		return len(t.arr) + t.indexOf(nd) + 1, true
	}
	// An entry that the traversal has deleted may be gone with the array's end, or with an empty hash.
	if isInt && n > 0 || len(t.nodes) == 0 && t.emptied {
		return len(t.arr), true
	}
	return 0, false
}

func (t *table) indexOf(nd *node) int {
	return int((uintptr(unsafe.Pointer(nd)) - uintptr(unsafe.Pointer(unsafe.SliceData(t.nodes)))) / nodeSize) //nolint:gosec // nd is one of them
}

// step is the first entry from the place i on, and the place behind it; i is -1 at the end.
func (t *table) step(i int) (k, v value, next int) {
	for ; i < len(t.arr); i++ {
		if t.arr[i].o != nil {
			return intValue(int64(i) + 1), t.arr[i], i + 1
		}
	}
	for j := i - len(t.arr); j < len(t.nodes); j++ {
		if nd := &t.nodes[j]; nd.val.o != nil {
			return nd.key, nd.val, len(t.arr) + j + 1
		}
	}
	return value{}, value{}, -1
}
