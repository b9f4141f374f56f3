package store

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// MaxFields is how many paths a projection has at most.
const MaxFields = 256

// CheckFields tells whether paths can be a projection. The error is an InvalidError.
func CheckFields(fields []string) error {
	if len(fields) > MaxFields {
		return &InvalidError{What: "projection", Reason: "has too many fields"}
	}
	if reason := badPaths(fields); reason != "" {
		return &InvalidError{What: "projection", Reason: reason}
	}
	return nil
}

// Project leaves of a content what the paths name, in the order of the content, as MongoDB's inclusive projection does: a path goes through the documents in an
// array, whose other elements are left out, and an index in it names a key and not an element. No fields: all of it. The result shares no memory with body, if it
// has fields. The error is an InvalidError: paths that overlap or are none, or a body that CheckBody would not have passed.
func Project(body bson.Raw, fields []string) (bson.Raw, error) {
	if len(fields) == 0 {
		return body, nil
	}
	if err := CheckFields(fields); err != nil {
		return nil, err
	}
	root := &wish{}
	for _, path := range fields {
		root.add(path)
	}
	out, ok := root.document(make([]byte, 0, 256), body, 0)
	if !ok {
		return nil, &InvalidError{What: "projection", Reason: errMalformed.Error()}
	}
	return out, nil
}

// wish is a step of the paths that are wanted; without further steps, all below it is.
type wish struct{ below map[string]*wish }

func (w *wish) add(path string) {
	at := w
	for key := range strings.SplitSeq(path, ".") {
		if at.below == nil {
			at.below = map[string]*wish{}
		}
		if at.below[key] == nil {
			at.below[key] = &wish{}
		}
		at = at.below[key]
	}
}

func (w *wish) document(out, doc []byte, depth int) ([]byte, bool) {
	if !framed(doc) || depth > MaxDepth {
		return out, false
	}
	from := len(out)
	out = append(out, 0, 0, 0, 0)
	for pos := 4; pos < len(doc)-1; {
		e, ok := elementAt(doc, pos)
		if !ok {
			return out, false
		}
		if next := w.below[string(e.key)]; next != nil {
			if out, ok = next.value(out, doc[pos:e.end], e, depth+1); !ok {
				return out, false
			}
		}
		pos = e.end
	}
	return closeDocument(out, from), true
}

func closeDocument(out []byte, from int) []byte {
	out = append(out, 0)
	binary.LittleEndian.PutUint32(out[from:], uint32(len(out)-from))
	return out
}

func (w *wish) value(out, raw []byte, e element, depth int) ([]byte, bool) {
	switch {
	case w.below == nil:
		return append(out, raw...), true
	case e.kind == bson.TypeEmbeddedDocument:
		return w.document(append(out, raw[:len(raw)-len(e.value)]...), e.value, depth)
	case e.kind == bson.TypeArray:
		return w.array(append(out, raw[:len(raw)-len(e.value)]...), e.value, depth)
	}
	return out, true
}

// array keeps the documents and arrays in an array, and numbers them anew.
func (w *wish) array(out, array []byte, depth int) ([]byte, bool) {
	if !framed(array) || depth > MaxDepth {
		return out, false
	}
	from, n := len(out), 0
	out = append(out, 0, 0, 0, 0)
	for pos := 4; pos < len(array)-1; {
		e, ok := elementAt(array, pos)
		if !ok {
			return out, false
		}
		pos = e.end
		if e.kind != bson.TypeEmbeddedDocument && e.kind != bson.TypeArray {
			continue
		}
		out = appendHeader(out, e.kind, n)
		n++
		if e.kind == bson.TypeArray {
			out, ok = w.array(out, e.value, depth+1)
		} else {
			out, ok = w.document(out, e.value, depth+1)
		}
		if !ok {
			return out, false
		}
	}
	return closeDocument(out, from), true
}

func appendHeader(out []byte, kind bson.Type, index int) []byte {
	out = append(out, byte(kind))
	out = strconv.AppendInt(out, int64(index), 10)
	return append(out, 0)
}

// withFields are paths by which all of two lists are there; the second has signs.
func withFields(fields, index []string) []string {
	all := slices.Clone(fields)
	for _, f := range index {
		path := strings.TrimPrefix(f, "-")
		if slices.ContainsFunc(all, func(p string) bool { return p == path || strings.HasPrefix(path, p+".") }) {
			continue
		}
		all = slices.DeleteFunc(all, func(p string) bool { return strings.HasPrefix(p, path+".") })
		all = append(all, path)
	}
	return all
}
