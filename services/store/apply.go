package store

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Apply makes the content that the patch leads to. New fields come behind those that are there. The error names the path that is not possible, because the patch
// belongs to another content; old is not changed, and shared by nothing in the result.
func (p *Patch) Apply(old bson.Raw) (bson.Raw, error) {
	root := &step{}
	for i := range p.Set {
		if err := root.add(p.Set[i].Path, &p.Set[i].Value); err != nil {
			return nil, err
		}
	}
	for _, path := range p.Unset {
		if err := root.add(path, nil); err != nil {
			return nil, err
		}
	}
	a := applier{out: make([]byte, 0, len(old)+p.Size())}
	if err := a.document(old, root, false); err != nil {
		return nil, err
	}
	return a.out, nil
}

// step is a place in a document that a patch changes: it has steps below it, or it is the end of a path.
type step struct {
	key   string
	below []*step // in the order of the patch
	find  map[string]*step
	end   bool
	value *bson.RawValue // nil: the field goes
	met   bool           // in the old content
}

func (s *step) add(path string, value *bson.RawValue) error {
	at := s
	for key := range strings.SplitSeq(path, ".") {
		next := at.find[key]
		if next == nil {
			next = &step{key: key}
			if at.find == nil {
				at.find = map[string]*step{}
			}
			at.find[key] = next
			at.below = append(at.below, next)
		}
		at = next
		if key == "" || at.end {
			return badPatch(path, "the path is empty, or another one begins it")
		}
	}
	if len(at.below) > 0 {
		return badPatch(path, "another path begins with it")
	}
	at.end, at.value = true, value
	return nil
}

func badPatch(path, reason string) error {
	return fmt.Errorf("%w: the patch can't be applied: at %s: %s", ErrInvalid, clip(path), reason)
}

type applier struct {
	out  []byte
	path []string
}

func (a *applier) bad(key, reason string) error {
	return badPatch(strings.Join(append(a.path, key), "."), reason)
}

func (a *applier) document(old []byte, s *step, array bool) error {
	if !framed(old) {
		return a.bad("", errMalformed.Error())
	}
	from := len(a.out)
	a.out = append(a.out, 0, 0, 0, 0)
	n := 0
	for pos := 4; pos < len(old)-1; n++ {
		e, ok := elementAt(old, pos)
		if !ok {
			return a.bad("", errMalformed.Error())
		}
		if err := a.element(old[pos:e.end], e, s.find[string(e.key)], array); err != nil {
			return err
		}
		pos = e.end
	}
	for _, added := range s.below {
		switch {
		case added.met:
			continue
		case !added.end || added.value == nil:
			return a.bad(added.key, "there is nothing")
		case array && added.key != strconv.Itoa(n):
			return a.bad(added.key, fmt.Sprintf("the array has %d elements", n))
		}
		a.put(added.key, added.value)
		n++
	}
	a.out = append(a.out, 0)
	binary.LittleEndian.PutUint32(a.out[from:], uint32(len(a.out)-from))
	return nil
}

func (a *applier) put(key string, v *bson.RawValue) {
	a.out = append(a.out, byte(v.Type))
	a.out = append(append(a.out, key...), 0)
	a.out = append(a.out, v.Value...)
}

// element writes one of the old content, whose bytes are raw, as the patch changes it.
func (a *applier) element(raw []byte, e element, s *step, array bool) error {
	switch {
	case s == nil:
		a.out = append(a.out, raw...)
		return nil
	case s.end && s.value == nil && array:
		return a.bad(s.key, "an array can't lose an element")
	case s.end && s.value != nil:
		a.put(s.key, s.value)
	case s.end:
	case e.kind != bson.TypeEmbeddedDocument && e.kind != bson.TypeArray:
		return a.bad(s.key, "is no document and no array")
	default:
		a.out = append(a.out, raw[:len(raw)-len(e.value)]...)
		a.path = append(a.path, s.key)
		if err := a.document(e.value, s, e.kind == bson.TypeArray); err != nil {
			return err
		}
		a.path = a.path[:len(a.path)-1]
	}
	s.met = true
	return nil
}
