package std

import (
	"math"

	"github.com/skua-go/skua/lua/vm"
)

// What a function does with a table that has a metatable: it needs these metamethods if it is none.
const (
	reads = 1 << iota
	writes
	measures
)

// items is a table, or what behaves as one.
type items struct {
	c     call
	at    int
	plain bool // a table without a metatable
}

// items is the table argument at i that a function does such things with.
func (c call) items(i, needs int) items {
	isTable := c.Type(i) == vm.Table
	if i > c.Top() || !c.Metatable(i) {
		if !isTable {
			c.wrongType(i, "table")
		}
		return items{c, i, true}
	}
	if !isTable {
		for need, name := range map[int]string{reads: "__index", writes: "__newindex", measures: "__len"} {
			c.PushString(name)
			if c.RawGet(-2); needs&need != 0 && c.Type(-1) == vm.Nil {
				c.Pop(2)
				c.wrongType(i, "table")
			}
			c.Pop(1)
		}
	}
	c.Pop(1)
	return items{c, i, false}
}

func (t items) len() int64 {
	if t.plain {
		return int64(t.c.Len(t.at))
	}
	return t.c.Length(t.at)
}

// get pushes an item.
func (t items) get(k int64) {
	if t.plain {
		t.c.RawGetInt(t.at, k)
		return
	}
	t.c.PushInt(k)
	t.c.Index(t.at)
}

// set pops an item.
func (t items) set(k int64) {
	if t.plain {
		t.c.RawSetInt(t.at, k)
		return
	}
	t.c.PushInt(k)
	t.c.Insert(-2)
	t.c.SetIndex(t.at)
}

// itemsAtOnce is how many items are moved between two looks at the budget.
const itemsAtOnce = 256

// spend counts n items in all, now and then.
func (t items) spend(n int64) {
	if n%itemsAtOnce == 0 {
		t.c.Spend(itemsAtOnce)
	}
}

func tableConcat(c call) int {
	t := c.items(1, reads|measures)
	n := t.len()
	sep := c.optStr(2, "")
	i, last := c.optInt(3, 1), c.optInt(4, n)
	b := c.buffer()
	for ; i <= last; i++ {
		t.get(i)
		if s, ok := c.String(-1); ok {
			b.add(s)
		} else {
			b.addNumber(i)
		}
		c.Pop(1)
		if i == last { // which may be the largest integer
			break
		}
		b.add(sep)
		t.spend(i)
	}
	b.push()
	return 1
}

// addNumber adds the number on the top of the stack, which is item i of table.concat.
func (b *buffer) addNumber(i int64) {
	if b.c.Type(-1) != vm.Number {
		b.c.Errorf("invalid value (%s) at index %d in table for 'concat'", b.c.Type(-1), i)
	}
	b.add(b.c.numberText(-1))
}

func tableInsert(c call) int {
	t := c.items(1, reads|writes|measures)
	e := wrap(t.len(), 1)
	switch c.Top() {
	case 2:
		t.set(e)
		return 0
	case 3:
	default:
		c.Errorf("wrong number of arguments to 'insert'")
	}
	at := c.integer(2)
	if uint64(at)-1 >= uint64(e) {
		c.bad(2, "position out of bounds")
	}
	for i := e; i > at; i-- {
		t.get(i - 1)
		t.set(i)
		t.spend(e - i + 1)
	}
	t.set(at)
	return 0
}

// wrap is a sum as integers of Lua have it.
func wrap(a, b int64) int64 { return int64(uint64(a) + uint64(b)) }

func tableRemove(c call) int {
	t := c.items(1, reads|writes|measures)
	size := t.len()
	at := c.optInt(2, size)
	if at != size && uint64(at)-1 > uint64(size) {
		c.bad(2, "position out of bounds")
	}
	t.get(at)
	for ; at < size; at++ {
		t.get(at + 1)
		t.set(at)
		t.spend(size - at)
	}
	c.PushNil()
	t.set(at)
	return 1
}

func tablePack(c call) int {
	n := c.Top()
	c.NewTable(n, 1)
	c.Insert(1)
	c.Spend(n / 4)
	for i := n; i > 0; i-- {
		c.RawSetInt(1, int64(i))
	}
	c.PushInt(int64(n))
	c.SetField(1, "n")
	return 1
}

func tableUnpack(c call) int {
	i := c.optInt(2, 1)
	var last int64
	if c.isNone(3) {
		if c.Top() == 0 {
			c.SetTop(1)
		}
		last = c.Length(1)
	} else {
		last = c.integer(3)
	}
	if i > last {
		return 0
	}
	n := uint64(last) - uint64(i)
	if n >= maxResults {
		c.Errorf("too many results to unpack")
	}
	c.room(int64(n)+1, "too many results to unpack")
	t := items{c, 1, c.Type(1) == vm.Table}
	if t.plain && c.Metatable(1) {
		c.Pop(1)
		t.plain = false
	}
	for k := range n + 1 {
		t.get(i + int64(k))
	}
	return int(n) + 1
}

func tableMove(c call) int {
	f, e, at := c.integer(2), c.integer(3), c.integer(4)
	to := 1
	if !c.isNone(5) {
		to = 5
	}
	from, into := c.items(1, reads), c.items(to, writes)
	if e >= f {
		if f <= 0 && e >= math.MaxInt64+f {
			c.bad(3, "too many elements to move")
		}
		n := e - f + 1
		if at > math.MaxInt64-n+1 {
			c.bad(4, "destination wrap around")
		}
		if at > e || at <= f || to != 1 && !c.Equal(1, 5) {
			for i := range n {
				from.get(f + i)
				into.set(at + i)
				from.spend(i)
			}
		} else {
			for i := n - 1; i >= 0; i-- {
				from.get(f + i)
				into.set(at + i)
				from.spend(i)
			}
		}
	}
	c.Copy(to)
	return 1
}
