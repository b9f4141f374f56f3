package gopher

// The list of the pieces of a call stack has to be as long as it may ever become: 1.6 KB a thread. Only a thread that runs needs that. While it waits its list is
// as long as it has pieces; the long ones are lent to whoever runs.

const (
	// pieceFrames is how many frames a piece of a call stack has: lua.FramesPerSegment.
	pieceFrames = 8
	// maxPieces is how many pieces the stack of a thread has at most; mainPieces how many that of the main thread has, in which no script runs.
	maxPieces, mainPieces = callDepth / pieceFrames, 32
)

// piece is lua.callFrameStackSegment.
type piece struct {
	array [pieceFrames]frame //nolint:unused // by the library only
}

// stack is lua.autoGrowingCallFrameStack.
type stack struct {
	segments []*piece
	segIdx   uint16 // of the piece in use
	segSp    uint8  // how many frames of it are in use
}

// pieceList is what is lent.
type pieceList [maxPieces]*piece

// depth is how many frames there are.
func (s *stack) depth() int { return int(s.segIdx)*pieceFrames + int(s.segSp) }

// cut leaves the first n frames.
func (s *stack) cut(n int) {
	last := max(n-1, 0) / pieceFrames
	for int(s.segIdx) > last {
		s.segments[s.segIdx] = nil
		s.segIdx--
	}
	s.segSp = uint8(n - last*pieceFrames)
}

// lend gives the thread a list in which its stack can grow.
func (t *thread) lend() {
	list := t.m.engine.pieces.Get().(*pieceList) //nolint:forcetypeassert // nothing else is in there
	copy(list[:], t.stack.segments)
	t.stack.segments = list[:]
}

// giveBack ends that: the thread does not run for a while.
func (t *thread) giveBack() {
	n := int(t.stack.segIdx) + 1
	list := (*pieceList)(t.stack.segments)
	if t.stack.segments = t.first; n > 1 {
		t.stack.segments = make([]*piece, n)
	}
	copy(t.stack.segments, list[:n])
	clear(list[:n])
	t.m.engine.pieces.Put(list)
}
