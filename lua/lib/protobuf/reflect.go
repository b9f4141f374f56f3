package protobuf

import (
	"sort"
	"strings"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

// enumOf is the number of a name, or the name of a number, or nil.
func (r *registry) enumOf(s vm.State) int {
	name := module.Bytes(s, 1, "enum")
	e, ok := r.types.enums[strings.TrimPrefix(name, ".")]
	if !ok {
		s.Errorf("protobuf.enum: no enum %q is loaded", name)
	}
	if value, isText := s.String(2); isText {
		if n, ok := e.byName[value]; ok {
			s.PushInt(int64(n))
			return 1
		}
	} else if n, ok := s.Int(2); ok {
		if value, ok := e.byNum[int32(n)]; ok && int64(int32(n)) == n {
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
	if m, ok := r.types.messages[name]; ok {
		return pushType(s, m.name, m.base, kindOf(m))
	}
	if e, ok := r.types.enums[name]; ok {
		return pushType(s, e.name, e.base, "enum")
	}
	s.PushNil()
	return 1
}

func kindOf(m *message) string {
	if m.entry {
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
	names := make([]string, 0, len(r.types.messages)+len(r.types.enums))
	for name := range r.types.messages {
		names = append(names, name)
	}
	for name := range r.types.enums {
		names = append(names, name)
	}
	sort.Strings(names)
	return each(s, len(names), func(s vm.State, i int) int {
		if m, ok := r.types.messages[names[i]]; ok {
			return pushType(s, m.name, m.base, kindOf(m))
		}
		e := r.types.enums[names[i]]
		return pushType(s, e.name, e.base, "enum")
	})
}

// listFields iterates over the fields of a message: name, number, type, default and label.
func (r *registry) listFields(s vm.State) int {
	m := r.messageAt(s, 1, "fields")
	return each(s, len(m.fields), func(s vm.State, i int) int { return r.pushField(s, m.fields[i]) })
}

// fieldOf tells the same of one field, or nil.
func (r *registry) fieldOf(s vm.State) int {
	m := r.messageAt(s, 1, "field")
	if f, ok := m.byName[module.Bytes(s, 2, "field")]; ok {
		return r.pushField(s, f)
	}
	s.PushNil()
	return 1
}

func (r *registry) pushField(s vm.State, f *field) int {
	s.PushString(f.name)
	s.PushInt(int64(f.num))
	s.PushString(f.typeName)
	if f.list || f.message != nil {
		s.PushNil()
	} else if err := r.pushDefault(s, f); err != nil {
		s.Errorf("protobuf.fields: %s: %s", f.name, err.Error())
	}
	label := "optional"
	switch {
	case f.key != nil:
		label = "map"
	case f.list && f.packed:
		label = "packed"
	case f.list:
		label = "repeated"
	case f.required:
		label = "required"
	}
	s.PushString(label)
	return 5
}

// defaultsOf makes a table of the default values of a message.
func (r *registry) defaultsOf(s vm.State) int {
	m := r.messageAt(s, 1, "defaults")
	s.NewTable(0, len(m.fields))
	t := s.Top()
	for _, f := range m.fields {
		if f.list || f.message != nil {
			continue
		}
		s.PushString(f.name)
		if err := r.pushDefault(s, f); err != nil {
			s.Errorf("protobuf.defaults: %s: %s", f.name, err.Error())
		}
		s.RawSet(t)
	}
	return 1
}
