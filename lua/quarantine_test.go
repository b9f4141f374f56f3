package lua_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

const greedyService = `
local M = {}
local kept = {}
function M.spin() while true do pcall(function() while true do end end) end end
function M.eat() for i = 1, 200 do kept[#kept + 1] = string.rep("x", 65536) .. #kept end end
function M.ping() return "pong" end
return M`

// aside waits until the service is in quarantine.
func (n *node) aside(ref actor.Ref) actor.Quarantined {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		info, alive := n.sys.Inspect(ref)
		if why, is := n.sys.InQuarantine()[ref]; is && info.Quarantined {
			return why
		}
		if !alive || time.Now().After(deadline) {
			n.t.Fatalf("it is not put in quarantine: %v", info)
		}
		_, _ = n.where(ref, time.Millisecond)
	}
}

func TestAServiceThatComputesTooMuchIsPutInQuarantine(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: 200 * time.Millisecond, Quarantine: true}, actor.Config{CallTimeout: 20 * time.Second}, "main.lua", greedyService)
		ref := n.start("main")
		for range 3 {
			if _, err := n.call(ref, "spin"); err == nil || !strings.Contains(err.Error(), "CPU budget exceeded") {
				t.Fatal(err)
			}
			if len(n.sys.InQuarantine()) == 0 {
				if v, err := n.call(ref, "ping"); err != nil || !isText(v, "pong") {
					t.Fatal(err)
				}
			}
		}
		if why := n.aside(ref); !strings.Contains(why.Reason.Error(), "3 handlers have computed for more than 200ms") {
			t.Errorf("got %v", why.Reason)
		}
		answer := make(chan error, 1)
		go func() {
			v, err := n.call(ref, "ping")
			if err == nil && !isText(v, "pong") {
				err = errors.New("no pong")
			}
			answer <- err
		}()
		for len(n.sys.Peek(ref, 10)) == 0 {
			_, _ = n.where(ref, time.Millisecond)
		}
		if !n.sys.Release(ref) {
			t.Error("it is not let go")
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

func TestAServiceThatKeepsTooMuchIsPutInQuarantine(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), MemoryLimit: 8 << 20, Quarantine: true}, actor.Config{CallTimeout: 20 * time.Second}, "main.lua", greedyService)
		ref := n.start("main")
		_, _ = n.call(ref, "eat")
		if why := n.aside(ref); !strings.Contains(why.Reason.Error(), "MiB are allowed") {
			t.Errorf("got %v", why.Reason)
		}
		if !n.sys.Release(ref) {
			t.Error("it is not let go")
		}
		if v, err := n.call(ref, "ping"); err != nil || !isText(v, "pong") {
			t.Errorf("it does not go on: %v", err)
		}
	})
}
