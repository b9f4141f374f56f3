package lua

import "fmt"

// console makes a job of a command of the console, for the handler in scripts/skynet/debug.lua, which a service gets with the first of them.
func (h *Host) console(j *job, m Message) error {
	s := h.vm.Main()
	top := s.Top()
	defer s.SetTop(top)
	s.Push(h.require)
	s.PushString("skynet.debug")
	if err := s.PCall(1, 1); err != nil {
		return fmt.Errorf("%s: skynet.debug: %w", h.script, h.raised())
	}
	s.Field(-1, "dispatch")
	p := h.protocolOf(TypeDebug)
	p.dispatch = s.Ref()
	j.fn, j.proto, j.msg = p.dispatch, p, m
	return nil
}
