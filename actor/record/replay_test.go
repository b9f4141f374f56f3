package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
	"github.com/skua-go/skua/actor/record"
)

// Messages of a vault.
type (
	withdraw  struct{ Amount int64 }
	subscribe struct{}
	lend      struct {
		To     actor.Ref
		Amount int64
	}
	later   struct{ In time.Duration }
	audit   struct{}
	changed struct{ Balance int64 }
)

var errPoor = errors.New("vault: too little is there")

func vaultTypes() *record.Registry {
	return record.Types(deposit{}, withdraw{}, balance{}, subscribe{}, lend{}, later{}, audit{})
}

// vault is an actor whose answers depend on all that it was sent, by whom, and when.
type vault struct {
	balance     int64
	audits      int
	ticks       int
	subscribers []actor.Ref
	senders     map[actor.Ref]int
}

func (v *vault) Start(c *actor.Context) error {
	v.senders = map[actor.Ref]int{}
	c.Every(100*time.Millisecond, func() {
		v.ticks++
		v.balance += v.balance / 10
	})
	return nil
}

func (v *vault) Receive(c *actor.Context, msg any) {
	v.senders[c.From()]++
	switch m := msg.(type) {
	case deposit:
		v.change(c, m.Amount)
		c.Send(c.Self(), audit{})
	case withdraw:
		if m.Amount > v.balance {
			c.Reply(nil, errPoor)
			return
		}
		v.change(c, -m.Amount)
		c.Reply(v.balance, nil)
	case subscribe:
		v.subscribers = append(v.subscribers, c.From())
	case lend:
		v.change(c, -m.Amount)
		c.Send(m.To, changed{m.Amount})
	case later:
		c.After(m.In, func() { c.Reply(v.balance, nil) })
	case audit:
		v.audits++
	case balance:
		counts := slices.Sorted(maps.Values(v.senders))
		c.Reply(fmt.Sprintf("balance %d, %d audits, %d ticks, senders %v, outside %d", v.balance, v.audits, v.ticks, counts, v.senders[actor.Ref{}]), nil)
	}
}

func (v *vault) change(c *actor.Context, by int64) {
	v.balance += by
	for _, s := range v.subscribers {
		c.Send(s, changed{v.balance})
	}
}

func openVault(k *actortest.Kit, name string) actor.Ref {
	return k.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return &vault{} }})
}

// drawMessage draws something to say to a vault.
func drawMessage(rt *rapid.T, other actor.Ref) (msg any, request bool) {
	amount := rapid.Int64Range(0, 1<<40).Draw(rt, "amount")
	switch rapid.IntRange(0, 6).Draw(rt, "message") {
	case 0:
		return deposit{amount}, false
	case 1:
		return withdraw{amount}, true
	case 2:
		return subscribe{}, false
	case 3:
		return lend{other, amount}, false
	case 4:
		return later{time.Duration(rapid.IntRange(0, 400).Draw(rt, "later")) * time.Millisecond}, true
	case 5:
		return audit{}, rapid.Bool().Draw(rt, "request") // and if so, it has no answer
	default:
		return balance{}, true
	}
}

// talk has a conversation with a vault and returns what it answered.
func talk(rt *rapid.T, k *actortest.Kit, vault actor.Ref, senders []*actortest.Probe) []string {
	var answers []func() string
	ask := func(p *actortest.Probe, msg any) {
		if p != nil {
			a := p.Ask(vault, msg)
			answers = append(answers, func() string { return fmt.Sprintln(a.Answer()) })
			return
		}
		answer := make(chan string, 1)
		go func() { answer <- fmt.Sprintln(k.Ask(context.Background(), vault, msg)) }()
		k.Settle()
		answers = append(answers, func() string { return <-answer })
	}
	k.Advance(500 * time.Microsecond) // so that nothing comes at the same moment as a tick, when either may be first
	for range rapid.IntRange(0, 20).Draw(rt, "messages") {
		from := rapid.SampledFrom(append(senders, nil)).Draw(rt, "from")
		msg, request := drawMessage(rt, rapid.SampledFrom(senders).Draw(rt, "other").Ref())
		switch {
		case request:
			ask(from, msg)
		case from != nil:
			from.Send(vault, msg)
		default:
			k.Send(vault, msg)
		}
		k.Advance(time.Duration(rapid.IntRange(0, 3).Draw(rt, "pause")) * 37 * time.Millisecond)
	}
	k.Advance(6 * time.Second) // until what is not answered has failed
	ask(senders[0], balance{})
	k.Settle()
	texts := make([]string, 0, len(answers))
	for _, a := range answers {
		texts = append(texts, a())
	}
	return texts
}

