package lua_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/cputime"
	"github.com/skua-go/skua/lua"
)

const endless = `
local M = {}
function M.caught()
  while true do
    pcall(function()
      while true do end
    end)
  end
end
function M.inside()
  local run = coroutine.wrap(function()
    while true do end
  end)
  run()
end
local function hot()
  local n = 0
  for i = 1, 4000 do n = n + i % 7 end
  return n
end
local function cold()
  local n = 0
  for i = 1, 400 do n = n + i % 7 end
  return n
end
function M.work()
  for _ = 1, 20 do hot() cold() end
end
local function small(n) return n + 1 end
function M.small(self, n) return small(n) end
function M.ping() return "pong" end
return M`

func newGuarded(t *testing.T) (*node, actor.Ref) {
	t.Helper()
	n := newNodeWith(t, lua.Config{Budget: time.Minute, Engine: testEngine(t)}, actor.Config{CallTimeout: time.Minute, StuckAfter: 100 * time.Millisecond}, "main.lua", endless)
	ref := n.start("main")
	return n, ref
}

// spin has the service run an endless handler, and waits until it does.
func (n *node) spin(ref actor.Ref, command string) (answer <-chan error) {
	n.t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := n.sys.Ask(context.Background(), ref, lua.Command(command))
		ended <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, _, stuck := n.sys.Stuck(ref); stuck {
			return ended
		}
		if time.Now().After(deadline) {
			n.t.Fatal("it does not run")
		}
		_, _ = n.where(ref, 20*time.Millisecond)
	}
}

func (n *node) where(ref actor.Ref, within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), within)
	defer cancel()
	return n.rt.Where(ctx, n.sys, ref)
}

func (n *node) interrupt(ref actor.Ref, why string) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	return n.rt.Interrupt(ctx, n.sys, ref, why)
}

func TestAnEndlessHandlerIsSeenAndInterrupted(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for command, line := range map[string]string{"caught": "main.lua:6", "inside": "main.lua:12"} {
			n, ref := newGuarded(t)
			ended := n.spin(ref, command)
			where, err := n.where(ref, 10*time.Second)
			if err != nil || !strings.Contains(where, line) {
				t.Errorf("%s is at %q, %v", command, where, err)
			}
			if err := n.interrupt(ref, "too long"); err != nil {
				t.Fatal(err)
			}
			var failed *lua.Error
			if err := <-ended; !errors.As(err, &failed) || !strings.Contains(failed.Message, "interrupted by an operator: too long") || !strings.Contains(failed.Traceback, "main.lua") {
				t.Errorf("%s ended with %#v", command, err)
			}
			if v, err := n.call(ref, "ping"); err != nil || !isText(v, "pong") {
				t.Errorf("after %s: %v, %v", command, v, err)
			}
		}
	})
}

func TestWhoRunsNothingIsNotInterrupted(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, ref := newGuarded(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := n.rt.Interrupt(ctx, n.sys, ref, "too long"); !errors.Is(err, lua.ErrNotRunning) {
			t.Error(err)
		}
		if _, err := n.where(ref, 50*time.Millisecond); !errors.Is(err, lua.ErrNotRunning) {
			t.Error(err)
		}
		if _, err := n.call(ref, "work"); err != nil {
			t.Errorf("the next handler is interrupted: %v", err)
		}
		launcher, _ := n.sys.Lookup(lua.LauncherName)
		if err := n.rt.Interrupt(t.Context(), n.sys, launcher, ""); !errors.Is(err, lua.ErrNotScript) {
			t.Error(err)
		}
	})
}

func TestAProfileNamesTheFunctionsOfScripts(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, ref := newGuarded(t)
		var over atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !over.Load() {
				if _, err := n.call(ref, "work"); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { // until the handlers have had the core for that long, whatever else runs on it
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for begun := cputime.Process(); cputime.Process()-begun < 700*time.Millisecond; {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
			cancel()
		}()
		samples, every, err := n.rt.Profile(ctx, n.sys, ref)
		over.Store(true)
		<-done
		if err != nil || every != time.Millisecond {
			t.Fatal(err)
		}
		in, all := map[string]int64{}, int64(0)
		for i := range samples {
			s := &samples[i]
			all += s.Count
			frames := s.Frames()
			if len(frames) == 0 {
				continue
			}
			in[frames[0].Function] += s.Count
			last := frames[len(frames)-1]
			if frames[0].Function == "hot" && (frames[0].File != "main.lua" || frames[0].Line < 17 || frames[0].Line > 19 || last.Line != 27 && last.File == "main.lua") {
				t.Errorf("got %+v of\n%s", frames, s.Stack)
			}
		}
		if all < 100 || in["hot"] < all/2 || in["cold"] > in["hot"]/2 {
			t.Errorf("of %d samples: %v", all, in)
		}
		// It works as before, and pays no more for it.
		if _, err := n.call(ref, "work"); err != nil {
			t.Error(err)
		}
	})
}

func TestProfilesAreOneAtATimeAndEnd(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, ref := newGuarded(t)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			err := lua.ErrProfiled
			for errors.Is(err, lua.ErrProfiled) {
				_, _, err = n.rt.Profile(ctx, n.sys, ref)
			}
			first <- err
		}()
		short, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		for {
			tiny, end := context.WithTimeout(short, 10*time.Millisecond)
			_, _, err := n.rt.Profile(tiny, n.sys, ref)
			end()
			if errors.Is(err, lua.ErrProfiled) {
				break
			}
			if short.Err() != nil {
				t.Fatal("two profiles at a time")
			}
		}
		cancel()
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// Operators look and interrupt while others do, and while handlers come and go: for the race detector.
func TestGuardsAreForMany(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, ref := newGuarded(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		ended := make(chan struct{})
		many := []func(){
			func() { _, _ = n.where(ref, 5*time.Millisecond) },
			func() {
				soon, stop := context.WithTimeout(ctx, 3*time.Millisecond)
				defer stop()
				_ = n.rt.Interrupt(soon, n.sys, ref, "now and then")
			},
			func() {
				soon, stop := context.WithTimeout(ctx, 7*time.Millisecond)
				defer stop()
				_, _, _ = n.rt.Profile(soon, n.sys, ref)
			},
			func() { _, _ = n.call(ref, "work") },
			func() { _, _ = n.call(ref, "small", 1) },
		}
		for _, f := range many {
			go func() {
				defer func() { ended <- struct{}{} }()
				for ctx.Err() == nil {
					f()
				}
			}()
		}
		for range many {
			<-ended
		}
		if v, err := n.call(ref, "ping"); err != nil || !isText(v, "pong") {
			t.Errorf("in the end: %v, %v", v, err)
		}
	})
}

func isText(v value.List, want string) bool {
	text, ok := v.At(0).Str()
	return ok && text == want
}
