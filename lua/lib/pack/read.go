package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/lib/internal/walk"
)

// ErrPack is wrapped by the errors of Parse.
var ErrPack = errors.New("pack: the bytes are no packed values")

var errPointer = errors.New("there is a pointer, which means nothing outside of the process that it is from")

// scalar is a value that is no table.
type scalar struct {
	kind value.Kind
	n    int64
	f    float64
	s    string
}

// within puts the scalar, a key, before the path of err.
func (v scalar) within(err error) error {
	switch v.kind {
	case value.String:
		return walk.Field(err, v.s)
	case value.Int:
		return walk.Index(err, v.n)
	case value.Float:
		return walk.Field(err, strconv.FormatFloat(v.f, 'g', -1, 64))
	default:
		return walk.Field(err, strconv.FormatBool(v.n != 0))
	}
}

// sink is what a reader makes values in.
type sink interface {
	scalar(v scalar) error
	// begin opens a table whose array part has as many items; item is called behind each of them.
	begin(items int) error
	item(i int64)
	// key is called before the value of a field, and field behind it.
	key(k scalar) error
	field()
	end()
}

// reader reads packed values of any origin. It allocates a small multiple of the bytes that it is given.
type reader struct {
	data    []byte
	at      int
	pending walk.Pending
	depth   int
	out     sink
}

// all reads values to the end and returns how many there are.
func (r *reader) all() (int, error) {
	n := 0
	for ; r.at < len(r.data); n++ {
		if n == walk.MaxResults {
			return 0, fmt.Errorf("%w: %w", ErrPack, walk.ErrResults)
		}
		if err := r.value(); err != nil {
			return 0, fmt.Errorf("%w: value %d, byte %d: %w", ErrPack, n+1, r.at+1, err)
		}
	}
	return n, nil
}

func (r *reader) value() error {
	if r.at >= len(r.data) {
		return walk.ErrShort
	}
	if h := r.data[r.at]; h&7 == typeTable {
		r.at++
		return r.table(int(h >> 3))
	}
	v, err := r.scalar()
	if err != nil {
		return err
	}
	return r.out.scalar(v)
}

func (r *reader) table(items int) error {
	if r.depth++; r.depth > value.MaxDepth {
		return value.ErrDepth
	}
	if items == manyItems {
		n, err := r.scalar()
		if err != nil {
			return err
		}
		if n.kind != value.Int || n.n < 0 || n.n > int64(len(r.data)) {
			return errors.New("the length of a table is wrong")
		}
		items = int(n.n)
	}
	if err := r.pending.Add(items, len(r.data)-r.at); err != nil {
		return err
	}
	if err := r.out.begin(items); err != nil {
		return err
	}
	for i := range items {
		r.pending.Done()
		if err := r.value(); err != nil {
			return walk.Index(err, int64(i+1))
		}
		r.out.item(int64(i + 1))
	}
	for {
		k, err := r.scalar()
		if err != nil {
			return err
		}
		if k.kind == value.Nil {
			break
		}
		if err := r.out.key(k); err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		if err := r.value(); err != nil {
			return k.within(err)
		}
		r.out.field()
	}
	r.out.end()
	r.depth--
	return nil
}

func (r *reader) take(n int) ([]byte, error) {
	if n > len(r.data)-r.at {
		return nil, walk.ErrShort
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b, nil
}

func (r *reader) scalar() (scalar, error) {
	h, err := r.take(1)
	if err != nil {
		return scalar{}, err
	}
	cookie := int(h[0] >> 3)
	switch typ := h[0] & 7; typ {
	case typeNil:
		return scalar{}, nil
	case typeBool:
		if cookie > 1 {
			return scalar{}, errors.New("a boolean is neither true nor false")
		}
		return scalar{kind: value.Bool, n: int64(cookie)}, nil
	case typeNumber:
		return r.number(cookie)
	case typePointer:
		return scalar{}, errPointer
	case typeShort:
		return r.text(cookie)
	case typeLong:
		return r.long(cookie)
	case typeTable:
		return scalar{}, errors.New("a key is a table")
	default:
		return scalar{}, fmt.Errorf("there is no type %d", typ)
	}
}

func (r *reader) number(cookie int) (scalar, error) {
	size := cookie
	switch cookie {
	case numInt64, numReal:
		size = 8
	case numZero, numByte, numWord, numInt32:
	default:
		return scalar{}, fmt.Errorf("there is no form %d of numbers", cookie)
	}
	b, err := r.take(size)
	if err != nil {
		return scalar{}, err
	}
	v := scalar{kind: value.Int}
	switch cookie {
	case numByte:
		v.n = int64(b[0])
	case numWord:
		v.n = int64(binary.LittleEndian.Uint16(b))
	case numInt32:
		v.n = int64(int32(binary.LittleEndian.Uint32(b)))
	case numInt64:
		v.n = int64(binary.LittleEndian.Uint64(b))
	case numReal:
		return scalar{kind: value.Float, f: math.Float64frombits(binary.LittleEndian.Uint64(b))}, nil
	}
	return v, nil
}

func (r *reader) long(cookie int) (scalar, error) {
	if cookie != len16 && cookie != len32 {
		return scalar{}, fmt.Errorf("there is no form %d of strings", cookie)
	}
	b, err := r.take(cookie)
	if err != nil {
		return scalar{}, err
	}
	if cookie == len16 {
		return r.text(int(binary.LittleEndian.Uint16(b)))
	}
	return r.text(int(binary.LittleEndian.Uint32(b)))
}

func (r *reader) text(n int) (scalar, error) {
	b, err := r.take(n)
	return scalar{kind: value.String, s: string(b)}, err
}

// builder makes a value.List.
type builder struct{ value.Builder }

func (b *builder) scalar(v scalar) error {
	switch v.kind {
	case value.Bool:
		b.Bool(v.n != 0)
	case value.Int:
		b.Int(v.n)
	case value.Float:
		b.Float(v.f)
	case value.String:
		b.String(v.s)
	default:
		b.Nil()
	}
	return nil
}

func (b *builder) begin(int) error { return b.Begin() }

func (b *builder) key(k scalar) error {
	switch k.kind {
	case value.Bool:
		b.BoolKey(k.n != 0)
	case value.Int:
		b.IntKey(k.n)
	case value.Float:
		if math.IsNaN(k.f) {
			return errNaN
		}
		b.FloatKey(k.f)
	default:
		b.Key(k.s)
	}
	return nil
}

var errNaN = errors.New("a key is not a number")

func (b *builder) item(int64) {}

func (b *builder) field() {}

func (b *builder) end() { b.End() }

// Parse reads packed values of any origin. It allocates no more than a small multiple of the length of data, and keeps nothing of it. Its errors wrap ErrPack.
func Parse(data []byte) (value.List, error) {
	var b builder
	r := reader{data: data, out: &b}
	if _, err := r.all(); err != nil {
		return value.List{}, err
	}
	return b.List(), nil
}
