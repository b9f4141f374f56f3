package sharedata_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

// load asks for a table as the scripts do.
func load(r *luatest.Node, mode, name, text string, args ...any) error {
	service, _ := r.System.Lookup(sharedata.ServiceName)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := r.System.Ask(ctx, service, lua.Command("load", append([]any{"sharetable", mode, name, text}, args...)...))
	return err
}

func TestTextsOfOneNameThatWaitAreBounded(t *testing.T) {
	onBoth(t, sharedata.Config{MaxLoads: 1, LoadTimeout: time.Second}, func(t *testing.T, r *luatest.Node) {
		var refused atomic.Int64
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				switch err := load(r, "put", "x", "while true do end"); {
				case errors.Is(err, actor.ErrOverloaded):
					refused.Add(1)
				case err == nil:
					t.Error("an endless text has made a table")
				}
			})
		}
		all.Wait()
		// One is made and one waits; who comes when the first is over may be a third.
		if n := refused.Load(); n < 2 || n > 3 {
			t.Errorf("%d of 5 are refused, want 3", n)
		}
		if err := load(r, "put", "x", "return {}"); err != nil {
			t.Error(err)
		}
	})
}

func TestOfTwoWhoMakeANameOneIsRefused(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		var refused atomic.Int64
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if err := load(r, "new", "x", "return {}"); err != nil {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if n := refused.Load(); n != 1 {
			t.Errorf("%d are refused, want 1", n)
		}
	})
}

func TestANodeStopsWhileATextRuns(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: time.Hour}, func(t *testing.T, r *luatest.Node) {
		var asked sync.WaitGroup
		asked.Go(func() {
			if err := load(r, "put", "endless", `print("it has begun") while true do end`); err == nil || !strings.Contains(err.Error(), "the node stops") {
				t.Errorf("got %v, expected that the node stops", err)
			}
		})
		for r.Logged.Count("it has begun") == 0 {
			// Requests of others pass the time.
			if err := load(r, "put", "other", `return {}`); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := r.System.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		asked.Wait()
	})
}

func TestATextThatTakesMemoryIsStopped(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: 2 * time.Second, LoadMemory: 8 << 20}, func(t *testing.T, r *luatest.Node) {
		// An engine that can't tell what its VM takes leaves it to the time, or to the engine's own bounds.
		if err := load(r, "put", "large", `local t = {} for i = 1, 1e9 do t[i % 3e5] = { i } end return t`); err == nil {
			t.Error("it has made a table")
		}
	})
}

func TestMessagesThatTheServiceDoesNotKnowAreRefused(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		service, _ := r.System.Lookup(sharedata.ServiceName)
		for _, msg := range []any{
			"text", lua.Command("load"), lua.Command("drop", "sharetable", "put", "x", ""), lua.Command("load", "table", "put", "x", "return {}"),
			lua.Command("load", "sharetable", "keep", "x", "return {}"), lua.Command("load", "sharetable", "put", "", "return {}"),
		} {
			if _, err := r.System.Ask(context.Background(), service, msg); err == nil {
				t.Errorf("%v is answered", msg)
			}
		}
		if r.System.Stats().Failures != 0 {
			t.Error("the service panicked")
		}
	})
}
