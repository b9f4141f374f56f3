package value

// Reader goes through a List item by item, for those who turn it into something else: a table is an item that is followed by its array's values and then by its
// fields, each a key and a value.
type Reader struct {
	items []item
	at    int
}

// Reader begins at the list's first value.
func (l List) Reader() Reader { return Reader{items: l.items} }

// Item is a scalar, or the head of a table.
type Item struct {
	Kind   Kind
	Bits   uint64 // of an integer or a float; 1 for true
	Str    string
	Items  int // of a table: how many values its array has, and how many fields
	Fields int
}

// Next is the next item. Who reads counts: there must be one.
func (r *Reader) Next() Item {
	it := &r.items[r.at]
	r.at++
	i := Item{Kind: it.kind, Bits: it.bits, Str: it.str}
	if it.kind == Table {
		i.Items, i.Fields = it.arr(), it.hash()
	}
	return i
}
