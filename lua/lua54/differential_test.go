package lua54_test

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/puctest"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

var (
	programs    = flag.Int("programs", 400, "how many generated programs to compare with PUC Lua")
	programSeed = flag.Uint64("programs.seed", 1, "the seed of the first of them; the others follow")
)

// harness runs one program with a P that collects what it prints, and returns that.
//
//go:embed testdata/harness.lua
var harness string

// server lets PUC Lua run programs that come on its standard input, each behind its length.
const server = `
local run = assert(load(io.read(tonumber(io.read("l"))), "=harness"))()
while true do
  local n = io.read("l")
  if not n then return end
  local out = run(io.read(tonumber(n)))
  io.write(#out, "\n", out)
  io.flush()
end`

// startPUC starts the reference implementation with the harness.
func startPUC(t *testing.T) *puctest.Process {
	t.Helper()
	p := puctest.Start(t, "-e", server)
	p.Send(t, harness)
	return p
}

// ours runs a program in a machine of its own.
func ours(source string) (out string) {
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprintf("the engine panicked: %v", r)
		}
	}()
	began := time.Now()
	m := lua54.Engine{}.New(vm.Options{Tick: func() error {
		if time.Since(began) > 10*time.Second {
			return errors.New("too long")
		}
		return nil
	}})
	defer m.Close()
	s := m.Main()
	if err := s.Load("harness", harness); err != nil {
		return err.Error()
	}
	s.Call(0, 1)
	s.PushString(source)
	if err := s.PCall(1, 1); err != nil {
		return "error: " + s.Text(-1)
	}
	return s.Text(-1)
}

func TestGeneratedProgramsPrintWhatTheyPrintInPUCLua(t *testing.T) {
	racetest.SetAside(t)
	reference := startPUC(t)
	failed := 0
	for seed := *programSeed; seed < *programSeed+uint64(*programs); seed++ {
		source := generate(seed)
		want := reference.Ask(t, source)
		if strings.HasPrefix(want, "E9 too long") {
			continue
		}
		got := ours(source)
		if got == want {
			continue
		}
		t.Errorf("seed %d:\n%s\n%s", seed, difference(got, want), source)
		if failed++; failed == 5 {
			t.Fatal("that is enough")
		}
	}
}

// difference shows the first line that differs.
func difference(got, want string) string {
	g, w := bytes.Split([]byte(got), []byte("\n")), bytes.Split([]byte(want), []byte("\n"))
	for i := range max(len(g), len(w)) {
		var a, b []byte
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if !bytes.Equal(a, b) {
			return fmt.Sprintf("line %d of the output: got %q, PUC Lua prints %q", i+1, a, b)
		}
	}
	return "no difference"
}
