package lua54_test

import (
	"fmt"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"os"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	f := os.Getenv("ZZ")
	if f == "" {
		t.Skip()
	}
	b, _ := os.ReadFile(f)
	e := lua54.New()
	m := e.New(vm.Options{Trusted: true})
	s := m.Main()
	s.PushFunc("print", func(s vm.State) int {
		var p []string
		for i := 1; i <= s.Top(); i++ {
			p = append(p, s.Text(i))
		}
		fmt.Println(strings.Join(p, "\t"))
		return 0
	})
	s.SetGlobal("print")
	s.NewTable(0, 0)
	s.PushFunc("write", func(s vm.State) int {
		for i := 1; i <= s.Top(); i++ {
			fmt.Print(s.Text(i))
		}
		return 0
	})
	s.SetField(-2, "write")
	s.SetGlobal("io")
	s.NewTable(0, 0)
	s.SetGlobal("arg")
	if err := s.Load("@"+f, string(b)); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.PCall(0, 0); err != nil {
		fmt.Println("ERR", s.Text(-1))
	}
}
