package pack

import (
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

// Lists is how the host takes the values of a message out of a VM, from an index to the top, and pushes them.
type Lists struct {
	Take func(s vm.State, from int) (value.List, error)
	Push func(s vm.State, l value.List) int
}

// Open pushes a table with the functions of skynet that are about packed values:
//
//	pack(...)          a message, which is a userdata with a value.List, and its size when it is packed
//	packstring(...)    the packed bytes
//	unpack(msg [, sz]) the values of a message or of packed bytes; of nil there are none
//	tostring(msg, sz)  the packed bytes of a message
//	trash(msg, sz)     nothing: a message is garbage when nobody has it
func Open(s vm.State, lists Lists) {
	module.Push(s, map[string]vm.Func{
		"pack":       lists.Pack,
		"packstring": PackString,
		"unpack":     lists.Unpack,
		"tostring":   ToString,
		"trash":      func(vm.State) int { return 0 },
	})
}

// Pack is pack(...) of Open.
func (ls Lists) Pack(s vm.State) int {
	l, err := ls.Take(s, 1)
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	s.PushUserdata(l)
	s.PushInt(int64(Size(l)))
	return 2
}

// PackString is packstring(...) of Open.
func PackString(s vm.State) int {
	out, err := Encode(s, 1)
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	s.PushString(string(out))
	return 1
}

// Unpack is unpack(msg [, sz]) of Open.
func (ls Lists) Unpack(s vm.State) int {
	if l, ok := s.Userdata(1).(value.List); ok {
		return ls.Push(s, l)
	}
	if !module.Has(s, 1) {
		return 0
	}
	text, ok := s.String(1)
	if !ok {
		module.Bad(s, 1, "unpack", "what pack or packstring returned")
	}
	n, err := Decode(s, []byte(sized(s, text, "unpack")))
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	return n
}

// sized is the part of text that argument 2, the size, says.
func sized(s vm.State, text, f string) string {
	n := module.Int(s, 2, f, int64(len(text)))
	if n < 0 || n > int64(len(text)) {
		s.Errorf("bad argument #2 to '%s' (the message has %d bytes, not %d)", f, len(text), n)
	}
	return text[:n]
}

// ToString is tostring(msg, sz) of Open; of nil it is the empty string.
func ToString(s vm.State) int {
	if text, ok := s.String(1); ok {
		s.PushString(sized(s, text, "tostring"))
		return 1
	}
	if !module.Has(s, 1) {
		s.PushString("")
		return 1
	}
	l, ok := s.Userdata(1).(value.List)
	if !ok {
		module.Bad(s, 1, "tostring", "what pack returned")
	}
	out, err := Append(nil, l)
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	s.PushString(string(out))
	return 1
}

// Size is how many bytes Append makes of a list.
func Size(l value.List) int {
	n := 0
	for _, v := range l.All {
		n += sizeOf(v)
	}
	return n
}

func sizeOf(v value.Value) int {
	var buf [9]byte
	switch v.Kind() {
	case value.Int:
		n, _ := v.Int()
		return len(appendInt(buf[:0], n))
	case value.Float:
		return len(buf)
	case value.String:
		s, _ := v.Str()
		switch n := len(s); {
		case n < shortString:
			return 1 + n
		case n < 1<<16:
			return 1 + len16 + n
		default:
			return 1 + len32 + n
		}
	case value.Table:
		var table [10]byte
		n := len(appendTable(table[:0], v.Len())) + 1
		for _, e := range v.Items {
			n += sizeOf(e)
		}
		for k, e := range v.Pairs {
			n += sizeOf(k) + sizeOf(e)
		}
		return n
	}
	return 1
}
