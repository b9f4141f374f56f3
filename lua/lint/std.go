package lint

import "strings"

// libraries are the globals that every script has, and what those that are tables have in them. A test holds them to the engines.
func libraries() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for name, names := range map[string]string{
		"string": "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
		"table":  "concat insert move pack remove sort unpack",
		"math": "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random randomseed sin sqrt tan " +
			"tointeger type ult",
		"utf8":      "char charpattern codepoint codes len offset",
		"os":        "clock date difftime time",
		"coroutine": "close create isyieldable resume running status wrap yield",
		"debug":     "getinfo traceback",
		"package":   "loaded",
	} {
		set := map[string]bool{}
		for _, n := range strings.Fields(names) {
			set[n] = true
		}
		all[name] = set
	}
	return all
}

// functions are the globals that are no tables.
func functions() []string {
	return strings.Fields("SERVICE_NAME SERVICE_PATH _G _VERSION assert collectgarbage error getmetatable ipairs load next pairs pcall print rawequal rawget rawlen rawset require select " +
		"setmetatable tonumber tostring type xpcall")
}

// older are the names that Lua 5.1 has and 5.4 has no more.
func older() []string {
	return strings.Fields("getfenv loadstring setfenv unpack math.atan2 math.cosh math.frexp math.ldexp math.log10 math.mod math.pow math.sinh math.tanh table.getn table.maxn")
}

// withheld is what Lua has and scripts have not, with the reason.
func withheld(name string) string {
	switch name {
	case "io", "os.execute", "os.exit", "os.getenv", "os.remove", "os.rename", "os.setlocale", "os.tmpname", "dofile", "loadfile", "package.loadlib",
		"package.cpath", "package.path", "package.searchers", "package.searchpath", "package.preload":
		return "scripts are kept away from the host"
	case "unpack":
		return "it is table.unpack since Lua 5.2"
	case "loadstring":
		return "it is load since Lua 5.2"
	case "math.pow":
		return "it is the operator ^ since Lua 5.3"
	case "math.atan2":
		return "it is math.atan since Lua 5.3"
	case "math.cosh", "math.frexp", "math.ldexp", "math.log10", "math.sinh", "math.tanh":
		return "Lua has it no more since 5.3"
	case "setfenv", "getfenv", "module", "math.mod", "table.getn", "table.maxn":
		return "Lua has it no more since 5.2"
	}
	if strings.HasPrefix(name, "debug.") {
		return "scripts are kept away from the host"
	}
	return ""
}

// Standard is what every script has without require: its globals, and of those that are tables what is in them. With lua51 those of that version are among them.
func Standard(lua51 bool) map[string][]string {
	all := map[string][]string{}
	for _, name := range functions() {
		all[name] = nil
	}
	for name, names := range libraries() {
		for n := range names {
			all[name] = append(all[name], n)
		}
	}
	if lua51 {
		for _, name := range older() {
			if library, field, ok := strings.Cut(name, "."); ok {
				all[library] = append(all[library], field)
			} else {
				all[name] = nil
			}
		}
	}
	return all
}
