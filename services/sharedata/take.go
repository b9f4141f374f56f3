package sharedata

import (
	"fmt"

	"github.com/skua-go/skua/lua/vm"
)

// taker makes a tree of a table of a VM. A table that is found twice is one table in the tree.
type taker struct {
	*builder
	s      vm.State
	seen   int // the stack's index of a table: from each table found to its number in nodes
	nodes  []*frozen
	grafts map[*frozen]*frozen
	open   []bool // whether the table of that number is being read
	depth  int
	cycles bool
}

// take makes a tree of the table at index i, which stays as it is. Its errors name the keys that lead to what can't be shared.
func take(s vm.State, i, limit int, cycles bool) (*frozen, error) {
	top := s.Top()
	if i < 0 {
		i += top + 1
	}
	s.NewTable(0, 0)
	defer s.SetTop(top)
	t := &taker{builder: newBuilder(limit), s: s, seen: s.Top(), cycles: cycles}
	return t.table(i)
}

func (t *taker) table(i int) (*frozen, error) {
	s := t.s
	if p := proxyAt(s, i); p != nil {
		return t.graft(p.resolve(s))
	}
	s.Copy(i)
	s.RawGet(t.seen)
	n, found := s.Int(-1)
	s.Pop(1)
	if found {
		if t.open[n] {
			if !t.cycles {
				return nil, errCycle
			}
			t.nodes[n].loops = true
		}
		t.nodes[n].shared = true
		return t.nodes[n], nil
	}
	if t.depth++; t.depth > maxDepth {
		return nil, errDepth
	}
	node, number := &frozen{height: 1}, len(t.nodes)
	t.nodes, t.open = append(t.nodes, node), append(t.open, true)
	s.Copy(i)
	s.PushInt(int64(number))
	s.RawSet(t.seen)
	if err := t.fill(node, i); err != nil {
		return nil, err
	}
	t.open[number] = false
	t.depth--
	return node, nil
}

// graft takes a table that is shared already, with all that is in it. The tree gets one of its own, since it may be held there by more than one place.
func (t *taker) graft(of *frozen) (*frozen, error) {
	if of.loops && !t.cycles {
		return nil, errCycle
	}
	if t.depth+int(of.height) > maxDepth {
		return nil, errDepth
	}
	if node := t.grafts[of]; node != nil {
		node.shared = true
		return node, nil
	}
	if t.grafts == nil {
		t.grafts = map[*frozen]*frozen{}
	}
	node := *of
	node.shared = false
	t.grafts[of] = &node
	return &node, nil
}

// holds tells a table that another one is in it.
func (t *frozen) holds(sub *frozen) {
	t.loops = t.loops || sub.loops
	t.height = max(t.height, sub.height+1)
}

func (t *taker) fill(node *frozen, i int) error {
	s, n := t.s, int64(t.s.Len(i))
	for k := int64(1); k <= n; k++ {
		s.RawGetInt(i, k)
		if s.Type(-1) == vm.Nil { // a hole ends the list; what is behind it are fields
			s.Pop(1)
			break
		}
		v, err := t.value(node, s.Top())
		if err != nil {
			return under(intSlot(k), err)
		}
		node.list = append(node.list, v)
		s.Pop(1)
	}
	var fields []field
	s.PushNil()
	for s.Next(i) {
		at := s.Top()
		k, err := t.key(at - 1)
		if err != nil {
			return err
		}
		if _, isInt := k.obj.(intKind); isInt && k.within(len(node.list)) {
			s.Pop(1)
			continue
		}
		v, err := t.value(node, at)
		if err != nil {
			return under(k, err)
		}
		fields = append(fields, field{k, v})
		s.Pop(1)
	}
	t.setFields(node, fields)
	t.s.Spend(node.size())
	return nil
}

func (t *taker) value(in *frozen, i int) (slot, error) {
	if err := t.spend(1); err != nil {
		return slot{}, err
	}
	if t.s.Type(i) == vm.Table {
		sub, err := t.table(i)
		if err != nil {
			return slot{}, err
		}
		in.holds(sub)
		return slot{obj: sub}, nil
	}
	v, ok := scalarAt(t.s, i)
	if !ok {
		return slot{}, fmt.Errorf("a %s can't be shared", t.s.Type(i))
	}
	return v, nil
}

func (t *taker) key(i int) (slot, error) {
	k, ok := scalarAt(t.s, i)
	if !ok {
		return slot{}, fmt.Errorf("a key that is a %s can't be shared", t.s.Type(i))
	}
	if k == intSlot(hiddenKey) {
		return slot{}, errHidden
	}
	return k, nil
}

// scalarAt is the boolean, number or string at an index.
func scalarAt(s vm.State, i int) (slot, bool) {
	switch s.Type(i) {
	case vm.Boolean:
		return boolSlot(s.Bool(i)), true
	case vm.Number:
		if s.IsInt(i) {
			n, _ := s.Int(i)
			return intSlot(n), true
		}
		f, _ := s.Float(i)
		return floatSlot(f), true
	case vm.String:
		text, _ := s.String(i)
		return slot{obj: text}, true
	default:
		return slot{}, false
	}
}

// findAt is the position of the key at index i of the stack.
func (t *frozen) findAt(s vm.State, i int) int {
	switch s.Type(i) {
	case vm.String:
		k, _ := s.String(i)
		return t.name(k)
	case vm.Number:
		if n, ok := s.Int(i); ok { // a float that is an integer is the same key
			return t.find(intSlot(n))
		}
		f, _ := s.Float(i)
		return t.find(floatSlot(f))
	case vm.Boolean:
		return t.find(boolSlot(s.Bool(i)))
	default:
		return none
	}
}
