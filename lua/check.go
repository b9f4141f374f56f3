package lua

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/skua-go/skua/lua/lint"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/syntax"
	"github.com/skua-go/skua/lua/vm"
)

// TestSuffix ends the names of files that `skua test` runs.
const TestSuffix = "_test.lua"

// Lint finds what is wrong in scripts without running them: what their engines refuse, modules that are required and not found, globals that nobody defines, and
// names that the library does not have. The problems are sorted by their place.
func (rt *Runtime) Lint(list []lint.Script, api *lint.API) []lint.Problem {
	return rt.lint(list, api, rt.Has)
}

// Check is Lint for the scripts of a version, before anything runs them. A module has to be one of them, one in Go, or one of Config.Library: what lies in
// Config.Scripts besides may be another thing on the next node. Problems that the version before has in the same file as well are left out, since it runs; so is a file that
// does not compile, if it is the same in both: nobody could use it, and nobody else is to wait for that. before may be nil.
func (rt *Runtime) Check(v, before *reload.Version, api *lint.API) []lint.Problem {
	problems := rt.checkVersion(v, api)
	if before == nil || len(problems) == 0 {
		return problems
	}
	type kind struct {
		file, message string
		rule          lint.Rule
	}
	had := map[kind]int{}
	for _, p := range rt.checkVersion(before, api) {
		had[kind{p.File, p.Message, p.Rule}]++
	}
	return slices.DeleteFunc(problems, func(p lint.Problem) bool {
		if p.Rule == lint.Syntax {
			text, _ := v.Text(p.File)
			was, is := before.Text(p.File)
			return is && text == was
		}
		k := kind{p.File, p.Message, p.Rule}
		had[k]--
		return had[k] >= 0
	})
}

func (rt *Runtime) checkVersion(v *reload.Version, api *lint.API) []lint.Problem {
	files := v.Files()
	list := make([]lint.Script, 0, len(files))
	for _, file := range files {
		text, _ := v.Text(file)
		list = append(list, lint.Script{Name: file, Source: text, Test: strings.HasSuffix(file, TestSuffix)})
	}
	return rt.lint(list, api, rt.hasBeside)
}

func (rt *Runtime) lint(list []lint.Script, api *lint.API, has func(module string) bool) []lint.Problem {
	problems := make([]lint.Problem, 0, len(list))
	for i, s := range list {
		engine := rt.EngineOf(s.Module())
		list[i].Lua51 = engine.Name() != lua54.Name
		problems = append(problems, compile(engine, s)...)
	}
	problems = append(problems, lint.Check(lint.Config{Has: has, Why: absent, API: api}, list)...)
	slices.SortFunc(problems, lint.Problem.Compare)
	return problems
}

// hasBeside is Has for a project whose own scripts are known.
func (rt *Runtime) hasBeside(name string) bool {
	if rt.hasInGo(name) {
		return true
	}
	if rt.cfg.Library == nil {
		return false
	}
	base := slashed(name)
	for _, file := range []string{base + ".lua", base + "/init.lua"} {
		if !fs.ValidPath(file) {
			return false
		}
		if _, err := fs.Stat(rt.cfg.Library, file); err == nil {
			return true
		}
	}
	return false
}

// compile tells what the engine refuses. Package syntax, whose grammar is that of lua54, knows the column, too.
func compile(engine vm.Engine, s lint.Script) []lint.Problem {
	if engine.Name() == lua54.Name {
		_, err := syntax.Parse(s.Name, s.Source)
		var wrong *syntax.SyntaxError
		if errors.As(err, &wrong) {
			return []lint.Problem{{
				File: s.Name, Line: int(wrong.Pos.Line), Column: int(wrong.Pos.Col), Rule: lint.Syntax, Message: wrong.Message,
			}}
		}
	}
	if err := engine.Check(s.Name, s.Source); err != nil {
		return []lint.Problem{compileProblem(s.Name, err.Error())}
	}
	return nil
}

// compileProblem reads the message of a compiler: file:line: what is wrong.
func compileProblem(file, text string) lint.Problem {
	p := lint.Problem{File: file, Line: 1, Rule: lint.Syntax, Message: text}
	if m := regexp.MustCompile(`(?s)^` + regexp.QuoteMeta(file) + `:(\d+): (.*)$`).FindStringSubmatch(text); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			p.Line, p.Message = line, m[2]
		}
	}
	return p
}
