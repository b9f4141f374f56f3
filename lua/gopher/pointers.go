package gopher

import "unsafe"

// pointers is a set of them. It is asked for each value of a VM, where a map would take most of the time.
type pointers struct {
	slots []unsafe.Pointer // a power of two of them, at most three quarters in use
	n     int
}

func newPointers(n int) pointers {
	size := 256
	for size*3 < n*4 {
		size *= 2
	}
	return pointers{slots: make([]unsafe.Pointer, size)}
}

// add adds a pointer that is not nil, and is false if it is there already.
func (s *pointers) add(p unsafe.Pointer) bool {
	mask := uint64(len(s.slots) - 1)
	for i := spread(p); ; i++ {
		switch s.slots[i&mask] {
		case nil:
			s.slots[i&mask] = p
			if s.n++; s.n*4 > len(s.slots)*3 {
				s.grow()
			}
			return true
		case p:
			return false
		}
	}
}

func (s *pointers) grow() {
	old := s.slots
	s.slots = make([]unsafe.Pointer, 2*len(old))
	mask := uint64(len(s.slots) - 1)
	for _, p := range old {
		if p == nil {
			continue
		}
		i := spread(p)
		for s.slots[i&mask] != nil {
			i++
		}
		s.slots[i&mask] = p
	}
}

// spread makes an index of an address, whose low bits say little. Objects do not move.
func spread(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) * 0x9E3779B97F4A7C15 >> 32 }