func TestAReplayBringsTheSameAnswersAndPushes(t *testing.T) {
	for name, dispatch := range map[string]actortest.Dispatch{"workers": actortest.Workers, "shuffled": actortest.Shuffled} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { replaySame(rt, dispatch) })
			})
		})
	}
}

func replaySame(rt *rapid.T, dispatch actortest.Dispatch) {
	cfg := actortest.Config{Dispatch: dispatch, Seed: rapid.Uint64().Draw(rt, "seed")}
	k := cfg.New(rt)
	senders := []*actortest.Probe{k.Probe("ann"), k.Probe("bob")}
	first := openVault(k, "first")
	var f file
	rec := start(rt, k, first, &f, vaultTypes())
	want := talk(rt, k, first, senders)
	k.Stop(first, nil)
	k.Settle()
	mustClose(rt, rec)

	again := cfg.New(rt) // whose timers have the same beginning
	second := openVault(again, "second")
	played, err := record.Replay(context.Background(), again.System, second, strings.NewReader(f.String()), vaultTypes(), record.Options{Pauses: true})
	if err != nil {
		rt.Fatalf("%v in\n%s", err, f.String())
	}
	again.Settle()
	got := make([]string, 0, len(want))
	for _, a := range played.Answers {
		got = append(got, fmt.Sprintln(a.Value, a.Err))
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "second", "first")
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("answers\n%s\nwant\n%s\nof\n%s", strings.Join(got, ""), strings.Join(want, ""), f.String())
	}
	for _, s := range senders {
		var live, now []string
		for _, m := range s.Drain() {
			live = append(live, fmt.Sprint(m.Value))
		}
		for _, p := range played.Pushes() {
			if p.To == s.Ref().String() {
				now = append(now, fmt.Sprint(p.Message))
			}
		}
		if !slices.Equal(live, now) {
			rt.Fatalf("pushes %v, want %v", now, live)
		}
	}
}

// recorded is a recording of these lines, with a header and an end.
func recorded(lines ...string) string {
	return `{"recording":1,"actor":"a","address":"skua:000000aa","began":"2026-01-01T00:00:00Z"}` + "\n" + strings.Join(lines, "\n") +
		fmt.Sprintf("\n{\"at\":9000000,\"end\":\"closed\",\"messages\":%d}\n", len(lines))
}

// keeper keeps what it is sent.
type keeper struct {
	froms []actor.Ref
	msgs  []any
	at    []time.Duration
	begun time.Time
}

func (a *keeper) Receive(c *actor.Context, msg any) {
	if len(a.msgs) == 0 {
		a.begun = time.Now()
	}
	a.froms, a.msgs, a.at = append(a.froms, c.From()), append(a.msgs, msg), append(a.at, time.Since(a.begun))
	c.Reply(len(a.msgs), nil)
}

