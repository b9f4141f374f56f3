package media

// State is what viewers may want to know of a stream beside its frames.
type State struct {
	// Live: there is a publisher.
	Live bool
	// Muted are the kinds of tracks that are left out of what it publishes, by Kind.
	Muted [3]bool
}

// State is that of now. Viewers that wait are woken when it changes, as for a frame; Wake tells nothing of a change before it.
func (s *Stream) State() State { return stateOf(s.state.Load()) }

// A state is a bit for live, and one for each kind.
const liveBit uint32 = 1

func stateOf(bits uint32) State {
	var st State
	st.Live = bits&liveBit != 0
	for kind := range st.Muted {
		st.Muted[kind] = kind > 0 && bits&(liveBit<<kind) != 0
	}
	return st
}

// tellState has the viewers look. Called with s.mu.
func (s *Stream) tellState() {
	var bits uint32
	if p := s.publisher; p != nil {
		bits = liveBit
		for kind, on := range p.muted {
			if on {
				bits |= liveBit << kind
			}
		}
	}
	if s.state.Swap(bits) == bits {
		return
	}
	for _, v := range s.viewers {
		v.rouse()
	}
}

// Number is one that the stream keeps for those who have to tell streams apart in a protocol: the one that next gives to who asks first.
func (s *Stream) Number(next func() uint32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == 0 {
		s.number = next()
	}
	return s.number
}

// AtMute has f called when what the publisher writes of a kind is left out, or no longer, on a goroutine that must not be kept; and at once for what is already.
func (p *Publisher) AtMute(f func(kind Kind, on bool)) {
	p.s.mu.Lock()
	p.atMute = f
	muted := p.muted
	p.s.mu.Unlock()
	for kind, on := range muted {
		if on {
			f(Kind(kind), on)
		}
	}
}
