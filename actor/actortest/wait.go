package actortest

import (
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// Settle lets actors run until nothing has anything to do before time passes.
func (k *Kit) Settle() {
	k.t.Helper()
	k.look()
	if k.turns == nil {
		synctest.Wait()
		return
	}
	k.checkOwner()
	for k.rest(); k.runOne(nil); k.rest() {
	}
}

// Advance lets fake time pass, and actors run meanwhile and at its end. With Manual they don't run: what comes due waits for a Step.
func (k *Kit) Advance(d time.Duration) {
	k.t.Helper()
	k.wait(func() bool { return false }, d, k.freely())
	k.quiet()
}

// quiet is Settle where actors may run without being told to.
func (k *Kit) quiet() {
	k.t.Helper()
	if k.cfg.Dispatch == Manual {
		k.checkOwner()
		k.rest()
		return
	}
	k.Settle()
}

// freely tells who runs while the test waits for something: everybody, but with Manual nobody.
func (k *Kit) freely() func(actor.Ref) bool {
	if k.cfg.Dispatch == Manual {
		return func(actor.Ref) bool { return false }
	}
	return nil
}

// patience is how long an expectation waits. With Manual there is nothing to wait for.
func (k *Kit) patience(d time.Duration) time.Duration {
	if k.cfg.Dispatch == Manual {
		return 0
	}
	return d
}

// wait lets actors run, those that may, and time pass, until over or for so long; a negative limit is none. It tells whether it is over.
func (k *Kit) wait(over func() bool, limit time.Duration, may func(actor.Ref) bool) bool {
	k.t.Helper()
	k.look()
	k.checkOwner()
	var late <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	for {
		k.rest()
		switch {
		case over():
			return true
		case k.runOne(may):
			continue
		case limit == 0:
			return false
		}
		select {
		case <-k.changed:
		case <-late:
			late, limit = nil, 0 // what happens at this very moment is still in time
		}
	}
}

// rest waits until nobody runs but the test, and has what the kit itself needs done.
func (k *Kit) rest() {
	k.t.Helper()
	if k.turns == nil {
		synctest.Wait()
		return
	}
	for {
		k.settleOthers()
		t, ok := k.turns.takeAtOnce()
		if !ok {
			return
		}
		k.turns.run(t)
	}
}

// settleOthers waits until all other goroutines wait for something.
func (k *Kit) settleOthers() {
	if k.turns != nil {
		k.turns.leave()
		defer k.turns.enter()
	}
	synctest.Wait()
}

// look has whatever actors do from now on come after what the test has done, such as a look at an actor's fields. The race detector could else not know that:
// it sees that who waits for others comes after them, but not that what the others then do because time has passed comes after that.
func (k *Kit) look() {
	if k.turns == nil {
		for range k.Actors() { // which locks each actor's mailbox
		}
	}
}

// checkOwner panics where the order of things would be anybody's guess.
func (k *Kit) checkOwner() {
	if k.turns != nil && goroutine().id != k.owner {
		panic("actortest: a Kit was used in another goroutine than that of its test")
	}
}

// runOne has an actor that may run handle a message, and tells whether there was one.
func (k *Kit) runOne(may func(actor.Ref) bool) bool {
	k.t.Helper()
	if k.turns == nil {
		return false
	}
	t, ok := k.turns.next(may, false)
	if ok {
		k.turns.run(t)
	}
	return ok
}

// atOnce has an actor run as soon as it has something to do, because it is a part of the test.
func (k *Kit) atOnce(ref actor.Ref) {
	if k.turns != nil {
		k.turns.setAtOnce(ref)
	}
}
