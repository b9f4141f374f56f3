package std

import (
	"fmt"
	"math"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// Caller is what a State can be besides, so that errors name a function as the script did.
type Caller interface {
	// CalledAs is the name that the running function was called by, the last one if there are several (rep of string.rep), and whether it was called as a
	// method. The name is empty if the engine does not know, as behind pcall.
	CalledAs() (name string, method bool)
}

// call is a call of one of our functions.
type call struct {
	vm.State
	fn string // as in string.rep
}

// bad raises the error of an argument that the function does not take.
func (c call) bad(i int, format string, args ...any) {
	name := c.fn[strings.IndexByte(c.fn, '.')+1:]
	problem := fmt.Sprintf(format, args...)
	if known, ok := c.State.(Caller); ok {
		called, method := known.CalledAs()
		if name = called; called == "" {
			name = c.fn
		}
		if method {
			if i--; i == 0 {
				c.Errorf("calling '%s' on bad self (%s)", name, problem)
			}
		}
	}
	c.Errorf("bad argument #%d to '%s' (%s)", i, name, problem)
}

// wrongType raises the error of an argument of another type.
func (c call) wrongType(i int, want string) {
	got := c.Type(i).String()
	if i <= c.Top() && c.Metatable(i) {
		c.PushString("__name")
		c.RawGet(-2)
		if name, ok := c.String(-1); ok {
			got = name
		}
	}
	c.bad(i, "%s expected, got %s", want, got)
}

func (c call) isNone(i int) bool { return c.Type(i) <= vm.Nil }

// any raises an error if there is no argument.
func (c call) any(i int) {
	if c.Type(i) == vm.None {
		c.bad(i, "value expected")
	}
}

// str is a string argument; a number is one, as tostring shows it.
func (c call) str(i int) string {
	if s, ok := c.String(i); ok {
		return s
	}
	if c.Type(i) != vm.Number {
		c.wrongType(i, "string")
	}
	return c.numberText(i)
}

func (c call) optStr(i int, otherwise string) string {
	if c.isNone(i) {
		return otherwise
	}
	return c.str(i)
}

// numberText is the number at i as tostring shows it.
func (c call) numberText(i int) string {
	if !c.Exact() || c.IsInt(i) {
		return c.Text(i)
	}
	f, _ := c.Float(i)
	return Float(f)
}

// num is a number argument, or a string that is one.
func (c call) num(i int) float64 {
	if f, ok := c.Float(i); ok {
		return f
	}
	if s, ok := c.String(i); ok {
		c.spendBytes(len(s) * 4)
		if n, ok := ParseNumber(s); ok {
			return n.Float64()
		}
	}
	c.wrongType(i, "number")
	return 0
}

// int is an integer argument: a number, or a string of one, that is whole.
func (c call) integer(i int) int64 {
	if n, ok := c.Int(i); ok {
		return n
	}
	n, ok := Number{}, false
	if f, isNumber := c.Float(i); isNumber {
		n, ok = Number{F: f}, true
	} else if s, isText := c.String(i); isText {
		c.spendBytes(len(s) * 4)
		n, ok = ParseNumber(s)
	}
	if !ok {
		c.wrongType(i, "number")
	}
	k, whole := n.Int64()
	switch {
	case !whole:
		c.bad(i, "number has no integer representation")
	case !c.Exact() && (k > maxExact || k < -maxExact):
		c.bad(i, "number has no integer representation: beyond 2^53 the engine would round it")
	}
	return k
}

func (c call) optInt(i int, otherwise int64) int64 {
	if c.isNone(i) {
		return otherwise
	}
	return c.integer(i)
}

// spendBytes counts the work of going over so many bytes at the speed of memory.
func (c call) spendBytes(n int) {
	if n >= 64 {
		c.Spend(n / 64)
	}
}

// room makes place for n results at once, where the engine's stack would grow bit by bit.
func (c call) room(n int64, problem string) {
	if n > maxResults {
		c.Errorf("%s", problem)
	}
	const few = 64
	if n > few {
		c.Spend(int(n) / 4)
		top := c.Top()
		c.SetTop(top + int(n))
		c.SetTop(top)
	}
}

// start makes a position that may count from the end one from the start, at least 1.
func start(i int64, size int) int64 {
	switch {
	case i > 0:
		return i
	case i == 0 || i < -int64(size):
		return 1
	}
	return int64(size) + i + 1
}

// end makes a position that may count from the end one from the start, at most size.
func end(i int64, size int) int64 {
	switch {
	case i > int64(size):
		return int64(size)
	case i >= 0:
		return i
	case i < -int64(size):
		return 0
	}
	return int64(size) + i + 1
}

// place makes a position that may count from the end one from the start; 0 is before it.
func place(i int64, size int) int64 {
	switch {
	case i >= 0:
		return i
	case i < -int64(size):
		return 0
	}
	return int64(size) + i + 1
}

// floatToInt is the integer that a float is, if it is one.
func floatToInt(f float64) (int64, bool) {
	if f >= -1<<63 && f < 1<<63 && f == math.Trunc(f) {
		return int64(f), true
	}
	return 0, false
}

// large is from how many bytes on an engine is asked before they are made; it counts what it is given by itself.
const large = 64 << 10

func (c call) alloc(bytes int) {
	if bytes >= large {
		c.Alloc(bytes)
	}
}
