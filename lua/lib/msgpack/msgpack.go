// Package msgpack is the module msgpack for scripts, with the functions of lua-cmsgpack under their names and as encode and decode, and the distinction of text,
// bytes and extensions of lua-MessagePack. Values go between the bytes and the VM without a tree in between.
package msgpack

import (
	"fmt"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// maxDepth is how deep arrays and maps may nest.
const maxDepth = 128

// bin is in the userdata that stands for a string of bytes, and ext in that of an extension.
type (
	bin struct{ data string }
	ext struct {
		tag  int8
		data string
	}
)

// codec is the module in a VM, with its options.
type codec struct {
	numbers      walk.Numbers
	binMT, extMT int // references to metatables
	stringsAsBin bool
	binAsObject  bool
	holes        bool
	mapsOnly     bool
}

// Open pushes the module msgpack.
func Open(s vm.State) {
	c := &codec{numbers: walk.NumbersOf(s), binMT: metatable(s, "bin"), extMT: metatable(s, "ext")}
	module.Push(s, map[string]vm.Func{
		"encode": c.encode, "pack": c.encode,
		"decode": c.decode, "unpack": c.decode,
		"decode_one": c.decodeOne, "unpack_one": c.decodeOne,
		"decode_limit": c.decodeLimit, "unpack_limit": c.decodeLimit,
		"bin": c.newBin, "ext": c.newExt,
		"set_string":              choice("set_string", map[string]func(){"string": func() { c.stringsAsBin = false }, "binary": func() { c.stringsAsBin = true }}),
		"set_array":               c.setArray(),
		"decode_bin_as_object":    toggle("decode_bin_as_object", &c.binAsObject),
		"big_integers_as_strings": toggle("big_integers_as_strings", &c.numbers.AsText),
	})
}

func (c *codec) setArray() vm.Func {
	set := func(holes, mapsOnly bool) func() { return func() { c.holes, c.mapsOnly = holes, mapsOnly } }
	return choice("set_array", map[string]func(){"without_hole": set(false, false), "with_hole": set(true, false), "always_as_map": set(false, true)})
}

func choice(name string, ways map[string]func()) vm.Func {
	return func(s vm.State) int {
		way, _ := s.String(1)
		set, ok := ways[way]
		if !ok {
			s.Errorf("bad argument #1 to '%s' (there is no way %q)", name, way)
		}
		set()
		return 0
	}
}

func toggle(name string, v *bool) vm.Func {
	return func(s vm.State) int {
		if module.Has(s, 1) {
			if s.Type(1) != vm.Boolean {
				module.Bad(s, 1, name, "boolean")
			}
			*v = s.Bool(1)
		}
		s.PushBool(*v)
		return 1
	}
}

// metatable makes the metatable of bin or ext: fields data, and type, tell what is in it.
func metatable(s vm.State, name string) int {
	s.NewTable(0, 2)
	s.PushFunc("__index", func(s vm.State) int {
		field, _ := s.String(2)
		switch v := s.Userdata(1).(type) {
		case *bin:
			if field == "data" {
				s.PushString(v.data)
				return 1
			}
		case *ext:
			switch field {
			case "data":
				s.PushString(v.data)
				return 1
			case "type":
				s.PushInt(int64(v.tag))
				return 1
			}
		}
		return 0
	})
	s.SetField(-2, "__index")
	s.PushFunc("__tostring", func(s vm.State) int {
		switch v := s.Userdata(1).(type) {
		case *bin:
			s.PushString(fmt.Sprintf("msgpack.bin (%d bytes)", len(v.data)))
		case *ext:
			s.PushString(fmt.Sprintf("msgpack.ext (type %d, %d bytes)", v.tag, len(v.data)))
		default:
			s.PushString("msgpack." + name)
		}
		return 1
	})
	s.SetField(-2, "__tostring")
	return s.Ref()
}

func (c *codec) push(s vm.State, v any, mt int) {
	s.PushUserdata(v)
	s.Push(mt)
	s.SetMetatable(-2)
}

func (c *codec) newBin(s vm.State) int {
	c.push(s, &bin{module.Bytes(s, 1, "bin")}, c.binMT)
	return 1
}

func (c *codec) newExt(s vm.State) int {
	if !module.Has(s, 1) {
		module.Bad(s, 1, "ext", "integer")
	}
	tag := module.Int(s, 1, "ext", 0)
	if tag != int64(int8(tag)) {
		s.Errorf("bad argument #1 to 'ext' (-128 to 127 expected, got %d)", tag)
	}
	c.push(s, &ext{int8(tag), module.Bytes(s, 2, "ext")}, c.extMT)
	return 1
}

// encode makes one text of all its arguments.
func (c *codec) encode(s vm.State) int {
	e := encoder{codec: c, s: s, open: walk.NewOpen(maxDepth)}
	for i := 1; i <= s.Top(); i++ {
		if err := e.value(i); err != nil {
			s.Errorf("msgpack.encode: %s", walk.Text(err, fmt.Sprintf("argument %d", i)))
		}
	}
	module.Work(s, len(e.out))
	s.PushString(string(e.out))
	return 1
}

// decode returns all values in a text.
func (c *codec) decode(s vm.State) int {
	_, n := c.read(s, "decode", 0, walk.MaxResults+1)
	if n > walk.MaxResults {
		s.Errorf("msgpack.decode: %s; see decode_limit", walk.ErrResults.Error())
	}
	return n
}

// decodeOne returns the offset behind the first value from an offset on, or -1 at the end, and the value.
func (c *codec) decodeOne(s vm.State) int {
	return c.from(s, "decode_one", 1, 2)
}

// decodeLimit is decodeOne for as many values as its argument 2 says.
func (c *codec) decodeLimit(s vm.State) int {
	limit := module.Int(s, 2, "decode_limit", 1)
	if limit < 1 || limit > walk.MaxResults {
		s.Errorf("bad argument #2 to 'decode_limit' (1 to %d expected, got %d)", walk.MaxResults, limit)
	}
	return c.from(s, "decode_limit", int(limit), 3)
}

func (c *codec) from(s vm.State, f string, limit, offsetArg int) int {
	text, offset := module.Bytes(s, 1, f), module.Int(s, offsetArg, f, 0)
	if offset < 0 || offset > int64(len(text)) {
		s.Errorf("bad argument #%d to '%s' (the text has %d bytes, not %d)", offsetArg, f, len(text), offset)
	}
	top := s.Top()
	next, n := c.read(s, f, int(offset), limit)
	if next == len(text) {
		next = -1
	}
	s.PushInt(int64(next))
	s.Insert(top + 1)
	return n + 1
}

// read pushes up to limit values from an offset on, and returns the offset behind them and how many there are.
func (c *codec) read(s vm.State, f string, offset, limit int) (next, n int) {
	text := module.Bytes(s, 1, f)
	d := decoder{codec: c, s: s, data: []byte(text[offset:])}
	for n < limit && len(d.data) > 0 {
		n++
		if err := d.value(); err != nil {
			s.Errorf("msgpack.%s: %s (byte %d)", f, walk.Text(err, fmt.Sprintf("value %d", n)), len(text)-len(d.data)+1)
		}
	}
	return len(text) - len(d.data), n
}
