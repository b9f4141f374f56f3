package store

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Patch is the difference between two contents of a document. Its paths are keys and indexes joined by dots, as a.b.0: keys have no dots, see CheckBody. All
// paths are distinct and none is a prefix of another; their parents exist in the old content, and are documents or arrays there. An array grows only by Set at
// its next indexes, in order, and never shrinks: one that does is set as a whole.
//
// These are the semantics of MongoDB's $set and $unset.
type Patch struct {
	Set   []Change
	Unset []string // fields of documents that are there
}

// Change sets a field of a document, or an element of an array.
type Change struct {
	Path  string
	Value bson.RawValue // shares memory with the new content
}

// IsEmpty tells that nothing changes.
func (p *Patch) IsEmpty() bool { return len(p.Set)+len(p.Unset) == 0 }

// Costs of a patch in bytes, see Patch.Size: a type, a NUL and what a database keeps a write.
const (
	patchCost  = 16
	changeCost = 2
)

// Size is about what the patch costs on the wire, in bytes.
func (p *Patch) Size() int {
	size := patchCost
	for i := range p.Set {
		size += p.Set[i].size()
	}
	for _, path := range p.Unset {
		size += changeCost + len(path)
	}
	return size
}

func (c *Change) size() int { return changeCost + len(c.Path) + len(c.Value.Value) }

// Diff is the patch that leads from before to after, two contents that CheckBody has passed. It is empty if they are equal; the order of keys does not count, so what
// a patch leads to may have them in another order than after. It is nil if a patch is not worth it, because it would have more than about half the bytes of after,
// or if one of the two is malformed. The patch shares after's memory, not before's.
//
// It takes time in proportion to the two, little of it where bytes are equal.
func Diff(before, after bson.Raw) *Patch {
	d := differ{most: len(after)/2 - patchCost}
	if !d.document(before, after, false) || d.size > d.most && !d.patch.IsEmpty() {
		return nil
	}
	return &d.patch
}

// checkedDiff is CheckBody of after, by what differs from before, which CheckBody has passed; and Diff of the two. Where most is as it was it takes far less time.
func checkedDiff(kind, id string, before, after bson.Raw) (*Patch, error) {
	d := differ{most: len(after)/2 - patchCost}
	if len(after) > MaxBody || !d.document(before, after, false) || d.keys || d.size > d.most {
		return nil, CheckBody(kind, id, after) // which also tells what is wrong
	}
	if d.patch.check(&walker{}) != "" {
		return nil, CheckBody(kind, id, after)
	}
	return &d.patch, nil
}

// differ collects the differences of two documents.
type differ struct {
	patch Patch
	path  []byte
	size  int  // of all changes
	most  int  // no patch needs to be known beyond it
	keys  bool // the two may have other keys, or in another order
}

// element is one of a document: its key and value are in the document's bytes.
type element struct {
	kind  bson.Type
	key   []byte
	value []byte
	end   int // of its last byte, in the document
}

// elementAt reads the element of doc that begins at pos; false at the end or if there is none.
func elementAt(doc []byte, pos int) (element, bool) {
	if pos >= len(doc)-1 {
		return element{}, false
	}
	kind := bson.Type(doc[pos])
	n := bytes.IndexByte(doc[pos+1:], 0)
	if n < 0 {
		return element{}, false
	}
	from := pos + 1 + n + 1
	size := valueSize(kind, doc[from:])
	if size < 0 || from+size > len(doc)-1 {
		return element{}, false
	}
	return element{kind: kind, key: doc[pos+1 : pos+1+n], value: doc[from : from+size], end: from + size}, true
}

// valueSize is the length of the value that buf begins with, -1 if it has none that can be kept.
func valueSize(kind bson.Type, buf []byte) int {
	n := -2
	if int(kind) < len(fixed) && (kind <= bson.TypeDecimal128 || kind == bson.TypeMaxKey || kind == bson.TypeMinKey) {
		n = fixed[kind]
	}
	if n >= 0 {
		return n
	}
	if n == -2 {
		return -1
	}
	if kind == bson.TypeRegex {
		pattern := bytes.IndexByte(buf, 0)
		options := bytes.IndexByte(buf[pattern+1:], 0)
		if pattern < 0 || options < 0 {
			return -1
		}
		return pattern + options + 2
	}
	if len(buf) < 4 {
		return -1
	}
	n = int(int32(binary.LittleEndian.Uint32(buf)))
	switch kind {
	case bson.TypeString:
		n += 4
	case bson.TypeBinary:
		n += 5
	}
	if n < 4 || n > len(buf) {
		return -1
	}
	return n
}

