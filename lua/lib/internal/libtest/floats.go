package libtest

import "github.com/skua-go/skua/lua/vm"

// floats is a State of an engine whose numbers are all floats, as those of Lua 5.1 are, made of one that has integers: what is pushed as an integer is
// rounded, and no number says that it is one.
type floats struct{ vm.State }

func (f floats) IsInt(int) bool { return false }

func (f floats) Exact() bool { return false }

func (f floats) PushInt(v int64) { f.PushFloat(float64(v)) }

func (f floats) PushFunc(name string, fn vm.Func) {
	f.State.PushFunc(name, func(s vm.State) int { return fn(floats{s}) })
}

func (f floats) NewThread() vm.State { return floats{f.State.NewThread()} }

func (f floats) Move(to vm.State, n int) { f.State.Move(bare(to), n) }

func (f floats) Same(i int, thread vm.State) bool { return f.State.Same(i, bare(thread)) }

func (f floats) PushThread(thread vm.State) { f.State.PushThread(bare(thread)) }

func bare(s vm.State) vm.State {
	if f, ok := s.(floats); ok {
		return f.State
	}
	return s
}
