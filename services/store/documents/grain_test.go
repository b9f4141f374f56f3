package documents_test

import (
	"testing"
	"time"
)

// What a service leaves is durable before anybody hears of its end: the next one may be on another node.
func TestWhatAServiceHasIsDurableWhenItHasEnded(t *testing.T) {
	in(t, `
function M.stop(self) self.p.gold = 7 end
function M.raw(self) store.claim("player", "raw") store.save("player", "raw", { n = 1 }) return true end`, func(t *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"gold": 1})
		r.call(a, "set", "gold", 5)
		r.want("true", a, "save")
		r.want("true", a, "raw")
		begun := time.Now()
		r.sys.Stop(a, nil)
		<-r.sys.Ended(a)
		r.has("ann", `{"gold":7}`)
		r.has("raw", `{"n":1}`)
		if took := time.Since(begun); took > autosave/20 { // of the bubble's time
			t.Errorf("it took %v", took)
		}
	})
}

func TestAServiceEndsThoughTheDatabaseIsAway(t *testing.T) {
	in(t, "", func(t *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"gold": 1})
		r.db.set(func() { r.db.away = true })
		r.sys.Stop(a, nil)
		<-r.sys.Ended(a)
		if r.log.Count("the service ends before its document is durable") != 1 {
			t.Error("nobody was told")
		}
		r.db.set(func() { r.db.away = false })
		pass(10 * autosave)
		r.has("ann", `{"gold":1}`)
	})
}

// A service that is an activation of a grain claims in its epoch, and is stopped when a newer one has done so.
func TestAnActivationThatWasReplacedOpensNothing(t *testing.T) {
	in(t, `function M.claim(self, id) return store.claim("player", id) end`, func(t *testing.T, r *rig) {
		for _, how := range []string{"open", "claim"} {
			a, b := r.service(), r.service()
			r.epochs.Store(a, uint64(8))
			r.epochs.Store(b, uint64(7))
			r.call(a, "open", how, map[string]any{"gold": 1})
			r.call(a, "commit")
			r.want("true", a, "close")
			pass(autosave)
			r.want("error: store: fenced: player/"+how, b, how, how)
			<-r.sys.Ended(b)
			c := r.service()
			r.epochs.Store(c, uint64(9))
			r.want("true", c, "open", how)
			r.want("1", c, "get", "gold")
			r.want("true", c, "close")
		}
	})
}

// A loop that goes on behind stop changes documents more quickly than the database writes them.
func TestAServiceThatGoesOnChangingEndsAllTheSame(t *testing.T) {
	in(t, `
local skynet = require "skynet"
function M.loop(self)
  skynet.fork(function() while true do skynet.sleep(1) self.p.gold = self.p.gold + 1 end end)
  return true
end`, func(t *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"gold": 1})
		r.want("true", a, "loop")
		pass(autosave)
		r.db.set(func() { r.db.slow = 100 * time.Millisecond })
		begun := time.Now()
		r.sys.Stop(a, nil)
		<-r.sys.Ended(a)
		if took := time.Since(begun); took > 2*time.Second { // of the bubble's time; its StopTimeout is 10 s
			t.Errorf("it took %v", took)
		}
	})
}
