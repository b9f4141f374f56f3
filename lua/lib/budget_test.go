package lib_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/lib"
	"github.com/skua-go/skua/lua/lib/internal/libtest"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// Each call goes over a million bytes or more: a hundred of them have to be seen by whoever looks at the clock.
func TestWhatGoesOverManyBytesIsPaidFor(t *testing.T) {
	modules := libtest.Modules{}
	for _, m := range lib.Modules(nil) {
		modules[m.Name] = m.Open
	}
	for name, body := range map[string]string{
		"hash":         `crypt.sha1(s)`,
		"key":          `crypt.hashkey(s)`,
		"base64":       `crypt.base64encode(s)`,
		"md5":          `md5.sum(s)`,
		"to JSON":      `json.encode(s)`,
		"from JSON":    `json.decode(quoted)`,
		"to msgpack":   `msgpack.encode(s)`,
		"from msgpack": `msgpack.decode(packed)`,
		"to BSON":      `bson.encode({ s = s })`,
		"from BSON":    `bson.decode(document)`,
	} {
		t.Run(name, func(t *testing.T) {
			looks := 0
			main := lua54.Engine{}.New(vm.Options{Tick: func() error {
				if looks++; looks > 20 {
					return errors.New("it is over")
				}
				return nil
			}}).Main()
			libtest.Install(main, modules)
			if err := main.Load("=main", `
local crypt, md5, json, msgpack, bson = require "skynet.crypt", require "md5", require "cjson", require "msgpack", require "bson"
local s = "x"
for i = 1, 20 do s = s .. s end
local quoted, packed, document = json.encode(s), msgpack.encode(s), bson.encode({ s = s })
for i = 1, 100 do `+body+` end`); err != nil {
				t.Fatal(err)
			}
			if err := main.PCall(0, 0); err == nil || !strings.Contains(err.Error(), "it is over") {
				t.Errorf("after %d looks: %v", looks, err)
			}
		})
	}
}
