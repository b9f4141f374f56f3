package record_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
	"github.com/skua-go/skua/actor/record"
	"github.com/skua-go/skua/actor/value"
)

type (
	deposit struct{ Amount int64 }
	balance struct{}
	secret  struct{ word string }
)

func TestARecordingIsTextThatPeopleCanRead(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		p := k.Probe("p")
		bank := spawn(k, "bank", func(c *actor.Context, msg any) {
			switch msg {
			case "remind yourself":
				c.Send(c.Self(), "reminded")
			case "have a child":
				_, _ = c.Spawn(actor.Spec{New: func() actor.Actor {
					return &starter{func(child *actor.Context) { child.Send(c.Self(), "from your child") }}
				}})
			}
			c.Reply(nil, nil)
		})
		var f file
		rec := start(t, k, bank, &f, record.Types(deposit{}, balance{}))
		p.Send(bank, deposit{1 << 62})
		k.Settle()
		k.Advance(1500 * time.Microsecond)
		p.Ask(bank, balance{})
		k.Send(bank, secret{"xyzzy"})
		k.Send(bank, "remind yourself")
		k.Send(bank, "have a child")
		k.Settle()
		k.Advance(time.Hour)
		mustClose(t, rec)
		k.Send(bank, "after the end")
		k.Settle()
		mustClose(t, rec)
		want := `{"recording":1,"actor":"bank","address":"skua:01000002","began":"2000-01-01T00:00:00Z"}
{"at":0,"from":"skua:01000001","type":"record_test.deposit","message":{"Amount":4611686018427387904}}
{"at":1500,"from":"skua:01000001","request":true,"type":"record_test.balance","message":{}}
{"at":1500,"type":"record_test.secret","error":"record: type is not registered"}
{"at":1500,"type":"string","message":"remind yourself"}
{"at":1500,"type":"string","message":"have a child"}
{"at":1500,"from":"skua:01000002","own":true,"type":"string","message":"reminded"}
{"at":1500,"from":"skua:01000003","own":true,"type":"string","message":"from your child"}
{"at":3600001500,"end":"closed","messages":7}
`
		if f.String() != want {
			t.Fatalf("recorded\n%s\nwant\n%s", f.String(), want)
		}
		if n := strings.Count(k.Logged(), `msg="message can't be recorded" actor=bank message=record_test.secret`); n != 1 {
			t.Fatalf("logged %d times: %s", n, k.Logged())
		}
		all, errs := entries(t, f.String(), record.Types(deposit{}, balance{}))
		if want := []any{deposit{1 << 62}, balance{}, "remind yourself", "have a child", "reminded", "from your child"}; !slices.Equal(messages(all), want) {
			t.Fatalf("read %v", all)
		}
		if e := all[1]; e.Line != 3 || e.At != 1500*time.Microsecond || !e.Request || e.From != p.Ref().String() || string(e.JSON) != "{}" {
			t.Fatalf("read %+v", e)
		}
		if len(errs) != 1 {
			t.Fatal(errs)
		}
		wantErr(t, errs[0], record.ErrUnrecorded, "line 4: record_test.secret: the message was not recorded: type is not registered")
	})
}

// starter does something when it starts.
type starter struct{ f func(c *actor.Context) }

func (s *starter) Start(c *actor.Context) error    { s.f(c); return nil }
func (s *starter) Receive(_ *actor.Context, _ any) {}

func TestARecordingEndsWithItsActor(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		ref := spawn(k, "short", func(c *actor.Context, msg any) {
			if msg == "end" {
				c.Stop(c.Self(), nil)
			}
		})
		var f file
		rec := start(t, k, ref, &f, nil)
		k.Send(ref, "end")
		k.Settle()
		if !strings.HasSuffix(f.String(), `{"at":0,"type":"string","message":"end"}`+"\n"+`{"at":0,"end":"the actor has ended","messages":1}`+"\n") {
			t.Fatalf("recorded\n%s", f.String())
		}
		if _, errs := entries(t, f.String(), nil); len(errs) > 0 {
			t.Fatal(errs)
		}
		mustClose(t, rec)
		_, err := record.Start(k.System, ref, &f, nil)
		wantErr(t, err, actor.ErrNoActor)
	})
}

func TestSeveralRecordingsOfOneActorAreIndependent(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		ref := spawn(k, "a", ignore)
		var f, g file
		first := start(t, k, ref, &f, nil)
		k.Send(ref, 1)
		k.Settle()
		second := start(t, k, ref, &g, nil)
		k.Send(ref, 2)
		k.Settle()
		mustClose(t, first)
		k.Send(ref, 3)
		k.Settle()
		mustClose(t, second)
		for f, want := range map[*file][]any{&f: {1, 2}, &g: {2, 3}} {
			if all, errs := entries(t, f.String(), nil); len(errs) > 0 || !slices.Equal(messages(all), want) {
				t.Errorf("read %v, %v; want %v", all, errs, want)
			}
		}
	})
}

