package actortest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

func TestTimePassesForActorsOnlyAsTheTestLetsIt(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		ticks := 0
		ref := spawn(k, "clock", func(c *actor.Context, _ any) { c.Every(time.Second, func() { ticks++ }) })
		k.Send(ref, "go")
		k.Settle()
		begin := time.Now()
		for want := range 3 {
			if ticks != want {
				t.Fatalf("%d ticks after %d s", ticks, want)
			}
			k.Advance(time.Second)
			k.Settle()
		}
		k.Advance(time.Second - 1)
		k.Settle()
		if ticks != 3 || time.Since(begin) != 4*time.Second-1 {
			t.Fatalf("%d ticks after %v", ticks, time.Since(begin))
		}
	})
}

func TestWhatWaitsInTheTestLetsActorsRun(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		slow := spawn(k, "slow", func(c *actor.Context, msg any) {
			c.Go(func(ctx context.Context) (any, error) {
				select {
				case <-time.After(time.Second):
					return msg, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}, c.Reply)
		})
		front := spawn(k, "front", func(c *actor.Context, msg any) { c.Ask(slow, msg, c.Reply) })
		if got := actortest.Ask[string](k, front, "hello"); got != "hello" {
			t.Fatal(got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := k.Ask(ctx, front, "too slow"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 300*time.Millisecond {
			t.Fatalf("%v after %v", err, time.Since(begin))
		}
		if _, err := k.System.Spawn(actor.Spec{New: func() actor.Actor { panic("can't") }}); !errors.Is(err, actor.ErrFailed) {
			t.Fatal(err)
		}
		k.Stop(slow, nil)
		if _, err := k.Ask(t.Context(), front, 1); !errors.Is(err, actor.ErrStopped) && !errors.Is(err, actor.ErrNoActor) {
			t.Fatal(err)
		}
	}, func(cfg *actortest.Config) { cfg.MayPanic = true })
}

// asker is an actor that does what none should: it waits.
type asker struct{ of actor.Ref }

func (a *asker) Start(c *actor.Context) error {
	_, err := c.System().Ask(context.Background(), a.of, "before I start")
	return err
}

func (a *asker) Receive(*actor.Context, any) {}

func TestAnActorThatWaitsForOthersDoesNotStopTheTest(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		echo := spawn(k, "echo", func(c *actor.Context, msg any) { c.Reply(msg, nil) })
		k.Spawn(actor.Spec{Name: "asker", New: func() actor.Actor { return &asker{of: echo} }})
	})
}

func TestOtherGoroutinesWaitUntilTheTestLetsActorsRun(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		echo := spawn(k, "echo", func(c *actor.Context, msg any) { c.Reply(msg, nil) })
		answered := make(chan any, 1)
		go func() {
			v, err := k.Ask(t.Context(), echo, "hello")
			if err != nil {
				v = err
			}
			answered <- v
		}()
		k.Settle()
		select {
		case v := <-answered:
			if v != "hello" {
				t.Fatal(v)
			}
		default:
			t.Fatal("no answer yet")
		}
	})
}

func TestTheLogIsTheTestsOwn(t *testing.T) {
	v := judge(t, actortest.Config{}, func(k *actortest.Kit) {
		ref := spawn(k, "a", func(c *actor.Context, msg any) { c.Log().Warn("careful", "what", msg) })
		k.Advance(1500 * time.Millisecond)
		k.Send(ref, "now")
		k.Settle()
		if want := "t=1.5s level=WARN msg=careful actor=a what=now\n"; k.Logged() != want {
			t.Errorf("logged %q, want %q", k.Logged(), want)
		}
	})
	wantPass(t, v)
	if len(v.logs) != 1 || !strings.Contains(v.logs[0], "careful") {
		t.Fatalf("the test's log has %q", v.logs)
	}
}

func TestDeadLettersAreKeptAndCanBeForbidden(t *testing.T) {
	lose := func(k *actortest.Kit) {
		ref := spawn(k, "gone", func(*actor.Context, any) {})
		k.Stop(ref, nil)
		k.Settle()
		k.Probe("p").Send(ref, "hello")
	}
	v := judge(t, actortest.Config{}, func(k *actortest.Kit) {
		if all := k.DeadLetters(); len(all) != 0 {
			t.Errorf("dead letters %v", all)
		}
		lose(k)
		all := k.DeadLetters()
		if len(all) != 1 || all[0].Message != "hello" || all[0].Reason != actor.NoActor {
			t.Errorf("dead letters %v", all)
		}
	})
	wantPass(t, v)
	for _, d := range []actortest.Dispatch{actortest.Workers, actortest.Manual, actortest.Shuffled} {
		cfg := actortest.Config{Dispatch: d, NoDeadLetters: true}
		wantFailure(t, judge(t, cfg, lose), "1 dead letters, expected none; the first:", `string "hello" from p to gone: no such actor`)
		wantPass(t, judge(t, cfg, func(k *actortest.Kit) { k.Probe("p") }))
	}
}

func TestAPanicOfAHandlerFailsTheTestUnlessItMay(t *testing.T) {
	fail := func(k *actortest.Kit) {
		k.Send(spawn(k, "weak", func(*actor.Context, any) { panic("boom") }), 1)
		k.Settle()
	}
	wantFailure(t, judge(t, actortest.Config{}, fail), "1 failures of handlers")
	wantPass(t, judge(t, actortest.Config{MayPanic: true}, fail))
}

