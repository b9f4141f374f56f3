package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// CheckBody tells whether a body can be kept, by any backend and without losing a bit: well-formed BSON
// (bsonspec.org, version 1.1), of at most MaxBody bytes and MaxDepth levels, in valid UTF-8, array elements numbered
// from 0. Keys are not empty, do not begin with $, have no dot and come once in a document, so that a path names one
// field. The types that MongoDB calls deprecated (undefined, DBPointer, symbol, code) are refused.
//
// The error is an InvalidError that names the path. The time is linear in the length of the body.
func CheckBody(kind, id string, body bson.Raw) error {
	what := Name(kind, id)
	if len(body) > MaxBody {
		return &InvalidError{What: what, Reason: fmt.Sprintf("the body has %d bytes, %d are allowed", len(body), MaxBody), Large: true}
	}
	if len(body) == 0 {
		return &InvalidError{What: what, Reason: "has no body"}
	}
	w := walker{}
	n, reason := w.document(body, false)
	if reason == "" && n != len(body) {
		reason = fmt.Sprintf("the body has %d bytes, its document says %d", len(body), n)
	}
	if reason != "" {
		return &InvalidError{What: what, Path: w.where(), Reason: reason}
	}
	return nil
}

// walker checks a document; when a check fails, path is left as it was there.
type walker struct {
	path []byteKey
}

type byteKey []byte

// fixed is the length of the types that have one; -1: not fixed.
var fixed = [...]int{ //nolint:gochecknoglobals // a constant
	bson.TypeDouble: 8, bson.TypeObjectID: 12, bson.TypeBoolean: 1, bson.TypeDateTime: 8, bson.TypeNull: 0,
	bson.TypeInt32: 4, bson.TypeTimestamp: 8, bson.TypeInt64: 8, bson.TypeDecimal128: 16,
	bson.TypeString: -1, bson.TypeEmbeddedDocument: -1, bson.TypeArray: -1, bson.TypeBinary: -1, bson.TypeRegex: -1,
	bson.TypeMaxKey: 0, bson.TypeMinKey: 0,
	bson.TypeUndefined: -2, bson.TypeDBPointer: -2, bson.TypeJavaScript: -2, bson.TypeSymbol: -2, bson.TypeCodeWithScope: -2,
}

const truncated = "the BSON ends too early"

// document checks the document that buf begins with and returns its length, or the reason why it can't be kept.
func (w *walker) document(buf []byte, array bool) (int, string) {
	if len(w.path) >= MaxDepth {
		return 0, fmt.Sprintf("is nested deeper than %d levels", MaxDepth)
	}
	if len(buf) < 5 {
		return 0, truncated
	}
	size := int(int32(binary.LittleEndian.Uint32(buf)))
	if size < 5 || size > len(buf) {
		return 0, fmt.Sprintf("a document says it has %d bytes, there are %d", size, len(buf))
	}
	doc, pos := buf[:size], 4
	keys := keySet{doc: doc}
	var last []byte // while keys come in ascending order none comes twice, and they need not be kept
	for count := 0; ; count++ {
		if pos >= size {
			return 0, truncated
		}
		kind := bson.Type(doc[pos])
		pos++
		if kind == 0 {
			if pos != size {
				return 0, "a document ends before its length"
			}
			return size, ""
		}
		end := bytes.IndexByte(doc[pos:], 0)
		if end < 0 {
			return 0, truncated
		}
		key := doc[pos : pos+end]
		w.path = append(w.path, key)
		if reason := badKey(key, array, count); reason != "" {
			return 0, reason
		}
		if !array {
			if last = keys.follow(last, pos, pos+end); last == nil {
				return 0, "the key comes twice"
			}
		}
		pos += end + 1
		n, reason := w.value(kind, doc[pos:])
		if reason != "" {
			return 0, reason
		}
		pos += n
		w.path = w.path[:len(w.path)-1]
	}
}

func badKey(key []byte, array bool, count int) string {
	switch {
	case array:
		if !isIndex(key, count) {
			return fmt.Sprintf("the array element should be numbered %d", count)
		}
	case len(key) == 0:
		return "the key is empty"
	case key[0] == '$':
		return "the key begins with $"
	case bytes.IndexByte(key, '.') >= 0:
		return "the key has a dot"
	case !utf8.Valid(key):
		return "the key is not valid UTF-8"
	}
	return ""
}

// isIndex tells whether key is n in decimal.
func isIndex(key []byte, n int) bool {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] != byte('0'+n%10) {
			return false
		}
		if n /= 10; n == 0 {
			return i == 0
		}
	}
	return false
}

// value checks the value that buf begins with and returns its length, or the reason why it can't be kept.
func (w *walker) value(kind bson.Type, buf []byte) (int, string) {
	n := -2
	if int(kind) < len(fixed) && (kind <= bson.TypeDecimal128 || kind == bson.TypeMaxKey || kind == bson.TypeMinKey) {
		n = fixed[kind]
	}
	if n == -2 {
		return 0, fmt.Sprintf("values of BSON type 0x%02x can't be kept", byte(kind))
	}
	if n > len(buf) {
		return 0, truncated
	}
	switch kind {
	case bson.TypeBoolean:
		if buf[0] > 1 {
			return 0, fmt.Sprintf("the boolean is %d", buf[0])
		}
	case bson.TypeString:
		return text(buf)
	case bson.TypeEmbeddedDocument:
		return w.document(buf, false)
	case bson.TypeArray:
		return w.document(buf, true)
	case bson.TypeBinary:
		return blob(buf)
	case bson.TypeRegex:
		return regex(buf)
	}
	return n, ""
}

