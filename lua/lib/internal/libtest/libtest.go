// Package libtest runs scripts over the modules of package lib in tests, on each kind of engine.
package libtest

import (
	_ "embed"
	"os"
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// Engine is a row of the table of engines that a module is held to.
type Engine struct {
	Name  string
	Exact bool // has 64-bit integers
	New   func() vm.State
}

// Engines are the engines: one with integers, and the same one with its integers taken away.
func Engines() []Engine {
	return []Engine{
		{"lua54", true, newState},
		{"floats", false, func() vm.State { return floats{newState()} }},
	}
}

func newState() vm.State { return lua54.Engine{}.New(vm.Options{}).Main() }

// Modules are what require finds, by name.
type Modules map[string]func(vm.State)

// Install makes a global function require that finds the modules.
func Install(s vm.State, modules Modules) {
	s.NewTable(0, len(modules))
	loaded := s.Ref()
	s.PushFunc("require", func(s vm.State) int {
		name, _ := s.String(1)
		s.Push(loaded)
		s.Field(-1, name)
		if s.Type(-1) != vm.Nil {
			return 1
		}
		open := modules[name]
		if open == nil {
			s.Errorf("no module %q", name)
		}
		open(s)
		s.Copy(-1)
		s.SetField(-4, name)
		return 1
	})
	s.SetGlobal("require")
}

// Run runs a script on each engine. Its global EXACT tells whether the engine has 64-bit integers.
func Run(t *testing.T, modules Modules, file string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Engines() {
		t.Run(e.Name, func(t *testing.T) {
			s := e.New()
			Install(s, modules)
			s.PushBool(e.Exact)
			s.SetGlobal("EXACT")
			if err := s.Load("prelude", prelude); err != nil {
				t.Fatal(err)
			}
			s.Call(0, 0)
			if err := s.Load(file, string(source)); err != nil {
				t.Fatal(err)
			}
			if err := s.PCall(0, 0); err != nil {
				t.Fatal(s.Text(-1))
			}
		})
	}
}

// prelude is what scripts of tests check with.
//
//go:embed prelude.lua
var prelude string
