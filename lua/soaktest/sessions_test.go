package soaktest_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/cputime"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
)

// sessions is how many sessions go through one service: SKUA_SESSIONS says so (10000000 for the full run, a minute and more), by default few.
func sessions(t *testing.T) int {
	t.Helper()
	n := 100_000
	if text := os.Getenv("SKUA_SESSIONS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SKUA_SESSIONS: %v", err)
		}
	}
	if testing.Short() {
		n /= 10
	} else if racetest.On {
		n /= 4 // enough that a look at all that were, by each, is several times what a session takes
	}
	return n
}

// Sessions go through two services in ten rounds: neither memory nor the time of one grows.
func TestSessionsLeaveNothingBehindAndTakeLinearTime(t *testing.T) {
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		for _, kind := range []string{"calls", "failures", "later", "waits", "sleeps"} {
			t.Run(kind, func(t *testing.T) {
				const rounds = 10
				n := newNode(t, engine)
				ref := n.Start("asker")
				each := sessions(t) / rounds
				if kind == "failures" {
					each /= 5 // an error and its two tracebacks take ten times as long
				}
				took := func(ref actor.Ref) time.Duration {
					began := cputime.Process()
					if _, err := n.System.Ask(context.Background(), ref, lua.Command(kind, each)); err != nil {
						t.Fatal(err)
					}
					return cputime.Process() - began
				}
				var warm usage
				for round := range rounds {
					took(ref)
					if round == 2 {
						warm = usageOf(n.System)
					}
				}
				end := usageOf(n.System)
				if end.heap > warm.heap+2<<20 {
					t.Errorf("%d KB are in use, %d KB were after the first rounds", end.heap>>10, warm.heap>>10)
				}
				// Services that begin are asked for as much in turns with it, so that whatever else the machine does meanwhile is no difference between them. The
				// quickest of some rounds, since the collector works in some of them.
				last, fresh := took(ref), took(n.Start("asker"))
				for range 2 {
					last, fresh = min(last, took(ref)), min(fresh, took(n.Start("asker")))
				}
				t.Logf("%d sessions a round: behind %d rounds one takes %v of the cores, the first of another service %v; %d KB, %d KB at the end", each, rounds, last, fresh, warm.heap>>10, end.heap>>10)
				if last > 3*fresh+50*time.Millisecond {
					t.Errorf("a round behind %d others took %v, a first one %v", rounds, last, fresh)
				}
			})
		}
	})
}
