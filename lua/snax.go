package lua

import (
	"strings"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// snaxd is the script that runs snax services: its first argument is the name of theirs.
const snaxd = "snaxd"

// servedAs is what a service is known by in logs and errors, and which script makes it: a snax service goes by the name of its own script.
func servedAs(script string, args value.List) (name, maker string) {
	if script == snaxd {
		if own, ok := args.At(0).Str(); ok && own != "" {
			return own, snaxd
		}
	}
	return script, script
}

// innerScriptText gives the text of a service's script or a module, and its file: script_text(name); or nil and what is wrong.
func (h *Host) innerScriptText(s vm.State) int {
	name, ok := s.String(1)
	if !ok {
		s.Errorf("the name of a script is expected, got %s", s.Type(1))
	}
	file, text, err := h.source(name)
	if err != nil {
		s.PushNil()
		s.PushString(strings.TrimPrefix(err.Error(), "lua: "))
		return 2
	}
	s.PushString(text)
	s.PushString(file)
	return 2
}
