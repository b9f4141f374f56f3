package walk

import (
	"fmt"
	"strconv"

	"github.com/skua-go/skua/lua/vm"
)

// maxExact is the largest whole number up to which floats hold all of them.
const maxExact = 1 << 53

// Numbers puts whole numbers into a VM and takes them out. None is ever rounded: what the engine's numbers can't hold is an error, or a string for
// those who ask for that.
type Numbers struct {
	exact  bool
	AsText bool // push what the engine can't hold as a string of digits
}

// NumbersOf tells what the numbers of an engine hold: 64-bit integers, or floats only. An engine that has been told to give scripts strings of digits for what
// it can't hold says so with a method TextIntegers.
func NumbersOf(s vm.State) Numbers {
	n := Numbers{exact: s.Exact()}
	if e, ok := s.(interface{ TextIntegers() bool }); ok {
		n.AsText = e.TextIntegers()
	}
	return n
}

// Whole is the number at index i if a format should write it as an integer: one of the integer subtype, or, on an engine that has floats only, one without
// a fraction that is not beyond 2^53.
func (n *Numbers) Whole(s vm.State, i int) (int64, bool) {
	if n.exact {
		if !s.IsInt(i) {
			return 0, false
		}
		return s.Int(i)
	}
	v, ok := s.Int(i)
	return v, ok && v >= -maxExact && v <= maxExact
}

// Push pushes an integer.
func (n *Numbers) Push(s vm.State, v int64) error {
	if n.exact || v >= -maxExact && v <= maxExact {
		s.PushInt(v)
		return nil
	}
	return n.beyond(s, strconv.FormatInt(v, 10))
}

// PushUint pushes an integer that may be beyond int64.
func (n *Numbers) PushUint(s vm.State, v uint64) error {
	if v < 1<<63 {
		return n.Push(s, int64(v))
	}
	return n.beyond(s, strconv.FormatUint(v, 10))
}

// PushBits pushes an unsigned integer of a format whose readers know that it is one. On engines with 64-bit integers it has the same bits as a signed one, as
// in Lua's own library (see math.ult).
func (n *Numbers) PushBits(s vm.State, v uint64) error {
	if n.exact && !n.AsText {
		s.PushInt(int64(v))
		return nil
	}
	return n.PushUint(s, v)
}

// PushDigits pushes the integer that a text of digits says, of any size. One beyond 64 bits becomes a float, as in Lua's own source, on engines that
// have integers, and otherwise what any integer becomes that the engine can't hold.
func (n *Numbers) PushDigits(s vm.State, digits string) error {
	if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n.Push(s, v)
	}
	if !n.exact || n.AsText {
		return n.beyond(s, digits)
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return fmt.Errorf("the number %.40s is out of range", digits)
	}
	s.PushFloat(f)
	return nil
}

func (n *Numbers) beyond(s vm.State, digits string) error {
	if n.AsText {
		s.PushString(digits)
		return nil
	}
	most := "2^53"
	if n.exact {
		most = "2^63"
	}
	return fmt.Errorf("the integer %.40s is beyond %s: this engine's numbers can't hold it", digits, most)
}
