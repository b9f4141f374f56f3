package std

import (
	"math"
	"strconv"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// Float is a float as tostring and `..` show it in Lua 5.4: 14 digits at most, and ".0" if it looks like an integer.
func Float(f float64) string {
	var scratch [32]byte
	return string(AppendFloat(scratch[:0], f))
}

// AppendFloat appends what Float gives.
func AppendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return appendSpecial(b, f, false)
	case f == math.Trunc(f) && math.Abs(f) < 1e14:
		if f == 0 && math.Signbit(f) {
			return append(b, "-0.0"...)
		}
		return append(strconv.AppendInt(b, int64(f), 10), ".0"...)
	}
	from := len(b)
	b = strconv.AppendFloat(b, f, 'g', 14, 64)
	for _, c := range b[from:] {
		if c != '-' && (c < '0' || c > '9') {
			return b
		}
	}
	return append(b, ".0"...)
}

// appendSpecial appends what is no number, or infinite, as C does.
func appendSpecial(b []byte, f float64, upper bool) []byte {
	text := "nan"
	if math.IsInf(f, 0) {
		text = "inf"
	}
	if math.Signbit(f) {
		b = append(b, '-')
	}
	if upper {
		text = strings.ToUpper(text)
	}
	return append(b, text...)
}

// Number is a number of Lua.
type Number struct {
	F     float64
	I     int64
	IsInt bool // I holds it, else F
}

// Float64 is the number as a float.
func (n Number) Float64() float64 {
	if n.IsInt {
		return float64(n.I)
	}
	return n.F
}

// Int64 is the number as an integer, if it is whole and fits.
func (n Number) Int64() (int64, bool) {
	if n.IsInt {
		return n.I, true
	}
	return floatToInt(n.F)
}

// ParseNumber reads what tonumber takes without a base: an integer or a float, decimal or hexadecimal, with space around. As in Lua, a decimal integer of more
// than 64 bits is a float, and of a hexadecimal one the lowest 64 bits are kept.
func ParseNumber(s string) (Number, bool) {
	i, f, isInt, ok := syntax.Number(s)
	return Number{F: f, I: i, IsInt: isInt}, ok
}
