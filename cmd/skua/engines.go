package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// The choices of lua.engine and lua.integers.
const (
	engineLua54   = "lua54"
	integersError = "error"
	integersText  = "text"
)

var (
	engineNames   = []string{engineLua54, gopher.Name}    //nolint:gochecknoglobals // constants
	integersNames = []string{integersError, integersText} //nolint:gochecknoglobals // constants
)

// validateEngines checks what the table [lua] says of engines.
func (c *Config) validateEngines(k *check) {
	k.oneOf("lua.engine", c.Lua.Engine, engineNames...)
	k.oneOf("lua.integers", c.Lua.Integers, integersNames...)
	k.services("lua.service_engine", c.Lua.ServiceEngine, engineNames)
	k.services("lua.service_integers", c.Lua.ServiceIntegers, integersNames)
	k.trusted(c.Lua.Trusted)
	for script, is := range c.Lua.ServiceIntegers {
		if engine, _ := c.Lua.engineOf(script); engine == engineLua54 && is == integersText {
			k.that(false, "lua.service_integers", script+" = "+is, "a script on the engine "+gopher.Name+": on "+engineLua54+" all integers are exact")
		}
	}
}

// services checks a table of scripts, each with one of some choices.
func (c *check) services(key string, table map[string]string, choices []string) {
	seen := make(map[string]string, len(table))
	for script, is := range table {
		c.that(isScript(script) && slices.Contains(choices, is), key, script+" = "+is, "the name of a script and one of "+strings.Join(choices, ", "))
		name := strings.ReplaceAll(script, ".", "/")
		other, twice := seen[name]
		c.that(!twice, key, min(script, other)+" and "+max(script, other), "each script once")
		seen[name] = script
	}
}

// engineOf is what the configuration says of a script, by its name with dots or slashes.
func (c *LuaConfig) engineOf(script string) (engine, integers string) {
	find := func(table map[string]string, otherwise string) string {
		for name, is := range table {
			if strings.ReplaceAll(name, ".", "/") == strings.ReplaceAll(script, ".", "/") {
				return is
			}
		}
		return otherwise
	}
	return find(c.ServiceEngine, c.Engine), find(c.ServiceIntegers, c.Integers)
}

// engines makes the engines of a project, each once: that of all services, and those of the services that differ, by their scripts.
func (c *LuaConfig) engines() (all vm.Engine, of map[string]vm.Engine, err error) {
	made := map[[2]string]vm.Engine{}
	engine := func(script string) (vm.Engine, error) {
		name, integers := c.engineOf(script)
		key := [2]string{name, integers}
		if e := made[key]; e != nil {
			return e, nil
		}
		e, err := newEngine(name, integers)
		made[key] = e
		return e, err
	}
	if all, err = engine(""); err != nil {
		return nil, nil, err
	}
	of = make(map[string]vm.Engine, len(c.ServiceEngine)+len(c.ServiceIntegers))
	for _, table := range []map[string]string{c.ServiceEngine, c.ServiceIntegers} {
		for script := range table {
			if of[script], err = engine(script); err != nil {
				return nil, nil, err
			}
		}
	}
	return all, of, nil
}

func newEngine(name, integers string) (vm.Engine, error) {
	if name != gopher.Name {
		return lua54.New(), nil
	}
	e, err := gopher.New(gopher.Config{TextIntegers: integers == integersText})
	if err != nil {
		return nil, fmt.Errorf("lua.engine = %q: %w", name, err)
	}
	return e, nil
}

// checkServices refuses settings of services that are not there.
func (c *LuaConfig) checkServices(has func(script string) bool) error {
	for key, table := range map[string]map[string]string{"service_engine": c.ServiceEngine, "service_integers": c.ServiceIntegers} {
		for script := range table {
			if !has(script) {
				return fmt.Errorf("lua.%s: %q: there is no such script in %s", key, script, strings.Join(c.Path, ", "))
			}
		}
	}
	return c.checkTrusted(has)
}

// distinct are engines without those that are there twice.
func distinct(first vm.Engine, others map[string]vm.Engine) []vm.Engine {
	all := []vm.Engine{first}
	for _, script := range slices.Sorted(maps.Keys(others)) {
		if e := others[script]; !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}
