package std

import (
	"math"

	"github.com/skua-go/skua/lua/vm"
)

// ofFloat is a function of one float.
func ofFloat(f func(float64) float64) func(call) int {
	return func(c call) int {
		c.PushFloat(f(c.num(1)))
		return 1
	}
}

// pushWhole pushes a float that is whole as an integer, if it fits.
func (c call) pushWhole(f float64) {
	if n, ok := floatToInt(f); ok && (c.Exact() || n >= -maxExact && n <= maxExact) {
		c.PushInt(n)
		return
	}
	c.PushFloat(f)
}

func mathFloor(c call) int { return c.whole(math.Floor) }
func mathCeil(c call) int  { return c.whole(math.Ceil) }

func (c call) whole(round func(float64) float64) int {
	if c.IsInt(1) {
		c.SetTop(1)
		return 1
	}
	c.pushWhole(round(c.num(1)))
	return 1
}

func mathAbs(c call) int {
	if n, ok := c.Int(1); ok && c.IsInt(1) {
		if n < 0 {
			n = -n
		}
		c.PushInt(n)
		return 1
	}
	c.PushFloat(math.Abs(c.num(1)))
	return 1
}

func mathMax(c call) int { return c.best(func(i, best int) bool { return c.Less(best, i) }) }
func mathMin(c call) int { return c.best(c.Less) }

// best pushes the argument that no other is better than, as it is. What is compared can be anything that has an order.
func (c call) best(better func(i, best int) bool) int {
	n := c.Top()
	c.any(1)
	c.Spend(n / 4)
	best := 1
	for i := 2; i <= n; i++ {
		if better(i, best) {
			best = i
		}
	}
	c.Copy(best)
	return 1
}

func mathFmod(c call) int {
	a, okA := c.Int(1)
	b, okB := c.Int(2)
	if !okA || !okB || !c.IsInt(1) || !c.IsInt(2) || !c.Exact() {
		divisor := c.num(2) // is looked at first, as in the reference implementation
		c.PushFloat(fmod(c.num(1), divisor))
		return 1
	}
	switch b {
	case 0:
		c.bad(2, "zero")
	case -1: // the smallest integer has no quotient
		c.PushInt(0)
	default:
		c.PushInt(a % b)
	}
	return 1
}

// fmod is math.Mod with C's sign of what is no number on x86-64.
func fmod(a, b float64) float64 {
	f := math.Mod(a, b)
	if math.IsNaN(f) && !math.IsNaN(a) && !math.IsNaN(b) {
		return math.Copysign(f, -1)
	}
	return f
}

func mathModf(c call) int {
	if c.IsInt(1) {
		c.SetTop(1)
		c.PushFloat(0)
		return 2
	}
	f := c.num(1)
	whole := math.Trunc(f)
	c.pushWhole(whole)
	if f == whole {
		c.PushFloat(0)
	} else {
		c.PushFloat(f - whole)
	}
	return 2
}

func mathLog(c call) int {
	x := c.num(1)
	if c.isNone(2) {
		c.PushFloat(naturalLog(x))
		return 1
	}
	switch base := c.num(2); base {
	case 2:
		c.PushFloat(math.Log2(x))
	case 10:
		c.PushFloat(log10(x))
	default:
		c.PushFloat(naturalLog(x) / naturalLog(base))
	}
	return 1
}

// naturalLog is math.Log, which on amd64 takes the smallest floats for larger ones.
func naturalLog(x float64) float64 {
	const smallest, bits = 0x1p-1022, 54
	if x > 0 && x < smallest {
		return math.Log(x*(1<<bits)) - bits*math.Ln2
	}
	return math.Log(x)
}

// log10 is math.Log10, exact for powers of 10.
func log10(x float64) float64 {
	f := math.Log10(x)
	if n := math.Round(f); f != n && math.Abs(f-n) < 1e-9 && math.Pow10(int(n)) == x {
		return n
	}
	return f
}

func mathAtan(c call) int {
	y, x := c.num(1), 1.0
	if !c.isNone(2) {
		x = c.num(2)
	}
	c.PushFloat(math.Atan2(y, x))
	return 1
}

func mathToInteger(c call) int {
	c.any(1)
	n, ok := c.Int(1)
	if !ok {
		if s, isText := c.String(1); isText {
			if v, isNumber := ParseNumber(s); isNumber {
				n, ok = v.Int64()
				ok = ok && (c.Exact() || n >= -maxExact && n <= maxExact)
			}
		}
	}
	if ok {
		c.PushInt(n)
	} else {
		c.PushNil()
	}
	return 1
}

func mathType(c call) int {
	c.any(1)
	switch {
	case c.Type(1) != vm.Number:
		c.PushNil()
	case c.IsInt(1):
		c.PushString("integer")
	default:
		c.PushString("float")
	}
	return 1
}

func mathUlt(c call) int {
	c.PushBool(uint64(c.integer(1)) < uint64(c.integer(2)))
	return 1
}
