package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/services/store"
)

func openQuarantine(t *testing.T, dir string, files int, bytes int64) *store.Quarantine {
	t.Helper()
	q, err := store.OpenQuarantine(dir, files, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func listed(t *testing.T, q *store.Quarantine) (all []store.Refusal) {
	t.Helper()
	for r, err := range q.List {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// refuse makes the database refuse contents with numbers above 1,000.
func (r *rig) refuse(err error) {
	r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
		var bad []int
		for i, w := range writes {
			if number(w.Body) > 1000 {
				bad = append(bad, i)
			}
		}
		if len(bad) == len(writes) {
			results := make([]error, len(writes))
			for i := range results {
				results[i] = err
			}
			return results, nil
		}
		if len(bad) > 0 {
			return nil, away("a test's batch has both")
		}
		return do()
	})
}

func TestRefusedContentIsKeptUntilTheDatabaseTakesSomething(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store-quarantine")
	q := openQuarantine(t, dir, 0, 0)
	in(t, store.Config{Autosave: 10 * time.Millisecond, Quarantine: q}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		r.refuse(&store.InvalidError{What: "player/p0", Reason: "the validator says no"})
		o.save("p0", 1001)
		pass(time.Second)
		if no := <-o.no; no.Kind != "player" || no.ID != "p0" || !errors.Is(no.Err, store.ErrInvalid) {
			t.Errorf("the owner heard %v", no)
		}
		all := listed(t, q)
		if len(all) != 1 || all[0].Kind != "player" || all[0].ID != "p0" || all[0].Version != 1 || all[0].Epoch != 1 || number(all[0].Body) != 1001 ||
			!strings.Contains(all[0].Error, "the validator says no") || time.Since(all[0].Time).Abs() > time.Minute {
			t.Fatalf("the quarantine has %+v", all)
		}
		if r.log.Count("refused content is in the quarantine") != 1 || r.metric("skua_store_quarantined_total") != 1 {
			t.Error("the operator does not hear of it")
		}
		// The newest is what is kept, and a commit's caller hears of it instead of the owner.
		if _, err := o.ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(1002)}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		pass(time.Second)
		if all := listed(t, q); len(all) != 1 || number(all[0].Body) != 1002 {
			t.Errorf("the quarantine has %+v", all)
		}
		select {
		case no := <-o.no:
			t.Errorf("the owner heard %v as well", no)
		default:
		}
		o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(2)})
		pass(time.Second)
		if all := listed(t, q); len(all) != 0 {
			t.Errorf("the quarantine has %+v", all)
		}
		r.has("p0", 2)
	})
}

func TestRefusedContentOutlivesItsOwnerAndTheNode(t *testing.T) {
	dir := t.TempDir()
	in(t, store.Config{Autosave: 10 * time.Millisecond, Quarantine: openQuarantine(t, dir, 0, 0)}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		r.refuse(&store.DuplicateError{Kind: "player", ID: "p0", Index: "by_name"})
		o.save("p0", 1001)
		o.end()
		pass(time.Second)
		o = r.owner()
		if doc := o.claim("p0"); doc.Exists() || doc.Epoch != 2 {
			t.Errorf("the next owner got %v", doc)
		}
		o.save("p0", 1)
		pass(time.Second)
	})
	// The next owner's content did not come from it, so it is nobody's to throw away.
	q := openQuarantine(t, dir, 0, 0)
	all := listed(t, q)
	if len(all) != 1 || number(all[0].Body) != 1001 {
		t.Fatalf("the quarantine has %+v", all)
	}
	if err := q.Remove(all[0].File); err != nil || len(listed(t, q)) != 0 {
		t.Error(err)
	}
}

func TestAFullQuarantineIsToldAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	q := openQuarantine(t, dir, 1, 0)
	first, err := q.Put(store.Refusal{Kind: "guild", ID: "x", Body: numbered(1)})
	if err != nil {
		t.Fatal(err)
	}
	in(t, store.Config{Autosave: 10 * time.Millisecond, Quarantine: q}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		r.refuse(&store.InvalidError{What: "player/p0", Reason: "the validator says no"})
		o.save("p0", 1001)
		pass(time.Second)
		_, err := o.ask(store.Save{Kind: "player", ID: "p0", Body: numbered(1)})
		if !errors.Is(err, store.ErrQuarantineFull) || !strings.Contains(err.Error(), "player/p0") || !strings.Contains(err.Error(), "the validator says no") {
			t.Errorf("a save got %v", err)
		}
		if r.log.Count("refused content is only in memory") != 1 {
			t.Error("the operator does not hear of it")
		}
		o.end() // the content stays
		pass(time.Minute)
		if err := q.Remove(first); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if all := listed(t, q); len(all) != 1 || number(all[0].Body) != 1001 {
			t.Errorf("the quarantine has %+v", all)
		}
		if doc := r.owner().claim("p0"); doc.Epoch != 2 {
			t.Errorf("epoch %d: it is not forgotten", doc.Epoch)
		}
	})
}

