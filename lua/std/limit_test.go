package std_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

func TestStringsThatAreLetGoOfAreNotHeldAgainstAScript(t *testing.T) {
	racetest.SetAside(t)
	other, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []vm.Engine{lua54.Engine{}, other} {
		for name, body := range map[string]string{
			"rep":     `local x = ("x"):rep(5e6)`,
			"concat":  `local t = {} for i = 1, 50 do t[i] = part end local x = table.concat(t)`,
			"gsub":    `local x = part:gsub("x", ("y"):rep(50))`,
			"format":  `local x = (("%s"):rep(5)):format(part, part, part, part, part)`,
			"reverse": `local x = large:reverse()`,
			"upper":   `local x = large:upper()`,
			"sort":    `local t = {} for i = 1, 50000 do t[i] = i % 777 end table.sort(t)`,
			"pack":    `local x = ("s4"):rep(5):pack(part, part, part, part, part)`,
		} {
			t.Run(e.Name()+"/"+name, func(t *testing.T) {
				m := e.New(vm.Options{})
				defer m.Close()
				m.SetMemoryLimit(32 << 20)
				th := m.Main().NewThread()
				if err := th.Load("main.lua", `part, large = ("x"):rep(1e5), ("x"):rep(5e6) for i = 1, 20 do `+body+` end`); err != nil {
					t.Fatal(err)
				}
				if th.Resume(0) != vm.Finished {
					t.Error(th.Text(-1))
				}
			})
		}
	}
}

func TestAStringThatDoesNotFitIsNotMade(t *testing.T) {
	for _, body := range []string{
		`return ("x"):rep(2e8)`, `return part:gsub("x", ("y"):rep(2000))`, `return (("%s"):rep(1000)):format(table.unpack(t))`, `return table.concat(t)`, `return ("c200000000"):pack("")`,
		`return table.sort(list)`,
	} {
		m := lua54.Engine{}.New(vm.Options{})
		run := func(source string) (vm.Status, string) {
			th := m.Main().NewThread()
			if err := th.Load("main.lua", source); err != nil {
				t.Fatal(err)
			}
			status := th.Resume(0)
			if th.Top() == 0 {
				return status, ""
			}
			return status, th.Text(-1)
		}
		if status, text := run(`part = ("x"):rep(1e5) t = {} for i = 1, 1000 do t[i] = part end list = {} for i = 1, 400000 do list[i] = i % 100 end`); status != vm.Finished {
			t.Fatal(text)
		}
		m.SetMemoryLimit(m.Memory() + 1<<20)
		if status, text := run(body); status != vm.Failed || !strings.HasSuffix(text, "not enough memory") {
			t.Errorf("%s: %v %.100s", body, status, text)
		}
		m.Close()
	}
}
