package lua_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// forced is how many collections somebody has asked for.
func forced() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

func TestMemoryGoesBackWhenManyServicesHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "empty.lua", `local skynet = require "skynet" skynet.start(function() end)`)
		end := func(services int) {
			for range services {
				ref := n.start("empty")
				n.sys.Stop(ref, nil)
				<-n.sys.Ended(ref)
			}
		}
		before := forced()
		end(400)
		time.Sleep(time.Minute) //nolint:forbidigo // fake time
		if forced() != before {
			t.Error("a few services have made the node collect")
		}
		end(200)
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		if forced() != before {
			t.Error("the node collects while services end")
		}
		end(1)
		time.Sleep(time.Minute) //nolint:forbidigo // fake time
		if forced() == before {
			t.Error("nothing has gone back to the system")
		}
	})
}
