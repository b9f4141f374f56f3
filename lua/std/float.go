package std

import (
	"math"
	"strconv"
)

// float writes a float as C's printf does.
func (sp *spec) float(b *buffer, f float64) {
	capital := sp.verb < 'a'
	sign := sp.sign(math.Signbit(f))
	var scratch [512]byte
	digits := scratch[:0]
	f = math.Abs(f)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		sp.number(b, sign, appendSpecial(digits, f, capital), false)
		return
	}
	precision := sp.precision
	if precision < 0 && sp.verb|0x20 != 'a' {
		precision = 6
	}
	switch sp.verb | 0x20 {
	case 'f':
		digits = strconv.AppendFloat(digits, f, 'f', precision, 64)
		if sp.sharp && precision == 0 {
			digits = append(digits, '.')
		}
	case 'e':
		digits = strconv.AppendFloat(digits, f, 'e', precision, 64)
		if sp.sharp && precision == 0 {
			digits = append(append(digits[:1:1], '.'), digits[1:]...)
		}
	case 'g':
		digits = sp.general(digits, f, max(precision, 1))
	default:
		digits = appendHex(digits, f, precision, sp.sharp)
		sign += "0x"
		if capital {
			sign = sign[:len(sign)-1] + "X"
		}
	}
	if capital {
		upper(digits)
	}
	sp.number(b, sign, digits, sp.zero)
}

// general is %g: %e or %f, whichever fits the exponent, without zeros at its end unless there is a #.
func (sp *spec) general(b []byte, f float64, precision int) []byte {
	if !sp.sharp {
		return strconv.AppendFloat(b, f, 'g', precision, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', precision-1, 64)
	at := len(b) - 1
	for b[at] != 'e' {
		at--
	}
	exponent, _ := strconv.Atoi(string(b[at+1:])) // strconv's own digits
	if exponent < -4 || exponent >= precision {
		if precision == 1 {
			b = append(append(b[:1:1], '.'), b[1:]...)
		}
		return b
	}
	b = strconv.AppendFloat(b[:0], f, 'f', precision-1-exponent, 64)
	if precision-1 == exponent {
		b = append(b, '.')
	}
	return b
}

// appendHex is %a of a float that is not negative, without its 0x, as glibc has it: a leading 1 if the number is normal, else 0.
func appendHex(b []byte, f float64, precision int, point bool) []byte {
	const fraction, digits, bias = 52, 13, 1023
	raw := math.Float64bits(f)
	exponent, mantissa := int(raw>>fraction), raw&(1<<fraction-1)
	switch {
	case exponent > 0:
		mantissa |= 1 << fraction
		exponent -= bias
	case mantissa > 0:
		exponent = 1 - bias
	}
	shown := precision
	if precision >= 0 && precision < digits {
		mantissa = roundHex(mantissa, 4*(digits-precision))
	}
	b = append(b, '0'+byte(mantissa>>fraction))
	if precision < 0 {
		for shown = digits; shown > 0 && mantissa>>(4*(digits-shown))&15 == 0; shown-- {
		}
	}
	if shown > 0 || point {
		b = append(b, '.')
	}
	for i := 1; i <= shown; i++ {
		d := byte(0)
		if i <= digits {
			d = byte(mantissa >> (4 * (digits - i)) & 15)
		}
		b = append(b, "0123456789abcdef"[d])
	}
	b = append(b, 'p')
	if exponent >= 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, int64(exponent), 10)
}

// roundHex rounds the lowest bits off, to the nearest, of two to the even one.
func roundHex(mantissa uint64, bits int) uint64 {
	half, rest := uint64(1)<<(bits-1), mantissa&(1<<bits-1)
	mantissa -= rest
	if rest > half || rest == half && mantissa>>bits&1 == 1 {
		mantissa += 1 << bits
	}
	return mantissa
}