// framed tells whether a document's length is that of its bytes.
func framed(doc []byte) bool {
	return len(doc) >= 5 && int(binary.LittleEndian.Uint32(doc)) == len(doc) && doc[len(doc)-1] == 0
}

// common is how many bytes two byte strings have in common at their beginnings.
func common(a, b []byte) int {
	const piece = 256 // far cheaper to compare at once than word by word
	n, i := min(len(a), len(b)), 0
	for n-i >= piece && bytes.Equal(a[i:i+piece], b[i:i+piece]) {
		i += piece
	}
	for ; n-i >= 8; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// document adds the differences of two documents, or of two arrays of which the new one is not shorter; false: they can't be told as a patch.
func (d *differ) document(before, after []byte, array bool) bool {
	if !framed(before) || !framed(after) {
		return false
	}
	if bytes.Equal(before, after) {
		return true
	}
	at, to := 4, 4
	for at < len(before)-1 && to < len(after)-1 {
		equal := common(before[at:len(before)-1], after[to:len(after)-1])
		if at+equal == len(before)-1 && to+equal == len(after)-1 {
			return true
		}
		was, ok := elementAt(before, at)
		for ; ok && was.end-at <= equal; was, ok = elementAt(before, at) {
			size := was.end - at
			at, to, equal = at+size, to+size, equal-size
		}
		if at == len(before)-1 {
			break
		}
		is, known := elementAt(after, to)
		if !ok || !known && to < len(after)-1 {
			return false
		}
		if !known || !bytes.Equal(was.key, is.key) {
			break
		}
		if !d.element(was, is) {
			return false
		}
		at, to = was.end, is.end
	}
	if array {
		return at == len(before)-1 && d.added(after, to)
	}
	if at == len(before)-1 {
		return d.added(after, to)
	}
	return d.unordered(before[at:], after[to:])
}

// added adds the elements of doc from pos on, which are new.
func (d *differ) added(doc []byte, pos int) bool {
	d.keys = d.keys || pos < len(doc)-1
	for pos < len(doc)-1 {
		e, ok := elementAt(doc, pos)
		if !ok {
			return false
		}
		d.set(e)
		pos = e.end
	}
	return true
}

// unordered adds the differences of the rests of two documents whose keys are not the same in the same order.
func (d *differ) unordered(before, after []byte) bool {
	d.keys = true
	former := map[string]element{}
	for at := 0; at < len(before)-1; {
		e, ok := elementAt(before, at)
		if !ok {
			return false
		}
		former[string(e.key)] = e
		at = e.end
	}
	for to := 0; to < len(after)-1; {
		is, ok := elementAt(after, to)
		if !ok {
			return false
		}
		to = is.end
		was, known := former[string(is.key)]
		if !known {
			d.set(is)
			continue
		}
		delete(former, string(is.key))
		if !d.element(was, is) {
			return false
		}
	}
	if len(former) == 0 {
		return true
	}
	for at := 0; at < len(before)-1; { // in the order of the document, so that equal differences are equal patches
		e, _ := elementAt(before, at)
		at = e.end
		if _, gone := former[string(e.key)]; gone {
			d.unset(e)
		}
	}
	return true
}

// element adds the differences of two values of one key.
func (d *differ) element(was, is element) bool {
	if was.kind == is.kind && bytes.Equal(was.value, is.value) {
		return true
	}
	array := is.kind == bson.TypeArray
	if was.kind != is.kind || !array && is.kind != bson.TypeEmbeddedDocument || array && count(is.value) < count(was.value) {
		d.set(is)
		return true
	}
	sets, unsets, size, depth := len(d.patch.Set), len(d.patch.Unset), d.size, len(d.path)
	d.path = append(append(d.path, is.key...), '.')
	ok := d.document(was.value, is.value, array)
	d.path = d.path[:depth]
	if ok && d.size-size > changeCost+depth+len(is.key)+len(is.value) { // many small changes cost more than all of it
		d.patch.Set, d.patch.Unset, d.size = d.patch.Set[:sets], d.patch.Unset[:unsets], size
		d.set(is)
	}
	return ok
}

// count is the number of elements of an array.
func count(array []byte) int {
	n := 0
	for pos := 4; ; n++ {
		e, ok := elementAt(array, pos)
		if !ok {
			return n
		}
		pos = e.end
	}
}

func (d *differ) set(e element) {
	c := Change{Path: string(d.path) + string(e.key), Value: bson.RawValue{Type: e.kind, Value: e.value}}
	d.size += c.size()
	d.patch.Set = append(d.patch.Set, c)
}

func (d *differ) unset(e element) {
	path := string(d.path) + string(e.key)
	d.size += changeCost + len(path)
	d.patch.Unset = append(d.patch.Unset, path)
}
