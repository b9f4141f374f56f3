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
	"github.com/skua-go/skua/services/sharedata"
)

// load asks for a table as the scripts do.
func (r *rig) load(mode, name, text string, args ...any) error {
	service, _ := r.sys.Lookup(sharedata.ServiceName)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := r.sys.Ask(ctx, service, lua.Command("load", append([]any{"sharetable", mode, name, text}, args...)...))
	return err
}

func TestTextsOfOneNameThatWaitAreBounded(t *testing.T) {
	onBoth(t, sharedata.Config{MaxLoads: 1, LoadTimeout: time.Second}, func(t *testing.T, r *rig) {
		var refused atomic.Int64
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				switch err := r.load("put", "x", "while true do end"); {
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
		if err := r.load("put", "x", "return {}"); err != nil {
			t.Error(err)
		}
	})
}

func TestOfTwoWhoMakeANameOneIsRefused(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		var refused atomic.Int64
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if err := r.load("new", "x", "return {}"); err != nil {
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
	onBoth(t, sharedata.Config{LoadTimeout: time.Hour}, func(t *testing.T, r *rig) {
		var asked sync.WaitGroup
		asked.Go(func() {
			if err := r.load("put", "endless", `while true do end`); err == nil || !strings.Contains(err.Error(), "the node stops") {
				t.Errorf("got %v, expected that the node stops", err)
			}
		})
		// A text behind it in time, of another name, shows that the first has come.
		if err := r.load("put", "other", `return {}`); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := r.sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		asked.Wait()
	})
}

func TestATextThatTakesMemoryIsStopped(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: 2 * time.Second, LoadMemory: 8 << 20}, func(t *testing.T, r *rig) {
		// An engine that can't tell what its VM takes leaves it to the time, or to the engine's own bounds.
		if err := r.load("put", "large", `local t = {} for i = 1, 1e9 do t[i % 3e5] = { i } end return t`); err == nil {
			t.Error("it has made a table")
		}
	})
}

func TestMessagesThatTheServiceDoesNotKnowAreRefused(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		service, _ := r.sys.Lookup(sharedata.ServiceName)
		for _, msg := range []any{
			"text", lua.Command("load"), lua.Command("drop", "sharetable", "put", "x", ""), lua.Command("load", "table", "put", "x", "return {}"),
			lua.Command("load", "sharetable", "keep", "x", "return {}"), lua.Command("load", "sharetable", "put", "", "return {}"),
		} {
			if _, err := r.sys.Ask(context.Background(), service, msg); err == nil {
				t.Errorf("%v is answered", msg)
			}
		}
		if r.sys.Stats().Failures != 0 {
			t.Error("the service panicked")
		}
	})
}
