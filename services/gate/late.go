package gate

// slot is what pushes of class latest replace each other by.
type slot struct{ route, key string }

// late keeps the newest push of each slot while a connection is behind or away, in the order in which the slots were taken.
type late struct {
	frames []lateFrame
	gone   int // how many have been taken out at the front, ever
	index  map[slot]int
}

type lateFrame struct {
	slot  slot
	frame []byte
}

// put keeps a frame in place of an older one of its slot, and tells whether there was one; else, when limit slots are taken, it drops the oldest.
func (l *late) put(s slot, frame []byte, limit int) (replaced, dropped bool) {
	if at, ok := l.index[s]; ok {
		l.frames[at-l.gone].frame = frame
		return true, false
	}
	if len(l.frames) >= limit {
		l.take()
		dropped = true
	}
	if l.index == nil {
		l.index = make(map[slot]int)
	}
	l.index[s] = l.gone + len(l.frames)
	l.frames = append(l.frames, lateFrame{s, frame})
	return false, dropped
}

// take takes the oldest frame out; there must be one.
func (l *late) take() []byte {
	f := l.frames[0]
	delete(l.index, f.slot)
	l.frames[0] = lateFrame{}
	l.frames = l.frames[1:]
	l.gone++
	return f.frame
}
