package lint

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// checker holds what is known of all scripts.
type checker struct {
	cfg      Config
	libs     map[string]map[string]bool
	globals0 map[string]bool // that every script has
	files    []*file
	byModule map[string]*file
	graph    *graph
	defined  map[string][]int // the scripts that define a global
	assigned map[string][]int // those, and the ones whose functions assign it
	open     []int            // the scripts that may define globals by names that are computed

	sets     map[string]map[string]bool // names that any script defines on a module
	opened   map[string]bool            // modules that any script fills by names that are computed
	problems []Problem
	compared int // names, for hints
}

func newChecker(cfg Config) *checker {
	c := &checker{
		cfg: cfg, libs: libraries(), globals0: map[string]bool{}, byModule: map[string]*file{},
		sets: map[string]map[string]bool{}, opened: map[string]bool{}, defined: map[string][]int{}, assigned: map[string][]int{},
	}
	for name := range c.libs {
		c.globals0[name] = true
	}
	for _, name := range functions() {
		c.globals0[name] = true
	}
	return c
}

func (c *checker) add(s Script, tree *syntax.FuncExpr) {
	f := walk(s, tree, c.libs)
	f.number = len(c.files)
	c.files = append(c.files, f)
	for name := range f.defined {
		c.defined[name] = append(c.defined[name], f.number)
	}
	for name := range f.assigned {
		c.assigned[name] = append(c.assigned[name], f.number)
	}
	if f.open {
		c.open = append(c.open, f.number)
	}
	c.byModule[s.Module()] = f
	for module, names := range f.sets {
		if c.sets[module] == nil {
			c.sets[module] = map[string]bool{}
		}
		maps.Copy(c.sets[module], names)
	}
	maps.Copy(c.opened, f.opened)
}

// nameOwn gives what a script requires out of the folder of its service the name that it has for all others: such a service finds what is in its folder before
// anything else. The folder of NAME/init.lua is that of all scripts in it; a snax service NAME has the folder NAME.
func (c *checker) nameOwn() {
	for _, f := range c.files {
		if f.snax {
			c.ownOf(f, f.script.Module())
		}
		for at := strings.LastIndexByte(f.script.Name, '/'); at > 0; at = strings.LastIndexByte(f.script.Name[:at], '/') {
			folder := strings.ReplaceAll(f.script.Name[:at], "/", ".")
			if init := c.byModule[folder]; init != nil && strings.HasSuffix(init.script.Name, "/init.lua") {
				c.ownOf(f, folder)
			}
		}
	}
}

func (c *checker) ownOf(f *file, folder string) {
	for i, r := range f.required {
		if own := folder + "." + r.name; c.byModule[own] != nil {
			f.required[i].name = own
		}
	}
}

// requires reports modules that are not found.
func (c *checker) requires(f *file) {
	for _, r := range f.required {
		if c.byModule[r.name] != nil || c.libs[r.name] != nil || c.cfg.Has(r.name) {
			continue
		}
		if c.cfg.Why != nil {
			if why := c.cfg.Why(r.name); why != "" {
				c.report(f, r.at, Require, "", "module %q is not found: %s", r.name, why)
				continue
			}
		}
		names := slices.Concat(c.cfg.API.Modules(), slices.Collect(maps.Keys(c.byModule)))
		hint := c.hint(r.name, slices.Values(names))
		c.report(f, r.at, Require, hint, "module %q is not found", r.name)
	}
}

// globals reports globals that are read and never defined, and those that functions assign and nobody defines.
func (c *checker) globals(f *file) {
	if f.visible.meets(c.open) {
		return
	}
	known := func(name string) bool {
		return c.globals0[name] || f.script.Lua51 && slices.Contains(older(), name) || f.asked[name] || f.visible.meets(c.defined[name]) || f.snax && slices.Contains(snaxGlobals(), name) ||
			f.script.Test && c.cfg.API.globals[name]
	}
	for _, u := range f.writes {
		if !known(u.name) {
			hint := c.hint(u.name, c.seen(f, u))
			c.report(f, u.at, Global, hint, "global %s is assigned in a function and defined nowhere; a local, or _G.%s, is expected", u.name, u.name)
		}
	}
	for _, u := range f.reads {
		if known(u.name) || f.visible.meets(c.assigned[u.name]) {
			continue
		}
		if why := withheld(u.name); why != "" {
			c.report(f, u.at, Global, "", "global %s is not there: %s", u.name, why)
			continue
		}
		c.report(f, u.at, Global, c.hint(u.name, c.seen(f, u)), "global %s is not defined", u.name)
	}
}

