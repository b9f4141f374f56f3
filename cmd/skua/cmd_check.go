package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lint"
	code "github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/grains"
	"github.com/skua-go/skua/services/mongodb"
	"github.com/skua-go/skua/services/multicast"
	"github.com/skua-go/skua/services/reload"
	"github.com/skua-go/skua/services/sharedata"
	"github.com/skua-go/skua/services/socket"
	"github.com/skua-go/skua/services/store/documents"
)

func newCheckCommand(ext extension) *cobra.Command {
	var asJSON, meta bool
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Check a project without running it: configuration, syntax, requires, names",
		Long: `Check a project without running it: its configuration, the syntax of all scripts and tests, modules that are required and not found,
globals that nobody defines, and names that a module of the library does not have. Each problem is a line that begins with
file:line:column. A line of a script that ends with the comment -- skua:ignore is left alone.

Exit codes: 0 nothing found, 1 problems, 2 wrong use.`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := projectDir(args)
			if err != nil {
				return err
			}
			if meta {
				if err := writeMeta(dir); err != nil {
					return err
				}
			}
			p, err := openProject(dir, ext)
			if err != nil {
				return err
			}
			checked, problems, err := p.check()
			if err != nil {
				return err
			}
			if asJSON {
				return tellJSON(cmd.OutOrStdout(), checked, problems)
			}
			return tellProblems(cmd.OutOrStdout(), cmd.ErrOrStderr(), checked, problems)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the problems as one JSON object")
	cmd.Flags().BoolVar(&meta, "meta", false, "first renew the library's annotations for LuaLS in DIR/"+metaDir)
	return cmd
}

// projectDir is the directory that a command was given, which has to be there.
func projectDir(args []string) (string, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", &usageError{fmt.Errorf("%s is no directory of a project", dir)}
	}
	return dir, nil
}

func tellProblems(out, errs io.Writer, checked int, problems []lint.Problem) error {
	for _, p := range problems {
		fmt.Fprintln(errs, p)
	}
	if len(problems) > 0 {
		fmt.Fprintf(errs, "%s in %s\n", plural(len(problems), "problem"), plural(checked, "script"))
		return errSilent
	}
	are := "are"
	if checked == 1 {
		are = "is"
	}
	fmt.Fprintf(out, "%s %s fine\n", plural(checked, "script"), are)
	return nil
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

func tellJSON(out io.Writer, checked int, problems []lint.Problem) error {
	if problems == nil {
		problems = []lint.Problem{}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Scripts  int            `json:"scripts"`
		Problems []lint.Problem `json:"problems"`
	}{checked, problems})
	if err == nil && len(problems) > 0 {
		err = errSilent
	}
	return err
}

// check looks at all scripts and tests of a project, and at the scripts that its configuration names. The problems are sorted by their place.
func (p *project) check() (checked int, problems []lint.Problem, err error) {
	rt, err := p.checker(p.scripts)
	if err != nil {
		return 0, nil, err
	}
	list, err := p.sources()
	if err != nil {
		return 0, nil, err
	}
	api, err := lint.Load(scripts.Meta())
	if err != nil {
		return 0, nil, err
	}
	problems = append(append(p.missing(rt), p.cfg.Media.programs()...), rt.Lint(list, api)...)
	slices.SortFunc(problems, lint.Problem.Compare)
	return len(list), problems, nil
}

// checkVersion is what check says of a version, and does not say of the one before.
func (p *project) checkVersion(v, before *code.Version) error {
	rt, err := p.checker(reload.Tree{Version: v})
	if err != nil {
		return err
	}
	was, err := p.checker(reload.Tree{Version: before})
	if err != nil {
		return err
	}
	api, err := lint.Load(scripts.Meta())
	if err != nil {
		return err
	}
	known := p.missing(was)
	problems := slices.DeleteFunc(p.missing(rt), func(m lint.Problem) bool { return slices.Contains(known, m) })
	problems = append(problems, rt.Check(v, before, api)...)
	wrong := make([]error, 0, len(problems))
	for _, one := range problems {
		wrong = append(wrong, errors.New(one.String()))
	}
	const most = 20
	if len(wrong) > most {
		wrong = append(wrong[:most], fmt.Errorf("and %d more", len(wrong)-most))
	}
	return errors.Join(wrong...)
}

// checker is a runtime that knows what scripts of the project may require. It runs nothing.
func (p *project) checker(tree fs.FS) (*lua.Runtime, error) {
	engine, engines, err := p.cfg.Lua.engines()
	if err != nil {
		return nil, err
	}
	known := []lua.Module{
		{Name: gate.ServiceName},
		{Name: sharedata.CoreName},
		{Name: multicast.CoreName},
		{Name: socket.ModuleName},
		{Name: documents.CoreName},
		{Name: mongodb.ModuleName},
		{Name: grains.ModuleName},
		{Name: testCore},
	}
	return lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Modules: known, Engine: engine, Engines: engines, Log: discard()})
}

// missing are the scripts that the configuration names and that are not there.
func (p *project) missing(rt *lua.Runtime) (problems []lint.Problem) {
	named := map[string]string{"start": p.cfg.Start, "gate.agent": p.cfg.Gate.Agent}
	for kind, g := range p.cfg.Grains {
		named["grains."+kind+".script"] = g.script(kind)
	}
	for key, script := range named {
		if script != "" && !rt.Has(script) {
			msg := fmt.Sprintf("%s = %q: there is no such script in %s", key, script, strings.Join(p.cfg.Lua.Path, ", "))
			problems = append(problems, lint.Problem{File: configFile, Rule: lint.Require, Message: msg})
		}
	}
	return problems
}

// sources are the scripts of lua.path and the tests beside them.
func (p *project) sources() ([]lint.Script, error) {
	names, err := lua.Scripts(p.scripts)
	if err != nil {
		return nil, err
	}
	tree := p.scripts
	if p.cfg.Dir != "" {
		tests, err := testFiles(os.DirFS(p.cfg.Dir), p.cfg.Lua.Path)
		if err != nil {
			return nil, err
		}
		names = slices.DeleteFunc(append(names, tests...), hidden)
		tree = layers{p.scripts, os.DirFS(p.cfg.Dir)}
	}
	list := make([]lint.Script, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		list = append(list, lint.Script{Name: name, Source: string(text), Test: strings.HasSuffix(name, testSuffix)})
	}
	return list, nil
}

// metaDir is where a project keeps the library's annotations, for LuaLS. Its .luarc.json names it.
const metaDir = ".skua/meta"

// writeMeta writes the library's annotations into a project.
func writeMeta(dir string) error {
	target := filepath.Join(dir, filepath.FromSlash(metaDir))
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("annotations: %w", err)
	}
	if err := os.CopyFS(target, scripts.Meta()); err != nil {
		return fmt.Errorf("annotations: %w", err)
	}
	return nil
}
