// Package json is the module cjson for scripts: the names and the options of lua-cjson, over a stream of tokens (jsontext), so that text becomes values of a
// VM without a tree in between. Integers keep all 64 bits.
package json

import (
	"errors"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// Bounds of what a script may set.
const (
	defaultDepth = 1000
	maxDepth     = 10_000 // what jsontext reads
	maxPrecision = 17     // digits that any float needs; they are then as few as read back the same
)

// null and emptyArray are what is in the userdata cjson.null and cjson.empty_array.
type (
	null       struct{}
	emptyArray struct{}
)

// shared are the values that all instances of the module have in common in a VM, as references.
type shared struct {
	null, emptyArray, arrayMT, emptyArrayMT int
	getmetatable                            int
}

// options are what cjson.new makes anew.
type options struct {
	*shared
	numbers                  walk.Numbers
	encodeDepth, decodeDepth int
	precision                int
	sparseConvert            bool
	sparseRatio, sparseSafe  int64
	invalidAsNull            bool
	emptyAsArray             bool
	escapeSlash              bool
	markArrays               bool // decode gives arrays the metatable array_mt
	safe                     bool // errors are results: nil and a text
}

// Open pushes the module cjson.
func Open(s vm.State) {
	sh := &shared{null: sentinel(s, &null{}, "null"), emptyArray: sentinel(s, &emptyArray{}, "empty_array")}
	s.NewTable(0, 0)
	sh.arrayMT = s.Ref()
	s.NewTable(0, 0)
	sh.emptyArrayMT = s.Ref()
	s.Global("getmetatable")
	sh.getmetatable = s.Ref()
	push(s, sh, false)
}

// OpenSafe pushes the module cjson.safe, whose encode and decode return nil and a text instead of raising errors. Its null is that of cjson, which it requires.
func OpenSafe(s vm.State) {
	require(s, "cjson")
	sh := &shared{}
	for name, ref := range map[string]*int{"null": &sh.null, "empty_array": &sh.emptyArray, "array_mt": &sh.arrayMT, "empty_array_mt": &sh.emptyArrayMT} {
		s.Field(-1, name)
		*ref = s.Ref()
	}
	s.Pop(1)
	s.Global("getmetatable")
	sh.getmetatable = s.Ref()
	push(s, sh, true)
}

// OpenAlias pushes the module cjson under another name.
func OpenAlias(s vm.State) { require(s, "cjson") }

func require(s vm.State, name string) {
	s.Global("require")
	s.PushString(name)
	s.Call(1, 1)
}

// sentinel makes a userdata that there is once in a VM.
func sentinel(s vm.State, v any, name string) int {
	s.PushUserdata(v)
	s.NewTable(0, 1)
	s.PushFunc("__tostring", func(s vm.State) int {
		s.PushString("cjson." + name)
		return 1
	})
	s.SetField(-2, "__tostring")
	s.SetMetatable(-2)
	return s.Ref()
}

// push pushes an instance of the module.
func push(s vm.State, sh *shared, safe bool) {
	o := &options{
		shared: sh, numbers: walk.NumbersOf(s), encodeDepth: defaultDepth, decodeDepth: defaultDepth, precision: maxPrecision,
		sparseRatio: 2, sparseSafe: 10, escapeSlash: true, safe: safe,
	}
	module.Push(s, map[string]vm.Func{
		"encode": o.encode, "decode": o.decode,
		"new": func(s vm.State) int {
			push(s, sh, safe)
			return 1
		},
		"encode_sparse_array":          o.setSparse,
		"encode_max_depth":             depthSetter("encode_max_depth", &o.encodeDepth),
		"decode_max_depth":             depthSetter("decode_max_depth", &o.decodeDepth),
		"encode_number_precision":      o.setPrecision,
		"encode_invalid_numbers":       o.setEncodeInvalid,
		"decode_invalid_numbers":       decodeInvalid,
		"encode_empty_table_as_object": negated(switcher("encode_empty_table_as_object", &o.emptyAsArray)),
		"encode_escape_forward_slash":  switcher("encode_escape_forward_slash", &o.escapeSlash),
		"encode_keep_buffer":           keepBuffer,
		"decode_array_with_array_mt":   switcher("decode_array_with_array_mt", &o.markArrays),
		"big_integers_as_strings":      switcher("big_integers_as_strings", &o.numbers.AsText),
	})
	for name, ref := range map[string]int{"null": sh.null, "empty_array": sh.emptyArray, "array_mt": sh.arrayMT, "empty_array_mt": sh.emptyArrayMT} {
		s.Push(ref)
		s.SetField(-2, name)
	}
	s.PushString("cjson")
	s.SetField(-2, "_NAME")
}

// fail raises an error of f, or returns it as cjson.safe does.
func (o *options) fail(s vm.State, f string, text string) int {
	if !o.safe {
		s.Errorf("cjson.%s: %s", f, text)
	}
	s.PushNil()
	s.PushString("cjson." + f + ": " + text)
	return 2
}

func (o *options) encode(s vm.State) int {
	if s.Top() != 1 {
		s.Errorf("bad argument #%d to 'encode' (one argument is expected)", min(s.Top()+1, 2))
	}
	out, err := o.Append(nil, s, 1)
	if err != nil {
		return o.fail(s, "encode", walk.Text(err, "value"))
	}
	module.Work(s, len(out))
	s.PushString(string(out))
	return 1
}

func (o *options) decode(s vm.State) int {
	if s.Top() != 1 {
		s.Errorf("bad argument #%d to 'decode' (one argument is expected)", min(s.Top()+1, 2))
	}
	if err := o.Push(s, []byte(module.Bytes(s, 1, "decode"))); err != nil {
		return o.fail(s, "decode", err.Error())
	}
	return 1
}

// switcher is a function that sets an option to a boolean, "on" or "off", and returns it.
func switcher(name string, v *bool) vm.Func {
	return func(s vm.State) int {
		if text, ok := s.String(1); ok {
			if text != "on" && text != "off" {
				s.Errorf("bad argument #1 to '%s' (true, false, \"on\" or \"off\" expected, got %q)", name, text)
			}
			*v = text == "on"
		} else if module.Has(s, 1) {
			if s.Type(1) != vm.Boolean {
				module.Bad(s, 1, name, "boolean")
			}
			*v = s.Bool(1)
		}
		s.PushBool(*v)
		return 1
	}
}

// negated is a switch that says the opposite of the option that it sets.
func negated(set vm.Func) vm.Func {
	flip := func(s vm.State, i int) {
		if text, ok := s.String(i); ok && (text == "on" || text == "off") {
			s.PushBool(text == "off")
		} else if s.Type(i) == vm.Boolean {
			s.PushBool(!s.Bool(i))
		} else {
			return
		}
		s.Insert(1)
	}
	return func(s vm.State) int {
		flip(s, 1)
		set(s)
		flip(s, s.Top())
		s.SetTop(1)
		return 1
	}
}

func depthSetter(name string, v *int) vm.Func {
	return func(s vm.State) int {
		n := module.Int(s, 1, name, int64(*v))
		if n < 1 || n > maxDepth {
			s.Errorf("bad argument #1 to '%s' (1 to %d expected, got %d)", name, maxDepth, n)
		}
		*v = int(n)
		s.PushInt(n)
		return 1
	}
}

func (o *options) setPrecision(s vm.State) int {
	n := module.Int(s, 1, "encode_number_precision", int64(o.precision))
	if n < 1 || n > maxPrecision {
		s.Errorf("bad argument #1 to 'encode_number_precision' (1 to %d expected, got %d)", maxPrecision, n)
	}
	o.precision = int(n)
	s.PushInt(n)
	return 1
}

func (o *options) setSparse(s vm.State) int {
	const name = "encode_sparse_array"
	if module.Has(s, 1) {
		if s.Type(1) != vm.Boolean {
			module.Bad(s, 1, name, "boolean")
		}
		o.sparseConvert = s.Bool(1)
	}
	ratio, safe := module.Int(s, 2, name, o.sparseRatio), module.Int(s, 3, name, o.sparseSafe)
	const most = 1 << 31
	if ratio < 0 || safe < 0 || ratio > most || safe > most {
		s.Errorf("bad argument to '%s' (ratio and safe are 0 to %d)", name, most)
	}
	o.sparseRatio, o.sparseSafe = ratio, safe
	s.PushBool(o.sparseConvert)
	s.PushInt(ratio)
	s.PushInt(safe)
	return 3
}

func (o *options) setEncodeInvalid(s vm.State) int {
	if text, ok := s.String(1); ok && text == "null" {
		o.invalidAsNull = true
	} else if module.Has(s, 1) {
		if s.Bool(1) {
			s.Errorf("encode_invalid_numbers: NaN and infinities are no JSON; \"null\" or false is expected")
		}
		o.invalidAsNull = false
	}
	if o.invalidAsNull {
		s.PushString("null")
	} else {
		s.PushBool(false)
	}
	return 1
}

func decodeInvalid(s vm.State) int {
	if s.Bool(1) {
		s.Errorf("decode_invalid_numbers: only the numbers of RFC 8259 are read")
	}
	s.PushBool(false)
	return 1
}

// keepBuffer is there for scripts that set it; each encode has a buffer of its own.
func keepBuffer(s vm.State) int {
	s.PushBool(true)
	return 1
}

var errSparse = errors.New("excessively sparse array; see encode_sparse_array")
