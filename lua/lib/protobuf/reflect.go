package protobuf

import (
	"sort"
	"strings"

	"github.com/skua-go/skua/internal/protofile"
	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

// enumOf is the number of a name, or the name of a number, or nil.
func (r *registry) enumOf(s vm.State) int {
	name := module.Bytes(s, 1, "enum")
	e, ok := r.types.Enums[strings.TrimPrefix(name, ".")]
	if !ok {
		s.Errorf("protobuf.enum: no enum %q is loaded", name)
	}
	if value, isText := s.String(2); isText {
		if n, ok := e.ByName[value]; ok {
			s.PushInt(int64(n))
			return 1
		}
	} else if n, ok := s.Int(2); ok {
		if value, ok := e.ByNum[int32(n)]; ok && int64(int32(n)) == n {
			s.PushString(value)
			return 1
		}
	} else {
		module.Bad(s, 2, "enum", "name or number")
	}
	s.PushNil()
	return 1
}

// typeOf tells the name, the short name and the kind of a type, or nil.
func (r *registry) typeOf(s vm.State) int {
	name := strings.TrimPrefix(module.Bytes(s, 1, "type"), ".")
	if m, ok := r.types.Messages[name]; ok {
		return pushType(s, m.Name, m.Base, kindOf(m))
	}
	if e, ok := r.types.Enums[name]; ok {
		return pushType(s, e.Name, e.Base, "enum")
	}
	s.PushNil()
	return 1
}

func kindOf(m *protofile.Message) string {
	if m.Entry {
		return "map"
	}
	return "message"
}

func pushType(s vm.State, name, base, kind string) int {
	s.PushString(name)
	s.PushString(base)
	s.PushString(kind)
	return 3
}

// each pushes an iterator of n steps.
func each(s vm.State, n int, push func(s vm.State, i int) int) int {
	i := 0
	s.PushFunc("next", func(s vm.State) int {
		if i >= n {
			s.PushNil()
			return 1
		}
		i++
		return push(s, i-1)
	})
	return 1
}

// listTypes iterates over all types by name.
func (r *registry) listTypes(s vm.State) int {
	names := make([]string, 0, len(r.types.Messages)+len(r.types.Enums))
	for name := range r.types.Messages {
		names = append(names, name)
	}
	for name := range r.types.Enums {
		names = append(names, name)
	}
	sort.Strings(names)
	return each(s, len(names), func(s vm.State, i int) int {
		if m, ok := r.types.Messages[names[i]]; ok {
			return pushType(s, m.Name, m.Base, kindOf(m))
		}
		e := r.types.Enums[names[i]]
		return pushType(s, e.Name, e.Base, "enum")
	})
}

// listFields iterates over the fields of a message: name, number, type, default and label.
func (r *registry) listFields(s vm.State) int {
	m := r.messageAt(s, 1, "fields")
	return each(s, len(m.Fields), func(s vm.State, i int) int { return r.pushField(s, m.Fields[i]) })
}

// fieldOf tells the same of one field, or nil.
func (r *registry) fieldOf(s vm.State) int {
	m := r.messageAt(s, 1, "field")
	if f, ok := m.ByName[module.Bytes(s, 2, "field")]; ok {
		return r.pushField(s, f)
	}
	s.PushNil()
	return 1
}

func (r *registry) pushField(s vm.State, f *protofile.Field) int {
	s.PushString(f.Name)
	s.PushInt(int64(f.Num))
	s.PushString(f.TypeName)
	if f.List || f.Message != nil {
		s.PushNil()
	} else if err := r.pushDefault(s, f); err != nil {
		s.Errorf("protobuf.fields: %s: %s", f.Name, err.Error())
	}
	label := "optional"
	switch {
	case f.Key != nil:
		label = "map"
	case f.List && f.Packed:
		label = "packed"
	case f.List:
		label = "repeated"
	case f.Required:
		label = "required"
	}
	s.PushString(label)
	return 5
}

// defaultsOf makes a table of the default values of a message.
func (r *registry) defaultsOf(s vm.State) int {
	m := r.messageAt(s, 1, "defaults")
	s.NewTable(0, len(m.Fields))
	t := s.Top()
	for _, f := range m.Fields {
		if f.List || f.Message != nil {
			continue
		}
		s.PushString(f.Name)
		if err := r.pushDefault(s, f); err != nil {
			s.Errorf("protobuf.defaults: %s: %s", f.Name, err.Error())
		}
		s.RawSet(t)
	}
	return 1
}
