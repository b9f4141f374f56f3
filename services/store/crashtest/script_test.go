package crashtest_test

import (
	"fmt"
	"io"
	"log/slog"
	"testing/fstest"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/store/documents"
)

// script is what owner is, as a service in Lua with an open document. Its document has the content of a player.
const script = `
local skynet, store, account = require "skynet", require "store", require "account"
local M = {}

local function change(p, by)
  p.n = p.n + 1
  p.m, p.by = p.n, by
  p.log = p.log or {}
  table.insert(p.log, p.n)
  if #p.log > %d then p.log = { p.n } end
  if #p.log == 1 then p.first = p.n end
  p.bag = p.bag or {}
  p.bag["c" .. p.n] = { n = p.n, within = { list = { p.n, p.n } } }
  p.bag["c" .. p.n - %d] = nil
end

local function play(self)
  local p, id = self.p, self.id
  while true do
    skynet.sleep(math.random() * 0.8)
    account.say("s", id, p.n + 1)
    change(p, self.by)
    if not self.saver and math.random(6) == 1 then
      local n = p.n
      local ok, err = pcall(p.commit, p)
      if ok then
        account.say("c", id, n)
      elseif err.code == "unavailable" then
        account.say("k", id, n)
      elseif err.code ~= "fenced" and err.code ~= "not_owner" then
        skynet.sleep(200) -- a service that has lost its document is stopped meanwhile
        account.say("f", id, n)
        error(err)
      end
    end
  end
end

function M.start(self, id, by, saver)
  self.id, self.by, self.saver = id, by, saver
  self.p = store.open("player", "p" .. id, { n = 0, m = 0, first = 0, pad = string.rep("x", 1500) })
  account.say("o", id, self.p.n)
  skynet.fork(play, self)
end

return M
`

// scripted gives owners that are services in Lua.
func scripted(s *setup) (func(i int) actor.Spec, error) {
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelError}))
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"player.lua": &fstest.MapFile{Data: fmt.Appendf(nil, script, remember, things)}}, Library: scripts.FS(), Log: log,
		Modules: []lua.Module{documents.New(documents.Config{Autosave: autosave}).Module(), accountModule(s.out)},
	})
	if err != nil {
		return nil, err
	}
	return func(i int) actor.Spec { return rt.Spec("player", value.Of(int64(i), s.name, s.saver(i))) }, nil
}

// accountModule lets scripts say what owners say.
func accountModule(out io.Writer) lua.Module {
	return lua.Module{Name: "account", Open: func(_ *lua.Host, s vm.State) {
		s.NewTable(0, 1)
		s.PushFunc("account.say", func(s vm.State) int {
			what, _ := s.String(1)
			id, _ := s.Int(2)
			n, _ := s.Int(3)
			if err := say(out, what[0], int(id), n); err != nil {
				s.Errorf("%s", err.Error())
			}
			return 0
		})
		s.SetField(-2, "say")
	}}
}
