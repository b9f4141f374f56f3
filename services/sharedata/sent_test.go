package sharedata_test

import (
	"testing"

	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

// A shared table has no content of its own; what reads tables without metamethods has to go through its pairs.
func TestASharedTableIsSentAsItsContent(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Run(a, `sharedata.new("conf", { 1, 2, 3, deep = { er = { "x" } } }) c = sharedata.query "conf"`, "")
		r.Run(a, `local t = require "skynet".unpack(require "skynet".pack(c, c.deep)) return #t, t[3], t.deep.er[1], getmetatable(t)`, `3 3 "x" nil`)
		r.Run(a, `return require "cjson".encode(c.deep), require "cjson".encode { c.deep.er }`, `"{\"er\":[\"x\"]}" "[[\"x\"]]"`)
		r.Run(a, `return c.deep`, `{er = {"x"}}`)
	})
}
