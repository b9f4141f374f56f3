package sharedata

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lib"
	"github.com/skua-go/skua/lua/vm"
)

// chunkSource runs a source in a VM that has nothing but the language, require and print.
//
//go:embed chunk.lua
var chunkSource string

// make runs what makes a table, and takes the table out of its VM.
func (m *maker) make(ctx context.Context, job load) (*frozen, error) {
	srv := m.srv
	began := time.Now()
	var machine vm.VM
	tick := func() error {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("it has run for %v and is stopped: %w", time.Since(began).Round(time.Millisecond), context.Cause(ctx))
		case machine.Memory() > srv.cfg.LoadMemory:
			return fmt.Errorf("it uses more than %d MiB of memory", srv.cfg.LoadMemory>>20)
		}
		return nil
	}
	machine = srv.cfg.Engine.New(vm.Options{Tick: tick})
	defer machine.Close()
	s := machine.Main()
	name, text := "="+job.name, job.source
	if file, isFile := strings.CutPrefix(job.source, "@"); isFile {
		data, err := m.readFile(file)
		if err != nil {
			return nil, err
		}
		name, text = "@"+file, data
	}
	if err := s.Load("=sharedata", chunkSource); err != nil {
		return nil, err
	}
	s.PushFunc("find", m.find)
	s.PushFunc("print", func(s vm.State) int {
		parts := make([]string, 0, s.Top())
		for i := 1; i <= s.Top(); i++ {
			parts = append(parts, s.Text(i))
		}
		srv.cfg.Log.Info(strings.Join(parts, "\t"), "table", job.kind.String()+" "+job.name)
		return 0
	})
	s.PushString(text)
	s.PushString(name)
	s.PushBool(job.kind == data) // whose globals may be the table
	n := lua.PushList(s, job.args)
	if err := s.PCall(5+n, 1); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
		return nil, err
	}
	if s.Type(-1) != vm.Table {
		return nil, fmt.Errorf("it returns no table but %s", s.Type(-1))
	}
	return srv.takeOff(s, job.kind == table)
}

// takeOff takes the table on top out of its VM, in a call of that, so that its budget counts and its errors are returned.
func (srv *Service) takeOff(s vm.State, cycles bool) (root *frozen, err error) {
	var problem error
	s.PushFunc("take", func(s vm.State) int {
		root, problem = take(s, 1, srv.cfg.MaxValues, cycles)
		return 0
	})
	s.Insert(-2)
	if err := s.PCall(1, 0); err != nil {
		return nil, err
	}
	return root, problem
}

func (m *maker) readFile(name string) (string, error) {
	if m.files == nil {
		return "", fmt.Errorf("file %q: this node has no files", name)
	}
	name = strings.TrimPrefix(name, "./")
	if !fs.ValidPath(name) {
		return "", fmt.Errorf("file %q: a path inside of the project's scripts is expected", name)
	}
	m.asked[name] = true
	text, err := fs.ReadFile(m.files, name)
	if err != nil {
		return "", fmt.Errorf("file %q: %w", name, err)
	}
	return string(text), nil
}

// find pushes the function that makes a module, and the name of its file; or nil and what is wrong.
func (m *maker) find(s vm.State) int {
	name, ok := s.String(1)
	if !ok {
		s.Errorf("require: the name of a module is expected, got %s", s.Type(1))
	}
	base := strings.ReplaceAll(name, ".", "/")
	for _, file := range []string{base + ".lua", base + "/init.lua"} {
		text, err := m.readFile(file)
		if err == nil {
			if err = s.Load("@"+file, text); err == nil {
				s.PushString(file)
				return 2
			}
		}
		if m.files != nil && !errors.Is(err, fs.ErrNotExist) {
			s.PushNil()
			s.PushString(err.Error())
			return 2
		}
	}
	for _, own := range lib.Modules(m.files) {
		if own.Name == name {
			s.PushFunc(name, func(s vm.State) int {
				own.Open(s)
				return 1
			})
			s.PushString(":go:")
			return 2
		}
	}
	s.PushNil()
	s.PushString(fmt.Sprintf("module '%s' is not found among the project's scripts (what makes a shared table can't use the modules of services)", name))
	return 2
}
