package std

import (
	"math/bits"
	"math/rand/v2"
)

// generator is xoshiro256** (Blackman and Vigna, https://prng.di.unimi.it/), which Lua 5.4 has, so that a seed gives the same numbers here and there. It seeds
// itself at random when it is first used.
type generator struct {
	state  [4]uint64
	seeded bool
}

func (g *generator) next() uint64 {
	s := &g.state
	result := bits.RotateLeft64(s[1]*5, 7) * 9
	t := s[1] << 17
	s[2] ^= s[0]
	s[3] ^= s[1]
	s[1] ^= s[2]
	s[0] ^= s[3]
	s[2] ^= t
	s[3] = bits.RotateLeft64(s[3], 45)
	return result
}

// seed starts the sequence of two numbers. The first results depend on them too little, and are left out.
func (g *generator) seed(a, b uint64) {
	const leftOut = 16
	g.state, g.seeded = [4]uint64{a, 0xff, b, 0}, true
	for range leftOut {
		g.next()
	}
}

// upTo makes of a random number one from 0 to n: of as many bits as n, of which those that are too large are drawn again.
func (g *generator) upTo(random, n uint64) uint64 {
	mask := ^uint64(0) >> bits.LeadingZeros64(n)
	if n == 0 {
		mask = 0
	}
	for random &= mask; random > n; random = g.next() & mask {
	}
	return random
}

func (g *generator) random(c call) int {
	if !g.seeded {
		g.seed(rand.Uint64(), rand.Uint64())
	}
	random := g.next()
	var low, high int64
	switch c.Top() {
	case 0:
		c.PushFloat(float64(random>>11) * 0x1p-53)
		return 1
	case 1:
		if low, high = 1, c.integer(1); high == 0 { // all bits
			if !c.Exact() {
				random >>= 11
			}
			c.PushInt(int64(random))
			return 1
		}
	case 2:
		low, high = c.integer(1), c.integer(2)
	default:
		c.Errorf("wrong number of arguments")
	}
	if low > high {
		c.bad(1, "interval is empty")
	}
	c.PushInt(low + int64(g.upTo(random, uint64(high)-uint64(low))))
	return 1
}

func (g *generator) randomSeed(c call) int {
	var a, b int64
	if c.Top() == 0 {
		a, b = rand.Int64(), rand.Int64()
		if !c.Exact() {
			a, b = a&(maxExact-1), b&(maxExact-1)
		}
	} else {
		a, b = c.integer(1), c.optInt(2, 0)
	}
	g.seed(uint64(a), uint64(b))
	c.PushInt(a)
	c.PushInt(b)
	return 2
}
