package actor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

var errGreedy = errors.New("it is greedy")

func TestQuarantineKeepsMessagesUntilTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{})
		var seen []any
		ref, err := sys.Spawn(actor.Spec{Name: "greedy", New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				seen = append(seen, msg)
				if msg == "eat" {
					if err := sys.Quarantine(c.Self(), errGreedy); err != nil {
						t.Error(err)
					}
				}
				c.Reply(len(seen), nil)
			})
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range []any{"one", "eat", "two", 3} {
			sys.Send(ref, msg)
		}
		synctest.Wait()
		if len(seen) != 2 {
			t.Fatalf("it has handled %v", seen)
		}
		answer := make(chan error, 1)
		go func() {
			_, err := sys.Ask(context.Background(), ref, "four")
			answer <- err
		}()
		synctest.Wait()
		info, _ := sys.Inspect(ref)
		kept := sys.Peek(ref, 10)
		if !info.Quarantined || info.Waiting != 3 || len(kept) != 3 || kept[0].Type != "string" || kept[1].Type != "int" || !kept[2].Request || len(sys.Peek(ref, 2)) != 2 {
			t.Errorf("%+v, %+v", info, kept)
		}
		if why, ok := sys.InQuarantine()[ref]; !ok || !errors.Is(why.Reason, errGreedy) {
			t.Errorf("%+v", why)
		}
		if !sys.Release(ref) || sys.Release(ref) {
			t.Error("it is not let go once")
		}
		synctest.Wait()
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if len(seen) != 5 || len(sys.InQuarantine()) != 0 {
			t.Errorf("it has handled %v", seen)
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatIsKeptInQuarantineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{})
		handled := 0
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) { handled++ }) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := sys.Quarantine(ref, errGreedy); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 25_000 {
			sys.Send(ref, 1)
		}
		if _, err := sys.Ask(t.Context(), ref, 1); !errors.Is(err, actor.ErrOverloaded) {
			t.Error(err)
		}
		if n := sys.Stats().DeadLetters; n != 15_000 {
			t.Errorf("%d dead letters", n)
		}
		sys.Release(ref)
		synctest.Wait()
		if handled != 10_000 {
			t.Errorf("%d handled", handled)
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhoIsInQuarantineCanBeEnded(t *testing.T) {
	for name, end := range map[string]func(sys *actor.System, ref actor.Ref){
		"kill":  func(sys *actor.System, ref actor.Ref) { sys.Kill(ref, nil) },
		"stop":  func(sys *actor.System, ref actor.Ref) { sys.Stop(ref, nil) },
		"drain": func(sys *actor.System, ref actor.Ref) { sys.Drain(ref, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := actor.New(actor.Config{})
				ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }})
				if err != nil {
					t.Fatal(err)
				}
				if err := sys.Quarantine(ref, errGreedy); err != nil {
					t.Fatal(err)
				}
				asked := make(chan error, 1)
				synctest.Wait()
				go func() {
					_, err := sys.Ask(context.Background(), ref, 1)
					asked <- err
				}()
				synctest.Wait()
				end(sys, ref)
				<-sys.Ended(ref)
				if err := <-asked; !errors.Is(err, actor.ErrStopped) {
					t.Error(err)
				}
				if n := len(sys.InQuarantine()); n != 0 {
					t.Errorf("%d in quarantine", n)
				}
				if err := sys.Quarantine(ref, errGreedy); !errors.Is(err, actor.ErrNoActor) {
					t.Error(err)
				}
				if err := sys.Shutdown(context.Background()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
