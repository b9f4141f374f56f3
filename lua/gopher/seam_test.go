package gopher_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/vm"
)

const tooLarge = 1<<53 + 1

func TestAnIntegerThatWouldBeRoundedIsRefused(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	m.Main().PushFunc("big", func(s vm.State) int { s.PushInt(tooLarge); return 1 })
	m.Main().SetGlobal("big")
	m.Main().PushFunc("wait", func(s vm.State) int { return s.Yield(0) })
	m.Main().SetGlobal("wait")
	const want = "integer 9007199254740993 is beyond 2^53: the engine gopher would round it"

	th := load(t, m, `return pcall(function() return big() end)`)
	if th.Resume(0); th.Text(2) != "main.lua:1: "+want {
		t.Errorf("a function: %s", th.Text(2))
	}
	// What comes behind a wait is refused at the wait, where the script can catch it.
	th = load(t, m, `return pcall(function() local x = wait() return x end)`)
	th.Resume(0)
	th.PushInt(tooLarge)
	if status := th.Resume(1); status != vm.Finished || th.Bool(1) || !strings.HasSuffix(th.Text(2), want) {
		t.Errorf("a wait: %v %s", status, th.Text(-1))
	}
	th = load(t, m, `return ...`)
	th.PushInt(-tooLarge)
	if status := th.Resume(1); status != vm.Failed || !strings.Contains(th.Text(-1), "-9007199254740993 is beyond") {
		t.Errorf("an argument: %v %s", status, th.Text(-1))
	}
}

func TestAnIntegerThatWouldBeRoundedIsTextWhereThatIsAsked(t *testing.T) {
	e, err := gopher.New(gopher.Config{TextIntegers: true})
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(vm.Options{})
	defer m.Close()
	th := load(t, m, `return ...`)
	th.PushInt(tooLarge)
	th.PushInt(1 << 53)
	th.Resume(2)
	text, isText := th.String(1)
	n, isInt := th.Int(2)
	if text != "9007199254740993" || !isText || n != 1<<53 || !isInt {
		t.Errorf("%s %v %d %v", text, isText, n, isInt)
	}
}

func TestANumberBeyondWhatIsExactIsNoInteger(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	s := m.Main()
	for f, want := range map[float64]bool{1: true, 1.5: false, 1 << 53: true, 1 << 54: false, -(1 << 53): true} {
		s.PushFloat(f)
		if _, ok := s.Int(-1); ok != want || s.IsInt(-1) != want {
			t.Errorf("%v is an integer: %v", f, ok)
		}
		s.Pop(1)
	}
}

// setYield gives scripts a global function that hands its arguments to the host.
func setYield(m vm.VM) {
	m.Main().PushFunc("yield", func(s vm.State) int { return s.Yield(s.Top()) })
	m.Main().SetGlobal("yield")
}

func TestEightVMsRunTheSameCodeAtOnce(t *testing.T) {
	e := engine(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				m := e.New(vm.Options{Tick: func() error { return nil }})
				setYield(m)
				th := m.Main().NewThread()
				if err := th.Load("main.lua", `
local t, s = {}, 0
for i = 1, 200 do t["k" .. i] = { i } end
for k, v in pairs(t) do s = s + v[1] end
local ok, e = pcall(function() local x = yield(s) error("x" .. x) end)
return s, e, ("a b c"):gsub("%w", "%0%0"), string.format("%5.1f", s), (xpcall(error, debug.traceback, "y"))`); err != nil {
					t.Error(err)
				}
				th.Resume(0)
				th.SetTop(0)
				th.PushInt(7)
				if status := th.Resume(1); status != vm.Finished || th.Text(2) != "main.lua:5: x7" {
					t.Errorf("%v %s", status, th.Text(2))
				}
				m.Close()
			}
		})
	}
	wg.Wait()
}

func TestAPanicOfAModuleIsAnErrorOfTheScript(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	m.Main().PushFunc("defect", func(vm.State) int { panic(errors.New("out of order")) })
	m.Main().SetGlobal("defect")
	th := load(t, m, `local ok, e = pcall(defect) defect()`)
	if status := th.Resume(0); status != vm.Failed || th.Text(-1) != "out of order" {
		t.Errorf("%v %s", status, th.Text(-1))
	}
}

func TestTheStackIsWhatTheSeamSays(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	for name, s := range map[string]vm.State{"main": m.Main(), "thread": m.Main().NewThread()} {
		s.PushInt(1)
		s.PushString("two")
		s.PushBool(true)
		s.PushNil()
		s.Copy(2)
		s.Insert(1)
		s.Remove(-2)
		s.SetTop(5)
		var got []string
		for i := 1; i <= s.Top(); i++ {
			got = append(got, s.Type(i).String())
		}
		if text := strings.Join(got, " "); text != "string number string nil nil" || s.Type(6) != vm.None || s.Type(-6) != vm.None {
			t.Errorf("%s: %s", name, text)
		}
		s.SetTop(-3)
		if s.Top() != 3 {
			t.Errorf("%s: %d are left", name, s.Top())
		}
		s.SetTop(0)
		s.NewTable(0, 0)
		s.PushString("key")
		s.PushUserdata(&got)
		s.RawSet(1)
		s.PushNil()
		if !s.Next(1) || s.Userdata(-1) != any(&got) || s.Text(-2) != "key" {
			t.Errorf("%s: the field is gone", name)
		}
		s.Pop(1)
		if s.Next(1) || s.Top() != 1 {
			t.Errorf("%s: a second field", name)
		}
		ref := s.Ref()
		s.Push(ref)
		s.Push(ref)
		if !s.Equal(-1, -2) {
			t.Errorf("%s: not the same", name)
		}
		s.Unref(ref)
		s.SetTop(0)
	}
}

func TestPCallOfTheHostLeavesTheError(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	s := m.Main()
	s.PushString("below")
	for range 3 {
		if err := s.Load("main.lua", `local t = ... error({ code = t })`); err != nil {
			t.Fatal(err)
		}
		s.PushInt(5)
		if err := s.PCall(1, 1); err == nil || s.Top() != 2 || s.Type(2) != vm.Table {
			t.Fatalf("%v, %d values", err, s.Top())
		}
		s.Pop(1)
	}
	if s.Text(1) != "below" {
		t.Error(s.Text(1))
	}
}

func TestMillionsOfWaitsLeaveNothingBehind(t *testing.T) {
	racetest.SetAside(t)
	m := engine(t).New(vm.Options{})
	defer m.Close()
	th := load(t, m, `while true do yield(1, 2) pcall(yield, 3) end`)
	for range 1_200_000 { // more than the registers that a thread may have
		if th.Resume(0) != vm.Yielded {
			t.Fatal(th.Text(-1))
		}
		th.SetTop(0)
	}
	if size := m.Memory(); size > 100<<10 {
		t.Errorf("the VM takes %d bytes", size)
	}
}
