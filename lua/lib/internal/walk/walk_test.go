package walk_test

import (
	"errors"
	"testing"

	"github.com/skua-go/skua/lua/lib/internal/walk"
)

func TestAnEncoderEndsAtALengthAndANumberOfValues(t *testing.T) {
	o := walk.NewOpen(1)
	if err := o.Value(walk.MaxOutput + 1); !errors.Is(err, walk.ErrOutput) {
		t.Error(err)
	}
	n := 1
	for ; o.Value(0) == nil; n++ {
	}
	if n != 4<<20+1 {
		t.Error(n)
	}
}

func TestAnErrorTellsTheWay(t *testing.T) {
	base := errors.New("bad")
	err := walk.Field(walk.Index(walk.Field(walk.Field(base, "a key"), "x1"), 3), "list")
	if got := walk.Text(err, "value"); got != `value.list[3].x1["a key"]: bad` || !errors.Is(err, base) {
		t.Error(got)
	}
	for range 1000 {
		err = walk.Field(err, "deep")
	}
	if got := walk.Text(err, "value"); len(got) > 200 {
		t.Error(got)
	}
	if got := walk.Text(base, "value"); got != "value: bad" {
		t.Error(got)
	}
}
