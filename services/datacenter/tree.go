package datacenter

import (
	"fmt"
	"math"
	"strings"

	"github.com/skua-go/skua/actor/value"
)

// maxPath bounds the keys of a path.
const maxPath = value.MaxDepth

// path is the keys that lead to a value: booleans, int64, float64 and strings.
type path []any

func pathOf(raw []value.Value) (path, error) {
	if len(raw) == 0 || len(raw) > maxPath {
		return nil, fmt.Errorf("datacenter: %w: 1 to %d keys are expected, got %d", ErrPath, maxPath, len(raw))
	}
	p := make(path, len(raw))
	for i, v := range raw {
		k, ok := keyOf(v)
		if !ok {
			return nil, fmt.Errorf("datacenter: %w: a string, a number or a boolean is expected as key %d, got %s", ErrPath, i+1, v.Kind())
		}
		p[i] = k
	}
	return p, nil
}

// keyOf is a value as a key; a float that is an integer is that.
func keyOf(v value.Value) (any, bool) {
	switch v.Kind() {
	case value.Bool:
		return v.Bool(), true
	case value.Int, value.Float:
		if n, ok := v.Int(); ok {
			return n, true
		}
		f, _ := v.Float()
		return f, !math.IsNaN(f)
	case value.String:
		s, _ := v.Str()
		return s, true
	default:
		return nil, false
	}
}

func (p path) String() string {
	keys := make([]string, len(p))
	for i, k := range p {
		keys[i] = fmt.Sprint(k)
	}
	return strings.Join(keys, ".")
}

// node is a value of the tree.
type node struct {
	leaf  value.Value
	kids  map[any]*node // of a branch, which has no leaf
	whole bool          // a branch that was set as one value, with what it had then
	kept  int32         // bytes of its record, if it has one
}

func branch() *node { return &node{kids: map[any]*node{}} }

// nodeOf makes a tree of a value.
func nodeOf(v value.Value) *node {
	n := partOf(v)
	n.whole = len(n.kids) > 0
	return n
}

func partOf(v value.Value) *node {
	if v.Kind() != value.Table {
		return &node{leaf: v}
	}
	n := branch()
	for i, item := range v.Items {
		if !item.IsNil() {
			n.kids[int64(i)] = partOf(item)
		}
	}
	for k, item := range v.Pairs {
		if key, ok := keyOf(k); ok && !item.IsNil() {
			n.kids[key] = partOf(item)
		}
	}
	return n
}

// size is the number of nodes, this one included.
func (n *node) size() int {
	size := 1
	for _, kid := range n.kids {
		size += kid.size()
	}
	return size
}

// records is the bytes of what is recorded of the node and below.
func (n *node) records() int {
	sum := int(n.kept)
	for _, kid := range n.kids {
		sum += kid.records()
	}
	return sum
}

// height is how deep branches nest in the node.
func (n *node) height() int {
	if n.kids == nil {
		return 0
	}
	most := 0
	for _, kid := range n.kids {
		most = max(most, kid.height())
	}
	return most + 1
}

// find is the node at a path; nil if nothing is there.
func (n *node) find(p path) (*node, error) {
	for _, k := range p {
		if n.kids == nil {
			return nil, ErrLeaf
		}
		if n = n.kids[k]; n == nil {
			return nil, nil //nolint:nilnil // nothing is there
		}
	}
	return n, nil
}

// isEmpty tells whether there is a branch with nothing in it.
func (n *node) isEmpty(p path) bool {
	at, err := n.find(p)
	return err == nil && at != nil && at.kids != nil && len(at.kids) == 0
}

// inWhole tells whether a path is in a branch that was set as one value.
func (n *node) inWhole(p path) bool {
	for _, k := range p {
		if n == nil {
			return false
		}
		if n.whole {
			return true
		}
		n = n.kids[k]
	}
	return false
}

// force puts a value at a path, whatever is on the way; its record has so many bytes.
func (n *node) force(p path, v value.Value, kept int32) {
	for _, k := range p[:len(p)-1] {
		next := n.kids[k]
		if next == nil || next.kids == nil {
			if v.IsNil() {
				return
			}
			next = branch()
			n.kids[k] = next
		}
		n = next
	}
	last := p[len(p)-1]
	if v.IsNil() {
		delete(n.kids, last)
		return
	}
	n.kids[last] = nodeOf(v)
	n.kids[last].kept = kept
}

// value is the node as a value.
func (n *node) value() (value.Value, error) {
	if n.kids == nil {
		return n.leaf, nil
	}
	var b value.Builder
	if err := n.build(&b); err != nil {
		return value.Value{}, err
	}
	return b.List().At(0), nil
}

func (n *node) build(b *value.Builder) error {
	if n.kids == nil {
		b.Value(n.leaf)
		return nil
	}
	if err := b.Begin(); err != nil {
		return err
	}
	list := int64(0)
	for kid := n.kids[list+1]; kid != nil; kid = n.kids[list+1] {
		list++
		if err := kid.build(b); err != nil {
			return err
		}
	}
	for k, kid := range n.kids {
		switch k := k.(type) {
		case bool:
			b.BoolKey(k)
		case int64:
			if k >= 1 && k <= list {
				continue
			}
			b.IntKey(k)
		case float64:
			b.FloatKey(k)
		case string:
			b.Key(k)
		}
		if err := kid.build(b); err != nil {
			return err
		}
	}
	b.End()
	return nil
}
