package codec_test

import (
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
)

func genTree(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.String().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(genTree(depth-1), 1, 4).AsAny(), rapid.MapOfN(rapid.String(), genTree(depth-1), 0, 4).AsAny())...)
}

func TestAnyTreeSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := genTree(4).Draw(t, "tree")
		data, err := codec.AppendJSON(nil, value.Of(tree).At(0))
		if err != nil {
			t.Fatal(err)
		}
		back, err := codec.ParseJSON(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if got := back.Any(); !reflect.DeepEqual(got, tree) {
			t.Fatalf("%s: got %#v, want %#v", data, got, tree)
		}
	})
}
