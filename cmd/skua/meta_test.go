package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lint"
	"github.com/skua-go/skua/scripts"
)

// keysOf lists what modules have in a service of a node, one a line: name, type, keys. A module that is not there has the type "absent".
func keysOf(t *testing.T, modules []string) map[string][]string {
	t.Helper()
	var source strings.Builder
	source.WriteString("local lines = {}\n")
	for _, m := range modules {
		fmt.Fprintf(&source, "lines[#lines + 1] = list(%q)\n", m)
	}
	script := `
local function list(name)
  local ok, module = pcall(require, name)
  if not ok then
    if string.find(tostring(module), "module '" .. name .. "' not found", 1, true) or string.find(tostring(module), "no script", 1, true) then return name .. " absent" end
    return name .. " fails " .. string.gsub(tostring(module), "\n.*", "")
  end
  local keys = { name, type(module) }
  if type(module) == "table" then
    for k in pairs(module) do keys[#keys + 1] = tostring(k) end
  end
  return table.concat(keys, " ")
end
it("lists", function()
` + source.String() + `
  error("NAMES\n" .. table.concat(lines, "\n") .. "\nEND")
end)`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "names_test.lua"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	_ = testProject(t.Context(), dir, testOptions{timeout: time.Minute}, &out, &log) // it fails, that is how the names get out
	m := regexp.MustCompile(`(?s)NAMES\n(.*)\n\s*END`).FindStringSubmatch(out.String())
	if m == nil {
		t.Fatal(out.String())
	}
	keys := map[string][]string{}
	for line := range strings.Lines(m[1]) {
		words := strings.Fields(line)
		keys[words[0]] = words[1:]
	}
	return keys
}

func TestTheAnnotationsAreOfWhatIsThere(t *testing.T) {
	api, err := lint.Load(scripts.Meta())
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Sorted(slices.Values(api.Modules()))
	compared := 0
	for module, found := range keysOf(t, modules) {
		want, table := api.Names(module)
		kind, got := found[0], found[1:]
		switch {
		case module == "skynet" || module == "skynet.manager":
			// Their functions are made when they are asked for; both are one table.
			if module == "skynet" {
				continue
			}
			kind, got = "table", lua.API()
		case kind == "absent":
			t.Logf("%s is not there", module)
			continue
		case kind == "fails":
			t.Errorf("require %q: %s", module, strings.Join(got, " "))
			continue
		}
		compared++
		if table != (kind == "table") {
			t.Errorf("scripts/meta: %s is a %s", module, kind)
			continue
		}
		for _, name := range got {
			if !slices.Contains(want, name) {
				t.Errorf("scripts/meta: %s.%s is there and not annotated", module, name)
			}
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("scripts/meta: %s.%s is annotated and not there", module, name)
			}
		}
	}
	if compared < 15 {
		t.Errorf("%d modules were compared only", compared)
	}
}

// What LuaLS reads has a type for each parameter and a line of text for each function.
func TestEachAnnotatedFunctionIsDescribed(t *testing.T) {
	meta := scripts.Meta()
	names, err := lua.Scripts(meta)
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`^(?:local )?function [\w.:]+\((.*)\) end$`)
	for _, name := range names {
		text, err := fs.ReadFile(meta, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "---@meta "+(lint.Script{Name: name}).Module()+"\n") {
			t.Errorf("%s: the first line does not name the module", name)
		}
		var comment []string
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "---") {
				comment = append(comment, line)
				continue
			}
			if m := function.FindStringSubmatch(line); m != nil {
				for _, param := range strings.Split(m[1], ", ") {
					if param != "" && !slices.ContainsFunc(comment, func(c string) bool {
						return strings.HasPrefix(c, "---@param "+param+" ") || strings.HasPrefix(c, "---@param "+param+"? ")
					}) {
						t.Errorf("%s: %s: the parameter %s has no type", name, line, param)
					}
				}
			}
			comment = nil
		}
	}
}
