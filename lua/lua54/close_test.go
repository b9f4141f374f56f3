package lua54_test

import (
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

func TestAThreadThatTheHostEndsClosesItsVariables(t *testing.T) {
	for name, source := range map[string]string{
		"in the thread":        `local a <close> = mark("a") local b <close> = mark("b") wait()`,
		"in a coroutine of it": `local a <close> = mark("a") coroutine.wrap(function() local b <close> = mark("b") wait() end)()`,
		"one that fails":       `local a <close> = mark("a") local c <close> = setmetatable({}, { __close = error }) local b <close> = mark("b") wait()`,
	} {
		t.Run(name, func(t *testing.T) {
			m := lua54.New().New(vm.Options{})
			defer m.Close()
			s := m.Main()
			closed := ""
			s.PushFunc("wait", func(s vm.State) int { return s.Yield(0) })
			s.SetGlobal("wait")
			s.PushFunc("closed", func(s vm.State) int {
				text, _ := s.String(1)
				closed += text
				return 0
			})
			s.SetGlobal("closed")
			th := s.NewThread()
			if err := th.Load("test", `function mark(name) return setmetatable({}, { __close = function() closed(name) end }) end `+source); err != nil {
				t.Fatal(err)
			}
			if status := th.Resume(0); status != vm.Yielded {
				t.Fatal("it does not wait:", th.Text(-1))
			}
			th.CloseThread()
			if closed != "ba" {
				t.Errorf("closed %q, want ba", closed)
			}
			th.PushNil()
			if status := th.Resume(0); status != vm.Failed {
				t.Errorf("it could be resumed")
			}
		})
	}
}