// text checks a string: its length with the NUL at its end, its bytes, the NUL.
func text(buf []byte) (int, string) {
	if len(buf) < 4 {
		return 0, truncated
	}
	n := int(int32(binary.LittleEndian.Uint32(buf)))
	if n < 1 || n > len(buf)-4 {
		return 0, fmt.Sprintf("a string says it has %d bytes, there are %d", n, len(buf)-4)
	}
	if buf[4+n-1] != 0 {
		return 0, "the string does not end with a zero byte"
	}
	if !utf8.Valid(buf[4 : 4+n-1]) {
		return 0, "the string is not valid UTF-8"
	}
	return 4 + n, ""
}

// blob checks a binary value: its length, its subtype, its bytes; subtype 2 repeats the length before the bytes.
func blob(buf []byte) (int, string) {
	if len(buf) < 5 {
		return 0, truncated
	}
	n := int(int32(binary.LittleEndian.Uint32(buf)))
	if n < 0 || n > len(buf)-5 {
		return 0, fmt.Sprintf("a binary value says it has %d bytes, there are %d", n, len(buf)-5)
	}
	if buf[4] == bson.TypeBinaryBinaryOld && (n < 4 || int(int32(binary.LittleEndian.Uint32(buf[5:]))) != n-4) {
		return 0, "a binary value of subtype 2 has two lengths that disagree"
	}
	return 5 + n, ""
}

// regex checks a regular expression: its pattern and its options, each with a NUL at its end. The specification has the
// options in alphabetical order, and drivers sort them.
func regex(buf []byte) (int, string) {
	pattern := bytes.IndexByte(buf, 0)
	if pattern < 0 {
		return 0, truncated
	}
	options := bytes.IndexByte(buf[pattern+1:], 0)
	if options < 0 {
		return 0, truncated
	}
	if !utf8.Valid(buf[:pattern]) {
		return 0, "the regular expression is not valid UTF-8"
	}
	last := byte('a' - 1)
	for _, c := range buf[pattern+1 : pattern+1+options] {
		if c <= last || c > 'z' {
			return 0, "the options of the regular expression are not letters in alphabetical order"
		}
		last = c
	}
	return pattern + options + 2, ""
}

// where is the path of the failed check, for people: long keys are cut, and so is the middle of a deep path.
func (w *walker) where() string {
	const most, longest = 8, 40
	parts := make([]string, 0, most+1)
	for i, key := range w.path {
		if len(w.path) > most && i == most/2 {
			parts = append(parts, "…")
		}
		if len(w.path) > most && i >= most/2 && i < len(w.path)-most/2 {
			continue
		}
		part := string(key[:min(len(key), longest)])
		if len(key) > longest {
			part += "…"
		}
		if quoted := fmt.Sprintf("%q", part); len(quoted) != len(part)+2 || strings.ContainsAny(part, ". ") {
			part = quoted
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ".")
}

// keySet finds a key that comes twice. Few keys are compared one by one; many are kept in a hash table of positions, so
// that a document made of keys only takes linear time and 8 bytes a key.
type keySet struct {
	doc  []byte
	few  [16]span
	n    int
	seed maphash.Seed
	slot []int32 // position of a key's first byte, 0: free (no key begins there)
}

type span struct{ from, to int }

// follow takes the key at doc[from:to], which comes behind last (nil: it is the first one), and returns it; nil if it is not new. Keys are added from the
// first one on that is below its predecessor.
func (s *keySet) follow(last []byte, from, to int) []byte {
	key := s.doc[from:to]
	if s.n == 0 && (last == nil || bytes.Compare(key, last) > 0) {
		return key
	}
	if s.n == 0 { // those so far are well-formed, or the walk had ended
		for pos := 4; pos < from-1; {
			e, _ := elementAt(s.doc, pos)
			s.add(pos+1, pos+1+len(e.key))
			pos = e.end
		}
	}
	if !s.add(from, to) {
		return nil
	}
	return key
}

// add takes the key at doc[from:to] and reports whether it is new. A zero byte follows it in doc.
func (s *keySet) add(from, to int) bool {
	key := s.doc[from:to]
	if s.slot == nil && s.n < len(s.few) {
		for _, k := range s.few[:s.n] {
			if bytes.Equal(s.doc[k.from:k.to], key) {
				return false
			}
		}
		s.few[s.n] = span{from, to}
		s.n++
		return true
	}
	if s.slot == nil {
		s.seed = maphash.MakeSeed()
		s.slot = make([]int32, 8*len(s.few))
		for _, k := range s.few {
			s.insert(s.doc[k.from:k.to], k.from)
		}
	}
	if !s.insert(key, from) {
		return false
	}
	if s.n++; s.n > len(s.slot)/2 {
		s.grow()
	}
	return true
}

func (s *keySet) insert(key []byte, from int) bool {
	mask := uint64(len(s.slot) - 1)
	for at := maphash.Bytes(s.seed, key) & mask; ; at = (at + 1) & mask {
		if s.slot[at] == 0 {
			s.slot[at] = int32(from)
			return true
		}
		if bytes.Equal(s.key(s.slot[at]), key) {
			return false
		}
	}
}

func (s *keySet) key(from int32) []byte {
	rest := s.doc[from:]
	return rest[:bytes.IndexByte(rest, 0)]
}

func (s *keySet) grow() {
	old := s.slot
	s.slot = make([]int32, 2*len(old))
	for _, from := range old {
		if from != 0 {
			s.insert(s.key(from), int(from))
		}
	}
}
