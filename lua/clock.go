package lua

import "github.com/skua-go/skua/lua/vm"

// openClock has os.time and os.date go by Config.Now, if there is one.
func (h *Host) openClock(s vm.State) {
	if h.rt.cfg.Now == nil {
		return
	}
	s.Global("os")
	h.replace(s, "time", func(s vm.State, call func(s vm.State)) {
		if t := s.Type(1); t != vm.None && t != vm.Nil {
			call(s)
			return
		}
		s.PushInt(h.rt.cfg.Now().Unix())
	})
	h.replace(s, "date", func(s vm.State, call func(s vm.State)) {
		if t := s.Type(2); t == vm.None || t == vm.Nil {
			if t := s.Type(1); t == vm.None || t == vm.Nil {
				s.SetTop(0)
				s.PushString("%c") // os.date's own default
			}
			s.SetTop(1)
			s.PushInt(h.rt.cfg.Now().Unix())
		}
		call(s)
	})
	s.Pop(1)
}

// replace puts f in the place of a function of the table on top. What f is given calls the old one with the arguments on the stack and leaves its result on
// top, where f's own is, too.
func (h *Host) replace(s vm.State, name string, f func(s vm.State, call func(s vm.State))) {
	s.Field(-1, name)
	old := s.Ref()
	s.PushFunc(name, func(s vm.State) int {
		f(s, func(s vm.State) {
			n := s.Top()
			s.Push(old)
			s.Insert(1)
			s.Call(n, 1)
		})
		return 1
	})
	s.SetField(-2, name)
}
