package lint

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// API is the names that modules of the library have.
type API struct {
	modules map[string]*module
	globals map[string]bool // of test files
}

// module is a module of the library. One that adds to another one's table, as skynet.manager does, has that one as its base.
type module struct {
	name  string
	table bool            // it is one; else it is a function, say
	names map[string]bool // that it defines itself
	base  string
}

// Load reads the annotation files of scripts/meta: what a file defines on the table that it returns is what its module has. Functions that are defined as
// globals are those of test files.
func Load(meta fs.FS) (*API, error) {
	api := &API{modules: map[string]*module{}, globals: map[string]bool{}}
	err := fs.WalkDir(meta, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".lua" {
			return err
		}
		text, err := fs.ReadFile(meta, name)
		if err != nil {
			return err
		}
		tree, err := syntax.Parse(name, string(text))
		if err != nil {
			return err
		}
		m := &module{name: Script{Name: name}.Module(), names: map[string]bool{}}
		if err := api.read(m, tree); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		api.modules[m.name] = m
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lint: %w", err)
	}
	return api, nil
}

// read collects what an annotation file defines.
func (a *API) read(m *module, tree *syntax.FuncExpr) error {
	tables := map[string]map[string]bool{} // names defined on each local table
	bases := map[string]string{}           // the module that a local is
	for _, st := range tree.Body.Stats {
		switch st := st.(type) {
		case *syntax.LocalStat:
			if len(st.Names) != 1 || len(st.Exprs) != 1 {
				continue
			}
			name := st.Names[0].Name
			tables[name] = map[string]bool{}
			if of := required(st.Exprs[0]); of != "" {
				bases[name] = of
			} else if other, ok := st.Exprs[0].(*syntax.NameExpr); ok {
				bases[name] = bases[other.Name]
			}
		case *syntax.FuncStat:
			a.define(tables, st.Target)
		case *syntax.AssignStat:
			for _, target := range st.Targets {
				a.define(tables, target)
			}
		case *syntax.ReturnStat:
			return m.returns(st, tables, bases)
		}
	}
	return errors.New("an annotation file returns its module")
}

// returns takes what the file defined on what it returns.
func (m *module) returns(st *syntax.ReturnStat, tables map[string]map[string]bool, bases map[string]string) error {
	if len(st.Exprs) != 1 {
		return errors.New("an annotation file returns its module")
	}
	if of := required(st.Exprs[0]); of != "" {
		m.table, m.base = true, of
		return nil
	}
	if field, ok := st.Exprs[0].(*syntax.IndexExpr); ok {
		// A function of another module, which requiring this one adds there.
		if of, ok := field.Obj.(*syntax.NameExpr); ok && bases[of.Name] != "" {
			m.names, m.base = tables[of.Name], bases[of.Name]
			return nil
		}
	}
	name, ok := st.Exprs[0].(*syntax.NameExpr)
	if !ok {
		return errors.New("an annotation file returns a local, or what it requires")
	}
	if names, ok := tables[name.Name]; ok {
		m.table, m.names, m.base = true, names, bases[name.Name]
	}
	return nil
}

// define notes `table.name = ` and `name = `.
func (a *API) define(tables map[string]map[string]bool, target syntax.Expr) {
	switch target := target.(type) {
	case *syntax.NameExpr:
		a.globals[target.Name] = true
	case *syntax.IndexExpr:
		obj, ok := target.Obj.(*syntax.NameExpr)
		key, isName := target.Key.(*syntax.StringExpr)
		if ok && isName && tables[obj.Name] != nil {
			tables[obj.Name][key.Value] = true
		}
	}
}

// Modules are the modules that are known, by the way require names them.
func (a *API) Modules() []string {
	names := make([]string, 0, len(a.modules))
	for name := range a.modules {
		names = append(names, name)
	}
	return names
}

// Names are the names that a module has, those of the module that it adds to included; none for one that is no table but a function, say.
func (a *API) Names(name string) (names []string, table bool) {
	m := a.modules[name]
	if m == nil || !m.table {
		return nil, false
	}
	for n := range m.names {
		names = append(names, n)
	}
	if m.base != "" {
		base, _ := a.Names(m.base)
		names = append(names, base...)
	}
	return names, m.table
}

// TestGlobals are the globals of files that `skua test` runs.
func (a *API) TestGlobals() []string {
	names := make([]string, 0, len(a.globals))
	for name := range a.globals {
		names = append(names, name)
	}
	return names
}

// root is the module whose table the named one is.
func (a *API) root(name string) *module {
	m := a.modules[name]
	for range 8 { // no file has more of them in a row
		if m == nil || m.base == "" {
			return m
		}
		m = a.modules[m.base]
	}
	return m
}

// adders are the modules that add to a module's table.
func (a *API) adders(root string) []*module {
	var all []*module
	for _, m := range a.modules {
		if r := a.root(m.name); r != nil && r.name == root && m.name != root {
			all = append(all, m)
		}
	}
	return all
}

// required is the module of `require "x"`, "" for everything else.
func required(e syntax.Expr) string {
	call, ok := unwrap(e).(*syntax.CallExpr)
	if !ok || len(call.Args) != 1 {
		return ""
	}
	fn, isName := call.Fn.(*syntax.NameExpr)
	text, isText := call.Args[0].(*syntax.StringExpr)
	if !isName || fn.Name != "require" || !isText {
		return ""
	}
	return text.Value
}

func unwrap(e syntax.Expr) syntax.Expr {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

// standard tells a library of Lua from a module by its name: a zero byte is in no module's.
func standard(library string) string { return "\x00" + library }

// plain is the name of a module or library for people.
func plain(module string) string { return strings.TrimPrefix(module, "\x00") }
