package lua

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// launcher is who starts services.
func (h *Host) launcher(s vm.State, what string) actor.Ref {
	ref, ok := h.c.System().Lookup(LauncherName)
	if !ok {
		s.Errorf("%s: this node has no launcher", what)
	}
	return ref
}

// launchAt reads the name of a service and its arguments from index i on.
func (h *Host) launchAt(s vm.State, i int, what string) Launch {
	name, ok := s.String(i)
	if !ok {
		s.Errorf("%s: the name of a service is expected as argument %d, got %s", what, i, s.Type(i))
	}
	return Launch{Script: name, Args: h.list(s, i+1)}
}

func (h *Host) apiNewService(s vm.State) int {
	const what = "skynet.newservice"
	shared, shard := false, ""
	if s.Type(1) == vm.Table {
		shared, shard = h.shardAt(s, what)
	}
	l := h.launchAt(s, 1, what)
	l.Shared, l.Shard = shared, shard
	return h.ask(s, h.launcher(s, what), l, h.rt.cfg.StartTimeout, &h.lua, what)
}

// shardAt reads { name, shard = key }, and leaves the name in its place. The key true lets the launcher choose the VM.
func (h *Host) shardAt(s vm.State, what string) (shared bool, key string) {
	s.Field(1, "shard")
	switch s.Type(-1) {
	case vm.Nil:
	case vm.Boolean:
		shared = s.Bool(-1)
	case vm.String, vm.Number:
		shared, key = true, s.Text(-1)
		if key == "" || len(key) > maxName {
			s.Errorf("%s: a shard's name has 1 to %d bytes", what, maxName)
		}
	default:
		s.Errorf("%s: shard: true, a name or a number is expected, got %s", what, s.Type(-1))
	}
	s.Pop(1)
	s.RawGetInt(1, 1)
	s.Insert(1)
	s.Remove(2)
	return shared, key
}

// apiUniqueService starts a service that is there once; all who ask get the same. A first argument true means the whole network in Skynet.
func (h *Host) apiUniqueService(s vm.State) int {
	const what = "skynet.uniqueservice"
	l := h.launchAt(s, h.local(s), what)
	l.Unique = true
	return h.ask(s, h.launcher(s, what), l, h.rt.cfg.StartTimeout, &h.lua, what)
}

// apiQueryService waits for a unique service that somebody else starts.
func (h *Host) apiQueryService(s vm.State) int {
	const what = "skynet.queryservice"
	l := h.launchAt(s, h.local(s), what)
	l.Query = true
	return h.ask(s, h.launcher(s, what), l, h.rt.cfg.StartTimeout, &h.lua, what)
}

func (h *Host) local(s vm.State) int {
	if s.Type(1) == vm.Boolean {
		return 2
	}
	return 1
}

// innerUnique is apiUniqueService and apiQueryService of a service with a key of its own: unique(key, query, name, ...).
func (h *Host) innerUnique(s vm.State) int {
	const what = "skynet.service"
	key, ok := s.String(1)
	if !ok || key == "" || len(key) > maxName {
		s.Errorf("%s: a name of at most %d bytes is expected, got %s", what, maxName, s.Type(1))
	}
	l := h.launchAt(s, 3, what)
	l.Key, l.Query, l.Unique = "service "+key, s.Bool(2), !s.Bool(2)
	return h.ask(s, h.launcher(s, what), l, h.rt.cfg.StartTimeout, &h.lua, what)
}

// innerCloseUnique ends a service of innerUnique: close_unique(key). It answers whether there was one.
func (h *Host) innerCloseUnique(s vm.State) int {
	key, _ := s.String(1)
	const what = "skynet.service"
	return h.ask(s, h.launcher(s, what), forget{"service " + key}, h.rt.cfg.StartTimeout, &h.lua, what)
}

// apiLaunch starts a service of Lua, launch("snlua", name, ...), and returns its address before it is ready.
func (h *Host) apiLaunch(s vm.State) int {
	const what = "skynet.launch"
	if kind, _ := s.String(1); kind != "snlua" {
		s.Errorf(`%s: services are written in Lua here: launch("snlua", name, ...) is expected, got %q`, what, s.Text(1))
	}
	l := h.launchAt(s, 2, what)
	l.Soon = true
	return h.ask(s, h.launcher(s, what), l, h.rt.cfg.StartTimeout, &h.lua, what)
}

// errKilled is the reason of services that skynet.kill ends.
var errKilled = errors.New("killed")

// apiKill ends a service after the message that it handles. One that is not there has ended.
func (h *Host) apiKill(s vm.State) int {
	h.still(s, "skynet.kill")
	ref := h.address(s, 1)
	if ref == h.c.Self() {
		return h.apiExit(s)
	}
	h.c.Stop(ref, errKilled)
	return 0
}

func (h *Host) apiAbort(vm.State) int {
	h.rt.cfg.Abort()
	return 0
}

