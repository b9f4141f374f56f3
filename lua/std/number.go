package std

import (
	"math"
	"strconv"
	"strings"
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
	s = strings.Trim(s, " \t\n\v\f\r")
	digits, negative := s, false
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		digits, negative = digits[1:], digits[0] == '-'
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		return parseHex(s, digits[2:], negative)
	}
	if i, ok := parseDecimal(digits, negative); ok {
		return Number{I: i, IsInt: true}, true
	}
	for i := range len(digits) { // the rest is what strconv takes and C does not: names, other signs, underscores
		switch c := digits[i]; {
		case c >= '0' && c <= '9', c == '.', c|0x20 == 'e':
		case (c == '+' || c == '-') && i > 0:
		default:
			return Number{}, false
		}
	}
	return parseFloat(s)
}

func parseFloat(s string) (Number, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return Number{F: f}, err == nil || math.IsInf(f, 0)
}

func parseDecimal(digits string, negative bool) (int64, bool) {
	if digits == "" {
		return 0, false
	}
	var n uint64
	for i := range len(digits) {
		d := uint64(digits[i] - '0')
		if d > 9 || n > math.MaxInt64/10 {
			return 0, false
		}
		n = n*10 + d
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

func parseHex(s, digits string, negative bool) (Number, bool) {
	if digits == "" {
		return Number{}, false
	}
	var n uint64
	for i := range len(digits) {
		d, ok := hexDigit(digits[i])
		if ok {
			n = n<<4 | uint64(d)
			continue
		}
		if c := digits[i]; c != '.' && c|0x20 != 'p' || strings.ContainsRune(digits, '_') {
			return Number{}, false
		}
		if !strings.ContainsAny(digits, "pP") {
			s += "p0"
		}
		return parseFloat(s)
	}
	if negative {
		n = -n
	}
	return Number{I: int64(n), IsInt: true}, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