func TestAStopDoesNotWaitForContentThatWasMended(t *testing.T) {
	q := openQuarantine(t, t.TempDir(), 0, 1)
	in(t, store.Config{Autosave: 10 * time.Millisecond, Quarantine: q}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		r.refuse(&store.InvalidError{What: "player/p0", Reason: "the validator says no"})
		o.save("p0", 1001)
		pass(time.Second)
		o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		began := time.Now()
		if r.stop(); time.Since(began) > time.Second || r.log.Count("they are lost") != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}

func TestACommitMendsWhatAFullQuarantineHoldsUp(t *testing.T) {
	q := openQuarantine(t, t.TempDir(), 0, 1) // a byte
	in(t, store.Config{Autosave: 10 * time.Millisecond, Quarantine: q, StopTimeout: 5 * time.Second}, func(t *testing.T, r *rig) {
		owners := r.players(2)
		r.refuse(&store.InvalidError{What: "player/p0", Reason: "the validator says no"})
		owners[0].save("p0", 1001)
		owners[1].save("p1", 1001)
		pass(time.Second)
		owners[0].must(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		owners[0].save("p0", 2)
		pass(time.Second)
		r.has("p0", 2)
		r.stop() // which the other one's content does not survive, and the log says so
		if r.log.Count("they are lost") != 1 || r.log.Count("names=[player/p1]") != 1 {
			t.Error("the log does not name what is lost")
		}
	})
}

func TestFilesOfTheQuarantineAreBoundedAndReadable(t *testing.T) {
	dir := t.TempDir()
	q := openQuarantine(t, dir, 0, 2000)
	strange := store.Refusal{Kind: "player", ID: "../日本/" + strings.Repeat("long", 60), Epoch: 7, Version: 3, Error: "why", Body: numbered(1), Time: time.Now()}
	path, err := q.Put(strange)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || filepath.Dir(path) != dir || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", path, info, err)
	}
	got, err := store.ReadRefusal(path)
	if err != nil || got.ID != strange.ID || got.File != path || number(got.Body) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := q.Put(store.Refusal{Kind: "player", ID: "y", Body: sized(3000)}); !errors.Is(err, store.ErrQuarantineFull) {
		t.Errorf("got %v", err)
	}
	if _, err := q.Put(strange); err != nil { // again
		t.Error(err)
	}
	big, err := q.Put(store.Refusal{Kind: "player", ID: "y", Body: sized(1200)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(big); err != nil { // by an operator
		t.Fatal(err)
	}
	if _, err := q.Put(store.Refusal{Kind: "player", ID: "z", Body: sized(1200)}); err != nil {
		t.Errorf("there is room again, and nobody sees it: %v", err)
	}
	if err := q.Remove(big); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.bson"), []byte("no BSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "other.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good, bad := 0, 0
	for r, err := range openQuarantine(t, dir, 0, 0).List {
		if err != nil {
			bad++
			if filepath.Base(r.File) != "broken.bson" {
				t.Error(err)
			}
		} else {
			good++
		}
	}
	if good != 2 || bad != 1 {
		t.Errorf("%d good ones, %d bad ones", good, bad)
	}
	if _, err := store.OpenQuarantine(path, 0, 0); err == nil {
		t.Error("a file is taken for a directory")
	}
}

func TestADuplicateIsNewsForItsCallerOnly(t *testing.T) {
	in(t, store.Config{Quarantine: openQuarantine(t, t.TempDir(), 0, 0)}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		r.refuse(&store.DuplicateError{Kind: "player", ID: "p0", Index: "by_name", Other: "p7"})
		_, err := o.ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(1001)})
		if !errors.Is(err, store.ErrDuplicate) || err.Error() != "store: duplicate: player/p0: player/p7 has the value that the unique index by_name allows once" {
			t.Errorf("got %v", err)
		}
		if strings.Contains(r.log.String(), "level=ERROR") {
			t.Error("a name that is taken is no error of the node")
		}
	})
}