func TestSendersAndRefsInMessagesAreTheSameStandIns(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		a := &keeper{}
		ref := k.Spawn(actor.Spec{New: func() actor.Actor { return a }})
		text := recorded(
			`{"at":0,"from":"skua:00000001","type":"int","message":1}`,
			`{"at":5,"from":"far:00000001","type":"int","message":2}`,
			`{"at":5,"type":"int","message":3}`,
			`{"at":5,"from":"skua:00000001","request":true,"type":"int","message":4}`,
			`{"at":5,"request":true,"type":"int","message":5}`,
			`{"at":5,"from":"skua:000000aa","own":true,"type":"int","message":6}`,
			`{"at":1000007,"type":"record_test.lend","message":{"To":"far:00000001","Amount":7}}`,
			`{"at":1000007,"type":"record_test.lend","message":{"To":"skua:000000aa","Amount":8}}`,
			`{"at":1000007,"type":"record_test.lend","message":{"To":"","Amount":9}}`,
		)
		played, err := record.Replay(t.Context(), k.System, ref, strings.NewReader(text), record.Types(lend{}), record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		k.Settle()
		one, far := a.froms[0], a.froms[1]
		wantFroms := []actor.Ref{one, far, {}, one, {}, {}, {}, {}}
		wantMsgs := []any{1, 2, 3, 4, 5, lend{far, 7}, lend{ref, 8}, lend{actor.Ref{}, 9}}
		if one == far || one.IsZero() || far.IsZero() || !slices.Equal(a.froms, wantFroms) || !slices.Equal(a.msgs, wantMsgs) {
			t.Fatalf("got %v from %v", a.msgs, a.froms)
		}
		if a.at[4] != 0 || a.at[7] != 20*time.Millisecond { // it sends itself nothing any more, and that is waited for
			t.Fatalf("it took %v", a.at)
		}
		if len(played.Answers) != 2 || played.Answers[0].Value != 4 || played.Answers[1].Value != 5 || played.Answers[1].Entry.Line != 6 {
			t.Fatalf("answers %+v", played.Answers)
		}
		k.Send(far, "for you")
		asked := k.Probe("").Ask(one, "a question")
		k.Settle()
		if _, err := asked.Answer(); !errors.Is(err, record.ErrStandIn) {
			t.Fatal(err)
		}
		got := played.Pushes()
		if len(got) != 2 || got[0].To != "far:00000001" || got[0].Message != "for you" || got[0].Request || got[1].To != "skua:00000001" || !got[1].Request {
			t.Fatalf("pushes %+v", got)
		}
	})
}

func TestPausesAreKeptExactly(t *testing.T) {
	for _, d := range []actortest.Dispatch{actortest.Workers, actortest.Manual, actortest.Shuffled} {
		actortest.Config{Dispatch: d}.Run(t, func(t *testing.T, k *actortest.Kit) {
			a := &keeper{}
			ref := k.Spawn(actor.Spec{New: func() actor.Actor { return a }})
			text := recorded(`{"at":0,"type":"int","message":1}`, `{"at":1500,"type":"int","message":2}`, `{"at":1501,"from":"skua:00000001","type":"int","message":3}`,
				`{"at":3600000000,"request":true,"type":"int","message":4}`)
			if _, err := record.Replay(t.Context(), k.System, ref, strings.NewReader(text), nil, record.Options{Pauses: true}); err != nil {
				t.Fatal(err)
			}
			if want := []time.Duration{0, 1500 * time.Microsecond, 1501 * time.Microsecond, time.Hour}; !slices.Equal(a.at, want) {
				t.Fatalf("messages at %v, want %v", a.at, want)
			}
		})
	}
}

