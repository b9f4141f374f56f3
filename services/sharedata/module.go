package sharedata

import (
	"slices"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// open pushes the table of functions for one VM.
func (srv *Service) open(h *lua.Host, s vm.State) {
	c := newClient(srv, h.Context(), s)
	c.openMeta(s)
	openRaw(s)
	funcs := srv.stmFuncs()
	for name, f := range map[string]vm.Func{
		"put": c.apiPut, "drop": c.apiDrop, "follow": c.apiFollow, "version": c.apiVersion, "names": c.apiNames, "renew": c.apiRenew,
		"copy": c.apiCopy, "adopt": c.apiAdopt, "compile": c.apiCompile,
	} {
		funcs[name] = f
	}
	s.NewTable(0, len(funcs)+1)
	for name, f := range funcs {
		s.PushFunc(name, f)
		s.SetField(-2, name)
	}
	s.PushInt(srv.cfg.LoadTimeout.Milliseconds()/10 + 100)
	s.SetField(-2, "load_timeout")
}

// named reads arguments 1 and 2: the kind of a table and its name.
func named(s vm.State) (kind, string) {
	text, _ := s.String(1)
	k, ok := kindOf(text)
	if !ok {
		s.Errorf("%q is no kind of shared table", text)
	}
	name, ok := s.String(2)
	if !ok || name == "" || len(name) > maxName {
		s.Errorf("%s: a name of 1 to %d bytes is expected as argument 1, got %s", k, maxName, s.Type(2))
	}
	return k, name
}

const maxName = 1000

// apiPut publishes the table that is argument 4, or what compile made of one.
func (c *client) apiPut(s vm.State) int {
	k, name := named(s)
	text, _ := s.String(3)
	m, ok := modeOf(text)
	if !ok {
		s.Errorf("%q is no way to publish a table", text)
	}
	if err := c.srv.reg.allowed(k, name, m); err != nil {
		s.Errorf("%s", err.Error())
	}
	var root *frozen
	var err error
	switch s.Type(4) {
	case vm.Table:
		root, err = take(s, 4, c.srv.cfg.MaxValues, k == table)
	case vm.String:
		compiled, _ := s.String(4)
		root, err = decode(compiled, c.srv.cfg.MaxValues)
	case vm.Nil, vm.None:
		root = &frozen{height: 1}
	default:
		s.Errorf("%s %s: a table is expected, got %s", k, name, s.Type(4))
	}
	if err == nil {
		if err = c.srv.reg.put(k, name, m, root, nil); err != nil {
			s.Errorf("%s", err.Error())
		}
		c.adopt()
		return 0
	}
	s.Errorf("%s %s: %s", k, name, err.Error())
	return 0
}

func (c *client) apiDrop(s vm.State) int {
	k, name := named(s)
	if err := c.srv.reg.remove(k, name); err != nil {
		s.Errorf("%s", err.Error())
	}
	c.adopt()
	return 0
}

// apiFollow pushes a table that is always the newest of its name.
func (c *client) apiFollow(s vm.State) int {
	k, name := named(s)
	if !c.pushFollowing(s, k, name) {
		s.Errorf("%s: there is no table %q", k, name)
	}
	return 1
}

// apiVersion pushes a table as it is now, or nil.
func (c *client) apiVersion(s vm.State) int {
	k, name := named(s)
	if !c.pushVersion(s, k, name) {
		s.PushNil()
	}
	return 1
}

// apiNames pushes the names of all tables of a kind.
func (c *client) apiNames(s vm.State) int {
	text, _ := s.String(1)
	k, ok := kindOf(text)
	if !ok {
		s.Errorf("%q is no kind of shared table", text)
	}
	names := c.srv.reg.names(k)
	slices.Sort(names)
	s.NewTable(len(names), 0)
	for i, name := range names {
		s.PushString(name)
		s.RawSetInt(-2, int64(i)+1)
	}
	return 1
}

// apiRenew makes what the script holds of a table the newest version.
func (c *client) apiRenew(s vm.State) int {
	k, name := named(s)
	c.renew(k, name)
	return 0
}

// apiCopy pushes a plain table with the content of a shared one, or of what the keys behind the name lead to; nil if they lead nowhere.
func (c *client) apiCopy(s vm.State) int {
	k, name := named(s)
	o := c.srv.reg.find(k, name)
	if o == nil {
		s.Errorf("%s: there is no table %q", k, name)
	}
	root := o.now.Load()
	if v := c.follow[o]; v != nil {
		root = v.root
	}
	v := slot{obj: root}
	for i := 3; i <= s.Top() && s.Type(i) != vm.Nil; i++ {
		sub, ok := v.obj.(*frozen)
		if !ok {
			break // the way ends at a value that is no table, as in Skynet
		}
		pos := sub.findAt(s, i)
		if pos == none {
			s.PushNil()
			return 1
		}
		v = sub.at(pos)
	}
	c2 := copier{s: s, of: o}
	defer c2.close()
	c2.value(v)
	return 1
}

// apiAdopt makes the newest versions visible at once.
func (c *client) apiAdopt(vm.State) int {
	c.adopt()
	return 0
}

// apiCompile pushes a string that apiPut takes in the place of a table.
func (c *client) apiCompile(s vm.State) int {
	if s.Type(1) != vm.Table {
		s.Errorf("datasheet: a table is expected, got %s", s.Type(1))
	}
	root, err := take(s, 1, c.srv.cfg.MaxValues, false)
	if err != nil {
		s.Errorf("datasheet: %s", err.Error())
	}
	s.PushString(string(encode(root)))
	return 1
}
