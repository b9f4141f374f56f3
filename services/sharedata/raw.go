package sharedata

import "github.com/skua-go/skua/lua/vm"

// openRaw has the functions that pass over metamethods know shared tables, which are tables like any other for those who wrote for Skynet. Other tables they
// leave to the engine's. A script that has taken one of them into a local before it required the module keeps the engine's.
func openRaw(s vm.State) {
	for name, shared := range map[string]func(s vm.State, p *proxy) int{"next": rawNext, "rawget": rawGet, "rawlen": rawLen, "rawset": rawSet} {
		s.Global(name)
		if s.Type(-1) != vm.Function { // an engine that has no such function
			s.Pop(1)
			continue
		}
		engines := s.Ref()
		s.PushFunc(name, func(s vm.State) int {
			if p := proxyAt(s, 1); p != nil {
				return shared(s, p)
			}
			n := s.Top()
			s.Push(engines)
			s.Insert(1)
			s.Call(n, vm.VariadicResults)
			return s.Top()
		})
		s.SetGlobal(name)
	}
}

func rawNext(s vm.State, p *proxy) int {
	node, pos := p.resolve(s), -1
	if t := s.Type(2); t != vm.Nil && t != vm.None {
		if pos = node.findAt(s, 2); pos == none {
			s.Errorf("invalid key to 'next'")
		}
	}
	if pos++; pos == node.size() {
		s.PushNil()
		return 1
	}
	p.pushPair(s, node, pos)
	return 2
}

func rawGet(s vm.State, _ *proxy) int { return index(s) }

func rawLen(s vm.State, _ *proxy) int { return length(s) }

func rawSet(s vm.State, _ *proxy) int { return newIndex(s) }
