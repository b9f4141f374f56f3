package std

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// maxSort bounds the items of a table that can be sorted.
const maxSort = math.MaxInt32

func tableSort(c call) int {
	t := c.items(1, reads|writes|measures)
	n := t.len()
	if n < 2 {
		return 0
	}
	if n >= maxSort {
		c.bad(1, "array too big")
	}
	own := !c.isNone(2)
	if own && c.Type(2) != vm.Function {
		c.wrongType(2, "function")
	}
	c.SetTop(2)
	switch {
	case !t.plain: // its length may be anything, so nothing of its size is made
		sort.Sort(inPlace{t, int(n), own})
	case own || !t.sortAlike(int(n)):
		c.alloc(4 * int(n))
		o := order{t, make([]int32, n), own}
		for i := range o.places {
			o.places[i] = int32(i)
		}
		c.Spend(int(n) / 4)
		sort.Sort(o)
		t.rearrange(o.places)
	}
	return 0
}

// less pops two items and compares them, by the function at 2 if the script has its own order.
func (t items) less(i, j int64, own bool) bool {
	c := t.c
	c.Spend(1)
	if own {
		c.Copy(2)
	}
	t.get(i + 1)
	t.get(j + 1)
	var less bool
	if own {
		c.Call(2, 1)
		less = c.Bool(-1)
		c.Pop(1)
	} else {
		less = c.Less(-2, -1)
		c.Pop(2)
	}
	return less
}

// inPlace sorts a table by its metamethods. Whatever the order function says, sort.Sort comes to an end and stays within the items.
type inPlace struct {
	items

	n   int
	own bool
}

func (s inPlace) Len() int           { return s.n }
func (s inPlace) Less(i, j int) bool { return s.less(int64(i), int64(j), s.own) }

func (s inPlace) Swap(i, j int) {
	s.get(int64(i) + 1)
	s.get(int64(j) + 1)
	s.set(int64(i) + 1)
	s.set(int64(j) + 1)
}

// order sorts the places of items and leaves these where they are: an error of the order function leaves the table as it was.
type order struct {
	items

	places []int32
	own    bool
}

func (o order) Len() int           { return len(o.places) }
func (o order) Less(i, j int) bool { return o.less(int64(o.places[i]), int64(o.places[j]), o.own) }
func (o order) Swap(i, j int)      { o.places[i], o.places[j] = o.places[j], o.places[i] }

// rearrange moves to each place the item of the place that is told for it, from 0 on.
func (t items) rearrange(places []int32) {
	for i := range places {
		if int(places[i]) == i {
			continue
		}
		t.spend(int64(i))
		t.get(int64(i) + 1)
		at := i
		for {
			from := int(places[at])
			places[at] = int32(at)
			if from == i {
				break
			}
			t.get(int64(from) + 1)
			t.set(int64(at) + 1)
			at = from
		}
		t.set(int64(at) + 1)
	}
}

// sortAlike sorts what is numbers of one kind only, or strings only, without the engine. It tells whether that was so.
func (t items) sortAlike(n int) bool {
	c := t.c
	t.get(1)
	kind, isInt := c.Type(-1), c.Exact() && c.IsInt(-1)
	c.Pop(1)
	if kind == vm.String {
		return t.sortStrings(n)
	}
	if kind != vm.Number || n > 8 && !t.isNumber(int64(n)) {
		return false
	}
	if isInt {
		return sortNumbers(t, n, func() (int64, bool) {
			k, _ := c.Int(-1)
			return k, c.IsInt(-1)
		}, c.PushInt)
	}
	return sortNumbers(t, n, func() (float64, bool) {
		f, ok := c.Float(-1)
		return f, ok && (!c.Exact() || !c.IsInt(-1))
	}, c.PushFloat)
}

func (t items) isNumber(i int64) bool {
	t.get(i)
	kind := t.c.Type(-1)
	t.c.Pop(1)
	return kind == vm.Number
}

// sortCost counts the work of sorting n items in Go.
func (t items) sortCost(n int) { t.c.Spend(n * bits.Len(uint(n)) / 4) }

func sortNumbers[T int64 | float64](t items, n int, top func() (T, bool), push func(T)) bool {
	t.c.alloc(8 * n)
	list := make([]T, n)
	for i := range list {
		t.get(int64(i) + 1)
		v, ok := top()
		t.c.Pop(1)
		if !ok {
			return false
		}
		list[i] = v
	}
	t.sortCost(n)
	slices.Sort(list)
	for i, v := range list {
		push(v)
		t.set(int64(i) + 1)
	}
	return true
}

func (t items) sortStrings(n int) bool {
	type item struct {
		text string
		at   int32
	}
	t.c.alloc(28 * n)
	list := make([]item, n)
	for i := range list {
		t.get(int64(i) + 1)
		s, ok := t.c.String(-1)
		t.c.Pop(1)
		if !ok {
			return false
		}
		list[i] = item{s, int32(i)}
	}
	t.sortCost(2 * n)
	slices.SortFunc(list, func(a, b item) int {
		t.c.spendBytes(min(len(a.text), len(b.text)))
		return cmp.Or(strings.Compare(a.text, b.text), cmp.Compare(a.at, b.at))
	})
	places := make([]int32, n)
	for i, v := range list {
		places[i] = v.at
	}
	t.rearrange(places)
	return true
}
