package lua_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// A handler that computes is in the way of connections and of other actors, which have nothing to do with it, until Go takes its core.
func TestAHandlerThatComputesLetsOthersHaveTheCore(t *testing.T) {
	n := newNodeWith(t, lua.Config{Budget: time.Minute}, actor.Config{CallTimeout: time.Minute}, "main.lua", `
local M = {}
function M.compute(self, steps) local x = 0 for i = 1, steps do x = x + i % 7 end return true end
return M`)
	ref := n.start("main")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const steps = 2_000_000 // 19 times as many as pass between two ticks, which takes some 2 times 10 ms where only Go takes the core
	stop, turns := make(chan struct{}), make(chan int)
	go func() {
		count := 0
		for {
			select {
			case <-stop:
				turns <- count
				return
			default:
				count++
				runtime.Gosched()
			}
		}
	}()
	n.want("true", ref, "compute", steps)
	close(stop)
	if count := <-turns; count < 15 {
		t.Errorf("somebody else had %d turns while a handler computed", count)
	}
}
