// Package module is what modules for scripts are made with: their table, and their arguments.
package module

import (
	"github.com/skua-go/skua/lua/vm"
)

// Push pushes a table of functions.
func Push(s vm.State, funcs map[string]vm.Func) {
	s.NewTable(0, len(funcs))
	Add(s, funcs)
}

// Add adds functions to the table on top.
func Add(s vm.State, funcs map[string]vm.Func) {
	for name, f := range funcs {
		s.PushFunc(name, f)
		s.SetField(-2, name)
	}
}

// Has tells whether there is an argument i that is not nil.
func Has(s vm.State, i int) bool {
	t := s.Type(i)
	return t != vm.None && t != vm.Nil
}

// Bad raises the error for an argument of the wrong type.
func Bad(s vm.State, i int, f, want string) {
	s.Errorf("bad argument #%d to '%s' (%s expected, got %s)", i, f, want, s.Type(i))
}

// Bytes is the argument i of the function f: a string, or a number as text. Going over it is work that is counted.
func Bytes(s vm.State, i int, f string) string {
	if v, ok := s.String(i); ok {
		Work(s, len(v))
		return v
	}
	if s.Type(i) != vm.Number {
		Bad(s, i, f, "string")
	}
	return s.Text(i)
}

// Int is the integer argument i of the function f, or def if there is none.
func Int(s vm.State, i int, f string, def int64) int64 {
	if !Has(s, i) {
		return def
	}
	v, ok := s.Int(i)
	if !ok {
		Bad(s, i, f, "integer")
	}
	return v
}

// Table checks that argument i of the function f is a table.
func Table(s vm.State, i int, f string) {
	if s.Type(i) != vm.Table {
		Bad(s, i, f, "table")
	}
}

// Work counts going over so many bytes.
func Work(s vm.State, bytes int) { s.Spend(bytes / 16) }
