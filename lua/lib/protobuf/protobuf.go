// Package protobuf is the module protobuf for scripts: it compiles .proto files at run time and codes tables by them, with the names of lua-protobuf's pb.
// Values go between the bytes and the VM without a message in between. Integers keep all 64 bits.
package protobuf

import (
	"crypto/sha256"
	"io/fs"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skua-go/skua/internal/protofile"
	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

const (
	maxDepth = 128   // of messages in messages
	maxFiles = 1_000 // that a VM loads
)

// Which fields decode gives a value that the bytes do not have.
const (
	defaultsAuto = iota // those of proto3 that have no presence
	defaultsNone
	defaultsAll
)

// Library is the module for the VMs of a node, which share what is compiled.
type Library struct{ files *protofile.Library }

// NewLibrary finds files that are imported, and those that load_file names, in files, which may be nil.
func NewLibrary(files fs.FS) *Library { return &Library{protofile.NewLibrary(files)} }

// registry is the module in a VM: what it has loaded, and its options.
type registry struct {
	library  *protofile.Library
	key      [sha256.Size]byte
	files    map[string]protoreflect.FileDescriptor
	types    protofile.Types
	numbers  walk.Numbers
	defaults int
	enumNum  bool // enums are numbers
}

// Open pushes the module protobuf.
func (l *Library) Open(s vm.State) {
	r := &registry{library: l.files, files: map[string]protoreflect.FileDescriptor{}, types: protofile.NewTypes(), numbers: walk.NumbersOf(s)}
	module.Push(s, map[string]vm.Func{
		"load": r.loadText, "load_file": r.loadFile,
		"encode": r.encode, "decode": r.decode,
		"enum": r.enumOf, "type": r.typeOf, "types": r.listTypes, "fields": r.listFields, "field": r.fieldOf, "defaults": r.defaultsOf,
		"option": r.option,
	})
}

// loadText compiles a text; others import it by its name.
func (r *registry) loadText(s vm.State) int {
	text, name := module.Bytes(s, 1, "load"), "script.proto"
	if module.Has(s, 2) {
		name = module.Bytes(s, 2, "load")
	}
	s.Spend(loadCost + loadByteCost*len(text))
	return r.loaded(s, "load", r.load(name, text))
}

// What compiling a file is worth in steps: most of it is to begin, and to link it with those that are there.
const (
	loadCost     = 10_000
	loadByteCost = 10
)

// loadFile compiles a file of the project's scripts.
func (r *registry) loadFile(s vm.State) int {
	name := module.Bytes(s, 1, "load_file")
	text, err := r.library.Read(name)
	s.Spend(loadCost + loadByteCost*len(text))
	if err == nil {
		err = r.load(name, text)
	}
	return r.loaded(s, "load_file", err)
}

func (r *registry) loaded(s vm.State, f string, err error) int {
	if err != nil {
		s.Errorf("protobuf.%s: %s", f, err.Error())
	}
	s.PushBool(true)
	return 1
}

// messageAt is the message that argument i of f names, with or without a dot in front.
func (r *registry) messageAt(s vm.State, i int, f string) *protofile.Message {
	name := module.Bytes(s, i, f)
	m, ok := r.types.Messages[strings.TrimPrefix(name, ".")]
	if !ok {
		s.Errorf("protobuf.%s: no message %q is loaded", f, name)
	}
	return m
}

func (r *registry) encode(s vm.State) int {
	m := r.messageAt(s, 1, "encode")
	module.Table(s, 2, "encode")
	e := encoder{registry: r, s: s, open: walk.NewOpen(maxDepth)}
	if err := e.message(m, 2); err != nil {
		s.Errorf("protobuf.encode: %s", walk.Text(err, m.Name))
	}
	module.Work(s, len(e.out))
	s.PushString(string(e.out))
	return 1
}

func (r *registry) decode(s vm.State) int {
	m := r.messageAt(s, 1, "decode")
	data := ""
	if module.Has(s, 2) {
		data = module.Bytes(s, 2, "decode")
	}
	d := decoder{registry: r, s: s}
	s.NewTable(0, len(m.Fields))
	if err := d.message(m, []byte(data), s.Top()); err != nil {
		s.Errorf("protobuf.decode: %s", walk.Text(err, m.Name))
	}
	return 1
}

// option sets one of lua-protobuf's options.
func (r *registry) option(s vm.State) int {
	switch name := module.Bytes(s, 1, "option"); name {
	case "enum_as_name":
		r.enumNum = false
	case "enum_as_value":
		r.enumNum = true
	case "int64_as_number":
		r.numbers.AsText = false
	case "int64_as_string":
		r.numbers.AsText = true
	case "auto_default_values":
		r.defaults = defaultsAuto
	case "no_default_values":
		r.defaults = defaultsNone
	case "use_default_values":
		r.defaults = defaultsAll
	default:
		s.Errorf("protobuf.option: there is no option %q", name)
	}
	return 0
}
