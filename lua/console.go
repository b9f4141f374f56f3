package lua

import "fmt"

// console gives a coroutine the handler of the console's commands, scripts/skynet/debug.lua, which a service gets with the first of them.
func (h *Host) console(co *coroutine, m Message) error {
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
	co.job.fn, co.job.proto, co.job.msg = p.dispatch, p, m
	return nil
}
