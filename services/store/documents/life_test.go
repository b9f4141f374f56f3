package documents_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestAServiceThatIsStoppedSavesItsDocuments(t *testing.T) {
	in(t, `function M.stop(self) self.p.last = "words" skynet.sleep(500) self.p.gold = 3 end`, func(_ *testing.T, r *rig) {
		a, b := r.service(), r.service()
		r.call(a, "open", "ann")
		r.call(b, "open", "bob")
		r.call(a, "set", "gold", 2)
		r.sys.Stop(a, nil)
		r.sys.Kill(b, errors.New("somebody has killed it"))
		<-r.sys.Ended(a)
		pass(autosave)
		r.has("ann", `{"gold":3,"last":"words"}`)
		r.lacks("bob")
	})
}

func TestAServiceThatLeavesByItselfSavesItsDocuments(t *testing.T) {
	in(t, `function M.leave(self) self.p.gold = 2 skynet.exit() end`, func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann")
		r.call(a, "leave")
		<-r.sys.Ended(a)
		pass(autosave)
		r.has("ann", `{"gold":2}`)
		// What it had is free for the next one, who gets what was saved, be it written or not.
		b := r.service()
		r.want("true", b, "open", "ann")
		r.want("2", b, "get", "gold")
	})
}

func TestWhatAHandlerChangesWhileItsServiceStopsIsSaved(t *testing.T) {
	in(t, `
function M.slow(self) skynet.sleep(300) self.p.gold = 9 return true end
function M.stop() skynet.sleep(500) end`, func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann")
		done := make(chan string)
		go func() { done <- r.call(a, "slow") }()
		synctest.Wait()
		r.sys.Stop(a, nil)
		if got := <-done; got != "true" {
			r.Error(got)
		}
		<-r.sys.Ended(a)
		pass(autosave)
		r.has("ann", `{"gold":9}`)
	})
}

func TestTwoOpensInOneServiceGiveOneTable(t *testing.T) {
	in(t, `
local got = {}
function M.both(self)
  for i = 1, 2 do
    skynet.fork(function() got[i] = store.open("player", "ann", { n = i }) end)
  end
  while not (got[1] and got[2]) do skynet.sleep(1) end
  return rawequal(got[1], got[2]), rawequal(got[1], store.open("player", "ann")), got[1].n
end`, func(_ *testing.T, r *rig) {
		r.want("true true 1", r.service(), "both")
	})
}

func TestAnotherServiceOfTheNodeTakesADocumentOverWithItsNewestContent(t *testing.T) {
	in(t, `
local told = ""
store.on_error(function(doc, err, kind, id) told = kind .. "/" .. id .. ": " .. err.code .. " " .. tostring(doc.gold) end)
function M.told() return told end`, func(t *testing.T, r *rig) {
		a, b := r.service(), r.service()
		r.call(a, "open", "ann")
		r.call(a, "set", "gold", 5) // not handed in yet
		r.want("true", b, "open", "ann")
		r.want("5", b, "get", "gold")
		r.want("error: a document that is open is expected", a, "commit")
		r.want(`"player/ann: not_owner 5"`, a, "told")
		r.call(b, "set", "gold", 6)
		pass(autosave)
		r.has("ann", `{"gold":6}`)
		r.want("true", a, "open", "ann") // and back
		r.want("6", a, "get", "gold")
		if n := r.log.Count("another service of this node has opened a document"); n != 2 {
			t.Errorf("logged %d times", n)
		}
	})
}

func TestADocumentOfAServiceThatIsEndingIsOpenedWhenThatHasSavedIt(t *testing.T) {
	in(t, `function M.stop(self) skynet.sleep(50) if self.p then self.p.gold = 7 end end`, func(_ *testing.T, r *rig) {
		a, b := r.service(), r.service()
		r.call(a, "open", "ann")
		r.sys.Stop(a, nil)
		synctest.Wait()
		r.want("true", b, "open", "ann")
		r.want("7", b, "get", "gold")
	})
}

func TestAReplacedOwnerIsStoppedAndWritesNothing(t *testing.T) {
	in(t, `
function M.two(self) self.q = store.open("player", "bob", { n = 1 }) return true end
function M.stop(self, why) skynet.error("stopped: " .. why) end`, func(t *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"gold": 1})
		r.call(a, "two")
		r.call(a, "commit")
		if _, err := r.db.Claim(t.Context(), "player", "ann", 0); err != nil { // as another node
			t.Fatal(err)
		}
		r.call(a, "set", "gold", 2)
		pass(2 * autosave)
		<-r.sys.Ended(a)
		r.has("ann", `{"gold":1}`)
		r.has("bob", `{"n":1}`)
		if r.log.Count("stopped: store: fenced: player/ann: the writer owns epoch 1, the database is at 2") != 1 {
			t.Error("it did not hear why")
		}
		if r.log.Count("document not saved") != 0 {
			t.Error("the log is full of it")
		}
		// The next one goes on from what the other node has left.
		b := r.service()
		r.want("true", b, "open", "ann")
		r.want("1", b, "get", "gold")
	})
}

