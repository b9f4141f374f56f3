package walk

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/lua/vm"
)

// MaxOutput bounds what one call makes: a table that holds another one twice, which holds a third one twice, and so on, is small and has no end of text.
const MaxOutput = 64 << 20

// maxValues bounds how many values one call looks at, for the same reason: nothing interrupts it.
const maxValues = 4 << 20

// MaxResults is how many values one call returns at most: they are all on the stack at once.
const MaxResults = 10_000

// ErrResults is for what would return more than MaxResults.
var ErrResults = errors.New("there are more than 10000 values")

// ErrOutput is for what would become longer than MaxOutput.
var ErrOutput = errors.New("the result is longer than 64 MiB")

// Open are the tables that an encoder is in, by their indices on the stack.
type Open struct {
	tables []int
	max    int
	values int
}

// Value is called with each value, and how long the result is so far.
func (o *Open) Value(length int) error {
	if length > MaxOutput {
		return ErrOutput
	}
	if o.values++; o.values > maxValues {
		return fmt.Errorf("there are more than %d values", maxValues)
	}
	return nil
}

// NewOpen allows as many tables in each other.
func NewOpen(depth int) Open { return Open{max: depth} }

// Max is how many tables may be in each other.
func (o *Open) Max() int { return o.max }

// Enter is called with each table, and Leave when the table is done.
func (o *Open) Enter(s vm.State, t int) error {
	if len(o.tables) >= o.max {
		for _, outer := range o.tables {
			if s.Equal(outer, t) {
				return errors.New("a table contains itself")
			}
		}
		return fmt.Errorf("tables nest deeper than %d levels", o.max)
	}
	o.tables = append(o.tables, t)
	return nil
}

// Leave is Enter's counterpart.
func (o *Open) Leave() { o.tables = o.tables[:len(o.tables)-1] }

// Shape tells which keys a table has.
type Shape struct {
	Len   int64 // the largest key, if all keys are whole numbers from 1 on
	Count int64 // how many keys there are, as far as they were looked at
	List  bool  // all keys are whole numbers from 1 on; true for an empty table
}

// Dense tells whether the table is a list without holes.
func (h Shape) Dense() bool { return h.List && h.Len == h.Count }

// ShapeOf looks at the keys of the table at index t.
func (n *Numbers) ShapeOf(s vm.State, t int) Shape {
	h := Shape{List: true}
	s.PushNil()
	for s.Next(t) {
		s.Pop(1)
		k, ok := n.Whole(s, -1)
		if !ok || k < 1 {
			s.Pop(1)
			h.List = false
			return h
		}
		h.Count++
		h.Len = max(h.Len, k)
	}
	return h
}

// Pending counts the values that the headers of a message have announced and that are still to come. Each takes a byte at least, so that whoever asks Add
// before making room for them makes no more of it than a small multiple of the message.
type Pending int

// Add announces n values when there are left bytes to read.
func (p *Pending) Add(n, left int) error {
	if n < 0 || n > left-int(*p) {
		return ErrShort
	}
	*p += Pending(n)
	return nil
}

// Done is called before each of them.
func (p *Pending) Done() { *p-- }

// ErrShort is for a message that ends too early.
var ErrShort = errors.New("the bytes end within a value")

// Key puts the key at index i of the stack before the path of err.
func (n *Numbers) Key(s vm.State, i int, err error) error {
	if text, ok := s.String(i); ok {
		return Field(err, text)
	}
	if k, ok := n.Whole(s, i); ok {
		return Index(err, k)
	}
	return Field(err, s.Text(i))
}
