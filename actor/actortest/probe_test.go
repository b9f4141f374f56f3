package actortest_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

type (
	load struct{ ID string }
	save struct{ ID string }
	doc  struct{ Text string }
)

// reader asks the store for what it is told to load, and passes the answer on.
func reader(out actor.Ref) actor.Func {
	return func(c *actor.Context, msg any) {
		store, _ := c.System().Lookup("store")
		c.Ask(store, load{ID: msg.(string)}, func(v any, err error) {
			if err != nil {
				c.Send(out, err)
				return
			}
			c.Send(out, v)
		})
	}
}

func TestAProbeStandsInForAServiceByItsName(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		store, out := k.Probe("store"), k.Probe("out")
		k.Send(spawn(k, "reader", reader(out.Ref())), "a")
		k.Settle()
		if got := actortest.Expect[load](store); got.ID != "a" {
			t.Fatalf("asked for %q", got.ID)
		}
		if m := store.Last(); !m.Request || !m.At.Equal(time.Now()) || m.String() != "the request actortest_test.load {ID:a} from reader" {
			t.Fatalf("the message is %+v", m)
		}
		out.ExpectNone()
		store.Reply(doc{"hello"}, nil)
		k.Settle()
		out.ExpectEqual(doc{"hello"})
	})
}

func TestAProbeAnswersByItself(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		store, out := k.Probe("store"), k.Probe("out")
		lost := errors.New("lost")
		store.Answer(func(msg any) (any, error) {
			switch msg.(load).ID {
			case "lost":
				return nil, lost
			case "later":
				return nil, actortest.ErrLater
			}
			return doc{msg.(load).ID}, nil
		})
		ref := spawn(k, "reader", reader(out.Ref()))
		for _, id := range []string{"a", "lost", "later"} {
			k.Send(ref, id)
		}
		k.Settle()
		out.ExpectEqual(doc{"a"})
		out.ExpectEqual(lost)
		out.ExpectNone()
		for _, id := range []string{"a", "lost", "later"} { // it has them all the same
			store.ExpectEqual(load{id})
		}
		store.Reply(doc{"now"}, nil)
		k.Settle()
		out.ExpectEqual(doc{"now"})
	})
}

func TestAProbeSendsAsksAndWatchesInItsOwnName(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		p := k.Probe("p")
		why := errors.New("told to")
		ref := spawn(k, "a", func(c *actor.Context, msg any) {
			switch msg {
			case "who":
				c.Reply(c.From(), nil)
			case "end":
				c.Stop(c.Self(), why)
			default:
				c.Send(c.From(), msg)
			}
		})
		who := p.Ask(ref, "who")
		k.Settle()
		if v, err := who.Answer(); !who.Done() || v != p.Ref() || err != nil {
			t.Fatalf("answered %v, %v", v, err)
		}
		p.Send(ref, 1)
		k.Settle()
		p.ExpectEqual(1)
		p.Watch(ref)
		p.Send(ref, 2)
		p.Send(ref, "end")
		k.Settle()
		if err := p.ExpectEnd(ref); !errors.Is(err, why) {
			t.Fatalf("ended with %v", err)
		}
		p.ExpectEqual(2) // which was there before and has stayed
		p.ExpectNone()
	})
}

func TestWithinIsExact(t *testing.T) {
	for _, d := range []actortest.Dispatch{actortest.Workers, actortest.Shuffled} {
		late := func(within time.Duration) *verdict {
			return judge(t, actortest.Config{Dispatch: d}, func(k *actortest.Kit) {
				p := k.Probe("p")
				k.Send(spawn(k, "slow", func(c *actor.Context, _ any) {
					c.After(50*time.Millisecond, func() { c.Send(p.Ref(), "done") })
				}), "go")
				begin := time.Now()
				actortest.Expect[string](p.Within(within))
				if took := time.Since(begin); took != 50*time.Millisecond {
					t.Errorf("it took %v of fake time", took)
				}
			})
		}
		wantPass(t, late(50*time.Millisecond))
		wantFailure(t, late(50*time.Millisecond-1), "probe p: expected string, got nothing within 49.999999ms")
		wantFailure(t, late(0), "probe p: expected string, got nothing")
	}
}

func TestSkipToPassesOverOthers(t *testing.T) {
	everyDispatch(t, func(t *testing.T, k *actortest.Kit) {
		p := k.Probe("")
		for _, m := range []any{1, 2, "a", 3} {
			k.Send(p.Ref(), m)
		}
		if got := actortest.SkipTo[string](p); got != "a" {
			t.Fatal(got)
		}
		if left := p.Drain(); len(left) != 1 || left[0].Value != 3 {
			t.Fatalf("left %v", left)
		}
		p.ExpectNone()
		k.Send(p.Ref(), nil)
		if got := actortest.Expect[any](p); got != nil {
			t.Fatal(got)
		}
	})
}