func TestAClosedDocumentIsSavedAndFree(t *testing.T) {
	in(t, "", func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann")
		r.call(a, "set", "gold", 5)
		r.want("true", a, "close")
		r.want("5", a, "get", "gold") // a table like any other
		r.call(a, "set", "gold", 6)
		r.want("error: a document that is open is expected, got table", a, "save")
		pass(autosave)
		r.has("ann", `{"gold":5}`)
		r.want("true", a, "open", "ann")
		r.want("5", a, "get", "gold")
	})
}

func TestAgentsOfOneVMHaveDocumentsOfTheirOwn(t *testing.T) {
	in(t, `
local shared
function M.share(self) shared = self.p return true end
function M.foreign(self) return pcall(store.commit, shared) end
function M.start(self) self.n = 0 end`, func(t *testing.T, r *rig) {
		a, b := r.agent(), r.agent()
		r.call(a, "open", "ann", map[string]any{"n": 1})
		r.call(b, "open", "bob", map[string]any{"n": 2})
		r.call(a, "share")
		if got := r.call(b, "foreign"); !strings.Contains(got, "player/ann belongs to another agent") {
			t.Error(got)
		}
		r.call(a, "set", "n", 3)
		r.sys.Stop(a, nil)
		<-r.sys.Ended(a)
		r.call(b, "set", "n", 4)
		pass(autosave)
		r.has("ann", `{"n":3}`)
		r.has("bob", `{"n":4}`)
		c := r.agent()
		r.want("true", c, "open", "bob") // from a neighbour in the same VM
		r.want("4", c, "get", "n")
		r.want("error: a document that is open is expected", b, "commit")
	})
}

func TestManyDocumentsOfOneServiceAreAllSaved(t *testing.T) {
	in(t, `
local all = {}
function M.many(self, n) for i = 1, n do all[i] = store.open("player", "p" .. i, { n = 0 }) end return true end
function M.change(self, v) for _, p in ipairs(all) do p.n = v end return true end`, func(t *testing.T, r *rig) {
		a := r.service()
		r.want("true", a, "many", 120)
		r.want("true", a, "change", 1)
		pass(autosave)
		for _, id := range []string{"p1", "p60", "p120"} {
			r.has(id, `{"n":1}`)
		}
		r.want("true", a, "change", 2)
		r.sys.Stop(a, nil)
		<-r.sys.Ended(a)
		pass(autosave)
		for _, id := range []string{"p1", "p60", "p120"} {
			r.has(id, `{"n":2}`)
		}
	})
}

func TestAServiceThatDoesNotRunIsNotLookedAt(t *testing.T) {
	in(t, `
local looks = 0
function M.watch(self)
  self.p.sub = setmetatable({}, { __pairs = function(t) looks = looks + 1 return next, { shown = true } end })
  return true
end
function M.looks() return looks end`, func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann")
		r.call(a, "watch")
		pass(time.Hour)
		r.want("1", a, "looks")
		pass(time.Hour)
		r.want("2", a, "looks")
		r.has("ann", `{"sub":{"shown":true}}`)
	})
}

func TestDefaultsAreCopiedAndNotBroughtBack(t *testing.T) {
	in(t, `
local defaults = { gold = 1, bag = { "sword" }, settings = { music = true } }
function M.with(self, id) self.p = store.open("player", id, defaults) return #defaults.bag, rawequal(self.p.bag, defaults.bag) end
function M.sell(self) self.p.bag = {} return true end
function M.bad() local t = {} t.t = t return pcall(store.open, "player", "x", { deep = t }) end
function M.no_table() return pcall(store.open, "player", "x", 5) end`, func(t *testing.T, r *rig) {
		r.put("old", bson.D{{Key: "gold", Value: int64(9)}, {Key: "settings", Value: bson.D{{Key: "voice", Value: true}}}})
		a := r.service()
		r.want("1 false", a, "with", "ann")
		r.want("true", a, "sell")
		r.want("true", a, "close")
		r.want("1 false", a, "with", "ann")
		r.want("1 false", a, "with", "old")
		pass(2 * autosave)
		r.has("ann", `{"gold":1,"bag":{},"settings":{"music":true}}`)
		r.has("old", `{"gold":9,"bag":["sword"],"settings":{"voice":true}}`)
		if got := r.call(a, "bad"); !strings.Contains(got, "does a table contain itself?") {
			t.Error(got)
		}
		if got := r.call(a, "no_table"); !strings.Contains(got, "store.open: a table of defaults is expected, got number") {
			t.Error(got)
		}
		r.want("true", a, "open", "x") // the failed one is free
	})
}
