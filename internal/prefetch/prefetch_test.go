package prefetch_test

import (
	"testing"

	"github.com/skua-go/skua/internal/prefetch"
)

func TestAHintChangesNothing(t *testing.T) {
	type thing struct{ words [40]uint64 }
	v := &thing{}
	for i := range v.words {
		v.words[i] = uint64(i)
	}
	prefetch.Of(v).Load()
	prefetch.One(v)
	prefetch.First(v.words[:], 9)
	prefetch.First([]int(nil), 9)
	prefetch.Bytes(nil, 0)
	for i, w := range v.words {
		if w != uint64(i) {
			t.Fatalf("word %d is %d", i, w)
		}
	}
}

func TestWhatIsNoPointerIsNoObject(t *testing.T) {
	for _, v := range []any{nil, 7, "text", (*int)(nil)} {
		prefetch.Of(v).Load() // where there is nothing to load from, the processor lets it be
	}
	if prefetch.Of(7) != (prefetch.Object{}) {
		t.Error("a number is an object")
	}
}

func TestALargeObjectIsNotLoadedWhole(t *testing.T) {
	for size, want := range map[uintptr]int{1: 1, 64: 1, 65: 2, 376: 6, 1 << 20: 8} {
		if got := prefetch.Lines(size); got != want {
			t.Errorf("%d bytes are %d lines, expected %d", size, got, want)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	var v [512]byte
	o := prefetch.Of(&v)
	for b.Loop() {
		o.Load()
	}
}