func TestDisappointedExpectationsSayWhatCameInstead(t *testing.T) {
	deaf := func(*actor.Context, any) {}
	for name, c := range map[string]struct {
		cfg   actortest.Config
		test  func(k *actortest.Kit, p *actortest.Probe)
		texts []string
	}{
		"another type": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Probe("client").Send(p.Ref(), save{"b"})
			k.Send(p.Ref(), 7)
			k.Settle()
			actortest.Expect[load](p)
		}, texts: []string{"probe store: expected actortest_test.load, got actortest_test.save {ID:b} from client; it also has int 7 from outside"}},
		"nothing": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Send(k.RefOf(12345), "nobody's")
			actortest.Expect[load](p)
		}, texts: []string{"expected actortest_test.load, got nothing within 10s; dead letters: 1"}},
		"nothing, but somebody could": {cfg: actortest.Config{Dispatch: actortest.Manual}, test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Send(spawn(k, "bank", deaf), 1)
			actortest.Expect[load](p)
		}, texts: []string{"expected actortest_test.load, got nothing; ready: bank"}},
		"another value": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Send(p.Ref(), load{"b"})
			p.ExpectEqual(load{"a"})
		}, texts: []string{"expected actortest_test.load {ID:a}, got actortest_test.load {ID:b} from outside"}},
		"something": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Send(p.Ref(), "hello")
			p.ExpectNone()
		}, texts: []string{`expected nothing, got string "hello" from outside`}},
		"skipped": {test: func(k *actortest.Kit, p *actortest.Probe) {
			for i := range 7 {
				k.Send(p.Ref(), i)
			}
			actortest.SkipTo[load](p)
		}, texts: []string{"expected actortest_test.load behind int 0 from outside, int 1 from outside", "and 2 more, got nothing"}},
		"no end": {test: func(k *actortest.Kit, p *actortest.Probe) {
			ref := spawn(k, "bank", deaf)
			p.Watch(ref)
			_ = p.ExpectEnd(ref)
		}, texts: []string{"expected the end of bank, got nothing within 10s"}},
		"a reply to what is no request": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Send(p.Ref(), load{"a"})
			actortest.Expect[load](p)
			p.Reply(doc{}, nil)
		}, texts: []string{"reply: actortest_test.load {ID:a} from outside is no request"}},
		"a reply too late": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Probe("client").Ask(p.Ref(), load{"a"})
			actortest.Expect[load](p)
			k.Advance(5 * time.Second)
			p.Reply(doc{}, nil)
		}, texts: []string{"reply: the request actortest_test.load {ID:a} from client has an answer, or nobody waits for it any more"}},
		"a reply to nothing": {test: func(_ *actortest.Kit, p *actortest.Probe) { p.Reply(1, nil) }, texts: []string{"no message was expected before"}},
		"no answer": {cfg: actortest.Config{Dispatch: actortest.Manual}, test: func(k *actortest.Kit, p *actortest.Probe) {
			_, _ = p.Ask(spawn(k, "bank", deaf), load{"a"}).Answer()
		}, texts: []string{"probe store: no answer to actortest_test.load {ID:a} from bank; ready: bank"}},
		"a probe that ended": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Stop(p.Ref(), nil)
			k.Settle()
			p.Send(p.Ref(), 1)
		}, texts: []string{"probe store does not run: it has ended"}},
		"an error as answer": {test: func(k *actortest.Kit, p *actortest.Probe) {
			actortest.Ask[int](k, p.Ref(), load{"a"})
		}, texts: []string{"ask actortest_test.load {ID:a} of store: actor: store: no answer before the deadline"}},
		"an answer of another type": {test: func(k *actortest.Kit, p *actortest.Probe) {
			p.Answer(func(any) (any, error) { return "x", nil })
			actortest.Ask[int](k, p.Ref(), 1)
		}, texts: []string{`ask int 1 of store: expected int as the answer, got string "x"`}},
		"something and not nil": {test: func(k *actortest.Kit, p *actortest.Probe) {
			k.Send(p.Ref(), "xxx")
			p.ExpectEqual(nil)
		}, texts: []string{`expected nil, got string "xxx" from outside`}},
		"a name twice": {test: func(k *actortest.Kit, _ *actortest.Probe) { k.Probe("store") }, texts: []string{"name is taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(t, c.cfg, func(k *actortest.Kit) {
				c.test(k, k.Probe("store"))
				t.Error("the test has gone on")
			})
			wantFailure(t, v, c.texts...)
		})
	}
}

func TestLongMessagesAreCutAndAddressesLeftOut(t *testing.T) {
	v := judge(t, actortest.Config{}, func(k *actortest.Kit) {
		p := k.Probe("p")
		k.Send(p.Ref(), struct {
			P *sync.Mutex
			S string
		}{&sync.Mutex{}, strings.Repeat("ä", 1000)})
		p.ExpectNone()
	})
	wantFailure(t, v, "{P:0x... S:ääää", "ä... from outside")
	if len(v.errors[0]) > 400 {
		t.Fatalf("a failure of %d bytes", len(v.errors[0]))
	}
}
