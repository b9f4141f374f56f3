package lua

import (
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/lib/pack"
	"github.com/skua-go/skua/lua/vm"
)

// protocol is how a service packs, unpacks and handles the messages of one type. Those with skynet.pack and skynet.unpack carry values, which are copied once
// and never made bytes of; others carry whatever their own functions make.
type protocol struct {
	name     string
	id       Type
	pack     int // references to the script's functions, 0 where skynet.pack and skynet.unpack do
	unpack   int
	noPack   bool // it was registered without
	noUnpack bool
	dispatch int
	class    int  // the table that it was registered with
	known    bool // by name only: a script may still register it
	traced   int8 // by skynet.traceproto: 1 always, -1 never
}

// lists are the functions of package pack for the values of a host.
var lists = pack.Lists{Take: TakeList, Push: PushList} //nolint:gochecknoglobals // a constant

// protocolOf is the protocol of a type, nil if there is none.
func (h *Host) protocolOf(t Type) *protocol {
	if t == TypeLua {
		return &h.lua
	}
	if p := h.types[t]; p != nil {
		return p
	}
	name := t.String()
	if known, ok := typeNames[name]; ok && known == t {
		return h.know(name, t)
	}
	return nil
}

// protocolNamed is the protocol of that name, nil if there is none.
func (h *Host) protocolNamed(name string) *protocol {
	if name == h.lua.name {
		return &h.lua
	}
	if p := h.protocols[name]; p != nil {
		return p
	}
	if t, ok := typeNames[name]; ok && h.types[t] == nil {
		return h.know(name, t)
	}
	return nil
}

// know makes a protocol of a type that scripts need not register.
func (h *Host) know(name string, t Type) *protocol {
	p := &protocol{name: name, id: t, known: true}
	h.addProtocol(p)
	return p
}

func (h *Host) addProtocol(p *protocol) {
	if h.protocols == nil {
		h.protocols, h.types = map[string]*protocol{}, map[Type]*protocol{}
	}
	h.protocols[p.name], h.types[p.id] = p, p
}

// protocolAt reads a protocol: its name or the number of its type.
func (h *Host) protocolAt(s vm.State, i int) *protocol {
	if name, ok := s.String(i); ok {
		if p := h.protocolNamed(name); p != nil {
			return p
		}
		s.Errorf("unknown message type %q: text, client, lua, or the name of a protocol that is registered (skynet.register_protocol) is expected", name)
	}
	n, ok := s.Int(i)
	if !ok || n < 0 || n > maxScriptType {
		s.Errorf("a message type is expected as argument %d, got %s", i, s.Type(i))
	}
	p := h.protocolOf(Type(n))
	if p == nil {
		s.Errorf("no protocol of type %d is registered (skynet.register_protocol)", n)
	}
	return p
}

// typeAt reads a type for messages that need no protocol here: they are passed on as they are.
func (h *Host) typeAt(s vm.State, i int) Type {
	if n, ok := s.Int(i); ok && n >= 0 && n <= maxScriptType {
		return Type(n)
	}
	return h.protocolAt(s, i).id
}

// apiRegisterProtocol takes Skynet's table: name, id, pack, unpack, dispatch.
func (h *Host) apiRegisterProtocol(s vm.State) int {
	const what = "skynet.register_protocol"
	s.SetTop(1)
	if s.Type(1) != vm.Table {
		s.Errorf("%s: a table is expected, got %s", what, s.Type(1))
	}
	s.Field(1, "name")
	name, ok := s.String(-1)
	if !ok || len(name) > maxName {
		s.Errorf("%s: the field name has to be a string of at most %d bytes", what, maxName)
	}
	s.Field(1, "id")
	id, ok := s.Int(-1)
	if !ok || id < 0 || id > maxScriptType {
		s.Errorf("%s %s: the field id has to be an integer from 0 to %d", what, name, maxScriptType)
	}
	p := h.protocolOf(Type(id))
	if other := h.protocolNamed(name); other != nil && (p == nil || p != other) {
		if !other.known {
			s.Errorf("%s %s: there is a protocol of this name already, of type %d", what, name, other.id)
		}
		delete(h.types, other.id)
	}
	if p != nil && !p.known {
		s.Errorf("%s %s: the type %d is that of the protocol %q already", what, name, id, p.name)
	}
	made := &protocol{name: name, id: Type(id)}
	if p != nil {
		delete(h.protocols, p.name)
		made.dispatch, made.traced = p.dispatch, p.traced
	}
	made.pack, made.noPack = h.functionField(s, name, "pack", h.packRef)
	made.unpack, made.noUnpack = h.functionField(s, name, "unpack", h.unpackRef)
	if dispatch, none := h.functionField(s, name, "dispatch", 0); !none {
		made.dispatch = dispatch
	}
	s.SetTop(1)
	made.class = s.Ref()
	h.addProtocol(made)
	return 0
}

