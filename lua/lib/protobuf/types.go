package protobuf

import (
	"sort"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// types are messages and enums by their full names. What the descriptors tell is read once, so that coding does not ask them again and again.
type types struct {
	messages map[string]*message
	enums    map[string]*enum
}

type message struct {
	name   string
	base   string
	fields []*field // by number
	number map[protowire.Number]*field
	byName map[string]*field
	proto3 bool // fields without presence have default values
	entry  bool // of a map
}

type field struct {
	name     string
	num      protowire.Number
	kind     protoreflect.Kind
	list     bool
	packed   bool
	required bool
	presence bool // set or not set, apart from its value
	utf8     bool
	oneof    []*field // all fields of the oneof that it is in
	message  *message
	enum     *enum
	key, val *field // of a map
	def      protoreflect.Value
	typeName string
}

type enum struct {
	name   string
	base   string
	byName map[string]int32
	byNum  map[int32]string
}

func newTypes() types { return types{map[string]*message{}, map[string]*enum{}} }

func (t types) merge(from types) {
	for name, m := range from.messages {
		t.messages[name] = m
	}
	for name, e := range from.enums {
		t.enums[name] = e
	}
}

// addFile adds the types of a file and of all that it imports.
func (t types) addFile(f protoreflect.FileDescriptor, done map[string]bool) {
	if done[f.Path()] {
		return
	}
	done[f.Path()] = true
	imports := f.Imports()
	for i := range imports.Len() {
		t.addFile(imports.Get(i).FileDescriptor, done)
	}
	t.addEnums(f.Enums())
	t.addMessages(f.Messages())
}

func (t types) addEnums(list protoreflect.EnumDescriptors) {
	for i := range list.Len() {
		t.enum(list.Get(i))
	}
}

func (t types) addMessages(list protoreflect.MessageDescriptors) {
	for i := range list.Len() {
		d := list.Get(i)
		t.message(d)
		t.addEnums(d.Enums())
		t.addMessages(d.Messages())
	}
}

func (t types) enum(d protoreflect.EnumDescriptor) *enum {
	name := string(d.FullName())
	if e, ok := t.enums[name]; ok {
		return e
	}
	e := &enum{name: name, base: string(d.Name()), byName: map[string]int32{}, byNum: map[int32]string{}}
	values := d.Values()
	for i := values.Len() - 1; i >= 0; i-- { // the first of several names of one number is the one that decode tells
		v := values.Get(i)
		e.byName[string(v.Name())] = int32(v.Number())
		e.byNum[int32(v.Number())] = string(v.Name())
	}
	t.enums[name] = e
	return e
}

func (t types) message(d protoreflect.MessageDescriptor) *message {
	name := string(d.FullName())
	if m, ok := t.messages[name]; ok {
		return m
	}
	m := &message{
		name: name, base: string(d.Name()), number: map[protowire.Number]*field{}, byName: map[string]*field{},
		proto3: d.ParentFile().Syntax() != protoreflect.Proto2, entry: d.IsMapEntry(),
	}
	t.messages[name] = m // before its fields, which may be of its own type
	fields := d.Fields()
	for i := range fields.Len() {
		f := t.field(fields.Get(i))
		m.fields = append(m.fields, f)
		m.number[f.num] = f
		m.byName[f.name] = f
	}
	oneofs := d.Oneofs()
	for i := range oneofs.Len() {
		t.oneof(m, oneofs.Get(i))
	}
	sort.Slice(m.fields, func(i, j int) bool { return m.fields[i].num < m.fields[j].num })
	return m
}

func (t types) oneof(m *message, d protoreflect.OneofDescriptor) {
	if d.IsSynthetic() {
		return
	}
	var members []*field
	for i := range d.Fields().Len() {
		members = append(members, m.number[d.Fields().Get(i).Number()])
	}
	for _, f := range members {
		f.oneof = members
	}
}

func (t types) field(d protoreflect.FieldDescriptor) *field {
	f := &field{
		name: string(d.Name()), num: d.Number(), kind: d.Kind(), list: d.IsList(), packed: d.IsPacked(), typeName: d.Kind().String(),
		required: d.Cardinality() == protoreflect.Required, presence: d.HasPresence(),
		utf8: d.Kind() == protoreflect.StringKind && d.ParentFile().Syntax() != protoreflect.Proto2,
	}
	if e := d.Enum(); e != nil {
		f.enum = t.enum(e)
		f.typeName = f.enum.name
	}
	if m := d.Message(); m != nil {
		f.message = t.message(m)
		f.typeName = f.message.name
	} else if !f.list {
		f.def = d.Default()
	}
	if d.IsMap() {
		f.key, f.val = f.message.number[1], f.message.number[2]
	}
	return f
}
