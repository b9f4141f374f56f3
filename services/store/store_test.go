package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func TestErrorsSayBothSidesAndTheirClass(t *testing.T) {
	for _, c := range []struct {
		err       error
		class     error
		retryable bool
		text      string
	}{
		{
			&store.ConflictError{Kind: "player", ID: "42", Version: 3, Have: 5}, store.ErrConflict, false,
			"store: version conflict: player/42: the write is based on version 3, the database has 5",
		},
		{
			&store.FencedError{Kind: "player", ID: "42", Epoch: 3, Have: 5}, store.ErrFenced, false,
			"store: fenced: player/42: the writer owns epoch 3, the database is at 5",
		},
		{
			&store.UnavailableError{Op: "load player/42", Err: io.ErrUnexpectedEOF}, store.ErrUnavailable, true,
			"store: unavailable: load player/42: unexpected EOF",
		},
		{
			&store.InvalidError{What: "player/42", Path: "a.b", Reason: "the key is empty"}, store.ErrInvalid, false,
			"store: invalid: player/42: at a.b: the key is empty",
		},
		{
			&store.InvalidError{What: "player/42", Reason: "the body is too long", Large: true}, store.ErrTooLarge, false,
			"store: too large: player/42: the body is too long",
		},
	} {
		err := fmt.Errorf("commit: %w", c.err)
		classes := []error{store.ErrNotFound, store.ErrConflict, store.ErrFenced, store.ErrUnavailable, store.ErrTooLarge, store.ErrInvalid, store.ErrClosed}
		for _, class := range classes {
			if errors.Is(err, class) != errors.Is(class, c.class) {
				t.Errorf("%v is %v: %v", err, class, errors.Is(err, class))
			}
		}
		if store.Retryable(err) != c.retryable || c.err.Error() != c.text {
			t.Errorf("got %q, retryable %v; want %q, %v", c.err, store.Retryable(err), c.text, c.retryable)
		}
	}
	if !errors.Is(&store.UnavailableError{Op: "x", Err: context.DeadlineExceeded}, context.DeadlineExceeded) {
		t.Error("the reason is hidden")
	}
}

func TestNamesThatCouldSpoilALogAreQuoted(t *testing.T) {
	for id, want := range map[string]string{"42": "player/42", "a b": "player/a b", "日本": "player/日本", "a\nb": `player/"a\nb"`, `a"b`: `player/"a\"b"`} {
		if got := store.Name("player", id); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWriteIsJudgedByItsNonceThenEpochThenVersion(t *testing.T) {
	w := store.Write{Kind: "player", ID: "42", Version: 5, Epoch: 2, Nonce: 77}
	for _, c := range []struct {
		have store.Stamp
		want error
	}{
		{store.Stamp{Version: 6, Epoch: 2, Nonce: 77}, nil},                  // it got in
		{store.Stamp{Version: 6, Epoch: 3, Nonce: 77}, nil},                  // it got in, then came another owner
		{store.Stamp{Version: 6, Epoch: 2, Nonce: 78}, store.ErrConflict},    // another one got in
		{store.Stamp{Version: 7, Epoch: 2, Nonce: 77}, store.ErrConflict},    // nonces name a write together with its version
		{store.Stamp{Version: 4, Epoch: 2}, store.ErrConflict},               // the database lost something
		{store.Stamp{Version: 0, Epoch: 0}, store.ErrConflict},               // there is no document
		{store.Stamp{Version: 5, Epoch: 3}, store.ErrFenced},                 // claimed
		{store.Stamp{Version: 9, Epoch: 3, Nonce: 78}, store.ErrFenced},      // claimed and written
		{store.Stamp{Version: 5, Epoch: 2, Nonce: 1}, store.ErrUnavailable},  // would match now
		{store.Stamp{Version: 5, Epoch: 1, Nonce: 77}, store.ErrUnavailable}, // would match and take over
	} {
		if got := w.Judge(c.have); !errors.Is(got, c.want) || c.want == nil && got != nil {
			t.Errorf("%+v: got %v, want %v", c.have, got, c.want)
		}
	}
}

func TestNoncesAreDistinct(t *testing.T) {
	seen := map[int64]bool{0: true}
	for range 10_000 {
		n := store.NewNonce()
		if seen[n] {
			t.Fatalf("%d came twice, or is 0", n)
		}
		seen[n] = true
	}
}

func TestManyKeysAreCheckedInLinearTime(t *testing.T) {
	var body bson.D
	for i := range 100_000 {
		body = append(body, bson.E{Key: fmt.Sprint("key", i), Value: nil})
	}
	if err := check(t, body); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 15, 16, 17, 99_999} { // around where few become many
		if err := check(t, append(body[:len(body):len(body)], bson.E{Key: fmt.Sprint("key", at), Value: nil})); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprint("at key", at)) {
			t.Errorf("key %d twice: got %v", at, err)
		}
	}
}

func TestPathOfABadValueIsShortAndReadable(t *testing.T) {
	value := any("\xff")
	for i := range 60 {
		value = bson.D{{Key: fmt.Sprint("level", i), Value: value}}
	}
	err := check(t, bson.D{{Key: strings.Repeat("k", 5000), Value: bson.A{1, value}}})
	if err == nil || !strings.Contains(err.Error(), "level0: the string is not valid UTF-8") || len(err.Error()) > 300 {
		t.Errorf("got %v", err)
	}
}

func check(t *testing.T, d bson.D) error {
	t.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return store.CheckBody("player", "42", raw)
}

// FuzzCheckBody: what passes is BSON that the driver reads, and writes again bit by bit.
func FuzzCheckBody(f *testing.F) {
	for _, d := range []bson.D{
		{},
		{{Key: "a", Value: int64(1)}, {Key: "b", Value: bson.A{1.5, "x", nil, true, bson.D{{Key: "c", Value: int32(2)}}}}},
		{{Key: "b", Value: bson.Binary{Subtype: 2, Data: []byte("x")}}, {Key: "r", Value: bson.Regex{Pattern: "a", Options: "i"}}},
		{{Key: "o", Value: bson.ObjectID{1}}, {Key: "d", Value: bson.DateTime(1)}, {Key: "t", Value: bson.Timestamp{T: 1}}},
		{{Key: "m", Value: bson.MinKey{}}, {Key: "M", Value: bson.MaxKey{}}, {Key: "x", Value: bson.Decimal128{}}},
		{{Key: "s", Value: bson.Symbol("x")}, {Key: "j", Value: bson.JavaScript("x")}, {Key: "u", Value: bson.Undefined{}}},
		{{Key: "$a", Value: 1}, {Key: "a.b", Value: 1}, {Key: "a", Value: 1}, {Key: "a", Value: 2}},
	} {
		raw, err := bson.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := store.CheckBody("player", "42", data)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) && !errors.Is(err, store.ErrTooLarge) || len(err.Error()) > 1000 {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := bson.Raw(data).Validate(); err != nil {
			t.Fatalf("passed, and the driver says: %v", err)
		}
		var d bson.D
		if err := bson.Unmarshal(data, &d); err != nil {
			t.Fatalf("passed, and the driver can't read it: %v", err)
		}
		again, err := bson.Marshal(d)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("passed, and comes back as %x, %v; was %x", again, err, data)
		}
	})
}
