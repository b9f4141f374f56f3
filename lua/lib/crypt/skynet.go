package crypt

import (
	"crypto/md5" //nolint:gosec // what clients of Skynet compute
	"encoding/binary"
	"math"
	"math/bits"
)

// What follows is bit-equal to what clients of Skynet compute in their handshake. None of it is cryptography by today's measure.

// word64 is 8 bytes as Skynet's functions take and return them: a little-endian number.
type word64 = [8]byte

// hashKey makes a key of a text: the DJB hash and the JS hash of it, 32 bits each.
func hashKey(text string) word64 {
	djb, js := uint32(5381), uint32(1315423911)
	for i := range len(text) {
		c := uint32(text[i])
		djb += djb<<5 + c
		js ^= js<<5 + c + js>>2
	}
	var key word64
	binary.LittleEndian.PutUint32(key[:], djb)
	binary.LittleEndian.PutUint32(key[4:], js)
	return key
}

const (
	prime     = math.MaxUint64 - 58 // the largest prime of 64 bits
	generator = 5
)

// power is base to the power of exp, modulo prime. exp is not 0.
func power(base, exp uint64) uint64 {
	base %= prime
	out := uint64(1)
	for ; exp > 0; exp >>= 1 {
		if exp&1 == 1 {
			out = multiply(out, base)
		}
		base = multiply(base, base)
	}
	return out
}

func multiply(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return bits.Rem64(hi, lo, prime)
}

// md5State is MD5's state at its beginning (RFC 1321, 3.3).
func md5State() [4]uint32 { return [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476} }

// md5Rounds are the four rounds of RFC 1321, 3.4, over one block, without the addition of the former state at their end.
func md5Rounds(block *[16]uint32) [4]uint32 {
	shifts := [4][4]int{{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}
	st := md5State()
	a, b, c, d := st[0], st[1], st[2], st[3]
	for i := range 64 {
		var f uint32
		var k int
		switch i / 16 {
		case 0:
			f, k = b&c|^b&d, i
		case 1:
			f, k = b&d|c&^d, 5*i+1
		case 2:
			f, k = b^c^d, 3*i+5
		default:
			f, k = c^(b|^d), 7*i
		}
		t := uint32(math.Abs(math.Sin(float64(i+1))) * (1 << 32))
		a, b, c, d = d, b+bits.RotateLeft32(a+f+block[k%16]+t, shifts[i/16][i%4]), b, c
	}
	return [4]uint32{a, b, c, d}
}

// hmac64 is MD5 without padding, length and final addition over four times x and y, folded to 64 bits.
func hmac64(x, y word64) word64 {
	x0, x1 := binary.LittleEndian.Uint32(x[:]), binary.LittleEndian.Uint32(x[4:])
	y0, y1 := binary.LittleEndian.Uint32(y[:]), binary.LittleEndian.Uint32(y[4:])
	r := md5Rounds(&[16]uint32{x1, x0, y1, y0, x1, x0, y1, y0, x1, x0, y1, y0, x1, x0, y1, y0})
	var out word64
	binary.LittleEndian.PutUint32(out[:], r[2]^r[3])
	binary.LittleEndian.PutUint32(out[4:], r[0]^r[1])
	return out
}

// hmac64MD5 is the MD5 of three times x and y, its halves put together by XOR.
func hmac64MD5(x, y word64) word64 {
	text := make([]byte, 0, 48)
	for range 3 {
		text = append(append(text, x[:]...), y[:]...)
	}
	sum := md5.Sum(text) //nolint:gosec // what clients of Skynet compute
	var out word64
	for i := range out {
		out[i] = sum[i] ^ sum[i+8]
	}
	return out
}
