package actor_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// summer sums up what it is told, and keeps the sum of its predecessor.
type summer struct {
	n       int
	inherit func(failure error)
}

func (a *summer) Inherit(from actor.Actor, failure error) {
	a.n = from.(*summer).n
	if a.inherit != nil {
		a.inherit(failure)
	}
}

func (a *summer) Receive(c *actor.Context, msg any) {
	switch msg {
	case "fail":
		panic("planned")
	case "exit":
		runtime.Goexit()
	case "add":
		a.n++
	}
	c.Reply(a.n, nil)
}

func TestWhatAnActorInheritsSurvivesItsRestart(t *testing.T) {
	for _, how := range []string{"fail", "exit"} {
		t.Run(how, func(t *testing.T) {
			sys := newSystem(t)
			var failures []error
			ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &summer{inherit: func(err error) { failures = append(failures, err) }} }})
			if err != nil {
				t.Fatal(err)
			}
			ask(t, sys, ref, "add")
			ask(t, sys, ref, "add")
			_, err = sys.Ask(t.Context(), ref, how)
			wantErr(t, err, actor.ErrFailed)
			if got := ask(t, sys, ref, "add"); got != 3 {
				t.Fatalf("the sum is %v after the restart", got)
			}
			if len(failures) != 1 || !errors.Is(failures[0], actor.ErrFailed) {
				t.Fatal(failures)
			}
		})
	}
}

func TestAPanicInInheritIsOneMoreFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		times := 0
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
			return &summer{inherit: func(error) {
				if times++; times < 3 {
					panic("inherit")
				}
			}}
		}})
		if err != nil {
			t.Fatal(err)
		}
		ask(t, sys, ref, "add")
		_, err = sys.Ask(t.Context(), ref, "fail")
		wantErr(t, err, actor.ErrFailed)
		if got := ask(t, sys, ref, "add"); got != 2 || times != 3 {
			t.Fatalf("the sum is %v after %d attempts", got, times)
		}
	})
}

func TestAStartThatFailsAfterARestartIsTriedAgainLaterEachTime(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		var starts []time.Duration
		began := time.Now()
		ref, err := sys.Spawn(actor.Spec{
			Supervision: actor.Supervision{Limit: 4, Backoff: 100 * time.Millisecond},
			New: func() actor.Actor {
				return &hooked{
					start: func(*actor.Context) error {
						starts = append(starts, time.Since(began).Round(10*time.Millisecond))
						if n := len(starts); n == 2 || n == 3 {
							return errors.New("the database is away")
						}
						return nil
					},
					receive: func(c *actor.Context, msg any) {
						if msg == "fail" {
							panic("planned")
						}
						c.Reply(msg, nil)
					},
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = sys.Ask(t.Context(), ref, "fail")
		wantErr(t, err, actor.ErrFailed)
		if got := ask(t, sys, ref, 1); got != 1 {
			t.Fatal(got)
		}
		if want := []time.Duration{0, 100e6, 300e6, 700e6}; !slices.Equal(starts, want) {
			t.Fatalf("started at %v, want %v", starts, want)
		}
	})
}

// family is a parent whose children report their lives, and which can be told to have one fail.
func family(t *testing.T, sys *actor.System, spec actor.Spec, child actor.Supervision) (parent actor.Ref, lives chan string) {
	t.Helper()
	lives = make(chan string, 100)
	spec.New = func() actor.Actor {
		kids := map[string]actor.Ref{}
		return &hooked{
			start: func(c *actor.Context) error {
				lives <- "parent"
				for _, name := range []string{"a", "b", "c"} {
					ref, err := c.Spawn(actor.Spec{Supervision: child, New: func() actor.Actor {
						return &hooked{
							start:   func(*actor.Context) error { lives <- name; return nil },
							receive: func(*actor.Context, any) { panic(name + " fails") },
						}
					}})
					if err != nil {
						return err
					}
					kids[name] = ref
				}
				return nil
			},
			receive: func(c *actor.Context, msg any) {
				if name, ok := msg.(string); ok {
					c.Send(kids[name], "fail")
				}
			},
		}
	}
	ref, err := sys.Spawn(spec)
	if err != nil {
		t.Fatal(err)
	}
	return ref, lives
}

// told takes all that has been told, sorted.
func told(lives chan string) (all []string) {
	synctest.Wait()
	for len(lives) > 0 {
		all = append(all, <-lives)
	}
	slices.Sort(all)
	return all
}

func TestOneChildIsRestartedAloneOrAllAre(t *testing.T) {
	for _, tt := range []struct {
		allForOne bool
		want      []string
	}{{false, []string{"b"}}, {true, []string{"a", "b", "c"}}} {
		t.Run(fmt.Sprint(tt.allForOne), func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				parent, lives := family(t, sys, actor.Spec{AllForOne: tt.allForOne}, actor.Supervision{Limit: 2})
				if got := told(lives); len(got) != 4 {
					t.Fatal(got)
				}
				for range 2 { // those that restart along don't use up their own restarts
					sys.Send(parent, "b")
					pass(time.Second)
					if got := told(lives); !slices.Equal(got, tt.want) {
						t.Fatalf("restarted %v, want %v", got, tt.want)
					}
				}
				sys.Send(parent, "a")
				pass(time.Second)
				if got := told(lives); !slices.Contains(got, "a") {
					t.Fatalf("restarted %v", got)
				}
			})
		})
	}
}

