package record_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
	"github.com/skua-go/skua/actor/record"
	"github.com/skua-go/skua/actor/value"
)

type (
	// scripted is a message as scripts send it: a kind and a list.
	scripted struct {
		Type uint8
		Args value.List
	}
	inner struct{ A, B int }
	rich  struct {
		inner
		I64   int64
		U64   uint64
		F     float64
		F32   float32
		Bytes []byte
		None  []string
		Empty []string
		Map   map[string]inner
		ByInt map[int]string
		NoMap map[string]int
		Ptr   *inner
		Nil   *inner
		Any   any
		When  time.Time
		Long  time.Duration
		Quote string  `json:"a-name"`
		Tag   int64   `json:",string"`
		Real  float64 `json:",string"`
		Arr   [2]bool
		Err   error
		Fail  *actor.Error
		Value value.Value
		_     int
	}
	box[T any] struct{ Content T }
)

// roundTrip records messages and reads them back.
func roundTrip(t *testing.T, types *record.Registry, msgs ...any) ([]record.Entry, []error) {
	t.Helper()
	return entries(t, recordingOf(t, types, msgs...), types)
}

// recordingOf records messages.
func recordingOf(t *testing.T, types *record.Registry, msgs ...any) string {
	t.Helper()
	var f file
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		ref := spawn(k, "a", ignore)
		rec := start(t, k, ref, &f, types)
		for _, m := range msgs {
			k.Send(ref, m)
		}
		k.Settle()
		mustClose(t, rec)
	})
	return f.String()
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	failed := &actor.Error{Code: actor.Failed, Actor: "bank", Text: "boom", Stack: "main.go:1"}
	msgs := []any{
		nil, "text", "", true, 1, int8(-8), int16(-16), int32(-32), int64(math.MinInt64), uint(1), uint8(8), uint16(16), uint32(32), uint64(math.MaxUint64),
		float32(0.1), 0.1, -1.0, 1e300, math.SmallestNonzeroFloat64,
		[]byte{0, 255},
		[]byte(nil),
		struct{}{},
		scripted{10, value.Of("add", int64(math.MaxInt64), 2.0, "\xff\x00", nil, []any{1, nil, "x"}, map[string]any{"$bytes": 1, "b": map[string]any{}})},
		value.Of(), value.Of(nil), value.Of(1).At(0),
		value.Value{},
		inner{1, 2},
		&inner{3, 4}, (*inner)(nil),
		box[int64]{math.MaxInt64},
		map[string]int{"a": 1},
		[]inner{{5, 6}},
		rich{
			inner: inner{1, 2}, I64: math.MaxInt64, U64: math.MaxUint64, F: 2, F32: 1.5, Bytes: []byte("\x00\xff"), Empty: []string{},
			Map: map[string]inner{"ä": {1, 2}, "": {}}, ByInt: map[int]string{-1: "x"}, Ptr: &inner{7, 8},
			Any:  []any{int64(math.MaxInt64), 2.0, -0.5, "s", true, nil, map[string]any{"n": int64(1), "f": 1e21}, []any{}},
			When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Long: -1500 * time.Nanosecond, Quote: "\"\n\u2028",
			Tag: math.MinInt64, Real: 0.25, Arr: [2]bool{true, false},
			Err: failed, Fail: &actor.Error{Code: actor.Cycle, Text: "a waits for b"}, Value: value.Of(map[string]any{"k": 1}).At(0),
		},
		rich{Any: map[string]any{}},
		rich{Any: int64(1)},
		rich{Any: 1.0},
		rich{Any: false},
		rich{Any: ""},
		actor.Terminated{Reason: failed},
		actor.Terminated{},
	}
	types := record.Types(scripted{}, inner{}, &inner{}, rich{}, box[int64]{}, map[string]int{}, []inner{})
	all, errs := roundTrip(t, types, msgs...)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for i, got := range messages(all) {
		if !reflect.DeepEqual(got, msgs[i]) {
			t.Errorf("%T: got  %+v\nwant %+v\nas %s", msgs[i], got, msgs[i], all[i].JSON)
		}
	}
}