func TestAMessageThatCanNotBeMadeEndsTheReplayUnlessItIsSkipped(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		text := recorded(
			`{"at":0,"request":true,"type":"int","message":1}`,
			`{"at":0,"type":"bank.Unknown","message":{"A":1}}`,
			`{"at":0,"type":"bank.secret","error":"record: type is not registered"}`,
			`{"at":0,"type":"record_test.deposit","message":{"Amount":"much"}}`,
			`{"at":0,"request":true,"type":"int","message":2}`,
		)
		types := record.Types(deposit{})
		for skip, want := range map[string]string{
			"":                         "record: line 3: bank.Unknown: type is not registered",
			"bank.Unknown":             "record: line 4: bank.secret: the message was not recorded: type is not registered",
			"bank.Unknown bank.secret": "record: line 5: record_test.deposit: json: ",
			"bank.Unknown bank.secret record_test.deposit": "",
		} {
			a := &keeper{}
			ref := k.Spawn(actor.Spec{New: func() actor.Actor { return a }})
			opts := record.Options{Skip: func(e record.Entry) bool { return strings.Contains(skip, e.Type) && e.Message == nil }}
			played, err := record.Replay(t.Context(), k.System, ref, strings.NewReader(text), types, opts)
			if want == "" {
				if err != nil || len(played.Answers) != 2 || !slices.Equal(a.msgs, []any{1, 2}) {
					t.Fatalf("%v, answers %v of %v", err, played.Answers, a.msgs)
				}
				continue
			}
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("skipping %q: %v, want %s", skip, err, want)
			}
			var line *record.LineError
			if !errors.As(err, &line) || len(played.Answers) != 1 || played.Answers[0].Value != 1 {
				t.Errorf("%v, answers %v", err, played.Answers)
			}
		}
	})
}

func TestARecordingThatWasCutIsReplayedAsFarAsItGoes(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		text := recorded(`{"at":0,"request":true,"type":"int","message":1}`, `{"at":0,"type":"int","message":2}`, `{"at":0,"type":"int","message":3}`)
		cut, _, _ := strings.Cut(text, `"message":3`)
		a := &keeper{}
		ref := k.Spawn(actor.Spec{New: func() actor.Actor { return a }})
		played, err := record.Replay(t.Context(), k.System, ref, strings.NewReader(cut), nil, record.Options{})
		wantErr(t, err, record.ErrCut, "line 4")
		k.Settle()
		if len(played.Answers) != 1 || !slices.Equal(a.msgs, []any{1, 2}) {
			t.Fatalf("answers %v of %v", played.Answers, a.msgs)
		}
		_, err = record.Replay(t.Context(), k.System, ref, bytes.NewReader(nil), nil, record.Options{})
		wantErr(t, err, record.ErrCut, "line 1", "it is empty")
	})
}

func TestAReplayEndsWithItsContext(t *testing.T) {
	for _, d := range []actortest.Dispatch{actortest.Workers, actortest.Shuffled} {
		actortest.Config{Dispatch: d}.Run(t, func(t *testing.T, k *actortest.Kit) {
			silent := spawn(k, "silent", ignore)
			text := recorded(`{"at":0,"request":true,"type":"int","message":1}`, `{"at":0,"from":"skua:00000001","request":true,"type":"int","message":1}`,
				`{"at":3600000000,"type":"int","message":2}`)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			played, err := record.Replay(ctx, k.System, silent, strings.NewReader(text), nil, record.Options{Pauses: true})
			wantErr(t, err, context.DeadlineExceeded)
			if took := time.Since(begin); took != time.Second || len(played.Answers) != 2 {
				t.Fatalf("it took %v, answers %v", took, played.Answers)
			}
			wantErr(t, played.Answers[0].Err, actor.ErrDeadline)
		})
	}
}

func TestRequestsThatAreNotAnsweredFailWhenTheirTimeIsOver(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		silent := spawn(k, "silent", ignore)
		text := recorded(`{"at":0,"request":true,"type":"int","message":1}`, `{"at":0,"from":"skua:00000001","request":true,"type":"int","message":1}`)
		played, err := record.Replay(t.Context(), k.System, silent, strings.NewReader(text), nil, record.Options{})
		if err != nil || len(played.Answers) != 2 {
			t.Fatalf("%v, %v", err, played.Answers)
		}
		for _, a := range played.Answers {
			wantErr(t, a.Err, actor.ErrDeadline)
		}
		k.Stop(silent, nil)
		k.Settle()
		played, err = record.Replay(t.Context(), k.System, silent, strings.NewReader(text), nil, record.Options{})
		if err != nil || len(played.Answers) != 2 {
			t.Fatalf("%v, %v", err, played.Answers)
		}
		for _, a := range played.Answers {
			wantErr(t, a.Err, actor.ErrNoActor)
		}
	})
}
