package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

var best = store.Index{Kind: "player", Name: "best", Fields: []string{"-n", "in.level"}}

func TestFoundDocumentsComePageByPage(t *testing.T) {
	in(t, store.Config{Indexes: []store.Index{best}, Autosave: time.Second}, func(t *testing.T, r *rig) {
		pass(time.Second)
		for i := range 25 {
			r.put(fmt.Sprintf("x%02d", i), 0, profile(i/2, bson.E{Key: "name", Value: fmt.Sprint("name", i)}, bson.E{Key: "in", Value: bson.D{{Key: "other", Value: 1}, {Key: "level", Value: i % 2}}}))
		}
		o := r.owner()
		for _, fields := range [][]string{nil, {"name"}, {"in.other", "name"}, {"n", "in"}} {
			q := store.Query{Kind: "player", Sort: []string{"-n"}, Limit: 7, Fields: fields}
			var ids []string
			for pages := 0; ; pages++ {
				found := o.must(store.Find{Query: q}).(store.Found)
				for _, d := range found.Docs {
					ids = append(ids, d.ID)
					if fields != nil && len(d.Body) > 150 {
						t.Errorf("%v: %s has %v", fields, d.ID, d.Body)
					}
				}
				if found.Next == nil {
					break
				}
				if q.After = found.Next; pages > 5 {
					t.Fatal("it has no end")
				}
			}
			if len(ids) != 25 || ids[0] != "x24" || ids[1] != "x22" || ids[2] != "x23" || ids[24] != "x01" {
				t.Errorf("%v: found %v", fields, ids)
			}
		}
		found := o.must(store.Find{Query: store.Query{Kind: "player", Sort: []string{"-n"}, Limit: 1, Fields: []string{"name"}}}).(store.Found)
		if string(found.Docs[0].Body) != string(raw(t, bson.D{{Key: "name", Value: "name24"}})) {
			t.Errorf("got %v", found.Docs[0].Body)
		}
		if _, err := o.ask(store.Find{Query: store.Query{Kind: "player", Sort: []string{"name"}, Limit: 1}}); !errors.Is(err, store.ErrInvalid) ||
			err.Error() != "store: invalid: query of kind player: no index serves it; declare one with the fields name" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAUniqueIndexIsKeptFromTheStart(t *testing.T) {
	in(t, store.Config{Indexes: []store.Index{{Kind: "player", Name: "by_name", Fields: []string{"name"}, Unique: true}}}, func(t *testing.T, r *rig) {
		owners := r.players(2)
		owners[0].must(store.Commit{Kind: "player", ID: "p0", Body: profile(1, bson.E{Key: "name", Value: "Ann"})})
		_, err := owners[1].ask(store.Commit{Kind: "player", ID: "p1", Body: profile(1, bson.E{Key: "name", Value: "Ann"})})
		var d *store.DuplicateError
		if !errors.As(err, &d) || d.Index != "by_name" || d.ID != "p1" {
			t.Errorf("got %v", err)
		}
		owners[1].must(store.Commit{Kind: "player", ID: "p1", Body: profile(1, bson.E{Key: "name", Value: "Bob"})})
	})
}

func TestAQueryIsServedByTheIndexWithMostEqualities(t *testing.T) {
	have := []store.Index{
		{Kind: "player", Name: "a", Fields: []string{"a"}},
		{Kind: "guild", Name: "ab", Fields: []string{"a", "b"}},
		{Kind: "player", Name: "ab", Fields: []string{"a", "-b"}},
		{Kind: "player", Name: "abc", Fields: []string{"a", "-b", "c"}},
		{Kind: "player", Name: "b", Fields: []string{"b", "a"}},
	}
	one := bson.RawValue{Type: bson.TypeInt32, Value: []byte{1, 0, 0, 0}}
	eq := func(path string) store.Condition { return store.Condition{Path: path, Value: one} }
	gt := func(path string) store.Condition { return store.Condition{Path: path, Op: store.Gt, Value: one} }
	for _, c := range []struct {
		where []store.Condition
		sort  []string
		want  string
	}{
		{[]store.Condition{eq("a")}, nil, "a 1 false"},
		{[]store.Condition{eq("a"), eq("b")}, nil, "ab 2 false"},
		{[]store.Condition{eq("b"), eq("a")}, nil, "ab 2 false"},
		{[]store.Condition{eq("a"), gt("b")}, nil, "ab 1 false"},
		{[]store.Condition{eq("a")}, []string{"b"}, "ab 1 true"},
		{[]store.Condition{eq("a")}, []string{"-b", "c"}, "abc 1 false"},
		{[]store.Condition{eq("a")}, []string{"b", "-c"}, "abc 1 true"},
		{[]store.Condition{eq("a")}, []string{"a", "b"}, "ab 1 true"},
		{[]store.Condition{eq("a"), eq("b"), gt("c")}, []string{"-c"}, "abc 2 true"},
		{[]store.Condition{gt("b")}, []string{"-b", "-a"}, "b 0 true"},
		{nil, []string{"b"}, "b 0 false"},
		{[]store.Condition{eq("a")}, []string{"b", "c"}, "declare one with the fields a, b, c"},
		{[]store.Condition{eq("d"), gt("c")}, []string{"-c", "e"}, "declare one with the fields d, -c, e"},
		{nil, nil, "a query needs a condition or an order"},
	} {
		q := store.Query{Kind: "player", Where: c.where, Sort: c.sort, Limit: 1}
		p, err := q.Plan(have)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(p.Index.Name, " ", p.Equal, " ", p.Reverse)
		}
		if got != c.want && (err == nil || !errors.Is(err, store.ErrInvalid) || len(got) < len(c.want) || !strings.Contains(got, c.want)) {
			t.Errorf("%v sorted by %v: got %s, want %s", c.where, c.sort, got, c.want)
		}
	}
}

func TestIndexesAreBuiltWhenTheDatabaseIsBack(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, first *rig) {
		tries := 0
		db := &faulty{Backend: first.db.Backend, index: func(context.Context) error {
			if tries++; tries <= 3 {
				return away("indexes")
			}
			return nil
		}}
		r := newRig(t, db, store.Config{Indexes: []store.Index{best}})
		defer r.stop()
		o, query := r.owner(), store.Find{Query: store.Query{Kind: "player", Sort: []string{"-n"}, Limit: 1}}
		if _, err := o.ask(query); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("before: %v", err)
		}
		pass(time.Minute)
		if o.must(query); tries != 4 || r.log.Count("indexes can't be built now") != 3 || r.log.Count("indexes are there") != 1 {
			t.Errorf("%d tries", tries)
		}
	})
}

func TestAnIndexThatCanNotBeIsToldAndOneThatTakesLongHoldsUpNoStop(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, first *rig) {
		db := &faulty{Backend: first.db.Backend, index: func(context.Context) error {
			return &store.DuplicateError{Kind: "player", ID: "a", Other: "b", Index: "best"}
		}}
		r := newRig(t, db, store.Config{Indexes: []store.Index{best}})
		pass(time.Minute)
		if r.log.Count("indexes can't be built: queries are refused") != 1 || r.log.Count("player/b") != 1 {
			t.Errorf("the log:\n%s", r.log)
		}
		r.stop()
		db.index = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		r = newRig(t, db, store.Config{Indexes: []store.Index{best}})
		pass(time.Minute)
		began := time.Now()
		if r.stop(); time.Since(began) > time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}
