package std_test

import (
	"testing"
	"time"
)

// How long a call of a function takes that scripts call often, and what it allocates, with the loop around it.
func BenchmarkWhatACallTakes(b *testing.B) {
	for name, body := range map[string]string{
		"sub":           `local s = "hello world" for i = 1, N do local x = s:sub(3, 7) end`,
		"sub of one":    `local s = "hello world" for i = 1, N do local x = s:sub(3, 3) end`,
		"byte":          `local s = "hello world" for i = 1, N do local x = s:byte(3) end`,
		"find plain":    `local s = "hello world" for i = 1, N do local x = s:find("world", 1, true) end`,
		"find word":     `local s = "hello world" for i = 1, N do local x = s:find("world") end`,
		"match":         `local s = "key=value" for i = 1, N do local k, v = s:match("^(%w+)=(%w+)$") end`,
		"match a set":   `local s = "some_long_name = 1" for i = 1, N do local k = s:match("^([%w_]+)") end`,
		"gsub":          `local s = "hello world" for i = 1, N do local x = s:gsub("o", "0") end`,
		"format":        `local f = "%d:%s" for i = 1, N do local x = f:format(i, "x") end`,
		"format floats": `local f = "%.2f" for i = 1, N do local x = f:format(i / 3) end`,
		"rep":           `local s = "ab" for i = 1, N do local x = s:rep(10) end`,
		"upper":         `local s = "hello world" for i = 1, N do local x = s:upper() end`,
		"char":          `local char = string.char for i = 1, N do local x = char(65) end`,
		"insert remove": `local insert, remove = table.insert, table.remove local t = {} for i = 1, N do insert(t, i) remove(t) end`,
		"concat of 10":  `local t = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" } for i = 1, N do local x = table.concat(t, ",") end`,
		"unpack of 3":   `local t = { 1, 2, 3 } for i = 1, N do local a, b, c = table.unpack(t) end`,
		"floor":         `local floor = math.floor for i = 1, N do local x = floor(i / 3) end`,
		"max":           `local max = math.max for i = 1, N do local x = max(i, 3) end`,
		"random":        `local random = math.random for i = 1, N do local x = random(100) end`,
		"pack":          `local pack = string.pack for i = 1, N do local x = pack("<I4s2", i, "abc") end`,
		"unpack":        `local unpack, s = string.unpack, string.pack("<I4s2", 7, "abc") for i = 1, N do local x, y = unpack("<I4s2", s) end`,
		"sort 1000":     `for i = 1, N, 1000 do local t = {} for j = 1, 1000 do t[j] = j * 7919 % 1009 end table.sort(t) end`,
		"sort by order": `for i = 1, N, 1000 do local t = {} for j = 1, 1000 do t[j] = j * 7919 % 1009 end table.sort(t, function(a, b) return a > b end) end`,
	} {
		b.Run(name, func(b *testing.B) {
			s := machine(b, time.Hour).Main()
			s.PushInt(int64(b.N))
			s.SetGlobal("N")
			if err := s.Load("=bench", "local N = N "+body); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			s.Call(0, 0)
		})
	}
}
