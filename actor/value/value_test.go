package value_test

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor/value"
)

func TestAListGivesBackWhatWasBuilt(t *testing.T) {
	l := value.Of(nil, true, 7, 2.5, "s", []any{1, []any{2, "x"}}, map[string]any{"k": []any{}})
	if l.Len() != 7 || !l.At(7).IsNil() || !l.At(-1).IsNil() || l.At(5).Len() != 2 || l.At(6).Fields() != 1 {
		t.Fatal(l.At(5), l.At(6))
	}
	want := []string{"nil", "true", "7", "2.5", `"s"`, `{1, {2, "x"}}`, `{k = {}}`}
	for i, v := range l.All {
		if v.String() != want[i] || v.String() != l.At(i).String() {
			t.Errorf("value %d is %s, want %s", i, v, want[i])
		}
	}
	rest := l.Rest(5)
	if rest.Len() != 2 || rest.At(0).String() != want[5] || l.Rest(7).Len() != 0 || l.Rest(99).Len() != 0 {
		t.Fatal("Rest is not what is behind")
	}
	if got := l.At(6).Get("k"); got.Kind() != value.Table || !l.At(6).Get("other").IsNil() || !l.At(0).Get("k").IsNil() {
		t.Fatal(got)
	}
}

func TestScanNamesTheArgumentThatDoesNotFit(t *testing.T) {
	l := value.Of("name", 3, 2.5, true, "more", 1)
	var (
		s    string
		n    int
		f    float64
		b    bool
		rest value.List
	)
	if err := l.Scan(&s, &n, &f, &b, &rest); err != nil || s != "name" || n != 3 || f != 2.5 || !b || rest.Len() != 2 {
		t.Fatal(err, s, n, f, b, rest.Len())
	}
	err := l.Scan(&s, &s)
	if err == nil || err.Error() != "value: argument 2: expected string, got integer" {
		t.Fatal(err)
	}
	if err := l.Scan(new(chan int)); err == nil {
		t.Fatal("scanned into a channel")
	}
	if err := value.Of().Scan(&n); err == nil {
		t.Fatal("scanned what is not there")
	}
}

func TestTablesThatNestTooDeepAreAnError(t *testing.T) {
	var deep any = "x"
	for range value.MaxDepth {
		deep = []any{deep}
	}
	var b value.Builder
	if err := b.Any(deep); err != nil {
		t.Fatal(err)
	}
	b = value.Builder{}
	if err := b.Any([]any{deep}); !errors.Is(err, value.ErrDepth) {
		t.Fatal(err)
	}
}

// genAny draws plain data of the kinds that Any gives back as they were.
func genAny(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.String().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) }).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(genAny(depth-1), 1, 4).AsAny(), rapid.MapOfN(rapid.String(), genAny(depth-1), 0, 4).AsAny())...)
}

func TestAnyTreeSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(genAny(4), 0, 5).Draw(t, "args")
		l := value.Of(args...)
		var copied value.Builder
		for i, v := range l.All {
			if got := v.Any(); !reflect.DeepEqual(got, args[i]) {
				t.Fatalf("value %d: got %#v, want %#v", i, got, args[i])
			}
			copied.Value(v)
			_ = v.String()
		}
		again := copied.List()
		for i := range args {
			if got := again.At(i).Any(); !reflect.DeepEqual(got, args[i]) {
				t.Fatalf("copy of value %d: got %#v, want %#v", i, got, args[i])
			}
		}
	})
}