func TestAnExhaustedActorEndsAloneOrItsParentFailsToo(t *testing.T) {
	for _, escalate := range []bool{false, true} {
		t.Run(fmt.Sprint(escalate), func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				parent, lives := family(t, sys, actor.Spec{Name: "parent"}, actor.Supervision{Limit: 1, Escalate: escalate})
				told(lives)
				for range 2 {
					sys.Send(parent, "b")
					pass(time.Second)
				}
				want := []string{"b"}
				actors := int64(3)
				if escalate {
					want, actors = []string{"a", "b", "b", "c", "parent"}, 4
				}
				if got := told(lives); !slices.Equal(got, want) || sys.Stats().Actors != actors {
					t.Fatalf("began %v, %d live", got, sys.Stats().Actors)
				}
			})
		})
	}
}

func TestEscalationReachesTheTop(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		once := actor.Supervision{Limit: -1, Escalate: true}
		ref, err := sys.Spawn(actor.Spec{Name: "top", Supervision: once, New: func() actor.Actor {
			return &hooked{start: func(c *actor.Context) error {
				_, err := c.Spawn(actor.Spec{Name: "middle", Supervision: once, New: func() actor.Actor {
					return &hooked{start: func(c *actor.Context) error {
						_, err := c.Spawn(actor.Spec{Name: "bottom", Supervision: once, New: func() actor.Actor {
							return &hooked{start: func(c *actor.Context) error { c.After(time.Second, func() { panic("deep") }); return nil }}
						}})
						return err
					}}
				}})
				return err
			}}
		}})
		if err != nil {
			t.Fatal(err)
		}
		reason := ended(t, sys, ref)
		if !errors.Is(reason, actor.ErrExhausted) || !errors.Is(reason, actor.ErrFailed) {
			t.Fatal(reason)
		}
		for _, name := range []string{"middle", "bottom", "deep"} {
			if !strings.Contains(reason.Error(), name) {
				t.Errorf("%v does not tell of %s", reason, name)
			}
		}
		synctest.Wait() // for the one that told the reason
		if n := sys.Stats().Actors; n != 0 {
			t.Errorf("%d actors are left", n)
		}
	})
}

func TestAHandlerThatEndsItsGoroutineLosesNoMessage(t *testing.T) {
	sys := newSystem(t)
	ref, err := sys.Spawn(actor.Spec{Supervision: actor.Supervision{Limit: 50, Backoff: time.Microsecond}, New: func() actor.Actor { return &summer{} }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		if i%10 == 5 {
			sys.Send(ref, "exit")
		}
		sys.Send(ref, "add")
	}
	if got := ask(t, sys, ref, "sum"); got != 400 {
		t.Fatalf("%v of 400 messages were handled", got)
	}
}
