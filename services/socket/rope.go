package socket

import (
	"bytes"
	"strings"
	"sync"
)

// chunk is a piece of a rope: buf[r:w] is its content.
type chunk struct {
	next *chunk
	buf  []byte
	r, w int
	size int // its class
}

func (c *chunk) bytes() []byte { return c.buf[c.r:c.w] }

// Chunks have 1, 4, 16 or 64 KiB: these are their classes. The smallest is what an idle connection holds.
const numClasses = 4

func classSize(class int) int { return 1 << 10 << (2 * class) }

// chunks keeps what ropes have done with.
type chunks struct {
	pools [numClasses]sync.Pool
}

// get gives an empty chunk of a class.
func (p *chunks) get(class int) *chunk {
	if c, ok := p.pools[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{buf: make([]byte, classSize(class)), size: class}
}

func (p *chunks) put(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	p.pools[c.size].Put(c)
}

// classFor is the smallest class that holds n bytes, or the largest.
func classFor(n int) int {
	class := 0
	for class < numClasses-1 && n > classSize(class) {
		class++
	}
	return class
}

// rope is a queue of bytes in chunks. Putting in and taking out copy each byte once, and looking for a separator sees each byte once, however often it is
// asked for while more comes.
type rope struct {
	pool       *chunks
	head, tail *chunk
	size       int
	search     search
}

// write appends a copy of p.
func (r *rope) write(p []byte) {
	for len(p) > 0 {
		if r.tail == nil || r.tail.w == len(r.tail.buf) {
			r.link(r.pool.get(classFor(max(len(p), r.size))))
		}
		n := copy(r.tail.buf[r.tail.w:], p)
		r.tail.w += n
		r.size += n
		p = p[n:]
	}
}

// writeString is write.
func (r *rope) writeString(p string) {
	for p != "" {
		if r.tail == nil || r.tail.w == len(r.tail.buf) {
			r.link(r.pool.get(classFor(max(len(p), r.size))))
		}
		n := copy(r.tail.buf[r.tail.w:], p)
		r.tail.w += n
		r.size += n
		p = p[n:]
	}
}

func (r *rope) link(c *chunk) {
	if r.tail == nil {
		r.head = c
	} else {
		r.tail.next = c
	}
	r.tail = c
}

// give appends a chunk, and tells whether it keeps it: a little content is copied, so that a rope of many small pieces takes little more than their bytes.
func (r *rope) give(c *chunk) (kept bool) {
	n := c.w - c.r
	if n < len(c.buf)/2 || r.tail != nil && n <= len(r.tail.buf)-r.tail.w {
		r.write(c.bytes())
		return false
	}
	r.link(c)
	r.size += n
	return true
}

// drop takes the first chunk out.
func (r *rope) drop() *chunk {
	c := r.head
	r.head = c.next
	if r.head == nil {
		r.tail = nil
	}
	r.size -= c.w - c.r
	c.next = nil
	return c
}

// take takes n bytes out, which there must be, and gives them without the last skip ones.
func (r *rope) take(n, skip int) string {
	r.search.restart()
	var b strings.Builder
	b.Grow(n - skip)
	for keep := n - skip; n > 0; {
		c := r.head
		part := c.bytes()[:min(n, c.w-c.r)]
		b.Write(part[:min(len(part), keep)])
		keep -= min(len(part), keep)
		n -= len(part)
		if len(part) == c.w-c.r {
			r.pool.put(r.drop())
			continue
		}
		c.r += len(part)
		r.size -= len(part)
	}
	return b.String()
}

func (r *rope) takeAll() string { return r.take(r.size, 0) }

func (r *rope) clear() {
	r.search.restart()
	for r.head != nil {
		r.pool.put(r.drop())
	}
}

// search is how far a rope has been looked through for a separator (Knuth, Morris, Pratt: no byte twice, whatever the separator).
type search struct {
	sep  string
	fail []int // for each length of a matched start of sep: the longest proper start of it that is also its end
	at   *chunk
	pos  int // in at.buf: what to look at next
	seen int // bytes from the rope's begin to there
	have int // of sep, matched so far
	hit  int // the end of the match, 0 for none yet
}

func (f *search) restart() { f.at, f.pos, f.seen, f.have, f.hit = nil, 0, 0, 0, 0 }

func (f *search) prepare(sep string) {
	f.sep, f.fail = sep, make([]int, len(sep))
	f.restart()
	for i, k := 1, 0; i < len(sep); i++ {
		for k > 0 && sep[i] != sep[k] {
			k = f.fail[k-1]
		}
		if sep[i] == sep[k] {
			k++
		}
		f.fail[i] = k
	}
}

// index gives how many bytes there are up to the end of the first sep, which is not empty; 0 if it is not there.
func (r *rope) index(sep string) int {
	f := &r.search
	if f.sep != sep {
		f.prepare(sep)
	}
	if f.hit > 0 || r.head == nil {
		return f.hit
	}
	if f.at == nil {
		f.at, f.pos = r.head, r.head.r
	}
	for {
		if f.scan() {
			return f.hit
		}
		if f.at.next == nil {
			return 0
		}
		f.at = f.at.next
		f.pos = f.at.r
	}
}

// scan looks through the rest of one chunk.
func (f *search) scan() bool {
	for buf := f.at.buf[:f.at.w]; f.pos < len(buf); {
		if f.have == 0 { // most bytes begin no match: skip them at the speed of memory
			n := indexByte(buf[f.pos:], f.sep[0])
			f.pos += n
			f.seen += n
			if f.pos == len(buf) {
				return false
			}
		}
		b := buf[f.pos]
		for f.have > 0 && b != f.sep[f.have] {
			f.have = f.fail[f.have-1]
		}
		if b == f.sep[f.have] {
			f.have++
		}
		f.pos++
		f.seen++
		if f.have == len(f.sep) {
			f.hit = f.seen
			return true
		}
	}
	return false
}

// indexByte is bytes.IndexByte that gives the length for none.
func indexByte(b []byte, c byte) int {
	if i := bytes.IndexByte(b, c); i >= 0 {
		return i
	}
	return len(b)
}
