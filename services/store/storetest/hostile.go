package storetest

import (
	"context"
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func hostile() []testcase {
	return []testcase{
		{name: "HostileNamesAreRefused", run: hostileNames},
		{name: "StrangeNamesAreDistinct", run: strangeNames},
		{name: "HostileBodiesAreRefusedAndHarmNobody", run: hostileBodies},
		{name: "HostileNumbersAreRefused", run: hostileNumbers},
	}
}

func hostileNames(e *env) {
	ctx := context.Background()
	for _, name := range [][2]string{
		{"", "x"},
		{"Player", "x"},
		{"pl ayer", "x"},
		{"$cmd", "x"},
		{"system.users", "x"},
		{"a/b", "x"},
		{"_internal", "x"},
		{"é", "x"},
		{"p\x00", "x"},
		{"p;DROP TABLE docs", "x"},
		{strings.Repeat("k", store.MaxKind+1), "x"},
		{"player", ""},
		{"player", "a\x00b"},
		{"player", "a\nb"},
		{"player", "\xff\xfe"},
		{"player", strings.Repeat("i", store.MaxID+1)},
	} {
		_, load := e.Load(ctx, name[0], name[1])
		_, claim := e.Claim(ctx, name[0], name[1], 0)
		for what, err := range map[string]error{"load": load, "claim": claim, "write": e.one(write(e, name[0], name[1], 0, 0, 666))} {
			if !errors.Is(err, store.ErrInvalid) || store.Retryable(err) || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x00") {
				e.Errorf("%s of %.20q/%.20q: got %v", what, name[0], name[1], err)
			}
		}
	}
}

func strangeNames(e *env) {
	prefix := id("")
	names := []string{
		"a", "A", "a ", " a", "a/b", "a.b", "$a", "a'b", `a"b`, `a\b`, "a%00b", "{$gt:\"\"}", "å", "a\u030a", "日本語", "😀", "0", "00", "-1",
		"507f1f77bcf86cd799439011", "%", "_", "*", strings.Repeat("i", store.MaxID-len(prefix)),
	}
	for i, name := range names {
		e.must(write(e, "player", prefix+name, 0, 0, int64(i)))
		e.must(write(e, "0_"+strings.Repeat("k", store.MaxKind-2), prefix+name, 0, 0, int64(-i)))
	}
	for i, name := range names {
		e.expect("player", prefix+name, 1, 0, body(e, "n", int64(i)))
	}
}

func hostileBodies(e *env) {
	valid := body(e, "a", bson.D{{Key: "b", Value: bson.A{"x"}}})
	for _, c := range []struct {
		name string
		body bson.Raw
		want error
		path string
	}{
		{"none", nil, store.ErrInvalid, ""},
		{"half", valid[:len(valid)/2], store.ErrInvalid, ""},
		{"too long", append(append(bson.Raw{}, valid...), 0), store.ErrInvalid, ""},
		{"huge length", bson.Raw{0xff, 0xff, 0xff, 0x7f, 0}, store.ErrInvalid, ""},
		{"negative length", bson.Raw{0xff, 0xff, 0xff, 0xff, 0}, store.ErrInvalid, ""},
		{"text", bson.Raw(`{"a":1}`), store.ErrInvalid, ""},
		{"deep", nested(200), store.ErrInvalid, "at a.a"},
		{"a level too deep", nested(store.MaxDepth + 1), store.ErrInvalid, "at a.a"},
		{"half a million levels", nestedFast(500_000), store.ErrInvalid, "at a.a"},
		{"a byte too large", bulky(e, store.MaxBody+1), store.ErrTooLarge, ""},
		{"far too large", make(bson.Raw, 17<<20), store.ErrTooLarge, ""},
		{"dollar", body(e, "ok", 1, "in", bson.D{{Key: "$set", Value: 1}}), store.ErrInvalid, "at in.$set"},
		{"dot", body(e, "in", bson.A{bson.D{{Key: "x.y", Value: 1}}}), store.ErrInvalid, `at in.0."x.y"`},
		{"empty key", body(e, "", 1), store.ErrInvalid, ""},
		{"key twice", body(e, "a", 1, "b", 2, "a", 3), store.ErrInvalid, "at a"},
		{"bad text", body(e, "in", bson.D{{Key: "s", Value: "\xff"}}), store.ErrInvalid, "at in.s"},
		{"bad key", bson.Raw{8, 0, 0, 0, 0x0a, 0xff, 0, 0}, store.ErrInvalid, ""},
		{"old type", body(e, "s", bson.Symbol("x")), store.ErrInvalid, "at s"},
		{"code", body(e, "s", bson.JavaScript("x")), store.ErrInvalid, "at s"},
	} {
		id := id("hostile")
		w := write(e, "player", id, 0, 0, 0)
		w.Body = c.body
		other := write(e, "player", id+"-other", 0, 0, 1)
		errs, err := e.Apply(context.Background(), []store.Write{w, other})
		if err != nil {
			e.Fatalf("%s: %v", c.name, err)
		}
		if !errors.Is(errs[0], c.want) || !strings.Contains(errs[0].Error(), c.path) || !strings.Contains(errs[0].Error(), id) || len(errs[0].Error()) > 400 {
			e.Errorf("%s: got %v, want %v %s", c.name, errs[0], c.want, c.path)
		}
		if errs[1] != nil {
			e.Errorf("%s: the other write got %v", c.name, errs[1])
		}
		e.expect("player", id, 0, 0, nil)
		e.expect("player", id+"-other", 1, 0, other.Body)
	}
}

// nestedFast is nested for depths at which the quadratic time of prepending would hurt.
func nestedFast(levels int) bson.Raw {
	size := 5 + 8*(levels-1)
	raw := make(bson.Raw, 0, size)
	for n := size; n > 5; n -= 8 {
		raw = append(raw, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(bson.TypeEmbeddedDocument), 'a', 0)
	}
	raw = append(raw, 5, 0, 0, 0, 0)
	return append(raw, make([]byte, levels-1)...)
}

func hostileNumbers(e *env) {
	id := id("numbers")
	for _, change := range []func(*store.Write){
		func(w *store.Write) { w.Version = -1 },
		func(w *store.Write) { w.Version = store.MaxCount + 1 },
		func(w *store.Write) { w.Epoch = -1 },
		func(w *store.Write) { w.Epoch = 1<<63 - 1 },
		func(w *store.Write) { w.Nonce = 0 },
		func(w *store.Write) { w.Delete = true },
	} {
		w := write(e, "player", id, 0, 0, 666)
		change(&w)
		e.is(e.one(w), store.ErrInvalid, "player/"+id)
	}
	e.expect("player", id, 0, 0, nil)
}
