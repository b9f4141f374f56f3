package wire_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/actor/wire"
)

// nodes is two nodes, and what each makes of the other.
type nodes struct {
	a, b  *actor.System
	types *wire.Types
	known map[string]*actor.Node
}

func (n *nodes) Node(name string, incarnation uint64) (*actor.Node, error) {
	if strings.HasPrefix(name, "bad") {
		return nil, errors.New("bad name")
	}
	key := fmt.Sprint(name, incarnation)
	if n.known[key] == nil {
		n.known[key] = actor.NewNode(name, incarnation, nil)
	}
	return n.known[key], nil
}

type order struct {
	Item   string
	Count  int
	From   actor.Ref
	Args   value.List
	One    value.Value
	Within time.Duration
	Failed error
	Nested map[string][]actor.Ref
}

type scriptError struct{ message, traceback string }

func (e *scriptError) Error() string      { return e.message }
func (e *scriptError) StackTrace() string { return e.traceback }

type tracedError struct{ error }

func (tracedError) StackTrace() string { return "somewhere.lua:3" }

// plainError is an error that goes as JSON, with another one in it.
type plainError struct {
	What  string
	Cause error
}

func (e *plainError) Error() string { return e.What }

var errFenced = errors.New("store: fenced")

type explosive struct{}

func newNodes(t testing.TB) (n *nodes, there, back *wire.Coder) {
	t.Helper()
	n = &nodes{types: wire.NewTypes(), known: map[string]*actor.Node{}}
	wire.Register[order](n.types, "order")
	wire.Register[*order](n.types, "order pointer")
	wire.Register[*plainError](n.types, "plain error")
	wire.AddError(n.types, "script", func(_ *wire.Coder, dst []byte, e *scriptError) ([]byte, error) {
		return wire.AppendString(wire.AppendString(dst, e.message), e.traceback), nil
	}, func(r *wire.Reader) (*scriptError, error) { return &scriptError{r.String(), r.String()}, r.Err() })
	wire.Add(n.types, "explosive", func(*wire.Coder, []byte, explosive) ([]byte, error) { panic("boom") },
		func(*wire.Reader) (explosive, error) { panic("boom") })
	wire.AddSentinel(n.types, "store.fenced", errFenced)
	if err := n.types.Err(); err != nil {
		t.Fatal(err)
	}
	for name, sys := range map[string]**actor.System{"a": &n.a, "b": &n.b} {
		*sys = actor.New(actor.Config{Node: name})
		t.Cleanup(func() {
			if err := (*sys).Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	n.a.Join(n, 3)
	n.b.Join(n, 8)
	bAtA, _ := n.Node("b", 8)
	aAtB, _ := n.Node("a", 3)
	return n, wire.NewCoder(n.types, n.a.Node(), bAtA, n.a.NodeOf), wire.NewCoder(n.types, n.b.Node(), aAtB, n.b.NodeOf)
}

func TestMessagesComeAsTheyWere(t *testing.T) {
	n, there, back := newNodes(t)
	third, _ := n.Node("c", 5)
	list := value.Of(1, -1, 64, 1<<40, 2.5, "", "text", strings.Repeat("long", 200), true, false, nil, []any{1, []any{}, map[string]any{"k": 2}})
	for _, msg := range []any{
		nil, true, false, 0, -5, int64(1) << 62, uint64(math.MaxUint64), 1.5, "", "text",
		[]byte{0, 1},
		time.Minute,
		struct{}{},
		list, list.At(11),
		value.List{},
		order{Item: "sword", Count: 3, Args: list, One: value.Of("x").At(0), Within: time.Second},
		&order{Item: "shield", One: value.Of(1).At(0)},
	} {
		data, err := there.Append([]byte("before"), msg)
		if err != nil {
			t.Errorf("%v: %v", msg, err)
			continue
		}
		got, err := back.Parse(data[6:])
		if err != nil || reflect.TypeOf(got) != reflect.TypeOf(msg) || fmt.Sprint(got) != fmt.Sprint(msg) {
			if _, pointer := msg.(*order); !pointer || got.(*order).Item != "shield" {
				t.Errorf("%T %v came as %T %v, %v", msg, msg, got, got, err)
			}
		}
	}
	own, its, nobody := n.a.RefOf(7), third.Ref(9), actor.Ref{}
	peer, _ := n.Node("b", 8)
	data, err := there.Append(nil, order{From: own, Nested: map[string][]actor.Ref{"r": {peer.Ref(8), its, nobody}}, Failed: &actor.Error{Code: actor.Stopped, Text: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := back.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	got := v.(order)
	refs := got.Nested["r"]
	if got.From.Address() != "a.3:00000007" || refs[0] != n.b.RefOf(8) || refs[1] != its || !refs[2].IsZero() || !errors.Is(got.Failed, actor.ErrStopped) {
		t.Errorf("%+v", got)
	}
}

func TestListsComeAsTheyWere(t *testing.T) {
	_, there, back := newNodes(t)
	rapid.Check(t, func(t *rapid.T) {
		var b value.Builder
		for range rapid.IntRange(0, 5).Draw(t, "values") {
			if err := b.Any(anything(3).Draw(t, "value")); err != nil {
				t.Fatal(err)
			}
		}
		l := b.List()
		data, err := there.Append(nil, l)
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Parse(data)
		if err != nil || !reflect.DeepEqual(got, l) && l.Len() > 0 {
			t.Fatalf("%v came as %v, %v", l, got, err)
		}
	})
}

func anything(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Int64Range(-1, 70).AsAny(), rapid.Float64().AsAny(),
		rapid.String().AsAny(), rapid.StringN(25, 40, -1).AsAny())
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar, rapid.SliceOfN(anything(depth-1), 0, 4).AsAny(), rapid.MapOfN(rapid.String(), anything(depth-1), 0, 4).AsAny())
}

func TestErrorsKeepWhatTheyCan(t *testing.T) {
	_, there, back := newNodes(t)
	carry := func(err error) error {
		t.Helper()
		got, bad := back.ParseError(there.AppendError(nil, err))
		if bad != nil {
			t.Fatal(bad)
		}
		return got
	}
	var e *actor.Error
	if got := carry(&actor.Error{Code: actor.Failed, Actor: "x", Text: "t", Stack: "s"}); !errors.As(got, &e) || *e != (actor.Error{Code: actor.Failed, Actor: "x", Text: "t", Stack: "s"}) {
		t.Errorf("%#v", got)
	}
	if got := carry(fmt.Errorf("buying: %w", context.DeadlineExceeded)); !errors.Is(got, actor.ErrDeadline) || !strings.Contains(got.Error(), "buying") {
		t.Errorf("%#v", got)
	}
	if got := carry(fmt.Errorf("saving: %w", errFenced)); !errors.Is(got, errFenced) || !errors.Is(got, actor.ErrRefused) || !strings.Contains(got.Error(), "saving") {
		t.Errorf("%#v", got)
	}
	var script *scriptError
	if got := carry(&scriptError{"m", "t"}); !errors.As(got, &script) || *script != (scriptError{"m", "t"}) {
		t.Errorf("%#v", got)
	}
	var plain *plainError
	if got := carry(&plainError{"w", fmt.Errorf("saving: %w", errFenced)}); !errors.As(got, &plain) || plain.What != "w" || !errors.Is(plain.Cause, errFenced) {
		t.Errorf("got %v", got)
	}
	if got := carry(tracedError{errors.New("m")}); !errors.As(got, &e) || e.Stack != "somewhere.lua:3" {
		t.Errorf("%#v", got)
	}
	if got := carry(errors.New(strings.Repeat("x", 1<<20))); len(got.Error()) > 100_000 {
		t.Errorf("an error of %d bytes", len(got.Error()))
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	_, there, back := newNodes(t)
	if _, err := there.Append(nil, make(chan int)); !errors.Is(err, wire.ErrType) {
		t.Error(err)
	}
	if out, err := there.Append([]byte("kept"), explosive{}); err == nil || !strings.Contains(err.Error(), "boom") || string(out) != "kept" {
		t.Errorf("%q, %v", out, err)
	}
	named := func(name, body string) []byte { return append(wire.AppendString([]byte{0}, name), body...) }
	for _, data := range [][]byte{
		nil,
		{99},
		{1, 1},
		{4},
		{7, 1},
		{12, 9},
		{12, 3, 3, 'b', 'a', 'd', 1, 1},
		{12, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		named("nobody", ""), named("order", "{"), named("order", `{"From": 7}`), named("order", `{"From": "!"}`), named("explosive", ""),
		{0, 200, 1},
		{13, 1},
		{13, 1, 0x90},
		{13, 1, 5, 200, 1},
		{13, 1, 6, 250, 250, 250, 250, 15, 0},
		{13, 1, 6, 0, 1, 0, 0},
		{13, 1, 6, 0, 1, 4, 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0},
		append([]byte{13, 1}, strings.Repeat("\x06\x01\x00", 70)...),
		{13, 255, 255, 255, 127},
	} {
		if msg, err := back.Parse(data); err == nil {
			t.Errorf("% x is %v", data, msg)
		}
	}
	for _, data := range [][]byte{nil, {9}, {0}, {0, 99, 0, 0, 0}, {1, 1}, append([]byte{1}, named("order", "{}")...), {2, 1, 'x'}} {
		if err, bad := back.ParseError(data); bad == nil {
			t.Errorf("% x is the error %v", data, err)
		}
	}
}

func TestMistakesInTypesAreKept(t *testing.T) {
	for what, add := range map[string]func(*wire.Types){
		"twice":     func(t *wire.Types) { wire.Register[order](t, "a"); wire.Register[order](t, "b") },
		"one name":  func(t *wire.Types) { wire.Register[order](t, "a"); wire.Register[*order](t, "a") },
		"no name":   func(t *wire.Types) { wire.Register[order](t, "") },
		"plain":     func(t *wire.Types) { wire.Register[int](t, "int") },
		"interface": func(t *wire.Types) { wire.Register[error](t, "error") },
		"errors":    func(t *wire.Types) { wire.AddSentinel(t, "x", errFenced); wire.AddSentinel(t, "x", errFenced) },
		"no error":  func(t *wire.Types) { wire.AddSentinel(t, "x", nil) },
	} {
		types := wire.NewTypes()
		add(types)
		if types.Err() == nil {
			t.Errorf("%s: no mistake", what)
		}
	}
}

func FuzzParse(f *testing.F) {
	_, there, back := newNodes(f)
	for _, msg := range []any{nil, 1, "text", value.Of(1, "x", []any{1, map[string]any{"k": true}}), order{Item: "sword"}} {
		data, err := there.Append(nil, msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(there.AppendError(nil, errFenced))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = back.ParseError(data) // only that it returns
		msg, err := back.Parse(data)
		if err != nil {
			return
		}
		again, err := back.Append(nil, msg)
		if err != nil {
			t.Fatalf("%v was read and can't be written: %v", msg, err)
		}
		if _, err := there.Parse(again); err != nil {
			t.Fatalf("%v was written and can't be read: %v", msg, err)
		}
	})
}

func BenchmarkAppendAndParseACommand(b *testing.B) {
	_, there, back := newNodes(b)
	l := value.Of("buy", "sword", 3, map[string]any{"id": 12345, "gold": 99})
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = there.Append(buf[:0], l); err != nil {
			b.Fatal(err)
		}
		if _, err = back.Parse(buf); err != nil {
			b.Fatal(err)
		}
	}
}
