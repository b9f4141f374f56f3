package lua54_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
)

// A table against a map of Go: whatever is set is found, traversed once, and # is a border.

type model struct {
	t    *testing.T
	s    vm.State
	want map[string]int64
	keys map[string]func()
	r    *rand.Rand
}

// key pushes a random key and returns its name.
func (m *model) key() string {
	switch m.r.IntN(10) {
	case 0, 1, 2, 3:
		k := int64(1 + m.r.IntN(20))
		return m.push(fmt.Sprint("i", k), func() { m.s.PushInt(k) })
	case 4, 5:
		k := int64(1 + m.r.IntN(200))
		return m.push(fmt.Sprint("i", k), func() { m.s.PushInt(k) })
	case 6:
		k := int64(m.r.Uint64()) >> m.r.IntN(60)
		return m.push(fmt.Sprint("i", k), func() { m.s.PushInt(k) })
	case 7:
		k := float64(m.r.IntN(40)) / 2
		if k == float64(int64(k)) {
			return m.push(fmt.Sprint("i", int64(k)), func() { m.s.PushFloat(k) })
		}
		return m.push(fmt.Sprint("f", k), func() { m.s.PushFloat(k) })
	case 8:
		b := m.r.IntN(2) == 0
		return m.push(fmt.Sprint("b", b), func() { m.s.PushBool(b) })
	default:
		k := fmt.Sprint("key", m.r.IntN(60))
		return m.push("s"+k, func() { m.s.PushString(k) })
	}
}

func (m *model) push(name string, push func()) string {
	push()
	m.keys[name] = push
	return name
}

func (m *model) nameOf(i int) string {
	switch s := m.s; s.Type(i) {
	case vm.Number:
		if n, ok := s.Int(i); ok {
			return fmt.Sprint("i", n)
		}
		f, _ := s.Float(i)
		return fmt.Sprint("f", f)
	case vm.Boolean:
		return fmt.Sprint("b", s.Bool(i))
	default:
		return "s" + s.Text(i)
	}
}

func (m *model) set(v int64) {
	name := m.key()
	if v == 0 {
		delete(m.want, name)
		m.s.PushNil()
	} else {
		m.want[name] = v
		m.s.PushInt(v)
	}
	m.s.RawSet(1)
}

// append sets the key behind the border.
func (m *model) append(v int64) {
	k := int64(m.s.Len(1)) + 1
	m.want[m.push(fmt.Sprint("i", k), func() { m.s.PushInt(k) })] = v
	m.s.PushInt(v)
	m.s.RawSet(1)
}

// check compares all, and deletes some of it meanwhile.
func (m *model) check(remove int) {
	m.t.Helper()
	s := m.s
	n := int64(s.Len(1))
	if _, ok := m.want[fmt.Sprint("i", n)]; n > 0 && !ok {
		m.t.Fatalf("# is %d, where nothing is", n)
	}
	if _, ok := m.want[fmt.Sprint("i", n+1)]; ok {
		m.t.Fatalf("# is %d, and there is more", n)
	}
	for name, v := range m.want {
		m.keys[name]()
		s.RawGet(1)
		if got, _ := s.Int(-1); got != v {
			m.t.Fatalf("%s is %d, not %d", name, got, v)
		}
		s.Pop(1)
	}
	seen := map[string]bool{}
	count := len(m.want)
	s.PushNil()
	for s.Next(1) {
		name := m.nameOf(-2)
		if got, _ := s.Int(-1); got != m.want[name] || seen[name] {
			m.t.Fatalf("the traversal finds %s = %d, %v", name, got, seen[name])
		}
		seen[name] = true
		s.Pop(1)
		if m.r.IntN(100) < remove {
			s.Copy(-1)
			s.PushNil()
			s.RawSet(1)
			delete(m.want, name)
		}
	}
	if len(seen) != count {
		m.t.Fatalf("the traversal finds %d of %d", len(seen), count)
	}
}

func TestATableIsAMap(t *testing.T) {
	racetest.SetAside(t)
	for seed := range uint64(300) {
		vm := newVM(limits{})
		m := &model{t: t, s: vm.Main(), want: map[string]int64{}, keys: map[string]func(){}, r: rand.New(rand.NewPCG(seed, 1))}
		m.s.SetTop(0)
		m.s.NewTable(m.r.IntN(5), m.r.IntN(5))
		for step := range int64(2000) {
			switch c := m.r.IntN(100); {
			case c < 45:
				m.set(step + 1)
			case c < 75:
				m.set(0)
			case c < 98:
				m.append(step + 1)
			default:
				m.check(m.r.IntN(4) * 33)
			}
		}
		m.check(100)
		m.check(0)
		vm.Close()
	}
}
