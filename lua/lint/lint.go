// Package lint finds mistakes in the scripts of a project without running them: modules that are required and not there, globals that nobody has defined, names
// that a library does not have. It knows what a script can see: its own code, what it requires, and what is loaded beside it.
//
// It would rather be silent than wrong: a global that is assigned at the top level of a script which one service may load together with this one is defined; so is one
// that the script itself asks for (`if jit then`); `_G.x` is never reported; and where a table or the globals are filled by computed names, nothing is said about them.
// A line that ends with the comment `-- skua:ignore` is left alone.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// Script is a source to be checked.
type Script struct {
	// Name is what problems call it: the chunk's name at run time, "shop/init.lua".
	Name string
	// Source is its text.
	Source string
	// Test is set for files that `skua test` runs: they have globals of their own.
	Test bool
	// Lua51 is set if the script's engine has Lua 5.1, whose functions that were taken away later may be used.
	Lua51 bool
}

// Module is the name by which require finds the script.
func (s Script) Module() string {
	name := strings.TrimSuffix(strings.TrimSuffix(s.Name, ".lua"), "/init")
	return strings.ReplaceAll(name, "/", ".")
}

// Rule is a kind of problem.
type Rule string

// The rules.
const (
	Syntax  Rule = "syntax"
	Require Rule = "require" // a module that is not found
	Global  Rule = "global"  // a global that is not defined
	Name    Rule = "name"    // a name that a library does not have
)

// Problem is something that is wrong, or looks so.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // 0 if there is none: of a configuration
	Column  int    `json:"column"` // 0 if only the line is known
	Rule    Rule   `json:"rule"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // a name that may have been meant
}

// String is file:line:column: message.
func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at = fmt.Sprintf("%s:%d", at, p.Line)
	}
	if p.Column > 0 {
		at = fmt.Sprintf("%s:%d", at, p.Column)
	}
	return at + ": " + p.Message
}

// Compare orders problems by their place.
func (p Problem) Compare(other Problem) int {
	return cmp.Or(cmp.Compare(p.File, other.File), cmp.Compare(p.Line, other.Line), cmp.Compare(p.Column, other.Column), cmp.Compare(p.Message, other.Message))
}

// Config tells Check what there is besides the scripts.
type Config struct {
	// Has tells whether require finds a module, besides those of the scripts. Needed.
	Has func(module string) bool
	// Why tells why a module is not there that is known elsewhere, "" if it is not known. It may be nil.
	Why func(module string) string
	// API is the library's names. Needed, see Load.
	API *API
}

// Check looks at all scripts of a project together. Those whose syntax it can't read are left out: the engine's compiler has told about them. The problems are
// sorted by their place.
func Check(cfg Config, scripts []Script) []Problem {
	c := newChecker(cfg)
	for _, s := range scripts {
		if tree, err := syntax.Parse(s.Name, s.Source); err == nil {
			c.add(s, tree)
		}
	}
	c.nameOwn()
	c.graph = newGraph(c.files, c.byModule)
	c.graph.link()
	for _, f := range c.files {
		c.requires(f)
		c.globals(f)
		c.fields(f)
	}
	slices.SortFunc(c.problems, Problem.Compare)
	return slices.Compact(c.problems)
}

// ignored is what a comment says at the end of a line that is to be left alone.
const ignored = "-- skua:ignore"

// report adds a problem, unless its line asks to be left alone.
func (c *checker) report(f *file, at syntax.Pos, rule Rule, hint, format string, args ...any) {
	if n := int(at.Line) - 1; n >= 0 && n < len(f.lines) && strings.HasSuffix(strings.TrimSpace(f.lines[n]), ignored) {
		return
	}
	msg := fmt.Sprintf(format, args...)
	if hint != "" {
		msg += fmt.Sprintf("; did you mean %s?", hint)
	}
	c.problems = append(c.problems, Problem{File: f.script.Name, Line: int(at.Line), Column: int(at.Col), Rule: rule, Message: msg, Hint: hint})
}
