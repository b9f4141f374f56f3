// Package vmtest holds every Lua engine to the same chunks, and tells where one differs from the default.
package vmtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// Case is a chunk and what it returns: its values as tostring makes them, with " | " between them, or "error: " and the message. The functions of Go that the
// chunk gets all wait: wait(...) gives back what it was called with, fail(e) ends with the error e, and meanwhile(f) gives back what f, a function that does
// not wait, returns in another thread of the host while this one waits. The VM may keep 24 MiB.
type Case struct {
	Topic, Name string
	Source      string
	Want        string
	// Differs tells what an engine, by its name, makes of it instead, and why.
	Differs map[string]Difference
}

// Difference is a declared one.
type Difference struct{ Want, Why string }

// Run tests an engine with all cases.
func Run(t *testing.T, e vm.Engine) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Topic+"/"+c.Name, func(t *testing.T) {
			want := c.Want
			if d, ok := c.Differs[e.Name()]; ok {
				want = d.Want
			}
			if got := Eval(e, c.Source); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// Markdown is the table of the differences of an engine.
func Markdown(engine string) string {
	var b strings.Builder
	b.WriteString("| what | Lua 5.4 | " + engine + " | why |\n| --- | --- | --- | --- |\n")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, c := range Cases() {
		if d, ok := c.Differs[engine]; ok {
			fmt.Fprintf(&b, "| %s: %s | `%s` | `%s` | %s |\n", c.Topic, c.Name, cell.Replace(c.Want), cell.Replace(d.Want), cell.Replace(d.Why))
		}
	}
	return b.String()
}

// memory is what a case may keep.
const memory = 24 << 20

// budget bounds a case that never ends; with the race detector one takes seconds.
const budget = time.Minute

// Eval runs a chunk and gives what it returns as Case.Want has it.
func Eval(e vm.Engine, source string) string {
	end := time.Now().Add(budget)
	m := e.New(vm.Options{Tick: func() error {
		if time.Now().After(end) {
			return fmt.Errorf("CPU budget exceeded")
		}
		return nil
	}})
	defer m.Close()
	main := m.Main()
	m.SetMemoryLimit(memory)
	h := host{main: main}
	for name, goesOn := range map[string]func(th vm.State) vm.Status{"wait": h.echo, "fail": h.fail, "meanwhile": h.meanwhile} {
		main.PushFunc(name, func(s vm.State) int {
			h.next = goesOn
			return s.Yield(s.Top())
		})
		main.SetGlobal(name)
	}
	th := main.NewThread()
	if err := th.Load("test.lua", source); err != nil {
		return "error: " + err.Error()
	}
	status := th.Resume(0)
	for status == vm.Yielded {
		goesOn := h.next
		if h.next = nil; goesOn == nil {
			return "error: a yield that no function of the host has made"
		}
		status = goesOn(th)
	}
	if status == vm.Failed {
		return "error: " + th.Text(-1)
	}
	texts := make([]string, th.Top())
	for i := range texts {
		main.Global("tostring")
		th.Copy(i + 1)
		th.Move(main, 1)
		main.Call(1, 1)
		texts[i], _ = main.String(-1)
		main.Pop(1)
	}
	return strings.Join(texts, " | ")
}

// host ends the waits of a case.
type host struct {
	main vm.State
	next func(th vm.State) vm.Status // how the wait ends that has just begun
}

func (h *host) echo(th vm.State) vm.Status {
	n := th.Top()
	th.Move(h.main, n)
	th.SetTop(0)
	h.main.Move(th, n)
	return th.Resume(n)
}

func (h *host) fail(th vm.State) vm.Status {
	th.SetTop(1)
	return th.Throw()
}

func (h *host) meanwhile(th vm.State) vm.Status {
	other := h.main.NewThread()
	th.SetTop(1)
	th.Move(other, 1)
	other.Resume(0)
	n := other.Top()
	other.Move(th, n)
	return th.Resume(n)
}