// scriptValue draws what a script can send.
func scriptValue(rt *rapid.T, b *value.Builder, depth int) {
	kinds := 6
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(rt, "kind") {
	case 0:
		b.Nil()
	case 1:
		b.Bool(rapid.Bool().Draw(rt, "bool"))
	case 2:
		b.Int(rapid.Int64().Draw(rt, "int"))
	case 3:
		b.Float(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, -1, 1e15, 1 << 53, math.Inf(1), math.Inf(-1)})).Draw(rt, "float"))
	case 4:
		b.String(scriptString(rt))
	case 5:
		if err := b.Begin(); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(rt, "items") {
			scriptValue(rt, b, depth-1)
		}
		for range rapid.IntRange(0, 3).Draw(rt, "fields") {
			switch rapid.IntRange(0, 3).Draw(rt, "key") {
			case 0:
				b.IntKey(rapid.Int64().Draw(rt, "int"))
			case 1:
				b.FloatKey(rapid.Float64().Draw(rt, "float"))
			case 2:
				b.BoolKey(rapid.Bool().Draw(rt, "bool"))
			default:
				b.Key(scriptString(rt))
			}
			scriptValue(rt, b, depth-1)
		}
		b.End()
	}
}

func scriptString(rt *rapid.T) string {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"", "a", "$table", "$bytes", "$float", "$"})).Draw(rt, "string")
}

func TestWhateverScriptsSendComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			k := actortest.Config{}.New(rt)
			var b value.Builder
			for range rapid.IntRange(0, 4).Draw(rt, "values") {
				scriptValue(rt, &b, 4)
			}
			want := b.List()
			ref := spawn(k, "a", ignore)
			var f file
			rec := start(rt, k, ref, &f, nil)
			k.Send(ref, want)
			k.Settle()
			mustClose(rt, rec)
			all, errs := entries(t, f.String(), nil)
			if len(errs) > 0 || len(all) != 1 {
				rt.Fatalf("%v of %s", errs, f.String())
			}
			if !reflect.DeepEqual(all[0].Message, want) {
				rt.Fatalf("got %#v, want %#v, as %s", all[0].Message, want, all[0].JSON)
			}
		})
	})
}

func TestAnErrorComesBackAsItsCode(t *testing.T) {
	all, errs := roundTrip(t, record.Types(rich{}), rich{Err: fmt.Errorf("while saving: %w", actor.ErrOverloaded)}, rich{Err: errors.New("of its own")})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	first, second := all[0].Message.(rich).Err, all[1].Message.(rich).Err
	if !errors.Is(first, actor.ErrOverloaded) || !errors.Is(second, actor.ErrRefused) || !strings.Contains(second.Error(), "of its own") {
		t.Fatalf("came back as %v and %v", first, second)
	}
}

type (
	leftOut struct {
		A int `json:"-"`
	}
	oneWay    struct{ n int }
	ownJSON   struct{ n int }
	bad       struct{ Fails bool }
	nested    struct{ M map[string][]*oneWay }
	self      struct{ Next *self }
	someone   interface{ Hello() }
	withMutex struct{ sync.Mutex }
	marked    struct {
		_ [0]func()
		_ struct{}
		A int
	}
	lowercased struct {
		Name string
		name string //nolint:unused // that it is there is the mistake
	}
)

func (o oneWay) MarshalJSON() ([]byte, error) { return json.Marshal(o.n) }

func (o ownJSON) MarshalJSON() ([]byte, error)  { return json.Marshal(o.n) }
func (o *ownJSON) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &o.n) }

func (b bad) MarshalText() ([]byte, error) {
	if b.Fails {
		panic("can't")
	}
	return []byte("fine"), nil
}
func (b *bad) UnmarshalText([]byte) error { b.Fails = true; return nil }

// fickle comes back as another.
type fickle struct{ N int }

func (f fickle) MarshalText() ([]byte, error) { return fmt.Append(nil, f.N), nil }
func (f *fickle) UnmarshalText([]byte) error  { f.N = 7; return nil }

