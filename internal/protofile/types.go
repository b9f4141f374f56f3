package protofile

import (
	"sort"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Types are messages and enums by their full names. What the descriptors tell is read once, so that coding does not ask them again and again.
type Types struct {
	Messages map[string]*Message
	Enums    map[string]*Enum
}

// Message is a message type.
type Message struct {
	Name   string
	Base   string
	Fields []*Field // by number
	Number map[protowire.Number]*Field
	ByName map[string]*Field
	Proto3 bool // fields without presence have default values
	Entry  bool // of a map
}

// Field is a field of a message.
type Field struct {
	Name     string
	Num      protowire.Number
	Index    int // in the message's Fields
	Kind     protoreflect.Kind
	List     bool
	Packed   bool
	Required bool
	Presence bool // set or not set, apart from its value
	UTF8     bool
	Oneof    []*Field // all fields of the oneof that it is in
	Message  *Message
	Enum     *Enum
	Key, Val *Field // of a map
	Def      protoreflect.Value
	TypeName string
}

// Enum is an enum type.
type Enum struct {
	Name   string
	Base   string
	ByName map[string]int32
	ByNum  map[int32]string
}

// NewTypes are none.
func NewTypes() Types { return Types{map[string]*Message{}, map[string]*Enum{}} }

// Merge adds other types; those of the same names are replaced.
func (t Types) Merge(from Types) {
	for name, m := range from.Messages {
		t.Messages[name] = m
	}
	for name, e := range from.Enums {
		t.Enums[name] = e
	}
}

// addFile adds the types of a file and of all that it imports.
func (t Types) addFile(f protoreflect.FileDescriptor, done map[string]bool) {
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

func (t Types) addEnums(list protoreflect.EnumDescriptors) {
	for i := range list.Len() {
		t.enum(list.Get(i))
	}
}

func (t Types) addMessages(list protoreflect.MessageDescriptors) {
	for i := range list.Len() {
		d := list.Get(i)
		t.message(d)
		t.addEnums(d.Enums())
		t.addMessages(d.Messages())
	}
}

func (t Types) enum(d protoreflect.EnumDescriptor) *Enum {
	name := string(d.FullName())
	if e, ok := t.Enums[name]; ok {
		return e
	}
	e := &Enum{Name: name, Base: string(d.Name()), ByName: map[string]int32{}, ByNum: map[int32]string{}}
	values := d.Values()
	for i := values.Len() - 1; i >= 0; i-- { // the first of several names of one number is the one that decode tells
		v := values.Get(i)
		e.ByName[string(v.Name())] = int32(v.Number())
		e.ByNum[int32(v.Number())] = string(v.Name())
	}
	t.Enums[name] = e
	return e
}

func (t Types) message(d protoreflect.MessageDescriptor) *Message {
	name := string(d.FullName())
	if m, ok := t.Messages[name]; ok {
		return m
	}
	m := &Message{
		Name: name, Base: string(d.Name()), Number: map[protowire.Number]*Field{}, ByName: map[string]*Field{},
		Proto3: d.ParentFile().Syntax() != protoreflect.Proto2, Entry: d.IsMapEntry(),
	}
	t.Messages[name] = m // before its fields, which may be of its own type
	fields := d.Fields()
	for i := range fields.Len() {
		f := t.field(fields.Get(i))
		m.Fields = append(m.Fields, f)
		m.Number[f.Num] = f
		m.ByName[f.Name] = f
	}
	oneofs := d.Oneofs()
	for i := range oneofs.Len() {
		t.oneof(m, oneofs.Get(i))
	}
	sort.Slice(m.Fields, func(i, j int) bool { return m.Fields[i].Num < m.Fields[j].Num })
	for i, f := range m.Fields {
		f.Index = i
	}
	return m
}

func (t Types) oneof(m *Message, d protoreflect.OneofDescriptor) {
	if d.IsSynthetic() {
		return
	}
	var members []*Field
	for i := range d.Fields().Len() {
		members = append(members, m.Number[d.Fields().Get(i).Number()])
	}
	for _, f := range members {
		f.Oneof = members
	}
}

func (t Types) field(d protoreflect.FieldDescriptor) *Field {
	f := &Field{
		Name: string(d.Name()), Num: d.Number(), Kind: d.Kind(), List: d.IsList(), Packed: d.IsPacked(), TypeName: d.Kind().String(),
		Required: d.Cardinality() == protoreflect.Required, Presence: d.HasPresence(),
		UTF8: d.Kind() == protoreflect.StringKind && d.ParentFile().Syntax() != protoreflect.Proto2,
	}
	if e := d.Enum(); e != nil {
		f.Enum = t.enum(e)
		f.TypeName = f.Enum.Name
	}
	if m := d.Message(); m != nil {
		f.Message = t.message(m)
		f.TypeName = f.Message.Name
	} else if !f.List {
		f.Def = d.Default()
	}
	if d.IsMap() {
		f.Key, f.Val = f.Message.Number[1], f.Message.Number[2]
	}
	return f
}

// WireType is how a value of a kind is written.
func WireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	default:
		return protowire.VarintType
	}
}
