package names

import (
	"math"
	"math/rand/v2"
)

// Pick tells which one of several is meant.
type Pick struct {
	how pickHow
	key string
}

type pickHow uint8

const (
	inTurn pickHow = iota
	byLoad
	byKey
)

// RoundRobin takes those that have the name in turn, as far as this node has asked. Weights don't count. It is the zero Pick.
func RoundRobin() Pick { return Pick{} }

// LeastLoaded takes two at random and of these the one whose node has told of the lower load of its cores for its weight: good enough, and not all nodes choose the same one until the next news.
func LeastLoaded() Pick { return Pick{how: byLoad} }

// ByKey takes the same one for the same key, on all nodes, as long as it is there; when one comes or goes, only the keys that it gets or had move (weighted rendezvous hashing: Schindelhauer and
// Schomaker 2005). An actor that takes the place of a former one on the node of that name gets the same keys.
func ByKey(key string) Pick { return Pick{how: byKey, key: key} }

// pick is the index of the one that is meant. all is not empty.
func (p Pick) pick(x *Names, name string, all []Instance) int {
	switch p.how {
	case byLoad:
		return least(all)
	case byKey:
		best, most := 0, math.Inf(-1)
		for i := range all {
			if s := score(p.key, &all[i]); s > most {
				best, most = i, s
			}
		}
		return best
	default:
		return int(x.turn(name) % uint64(len(all)))
	}
}

// turn counts how often a name was asked for.
func (x *Names) turn(name string) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.byName[name]
	if g == nil { // it has just gone
		return 0
	}
	g.turn++
	return g.turn - 1
}

func least(all []Instance) int {
	if len(all) == 1 {
		return 0
	}
	a := rand.IntN(len(all))
	b := rand.IntN(len(all) - 1)
	if b >= a {
		b++
	}
	if (all[b].load+idle)/all[b].Weight < (all[a].load+idle)/all[a].Weight {
		return b
	}
	return a
}

// idle is added to each load, so that weights count among idle nodes, too.
const idle = 0.02

// score is how much an instance wants a key.
func score(key string, in *Instance) float64 {
	h := fnv1a(fnvOffset, key)
	h = fnv1a((h^0xff)*fnvPrime, in.Node)
	h = mix(h + uint64(in.ordinal)*0x9e3779b97f4a7c15)
	unit := (float64(h>>11) + 0.5) / (1 << 53) // in (0, 1)
	return -in.Weight / math.Log(unit)
}

// All nodes must have the same hashes, so it is none of the runtime's.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func fnv1a(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix spreads the bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
