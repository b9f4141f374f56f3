package gopher_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/lua/vm/vmtest"
)

// run runs a chunk for at most some 200,000 instructions; whatever it does, no panic may come out of it.
func run(t *testing.T, source string, args ...string) {
	e := engine(t)
	left := 20
	m := e.New(vm.Options{Tick: func() error {
		if left--; left < 0 {
			return errors.New("enough")
		}
		return nil
	}})
	defer m.Close()
	th := m.Main().NewThread()
	if th.Load("fuzz.lua", source) != nil {
		return
	}
	for _, a := range args {
		th.PushString(a)
	}
	status := th.Resume(len(args))
	for i := 0; status == vm.Yielded && i < 10; i++ {
		th.SetTop(0)
		status = th.Resume(0)
	}
	if status == vm.Failed {
		_ = th.Traceback("")
		if strings.HasPrefix(th.Text(-1), "engine: ") { // a panic within, which has become an error
			t.Error(th.Text(-1))
		}
	}
	m.(interface{ Compact() }).Compact()
}

func FuzzSource(f *testing.F) {
	racetest.SetAside(f)
	for _, c := range vmtest.Cases() {
		f.Add(c.Source)
	}
	f.Fuzz(func(t *testing.T, source string) { run(t, source) })
}

func FuzzTheLibraryWithBytes(f *testing.F) {
	f.Add("a(b)", "%b()", 1)
	f.Add("\xff\x00", "[%w-", 2)
	f.Add("abc", "!8 <i16 s3 z X d", 3)
	f.Add("x", "%5.3s%q%g", 4)
	f.Fuzz(func(t *testing.T, s, p string, n int) {
		run(t, `local s, p = ...
local n = #s
local function pcall(...)
  local ok, e = _G.pcall(...)
  if not ok and type(e) == "string" and e:find("^engine: ") then error(e, 0) end
end
for _, f in ipairs { string.find, string.match, string.gsub, string.unpack, string.pack, string.format, string.rep, string.byte, string.sub,
  utf8.len, utf8.codepoint, utf8.offset, tonumber, load, table.concat, string.packsize, string.gmatch, utf8.char, string.char } do
  pcall(f, s, p) pcall(f, p, s) pcall(f, s, p, s) pcall(f, s, n, n) pcall(f, p, n, -n) pcall(f, s, p, n) pcall(f, p, s, p, s)
end`, s, p)
	})
}