// snaxGlobals are what a snax service has besides.
func snaxGlobals() []string { return []string{"accept", "response", "system"} }

// seen are the names that can be used where u is.
func (c *checker) seen(f *file, u use) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s := u.scope; s != nil; s = s.outer {
			for name := range s.names {
				if !yield(name) {
					return
				}
			}
		}
		for name := range c.globals0 {
			if !yield(name) {
				return
			}
		}
		for name := range c.cfg.API.globals {
			if f.script.Test && !yield(name) {
				return
			}
		}
		for name, by := range c.defined {
			if f.visible.meets(by) && !yield(name) {
				return
			}
		}
	}
}

// fields reports names that a module does not have.
func (c *checker) fields(f *file) {
	for _, u := range f.fields {
		module := u.of.module
		if u.of.unsure || f.asked[module+"."+u.name] {
			continue
		}
		if names, ok := c.libs[strings.TrimPrefix(module, standard(""))]; ok && module == standard(plain(module)) {
			c.libraryField(f, u, names)
			continue
		}
		if c.byModule[module] == nil { // else it is a script of the project
			c.moduleField(f, u)
		}
	}
}

func (c *checker) libraryField(f *file, u use, names map[string]bool) {
	library := plain(u.of.module)
	if names[u.name] || f.script.Lua51 && slices.Contains(older(), library+"."+u.name) || c.sets[u.of.module][u.name] || c.opened[u.of.module] || f.visible.meets(c.defined[library]) {
		return
	}
	full := library + "." + u.name
	if why := withheld(full); why != "" {
		c.report(f, u.at, Name, "", "%s is not there: %s", full, why)
		return
	}
	c.report(f, u.at, Name, qualified(library, c.hint(u.name, maps.Keys(names))), "%s is not there", full)
}

func (c *checker) moduleField(f *file, u use) {
	m := c.cfg.API.root(u.of.module)
	if m == nil || !c.cfg.API.modules[u.of.module].table || m.names[u.name] {
		return
	}
	candidates := []iter.Seq[string]{maps.Keys(m.names)}
	adders := c.cfg.API.adders(m.name)
	for _, a := range adders {
		if c.graph.sees(f, a.name) {
			if a.names[u.name] {
				return
			}
			candidates = append(candidates, maps.Keys(a.names))
		}
	}
	for _, of := range append(adders, m) {
		if c.opened[of.name] || c.sets[of.name][u.name] {
			return
		}
	}
	full := m.name + "." + u.name
	for _, a := range adders {
		if a.names[u.name] {
			c.report(f, u.at, Name, "", "%s is there after require %q", full, a.name)
			return
		}
	}
	hint := c.hint(u.name, func(yield func(string) bool) {
		for _, names := range candidates {
			for name := range names {
				if !yield(name) {
					return
				}
			}
		}
	})
	c.report(f, u.at, Name, qualified(m.name, hint), "%s is not there", full)
}

// maxCompared bounds the time that hints take, in names that are looked at: whoever has so many problems does not read on.
const maxCompared = 2_000_000

// hint is the name that may have been meant, "" if there is none.
func (c *checker) hint(wrong string, names iter.Seq[string]) string {
	return nearest(wrong, func(yield func(string) bool) {
		for name := range names {
			if c.compared++; c.compared > maxCompared || !yield(name) {
				return
			}
		}
	})
}

func qualified(module, name string) string {
	if name == "" {
		return ""
	}
	return module + "." + name
}