// functionField keeps the function in a field of the table at 1: 0 if it is the one of the reference own, and none if there is nothing.
func (h *Host) functionField(s vm.State, name, field string, own int) (ref int, none bool) {
	s.Field(1, field)
	switch s.Type(-1) {
	case vm.Nil:
		return 0, true
	case vm.Function:
	default:
		s.Errorf("skynet.register_protocol %s: the field %s has to be a function, got %s", name, field, s.Type(-1))
	}
	if own != 0 {
		s.Push(own)
		same := s.Equal(-1, -2)
		s.Pop(1)
		if same {
			return 0, false
		}
	}
	return s.Ref(), false
}

// packed makes a message of the values from index i to the top, as the protocol does.
func (h *Host) packed(s vm.State, p *protocol, i int) Message {
	if p.pack == 0 {
		if p.noPack {
			s.Errorf("the protocol %q has been registered without a function pack", p.name)
		}
		return Message{Type: p.id, Args: h.list(s, i)}
	}
	s.Push(p.pack)
	if i <= s.Top()-1 {
		s.Insert(i)
	}
	s.Call(s.Top()-i, 2)
	return h.buffered(s, p.id, s.Top()-1, "the protocol "+p.name+"'s pack")
}

// buffered makes a message of a buffer at index i: what skynet.pack returned, or a string.
func (h *Host) buffered(s vm.State, t Type, i int, what string) Message {
	if l, ok := s.Userdata(i).(value.List); ok {
		return Message{Type: t, Args: l}
	}
	text, ok := s.String(i)
	if !ok {
		s.Errorf("%s: a message that skynet.pack made, or a string, is expected, got %s", what, s.Type(i))
	}
	return Message{Type: t, Raw: true, Args: textList(text)}
}

func textList(text string) value.List {
	var b value.Builder
	b.Grow(1)
	b.String(text)
	return b.List()
}

// list takes the values from index i to the top.
func (h *Host) list(s vm.State, i int) value.List {
	l, err := TakeList(s, i)
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	return l
}

// pushBuffer pushes a message as scripts pass it on: what skynet.pack makes, or a string; and its size.
func pushBuffer(s vm.State, raw bool, l value.List) {
	if raw {
		text, _ := l.At(0).Str()
		s.PushString(text)
		s.PushInt(int64(len(text)))
		return
	}
	s.PushUserdata(l)
	s.PushInt(int64(pack.Size(l)))
}

// pushUnpacked pushes what the protocol makes of a message and returns how many values there are. It may call the script.
func (h *Host) pushUnpacked(s vm.State, p *protocol, raw bool, l value.List) int {
	if p.unpack != 0 {
		top := s.Top()
		s.Push(p.unpack)
		pushBuffer(s, raw, l)
		s.Call(2, vm.VariadicResults)
		return s.Top() - top
	}
	if p.noUnpack {
		s.Errorf("the protocol %q has been registered without a function unpack", p.name)
	}
	if !raw {
		return PushList(s, l)
	}
	if p.known && p.id == TypeText { // its bytes are its value
		return PushList(s, l)
	}
	text, _ := l.At(0).Str()
	n, err := pack.Decode(s, []byte(text))
	if err != nil {
		s.Errorf("message of type %s: %s (who sent them has not packed them, as skynet.retpack(...) and skynet.ret(skynet.pack(...)) do)", p.name, err.Error())
	}
	return n
}

func (h *Host) apiDispatch(s vm.State) int {
	if s.Type(2) == vm.None || s.Type(2) == vm.Nil {
		name, isName := s.String(1)
		n, isType := s.Int(1)
		var p *protocol
		switch {
		case isName:
			p = h.protocolNamed(name)
		case isType && n >= 0 && n <= maxScriptType:
			p = h.protocolOf(Type(n))
		}
		if p == nil {
			return 0
		}
		s.Push(p.dispatch)
		return 1
	}
	p := h.protocolAt(s, 1)
	checkFunction(s, 2, "skynet.dispatch")
	s.SetTop(2)
	was := p.dispatch
	p.dispatch = s.Ref()
	s.Push(was)
	s.Unref(was)
	return 1
}
