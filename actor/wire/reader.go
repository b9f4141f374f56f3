package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// Reader reads the parts of a message one after the other. After a failure all that it reads is zero; End tells.
type Reader struct {
	c    *Coder
	rest []byte
	size int
	err  error
	// inside is set while a message is read that is part of another.
	inside bool
}

// shared is how long a message is at most whose strings are pieces of one: a string that somebody keeps holds all of it.
const shared = 512

// Reader begins to read data, which must not change meanwhile.
func (c *Coder) Reader(data []byte) *Reader { return &Reader{c: c, rest: data, size: len(data)} }

// errShort is for a message that ends too early.
var errShort = errors.New("it ends too early")

// fail notes the first failure.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: offset %d: %w", ErrFormat, r.size-len(r.rest), err)
	}
	r.rest = nil
}

// Err is the first failure.
func (r *Reader) Err() error { return r.err }

// End is the first failure, or that there is more than was read.
func (r *Reader) End() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail(fmt.Errorf("%d bytes behind its end", len(r.rest)))
	}
	return r.err
}

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.rest) }

// Byte is one byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.fail(errShort)
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Uvarint is what binary.AppendUvarint writes.
func (r *Reader) Uvarint() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		v := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errors.New("no number"))
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Varint is what binary.AppendVarint writes.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Float is eight bytes, little-endian.
func (r *Reader) Float() float64 {
	if len(r.rest) < 8 {
		r.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return math.Float64frombits(v)
}

// Bytes is what AppendString writes: a part of the data, to be copied by whoever keeps it.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.rest)) {
		r.fail(fmt.Errorf("%d bytes are announced, there are %d", n, len(r.rest)))
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// String is Bytes as a string of its own.
func (r *Reader) String() string { return string(r.Bytes()) }

// name is a name of a type.
func (r *Reader) name() []byte {
	b := r.Bytes()
	if len(b) > maxTypeName {
		r.fail(fmt.Errorf("a name of %d bytes", len(b)))
		return nil
	}
	return b
}

// Rest is all that is left: a part of the data, to be copied by whoever keeps it.
func (r *Reader) Rest() []byte {
	b := r.rest
	r.rest = nil
	return b
}

// Message is what Coder.Append writes, as the last part of another message. It fails in a message that is itself part of one.
func (r *Reader) Message() (any, error) {
	if r.inside {
		return nil, fmt.Errorf("%w: a message in a message in a message", ErrFormat)
	}
	r.inside = true
	msg, err := r.c.parse(r)
	if err == nil {
		err = r.err
	}
	return msg, err
}

// Ref is what Coder.AppendRef writes.
func (r *Reader) Ref() actor.Ref {
	var home *actor.Node
	switch tag := r.Byte(); tag {
	case refNobody:
		return actor.Ref{}
	case refSender:
		home = r.c.peer
	case refReceiver:
		home = r.c.own
	case refThird:
		name, incarnation := r.name(), r.Uvarint()
		if r.err != nil {
			return actor.Ref{}
		}
		var err error
		if home, err = r.c.find(string(name), incarnation); err != nil {
			r.fail(err)
			return actor.Ref{}
		}
	default:
		r.fail(fmt.Errorf("a Ref begins with %d", tag))
		return actor.Ref{}
	}
	id := r.Uvarint()
	if id > actor.MaxID {
		r.fail(fmt.Errorf("an actor's id is %d", id))
	}
	if r.err != nil {
		return actor.Ref{}
	}
	return home.Ref(id)
}

// List is what AppendList writes.
func (r *Reader) List() value.List {
	l, err := r.list()
	if err != nil {
		r.fail(err)
		return value.List{}
	}
	return l
}