func TestAnActorThatDoesNotStopFailsTheTest(t *testing.T) {
	var kit *actortest.Kit
	var release chan struct{}
	v := judge(t, actortest.Config{}, func(k *actortest.Kit) {
		kit, release = k, make(chan struct{})
		k.Send(spawn(k, "stubborn", func(*actor.Context, any) { <-release }), 1)
		k.Settle()
	}, func() {
		close(release)
		if err := kit.Shutdown(context.Background()); err != nil { // the context of t is outside of the bubble
			t.Error(err)
		}
	})
	wantFailure(t, v, "shutdown: stubborn did not end")
}

func TestAGoroutineThatIsLeftBehindFailsTheTest(t *testing.T) {
	var release chan struct{}
	v := judge(t, actortest.Config{}, func(*actortest.Kit) {
		release = make(chan struct{})
		go leftBehind(release)
	}, func() { close(release) })
	wantFailure(t, v, "a goroutine does not end:\ngoroutine ", "actortest_test.leftBehind")
}

func leftBehind(release chan struct{}) { <-release }

func TestAKitOutsideOfABubbleIsRefused(t *testing.T) {
	v := &verdict{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		actortest.Config{}.New(v)
	}()
	<-done
	wantFailure(t, v, "must be made inside of synctest.Test")
}

func TestAKitWorksInsideOfRapid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			k := actortest.Config{Dispatch: actortest.Manual}.New(rt)
			sum, want := 0, 0
			ref := spawn(k, "sum", func(_ *actor.Context, msg any) { sum += msg.(int) })
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 9), 0, 20).Draw(rt, "numbers") {
				k.Send(ref, n)
				want += n
			}
			for len(k.Ready()) > 0 {
				k.StepOf(rapid.SampledFrom(k.Ready()).Draw(rt, "next"))
			}
			if sum != want {
				rt.Fatalf("sum %d, want %d", sum, want)
			}
		})
	})
}

// TestStory has stories that end badly. Others run them as a process of their own and look at what it says.
func TestStory(t *testing.T) {
	switch os.Getenv("ACTORTEST_STORY") {
	case "stuck handler":
		actortest.Config{Dispatch: actortest.Manual}.Run(t, func(_ *testing.T, k *actortest.Kit) {
			k.Send(spawn(k, "waits", func(*actor.Context, any) { waitForEver() }), "go")
			k.Step()
		})
		t.Error("the test has gone on")
	case "left behind":
		actortest.Run(t, func(*testing.T, *actortest.Kit) { go waitForEver() })
	case "seeds":
		actortest.Explore(t, 1000, func(t *testing.T, k *actortest.Kit) {
			if got := lostUpdate(k); got != 2 {
				t.Errorf("the account has %d", got)
			}
		})
	case "fatal in a handler":
		actortest.Config{Dispatch: actortest.Manual, MayPanic: true}.Run(t, func(t *testing.T, k *actortest.Kit) {
			k.Send(spawn(k, "judge", func(*actor.Context, any) { t.Fatal("guilty") }), "go")
			k.Step()
			t.Error("the test has gone on")
		})
	case "panic":
		actortest.Run(t, func(*testing.T, *actortest.Kit) { panic("of the test itself") })
	default:
		t.Skip("for TestStoriesThatEndBadly")
	}
}

func waitForEver() { <-make(chan struct{}) }

// tell runs a story and returns what it said.
func tell(t *testing.T, story string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-test.run=^TestStory$"}, args...)...)
	cmd.Env = append(os.Environ(), "ACTORTEST_STORY="+story)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("%s: the test has passed:\n%s", story, out)
	}
	return string(out)
}

func wantTexts(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
}

func TestStoriesThatEndBadly(t *testing.T) {
	t.Run("a handler that blocks for ever", func(t *testing.T) {
		out := tell(t, "stuck handler")
		if strings.Contains(out, "gone on") {
			t.Error(out)
		}
		wantTexts(t, out, "--- FAIL: TestStory", "deadlock: all goroutines in bubble are blocked",
			"Manual; the last ", `waits <- string "go"`, "actortest_test.waitForEver")
	})
	t.Run("a goroutine left behind", func(t *testing.T) {
		out := tell(t, "left behind")
		wantTexts(t, out, "--- FAIL: TestStory", "a goroutine does not end:", "actortest_test.waitForEver")
		if strings.Contains(out, "panic:") {
			t.Errorf("the whole program has ended:\n%s", out)
		}
	})
	t.Run("t.Fatal in a handler", func(t *testing.T) {
		out := tell(t, "fatal in a handler")
		wantTexts(t, out, "--- FAIL: TestStory", "guilty")
		if strings.Contains(out, "gone on") {
			t.Error(out)
		}
	})
	t.Run("a panic of the test", func(t *testing.T) {
		wantTexts(t, tell(t, "panic"), "panic: of the test itself")
	})
	t.Run("the seed that fails runs alone", func(t *testing.T) {
		out := tell(t, "seeds")
		_, rest, _ := strings.Cut(out, "fails with seed ")
		_, pattern, ok := strings.Cut(rest, "go test -run '")
		pattern, _, _ = strings.Cut(pattern, "'")
		if !ok || !strings.HasPrefix(pattern, "^TestStory$/^seed=") {
			t.Fatalf("no seed to run alone:\n%s", out)
		}
		again := tell(t, "seeds", "-test.run="+pattern)
		wantTexts(t, again, "the account has 1", "Shuffled with seed ", "account <-? actortest_test.get")
		if first, second := steps(out), steps(again); first == "" || first != second {
			t.Errorf("another story:\n%s\n\n%s", first, second)
		}
	})
}

// steps are the lines of the story in what a failed test says.
func steps(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if _, step, ok := strings.Cut(line, " <-"); ok {
			lines = append(lines, step)
		}
	}
	return strings.Join(lines, "")
}
