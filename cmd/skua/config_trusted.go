package main

import (
	"fmt"
	"strings"
)

// trusted checks the entries of lua.trusted: names of scripts, and beginnings of such names with * behind.
func (c *check) trusted(entries []string) {
	for _, entry := range entries {
		name, many := strings.CutSuffix(entry, "*")
		if many {
			name += "x"
		}
		c.that(isScript(name) && !strings.Contains(name, "*"), "lua.trusted", entry, "names of scripts, or beginnings of names with * behind")
	}
}

// trusts tells whether the services of a script are trusted, by its name with dots or slashes.
func (c *LuaConfig) trusts(script string) bool {
	script = strings.ReplaceAll(script, ".", "/")
	for _, entry := range c.Trusted {
		name, many := strings.CutSuffix(strings.ReplaceAll(entry, ".", "/"), "*")
		if script == name || many && strings.HasPrefix(script, name) {
			return true
		}
	}
	return false
}

// checkTrusted refuses trust in a script that is not there: whoever puts one there later would have it.
func (c *LuaConfig) checkTrusted(has func(script string) bool) error {
	for _, entry := range c.Trusted {
		if !strings.HasSuffix(entry, "*") && !has(entry) {
			return fmt.Errorf("lua.trusted: %q: there is no such script in %s", entry, strings.Join(c.Path, ", "))
		}
	}
	return nil
}
