package socket

import (
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// ModuleName is the module in Go; scripts require skynet.socket.
const ModuleName = "skynet.socketdriver"

// Module is `require "skynet.socketdriver"`, which scripts/skynet/socket.lua makes the module skynet.socket of. Functions that fail for a reason outside of
// the script give nil and a text; wrong arguments are errors.
func (n *Sockets) Module() lua.Module {
	return lua.Module{Name: ModuleName, Open: func(h *lua.Host, s vm.State) {
		u := newUser(n, h)
		funcs := map[string]vm.Func{
			"open": u.apiOpen, "listen": u.apiListen, "start": u.apiStart, "abandon": u.apiAbandon,
			"close": u.apiClose, "close_fd": u.apiCloseFD, "shutdown": u.apiShutdown,
			"read": u.apiRead, "readline": u.apiReadLine, "readall": u.apiReadAll, "block": u.apiBlock, "pause": u.apiPause,
			"send":  func(s vm.State) int { return u.write(s, "socket.write", false) },
			"lsend": func(s vm.State) int { return u.write(s, "socket.lwrite", true) },
			"limit": u.apiLimit, "warning": u.apiWarning, "onclose": u.apiOnClose, "nodelay": u.apiNoDelay,
			"invalid": u.apiInvalid, "disconnected": u.apiDisconnected, "info": u.apiInfo, "resolve": u.apiResolve, "header": apiHeader,
			"udp": u.apiUDP, "udp_connect": u.apiUDPConnect, "udp_dial": u.apiUDPDial, "udp_send": u.apiUDPSend, "udp_address": apiUDPAddress,
		}
		s.NewTable(0, len(funcs))
		for name, f := range funcs {
			s.PushFunc(name, f)
			s.SetField(-2, name)
		}
	}}
}

// argID reads the number of a socket.
func argID(s vm.State, what string) int64 {
	id, ok := s.Int(1)
	if !ok {
		s.Errorf("%s: the number of a socket is expected, got %s", what, s.Type(1))
	}
	return id
}

// absent tells whether an optional argument was left out.
func absent(s vm.State, i int) bool { return s.Type(i) == vm.None || s.Type(i) == vm.Nil }

// argFunction keeps the function at index i; 0 if it was left out.
func argFunction(s vm.State, i int, what string) int {
	if absent(s, i) {
		return 0
	}
	if s.Type(i) != vm.Function {
		s.Errorf("%s: a function is expected as argument %d, got %s", what, i, s.Type(i))
	}
	s.Copy(i)
	return s.Ref()
}

// argAddress reads a host and a port at index i, or both in one string.
func argAddress(s vm.State, i int, what string) (host string, port uint16) {
	text, ok := s.String(i)
	if !ok {
		s.Errorf("%s: a host is expected as argument %d, got %s", what, i, s.Type(i))
	}
	number, hasPort := s.Int(i + 1)
	if !hasPort && !absent(s, i+1) {
		s.Errorf("%s: a port is expected as argument %d, got %s", what, i+1, s.Text(i+1))
	}
	host, port, err := splitAddress(text, number, hasPort)
	if err != nil {
		s.Errorf("%s: %s", what, err.Error())
	}
	return host, port
}

// failed pushes nil and why.
func failed(s vm.State, err error) int {
	s.PushNil()
	s.PushString(err.Error())
	return 2
}

// mine is the entry of a socket that has to be the service's own.
func (u *user) mine(s vm.State, what string) *entry {
	id := argID(s, what)
	e := u.entry(s, id)
	if e == nil {
		s.Errorf("%s: socket %d is not open in this service", what, id)
	}
	return e
}

// connection is mine for a TCP connection.
func (u *user) connection(s vm.State, what string) *conn {
	e := u.mine(s, what)
	c, ok := e.sock.(*conn)
	if !ok {
		s.Errorf("%s: socket %d is not a TCP connection", what, e.sock.head().id)
	}
	return c
}
