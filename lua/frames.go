package lua

import (
	"strconv"
	"strings"
)

// Frame is a function of a stack, and where it is.
type Frame struct {
	Function string // its name, or where it begins (shop.lua:12) if it has none
	File     string // empty for a function of Go
	Line     int
}

// Frames are those of the stack, the innermost first, without what the host runs handlers with.
func (s *Sample) Frames() []Frame {
	var frames []Frame
	for line := range strings.SplitSeq(s.Stack, "\n") {
		where, what, ok := strings.Cut(strings.TrimSpace(line), ": in ")
		if !ok {
			continue // the title, or levels that are left out
		}
		f := Frame{Function: functionOf(what)}
		if i := strings.LastIndexByte(where, ':'); i > 0 {
			if n, err := strconv.Atoi(where[i+1:]); err == nil {
				where, f.Line = where[:i], n
			}
		}
		if !strings.HasPrefix(where, "[") {
			f.File = where
		}
		if where != hostChunk && !strings.HasPrefix(f.Function, hostChunk) {
			frames = append(frames, f)
		}
	}
	return frames
}

// functionOf is the name in what a traceback says: function 'f', method 'f', function <file:12>, main chunk.
func functionOf(what string) string {
	if _, name, ok := strings.Cut(what, "'"); ok {
		return strings.TrimSuffix(name, "'")
	}
	if _, at, ok := strings.Cut(what, "<"); ok {
		return strings.TrimSuffix(at, ">")
	}
	return what
}
