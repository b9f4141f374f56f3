package socket

// Rope is what sockets keep bytes in, for tests.
type Rope struct{ r rope }

// NewRope makes an empty Rope.
func NewRope() *Rope { return &Rope{rope{pool: &chunks{}}} }

// Write appends a copy.
func (r *Rope) Write(p string) { r.r.write([]byte(p)) }

// WriteString appends a copy.
func (r *Rope) WriteString(p string) { r.r.writeString(p) }

// Give appends a piece as the reader of a connection does.
func (r *Rope) Give(p string, class int) {
	c := r.r.pool.get(class)
	c.w = copy(c.buf, p)
	if !r.r.give(c) {
		r.r.pool.put(c)
	}
}

// Index is the end of the first separator.
func (r *Rope) Index(sep string) int { return r.r.index(sep) }

// Take takes out n bytes, and gives them without the last skip.
func (r *Rope) Take(n, skip int) string { return r.r.take(n, skip) }

// Len is the number of bytes, as it is counted and as it is.
func (r *Rope) Len() (counted, there int) {
	for c := r.r.head; c != nil; c = c.next {
		there += c.w - c.r
	}
	return r.r.size, there
}

// Memory is the size of its chunks.
func (r *Rope) Memory() int {
	n := 0
	for c := r.r.head; c != nil; c = c.next {
		n += len(c.buf)
	}
	return n
}
