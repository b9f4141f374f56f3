package lua_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// impatient asks for services that nobody starts, as many as may wait, and gives up; then for one that is started behind that.
type impatient struct{ launcher actor.Ref }

func (i impatient) Receive(c *actor.Context, _ any) {
	var calls []actor.Call
	for range 10_000 {
		calls = append(calls, c.Ask(i.launcher, lua.Launch{Script: "nobody", Query: true}, nil))
	}
	c.Ask(i.launcher, "no message of its", func(any, error) { // behind all of them
		for _, call := range calls {
			call.Cancel()
		}
		c.Ask(i.launcher, lua.Launch{Script: "main", Query: true}, c.Reply)
		c.Ask(i.launcher, lua.Launch{Script: "main", Unique: true}, nil)
	})
}

func TestQueriesThatWereGivenUpMakeRoomForOthers(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `return {}`)
		launcher, ok := n.sys.Lookup(lua.LauncherName)
		if !ok {
			t.Fatal("there is no launcher")
		}
		asker, err := n.sys.Spawn(actor.Spec{New: func() actor.Actor { return impatient{launcher} }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.sys.Ask(t.Context(), asker, "go"); err != nil {
			t.Errorf("a query is refused, though nobody waits: %v", err)
		}
	})
}

// TestAUniqueServiceOutlivesWhoAskedFirst: it is there for the others who wait for it.
func TestAUniqueServiceOutlivesWhoAskedFirst(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "one.lua", `
local skynet = require "skynet"
skynet.start(function() skynet.call("hold", "lua") end)`)
		h := hold(n)
		launcher, _ := n.sys.Lookup(lua.LauncherName)
		first, giveUp := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := n.sys.Ask(first, launcher, lua.Launch{Script: "one", Unique: true})
			gone <- err
		}()
		service := <-h.asked
		got := make(chan error, 1)
		go func() {
			_, err := n.sys.Ask(t.Context(), launcher, lua.Launch{Script: "one", Unique: true})
			got <- err
		}()
		giveUp()
		if err := <-gone; !errors.Is(err, actor.ErrCanceled) {
			t.Errorf("who gave up gets %v", err)
		}
		service.promise.Reply(value.Of(), nil)
		if err := <-got; err != nil {
			t.Errorf("who asked next gets %v", err)
		}
	})
}

// TestAServiceThatNobodyKnowsOfEnds: who asked for it has given up when it is ready, but the launcher has not heard of that.
func TestAServiceThatNobodyKnowsOfEnds(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "one.lua", `
local skynet = require "skynet"
skynet.start(function()
  skynet.call("hold", "lua")
  skynet.timeout(0, function() skynet.call("hold", "lua") end) -- when the start is over
end)`)
		h := hold(n)
		launcher, _ := n.sys.Lookup(lua.LauncherName)
		asker, giveUp := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := n.sys.Ask(asker, launcher, lua.Launch{Script: "one"})
			gone <- err
		}()
		service := <-h.asked

		stopped, goOn := make(chan struct{}), make(chan struct{})
		remove, err := n.sys.Tap(launcher, func(m actor.Inbound) {
			if m.Message == "stop here" {
				close(stopped)
				<-goOn
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer remove()
		n.sys.Send(launcher, "stop here")
		<-stopped
		service.promise.Reply(value.Of(), nil)
		ready := <-h.asked
		ready.promise.Reply(value.Of(), nil)
		giveUp()
		if err := <-gone; !errors.Is(err, actor.ErrCanceled) {
			t.Errorf("who gave up gets %v", err)
		}
		close(goOn)
		select {
		case <-n.sys.Ended(service.from):
		case <-time.After(20 * time.Second):
			t.Error("the service goes on")
		}
	})
}

// holder keeps those who ask it waiting.
type holder struct{ asked chan held }

type held struct {
	from    actor.Ref
	promise actor.Promise
}

func (h holder) Receive(c *actor.Context, _ any) { h.asked <- held{c.From(), c.Promise()} }

// hold is a service called hold.
func hold(n *node) holder {
	n.t.Helper()
	h := holder{make(chan held, 4)}
	if _, err := n.sys.Spawn(actor.Spec{Name: "hold", New: func() actor.Actor { return h }}); err != nil {
		n.t.Fatal(err)
	}
	return h
}
