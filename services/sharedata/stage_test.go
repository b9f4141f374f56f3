package sharedata_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

// What a file makes is made anew from another version of the file, or of what it requires, and put back.
func TestTablesOfFilesFollowTheirFiles(t *testing.T) {
	files := fstest.MapFS{
		"items.lua":  {Data: []byte("return { price = require('factor') * 5 }")},
		"factor.lua": {Data: []byte("return 2")},
		"other.lua":  {Data: []byte("return { price = 1 }")},
		"reader.lua": {Data: []byte(`
local sharedata = require "skynet.sharedata"
return { price = function(self, name) return sharedata.query(name).price end }
`)},
	}
	r := luatest.New(t, lua54.New())
	srv := sharedata.New(sharedata.Config{Files: files, Log: r.Logger()})
	r.Use(fstest.MapFS{"testdata/reader.lua": files["reader.lua"]}, lua.Config{Modules: []lua.Module{srv.Module()}, Budget: 20 * time.Second})
	r.Spawn(srv.Spec())
	r.Spawn(r.Runtime.Launcher())
	service, _ := r.System.Lookup(sharedata.ServiceName)
	for _, name := range []string{"items", "other"} {
		if _, err := r.System.Ask(t.Context(), service, lua.Command("load", "sharedata", "new", name, "@"+name+".lua")); err != nil {
			t.Fatal(err)
		}
	}
	reader := r.Start("reader")
	price := func(name, want string) {
		t.Helper()
		v, err := r.System.Ask(t.Context(), reader, lua.Command("price", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := v.(value.List).At(0).String(); got != want {
			t.Errorf("%s costs %s, want %s", name, got, want)
		}
	}
	price("items", "10")
	newer := fstest.MapFS{"items.lua": files["items.lua"], "factor.lua": {Data: []byte("return 3")}, "other.lua": {Data: []byte("return { price = 7 }")}}
	st, err := srv.Stage(t.Context(), newer, func(file string) bool { return file == "factor.lua" })
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(st.Names(), ", "); names != "sharedata items" {
		t.Errorf("made anew: %s", names)
	}
	price("items", "10")
	undo := st.Publish()
	price("items", "15")
	price("other", "1")
	undo()
	price("items", "10")
	newer["factor.lua"] = &fstest.MapFile{Data: []byte("return nil + 1")}
	if _, err := srv.Stage(t.Context(), newer, func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "sharedata items") || !strings.Contains(err.Error(), "factor.lua:1") {
		t.Errorf("a file with a mistake: %v", err)
	}
}
