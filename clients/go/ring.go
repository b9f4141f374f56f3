package client

// ring keeps the data packages that the server has not acknowledged, oldest first, so that they can be sent again as they are.
type ring struct {
	acked uint64 // number of the last package that the server has
	buf   []byte // the packages, one behind the other, from head on
	head  int
	sizes []uint32 // of each, from first on
	first int
}

// keptRing is the capacity that an empty ring keeps.
const keptRing = 1 << 10

func (r *ring) packages() int { return len(r.sizes) - r.first }
func (r *ring) bytes() []byte { return r.buf[r.head:] }

// sent is the number of the last package put in.
func (r *ring) sent() uint64 { return r.acked + uint64(r.packages()) }

// put appends what encode appends to its argument, as the package with the next number, and returns it.
func (r *ring) put(encode func(dst []byte) ([]byte, error)) ([]byte, error) {
	if r.head > len(r.buf)/2 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.head:])]
		r.head = 0
	}
	if r.first > len(r.sizes)/2 {
		r.sizes = r.sizes[:copy(r.sizes, r.sizes[r.first:])]
		r.first = 0
	}
	at := len(r.buf)
	out, err := encode(r.buf)
	if err != nil {
		return nil, err
	}
	r.buf = out
	r.sizes = append(r.sizes, uint32(len(out)-at))
	return out[at:], nil
}

// ack forgets the packages up to number n; false: n was never sent. One that goes back is ignored.
func (r *ring) ack(n uint64) bool {
	if n > r.sent() {
		return false
	}
	for ; r.acked < n; r.acked++ {
		r.head += int(r.sizes[r.first])
		r.first++
	}
	if r.packages() == 0 {
		if cap(r.buf) > keptRing {
			r.buf = nil
		}
		r.buf, r.head = r.buf[:0], 0
		r.sizes, r.first = r.sizes[:0], 0
	}
	return true
}

func (r *ring) reset() { *r = ring{buf: r.buf[:0], sizes: r.sizes[:0]} }
