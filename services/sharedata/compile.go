package sharedata

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What datasheet.builder.compile makes: a table as bytes, which may be kept in a file and published later, also by a newer version of this package.
//
//	document  the magic, and the outermost table behind it
//	table     uvarint length of the list, uvarint number of fields, the values of the list, a key and a value for each field
//	value     tag, and: int 8 bytes | float 8 bytes | string uvarint length, bytes | table | ref uvarint
//
// A ref is a table that the document has had before, by its number in the order in which they begin, from 0. Numbers are little-endian.
const magic = "skua.sheet.1\n"

const (
	tagFalse byte = iota
	tagTrue
	tagInt
	tagFloat
	tagString
	tagTable
	tagRef
)

type encoder struct {
	out     []byte
	numbers map[*frozen]int
}

// encode is the document of a table that does not contain itself.
func encode(t *frozen) []byte {
	e := encoder{out: []byte(magic), numbers: map[*frozen]int{}}
	e.table(t)
	return e.out
}

func (e *encoder) table(t *frozen) {
	e.numbers[t] = len(e.numbers)
	e.out = binary.AppendUvarint(e.out, uint64(len(t.list)))
	e.out = binary.AppendUvarint(e.out, uint64(len(t.fields)))
	for _, v := range t.list {
		e.value(v)
	}
	for i, v := range t.fields {
		e.value(t.shape.keys[i])
		e.value(v)
	}
}

func (e *encoder) value(v slot) {
	switch o := v.obj.(type) {
	case boolKind:
		e.out = append(e.out, tagFalse+byte(v.num))
	case intKind:
		e.out = binary.LittleEndian.AppendUint64(append(e.out, tagInt), v.num)
	case floatKind:
		e.out = binary.LittleEndian.AppendUint64(append(e.out, tagFloat), v.num)
	case string:
		e.out = binary.AppendUvarint(append(e.out, tagString), uint64(len(o)))
		e.out = append(e.out, o...)
	case *frozen:
		if n, ok := e.numbers[o]; ok {
			e.out = binary.AppendUvarint(append(e.out, tagRef), uint64(n))
			return
		}
		e.out = append(e.out, tagTable)
		e.table(o)
	}
}

var (
	errForeign = errors.New("the string is not what datasheet.builder.compile makes")
	errCut     = errors.New("the compiled table is cut off")
)

type decoder struct {
	*builder
	in    string
	nodes []*frozen
	open  []bool
	depth int
}

// decode reads a document of any origin.
func decode(in string, limit int) (*frozen, error) {
	if len(in) < len(magic) || in[:len(magic)] != magic {
		return nil, errForeign
	}
	d := decoder{builder: newBuilder(limit), in: in[len(magic):]}
	t, err := d.table()
	if err == nil && d.in != "" {
		err = fmt.Errorf("the compiled table has %d bytes behind its end", len(d.in))
	}
	return t, err
}

// uvarint reads a number; each of what it counts takes at least one of the bytes that are left, so that is its bound.
func (d *decoder) uvarint() (int, error) {
	head := d.in[:min(len(d.in), binary.MaxVarintLen64)]
	n, size := binary.Uvarint([]byte(head))
	if size <= 0 || n > uint64(len(d.in)-size) {
		return 0, errCut
	}
	d.in = d.in[size:]
	return int(n), nil
}

func (d *decoder) table() (*frozen, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, errDepth
	}
	list, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	count, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if list+count > len(d.in) {
		return nil, errCut
	}
	if err := d.spend(list + count); err != nil {
		return nil, err
	}
	t, number := &frozen{height: 1}, len(d.nodes)
	d.nodes, d.open = append(d.nodes, t), append(d.open, true)
	for range list {
		v, err := d.value(t)
		if err != nil {
			return nil, err
		}
		t.list = append(t.list, v) // it grows with what is there, not with what a few bytes claim
	}
	if err := d.fields(t, count); err != nil {
		return nil, err
	}
	d.open[number] = false
	d.depth--
	return t, nil
}

func (d *decoder) fields(t *frozen, count int) error {
	var fields []field
	seen := map[slot]struct{}{}
	for range count {
		k, err := d.value(nil)
		if err != nil {
			return err
		}
		if _, again := seen[k]; again || !validKey(k, len(t.list)) {
			return fmt.Errorf("the compiled table has the key %s, which can't be there", k.text())
		}
		seen[k] = struct{}{}
		v, err := d.value(t)
		if err != nil {
			return err
		}
		fields = append(fields, field{k, v})
	}
	d.setFields(t, fields)
	return nil
}

// value reads a value of a table, or a key if that is nil.
func (d *decoder) value(in *frozen) (slot, error) {
	if d.in == "" {
		return slot{}, errCut
	}
	tag := d.in[0]
	d.in = d.in[1:]
	switch tag {
	case tagFalse, tagTrue:
		return boolSlot(tag == tagTrue), nil
	case tagInt, tagFloat:
		if len(d.in) < 8 {
			return slot{}, errCut
		}
		num := binary.LittleEndian.Uint64([]byte(d.in[:8]))
		d.in = d.in[8:]
		if tag == tagInt {
			return slot{num, intKind{}}, nil
		}
		return slot{num, floatKind{}}, nil
	case tagString:
		n, err := d.uvarint()
		if err != nil {
			return slot{}, err
		}
		text := d.in[:n]
		d.in = d.in[n:]
		return slot{obj: text}, nil
	}
	if in == nil || tag > tagRef {
		return slot{}, fmt.Errorf("the compiled table has a value of the unknown kind %d", tag)
	}
	sub, err := d.sub(tag)
	if err != nil {
		return slot{}, err
	}
	in.holds(sub)
	return slot{obj: sub}, nil
}

func (d *decoder) sub(tag byte) (*frozen, error) {
	if tag == tagTable {
		return d.table()
	}
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if n >= len(d.nodes) || d.open[n] {
		return nil, errCycle
	}
	if d.depth+int(d.nodes[n].height) > maxDepth {
		return nil, errDepth
	}
	d.nodes[n].shared = true
	return d.nodes[n], nil
}
