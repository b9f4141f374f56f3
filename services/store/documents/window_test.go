package documents_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// What a crash can take of an open document is what is younger than the autosave interval.
func TestEveryChangeIsWrittenWithinTheAutosaveInterval(t *testing.T) {
	in(t, "", func(t *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann")
		var changed []time.Time
		for i := range 200 {
			r.call(a, "set", "n", i)
			changed = append(changed, time.Now())
			<-time.After(time.Duration(rand.Int64N(int64(autosave) * 3 / 2)))
		}
		pass(2 * autosave)
		r.db.mu.Lock()
		defer r.db.mu.Unlock()
		var longest time.Duration
		written := 0
		for i, at := range changed {
			for written < len(r.db.writes) && r.db.writes[written].Body.Lookup("n").AsInt64() < int64(i) {
				written++
			}
			if written == len(r.db.writes) {
				t.Fatalf("change %d was never written", i)
			}
			longest = max(longest, r.db.times[written].Sub(at))
		}
		t.Logf("the longest time from a change to the database: %v, promised: %v; %d changes, %d writes", longest, autosave, len(changed), len(r.db.writes))
		if longest > autosave {
			t.Error("too long")
		}
	})
}

func TestAKilledServiceHasItsDocumentsSaved(t *testing.T) {
	in(t, `
local manager = require "skynet.manager"
function M.kill(self, address) manager.kill(address) return true end
function M.address() return skynet.self() end
function M.ever(self) self.p.gold = 4 skynet.wait("ever") end`, func(_ *testing.T, r *rig) {
		a, b := r.service(), r.service()
		r.call(a, "open", "ann")
		go r.call(a, "ever")
		synctest.Wait()
		r.want("true", b, "kill", int(a.ID()))
		<-r.sys.Ended(a)
		pass(autosave)
		r.has("ann", `{"gold":4}`)
	})
}
