package main

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/multicast"
	"github.com/skua-go/skua/services/sharedata"
)

func newCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [DIR]",
		Short: "Check a project without running it: configuration, syntax, requires",
		Args:  positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			p, err := openProject(dir)
			if err != nil {
				return err
			}
			files, problems, err := p.check()
			if err != nil {
				return err
			}
			for _, problem := range problems {
				fmt.Fprintln(cmd.ErrOrStderr(), problem)
			}
			if len(problems) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d problems in %d scripts\n", len(problems), files)
				return errSilent
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d scripts are fine\n", files)
			return nil
		},
	}
}

// check looks at all scripts of a project. A problem is a line that begins with file:line:column, or with the key of the configuration.
func (p *project) check() (files int, problems []string, err error) {
	engine, engines, err := p.cfg.Lua.engines()
	if err != nil {
		return 0, nil, err
	}
	known := []lua.Module{{Name: gate.ServiceName}, {Name: sharedata.CoreName}, {Name: multicast.CoreName}}
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: p.scripts, Library: scripts.FS(), Modules: known, Engine: engine, Engines: engines, Log: discard(),
	})
	if err != nil {
		return 0, nil, err
	}
	for key, script := range map[string]string{"start": p.cfg.Start, "gate.agent": p.cfg.Gate.Agent} {
		if script != "" && !rt.Has(script) {
			problems = append(problems, fmt.Sprintf("%s: %s = %q: there is no such script in %s", configFile, key, script, strings.Join(p.cfg.Lua.Path, ", ")))
		}
	}
	names, err := lua.Scripts(p.scripts)
	if err != nil {
		return 0, nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(p.scripts, name)
		if err != nil {
			return 0, nil, err
		}
		problems = append(problems, checkScript(rt.EngineOf(strings.TrimSuffix(strings.TrimSuffix(name, ".lua"), "/init")), rt, name, string(text))...)
	}
	return len(names), problems, nil
}

// checkScript compiles a script and looks for the modules that it requires by a literal name.
func checkScript(engine vm.Engine, rt *lua.Runtime, name, text string) []string {
	if err := engine.Check(name, text); err != nil {
		return []string{err.Error()}
	}
	var problems []string
	for _, r := range lua.Requires(text) {
		if !rt.Has(r.Name) {
			problems = append(problems, fmt.Sprintf("%s:%d:%d: module %q is not found", name, r.Line, r.Column, r.Name))
		}
	}
	return problems
}