// hose is a writer that can be held up, or fail, behind the header.
type hose struct {
	file
	hold  chan struct{}
	fails error
	n     int
}

func (h *hose) Write(p []byte) (int, error) {
	if h.n++; h.n == 1 {
		return h.file.Write(p)
	}
	if h.hold != nil {
		<-h.hold
	}
	if h.fails != nil {
		return 0, h.fails
	}
	return h.file.Write(p)
}

func TestAWriterThatIsTooSlowEndsTheRecordingAndHoldsNobodyUp(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		handled := 0
		ref := spawn(k, "busy", func(*actor.Context, any) { handled++ })
		h := &hose{hold: make(chan struct{})}
		rec, err := record.Config{Buffer: 10}.Start(k.System, ref, h, nil)
		if err != nil {
			t.Fatal(err)
		}
		k.Send(ref, 0)
		k.Settle() // the writer has it and hangs
		for i := range 100 {
			k.Send(ref, i+1)
		}
		k.Settle()
		if handled != 101 {
			t.Fatalf("the actor has handled %d of 101 messages", handled)
		}
		close(h.hold)
		k.Settle()
		for range 2 {
			wantErr(t, rec.Close(), record.ErrTooSlow, "10 messages wait")
		}
		if n := strings.Count(k.Logged(), `msg="recording has ended" actor=busy messages=11 error="record: the writer is too slow: 10 messages wait"`); n != 1 {
			t.Fatalf("logged %d times: %s", n, k.Logged())
		}
		all, errs := entries(t, h.String(), nil)
		if want := []any{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(messages(all), want) || len(errs) != 1 {
			t.Fatalf("read %v, %v", messages(all), errs)
		}
		wantErr(t, errs[0], record.ErrCut, "line 13", "the writer is too slow")
	})
}

func TestAWriterThatFailsEndsTheRecording(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		full := errors.New("disk full")
		ref := spawn(k, "a", ignore)
		h := &hose{fails: full}
		rec, err := record.Start(k.System, ref, h, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			k.Send(ref, i)
		}
		k.Settle()
		wantErr(t, rec.Close(), full, "record: a: disk full")
		if strings.Count(k.Logged(), "recording has ended") != 1 {
			t.Fatalf("the log is %s", k.Logged())
		}
		_, err = record.Start(k.System, ref, &hose{fails: full, n: 1}, nil)
		wantErr(t, err, full, "record: a: header: disk full")
	})
}

func TestALongMessageIsNotWritten(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		ref := spawn(k, "a", ignore)
		var f file
		rec := start(t, k, ref, &f, nil)
		k.Send(ref, strings.Repeat("x", 9<<20))
		k.Settle()
		mustClose(t, rec)
		all, errs := entries(t, f.String(), nil)
		if len(all) != 0 || len(errs) != 1 {
			t.Fatalf("read %d entries, errors %v", len(all), errs)
		}
		wantErr(t, errs[0], record.ErrUnrecorded, "bytes are too many for a line")
	})
}

// BenchmarkHowManyMessagesASecondCanBeRecorded tells what the goroutine of a recording can do; ns/op is the time of a message.
func BenchmarkHowManyMessagesASecondCanBeRecorded(b *testing.B) {
	for name, msg := range map[string]any{"plain": deposit{5}, "with an any": box[any]{"hello"}, "of a script": scripted{10, value.Of("move", 1, 2.5)}} {
		b.Run(name, func(b *testing.B) {
			sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
			ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(ignore) }})
			if err != nil {
				b.Fatal(err)
			}
			rec, err := record.Config{Buffer: b.N + 1}.Start(sys, ref, io.Discard, record.Types(deposit{}, box[any]{}, scripted{}))
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for range b.N {
				sys.Send(ref, msg)
			}
			if err := errors.Join(ended(sys, ref), rec.Close()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := sys.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// ended waits until an actor has handled all that it was sent.
func ended(sys *actor.System, ref actor.Ref) error {
	sys.Drain(ref, 0)
	select {
	case <-sys.Ended(ref):
		return nil
	case <-time.After(time.Minute):
		return errors.New("the actor does not end")
	}
}

// BenchmarkWhatARecordingCostsItsActor is a request, answered, by an actor that is recorded or not.
func BenchmarkWhatARecordingCostsItsActor(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(fmt.Sprintf("recorded=%t", recorded), func(b *testing.B) {
			sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
			ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, msg any) { c.Reply(msg, nil) })
			}})
			if err != nil {
				b.Fatal(err)
			}
			var rec *record.Recorder
			if recorded {
				if rec, err = (record.Config{Buffer: b.N + 1}).Start(sys, ref, io.Discard, record.Types(deposit{})); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for range b.N {
				if _, err := sys.Ask(b.Context(), ref, deposit{5}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if rec != nil {
				if err := rec.Close(); err != nil {
					b.Fatal(err)
				}
			}
			if err := sys.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
