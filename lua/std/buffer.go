package std

import (
	"slices"
	"sync"
)

// buffer is where a result grows. It refuses to grow beyond maxString before it takes the memory.
type buffer struct {
	c    call
	b    []byte
	from *[]byte
}

var buffers = sync.Pool{New: func() any { //nolint:gochecknoglobals // memory that nobody needs at the moment
	b := make([]byte, 0, 1<<10)
	return &b
}}

func (c call) buffer() buffer {
	from := buffers.Get().(*[]byte) //nolint:forcetypeassert // New makes nothing else
	return buffer{c, (*from)[:0], from}
}

// fits raises an error if there is no room for n more bytes.
func (b *buffer) fits(n int) {
	if n > maxString-len(b.b) {
		b.c.Errorf("resulting string too large")
	}
	if n > cap(b.b)-len(b.b) {
		grow := max(n, len(b.b))
		b.c.alloc(grow)
		b.b = slices.Grow(b.b, grow)
	}
}

func (b *buffer) add(s string) {
	b.fits(len(s))
	b.b = append(b.b, s...)
}

func (b *buffer) addByte(c byte) {
	b.fits(1)
	b.b = append(b.b, c)
}

// pad adds n times the same byte.
func (b *buffer) pad(c byte, n int) {
	if n <= 0 {
		return
	}
	b.fits(n)
	for range n {
		b.b = append(b.b, c)
	}
}

// push pushes what has been added, and gives the memory back. After an error the garbage collector gets it.
func (b *buffer) push() {
	b.c.spendBytes(len(b.b))
	text := string(b.b)
	if cap(b.b) <= large {
		*b.from = b.b
		buffers.Put(b.from)
	}
	b.c.PushString(text)
}