// apiRegister gives this service a name: "name" or ".name".
func (h *Host) apiRegister(s vm.State) int {
	h.still(s, "skynet.register")
	return h.register(s, h.c.Self(), "skynet.register")
}

// apiName gives a service a name.
func (h *Host) apiName(s vm.State) int {
	h.still(s, "skynet.name")
	ref := h.address(s, 2)
	return h.register(s, ref, "skynet.name")
}

func (h *Host) register(s vm.State, ref actor.Ref, what string) int {
	name, ok := s.String(1)
	name = strings.TrimPrefix(name, ".")
	if !ok || name == "" || strings.HasPrefix(name, ":") {
		s.Errorf("%s: a name is expected as argument 1, got %s", what, s.Text(1))
	}
	if err := h.c.System().Register(name, ref); err != nil {
		s.Errorf("%s: %s", what, err.Error())
	}
	return 0
}

// apiForwardType handles messages of some types as those of others: forward_type(map, start).
func (h *Host) apiForwardType(s vm.State) int {
	const what = "skynet.forward_type"
	if s.Type(1) != vm.Table {
		s.Errorf("%s: a table from type to type is expected as argument 1, got %s", what, s.Type(1))
	}
	forward := map[Type]Type{}
	s.PushNil()
	for s.Next(1) {
		from, ok := s.Int(-2)
		to, too := s.Int(-1)
		if !ok || !too || min(from, to) < 0 || max(from, to) > maxScriptType {
			s.Errorf("%s: the types have to be numbers from 0 to %d", what, maxScriptType)
		}
		forward[Type(from)] = Type(to)
		s.Pop(1)
	}
	checkFunction(s, 2, what)
	s.SetTop(2)
	h.setStart(s, what)
	h.forward = forward
	return 0
}

// apiFilter has a function look at each message before it is handled: filter(f, start). f gets and gives what skynet.dispatch_message takes.
func (h *Host) apiFilter(s vm.State) int {
	const what = "skynet.filter"
	checkFunction(s, 1, what)
	checkFunction(s, 2, what)
	s.SetTop(2)
	h.setStart(s, what)
	h.filter = s.Ref()
	return 0
}

// filtered gives a message to the filter and handles what that makes of it. The filter can't wait.
func (h *Host) filtered(m Message) {
	in := h.inbound(m)
	main := h.vm.Main()
	top := main.Top()
	defer main.SetTop(top)
	main.Push(h.filter)
	main.PushInt(int64(m.Type))
	pushBuffer(main, m.Raw, m.Args)
	main.PushInt(in.session)
	pushAddress(main, in.source)
	h.began = time.Time{}
	if err := main.PCall(5, 5); err != nil {
		h.refuse(in, h.raised())
		return
	}
	if main.Type(top+1) == vm.Nil {
		h.refuse(in, &NoHandlerError{Script: h.script, Kind: "handler behind the filter for a message of type", Name: m.Type.String()})
		return
	}
	h.dispatchAt(main, top+1, in)
}

// dispatchAt handles the message of the five values from index i on: type, buffer, size, session, source. in is the message that is handled already.
func (h *Host) dispatchAt(s vm.State, i int, in inbound) {
	t, ok := s.Int(i)
	if !ok || t < 0 || t > maxScriptType {
		h.refuse(in, fmt.Errorf("%s: the filter has to return a message type, got %s", h.script, s.Text(i)))
		return
	}
	m := Message{Type: Type(t)}
	if l, ok := s.Userdata(i + 1).(value.List); ok {
		m.Args = l
	} else {
		text, _ := s.String(i + 1)
		m.Raw, m.Args = true, textList(text)
	}
	if session, ok := s.Int(i + 3); ok && session != in.session {
		in = inbound{session: session, foreign: session != 0}
	}
	if id, ok := s.Int(i + 4); ok {
		in.source = h.c.System().RefOf(uint64(id))
	}
	h.deliver(m, in)
}

// apiDispatchMessage handles a message as if it had come: dispatch_message(type, buffer, size, session, source).
func (h *Host) apiDispatchMessage(s vm.State) int {
	s.SetTop(5)
	in := inbound{}
	if session, ok := s.Int(4); ok && session != 0 {
		if p, found := h.takeRequest(session); found {
			in = inbound{session: session, request: true, promise: p}
		}
	}
	h.dispatchAt(s, 1, in)
	return 0
}

// apiMonitor has a unique service told when services end: it gets an empty message of type client from each.
func (h *Host) apiMonitor(s vm.State) int {
	const what = "skynet.monitor"
	query := s.Bool(2)
	s.SetTop(1)
	l := h.launchAt(s, 1, what)
	l.Query, l.Unique, l.Monitor = query, !query, true
	return h.ask(s, h.launcher(s, what), l, h.rt.cfg.StartTimeout, &h.lua, what)
}