func TestTypesOfWhichSomethingWouldBeLostAreMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		sample any
		text   string
	}{
		"not exported":        {secret{}, "record_test.secret.word is not exported"},
		"one of two":          {lowercased{}, "lowercased.name is not exported"},
		"tag":                 {leftOut{}, "leftOut.A is left out of JSON by its tag"},
		"chan":                {box[chan int]{}, ".Content is a chan int, which JSON does not have"},
		"func":                {box[func()]{}, "is a func()"},
		"complex":             {complex(1, 2), "is a complex128"},
		"interface":           {box[someone]{}, "is a record_test.someone: what is in it can't be told from JSON"},
		"keys":                {map[inner]int{}, "has keys that are record_test.inner"},
		"writes and can't":    {oneWay{}, "writes its own JSON and can't read it"},
		"deep":                {nested{}, "nested.M is a record_test.oneWay, which writes its own JSON"},
		"mutex":               {withMutex{}, "is not exported"},
		"nil":                 {nil, "nil has no type"},
		"actor's own context": {box[*actor.Context]{}, ".Content.p is not exported"},
	} {
		t.Run(name, func(t *testing.T) {
			types := record.Types(inner{}, c.sample)
			wantErr(t, types.Err(), record.ErrType, c.text)
			_, err := record.Read(strings.NewReader(""), types)
			wantErr(t, err, record.ErrType, c.text)
			_, err = record.Start(nil, actor.Ref{}, nil, types)
			wantErr(t, err, record.ErrType, c.text)
		})
	}
	for _, sample := range []any{ownJSON{}, self{}, marked{}, &rich{}, []any{}, bad{}, time.Time{}, inner{}, inner{}} {
		if err := record.Types(sample, sample).Err(); err != nil {
			t.Errorf("%T: %v", sample, err)
		}
	}
}

func TestMessagesThatWouldComeBackAsOthersAreNotRecorded(t *testing.T) {
	types := record.Types(rich{}, bad{}, fickle{}, box[any]{}, map[string]any{})
	for name, c := range map[string]struct {
		msg  any
		text string
	}{
		"int in an any":          {box[any]{5}, "record_test.box[interface {}].Content has a int in an any, which would come back as another type"},
		"struct deep in an any":  {rich{Any: []any{map[string]any{"x": inner{}}}}, "record_test.rich.Any[0][x] has a record_test.inner in an any"},
		"empty slice in an any":  {map[string]any{"a": []any(nil)}, "[a] has a []interface {} in an any"},
		"no number":              {rich{F: math.NaN()}, "NaN is no number in JSON"},
		"no text":                {"\xff", "invalid UTF-8"},
		"something else":         {fickle{}, "it does not come back as it was"},
		"a panic":                {bad{Fails: true}, "panic: can't"},
		"a panic afterwards":     {bad{}, "panic: can't"},
		"error that is no error": {rich{Err: &actor.Error{Code: 99}}, "is no code of an error"},
	} {
		t.Run(name, func(t *testing.T) {
			all, errs := roundTrip(t, types, 1, c.msg, 2)
			if len(all) != 2 || len(errs) != 1 {
				t.Fatalf("read %v, errors %v", all, errs)
			}
			wantErr(t, errs[0], record.ErrUnrecorded, "line 3: ", c.text)
		})
	}
}

// coin has JSON of its own: a word.
type coin struct{ heads bool }

func addCoin(types *record.Registry, name string) {
	record.Add(types, name,
		func(c coin) ([]byte, error) {
			if c.heads {
				return []byte("\n \"heads\" \n"), nil
			}
			return []byte(`{"a":1,"a":2}`), nil
		},
		func(data []byte) (coin, error) { return coin{string(data) == `"heads"`}, nil })
}

func TestATypeMayHaveJSONOfItsOwn(t *testing.T) {
	types := record.Types()
	addCoin(types, "coin")
	all, errs := roundTrip(t, types, coin{true}, coin{false}, 1)
	if len(all) != 2 || all[0].Message != (coin{true}) || all[0].Type != "coin" || string(all[0].JSON) != `"heads"` || all[1].Message != 1 {
		t.Fatalf("read %+v, %v", all, errs)
	}
	if len(errs) != 1 {
		t.Fatal(errs)
	}
	wantErr(t, errs[0], record.ErrUnrecorded, "line 3: coin", `duplicate object member name "a"`)

	types = record.Types(ownJSON{})
	record.Add(types, "", func(ownJSON) ([]byte, error) { return []byte(`"replaced"`), nil }, func([]byte) (ownJSON, error) { return ownJSON{7}, nil })
	if all, errs = roundTrip(t, types, ownJSON{1}); len(errs) > 0 || all[0].Message != (ownJSON{7}) {
		t.Fatalf("read %+v, %v", all, errs)
	}
}

func TestMistakesOfCodecsAreKept(t *testing.T) {
	two := record.Types(inner{})
	addCoin(two, "record_test.inner")
	wantErr(t, two.Err(), record.ErrType, "record_test.inner is the name of two types")
	none := record.Types()
	record.Add[coin](none, "coin", nil, nil)
	wantErr(t, none.Err(), record.ErrType, "coin: a codec needs a type that is no interface, and two functions")
	reserved := record.Types()
	addCoin(reserved, "nil")
	wantErr(t, reserved.Err(), record.ErrType, "nil is the name of two types")
}
