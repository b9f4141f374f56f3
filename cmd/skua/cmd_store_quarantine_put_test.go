package main

import (
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// guildNamed is a guild's content.
func guildNamed(t *testing.T, name string) bson.Raw {
	t.Helper()
	return body(t, bson.D{{Key: "name", Value: name}})
}

// guilds is a project with guilds whose names are unique, and what was refused of guild b.
func guilds(t *testing.T, refused ...store.Refusal) (dir string, q *store.Quarantine) {
	t.Helper()
	dir = storeProject(
		t,
		store.Doc{Kind: "guild", ID: "a", Version: 1, Body: guildNamed(t, "red")},
		store.Doc{Kind: "guild", ID: "b", Version: 4, Epoch: 2, Body: guildNamed(t, "blue")},
	)
	inStore(t, dir, func(db store.Backend) {
		if err := db.Indexes(t.Context(), []store.Index{{Kind: "guild", Name: "by_name", Fields: []string{"name"}, Unique: true}}); err != nil {
			t.Fatal(err)
		}
	})
	q, err := store.OpenQuarantine(filepath.Join(dir, "data", quarantineDir), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refused {
		r.Kind, r.ID, r.Time, r.Error = "guild", "b", time.Unix(1_700_000_000, 0), "no"
		if _, err := q.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	return dir, q
}

// guildB is guild b as the database has it.
func guildB(t *testing.T, dir string) (version, epoch int64, name string) {
	t.Helper()
	for _, d := range allOf(t, dir) {
		if d.ID == "b" {
			return d.Version, d.Epoch, d.Body.Lookup("name").StringValue()
		}
	}
	return 0, 0, ""
}

func refusedFiles(t *testing.T, q *store.Quarantine) (n int) {
	t.Helper()
	for _, err := range q.List {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	return n
}

func TestWhatWasRefusedIsPutBackWhenTheReasonIsGone(t *testing.T) {
	dir, q := guilds(t, store.Refusal{Version: 4, Epoch: 2, Body: guildNamed(t, "red")})
	put := []string{"store", "quarantine", "-C", dir, "put", "guild/b"}
	_, told := skua(t, exitFailed, put...)
	wants(t, told, "guild/b stays where it is: store: duplicate", "by_name")
	if _, _, name := guildB(t, dir); name != "blue" || refusedFiles(t, q) != 1 {
		t.Errorf("the guild is %s, %d files", name, refusedFiles(t, q))
	}
	inStore(t, dir, func(db store.Backend) { // the name is free again
		err := applyOne(t.Context(), db, store.Write{Kind: "guild", ID: "a", Version: 1, Nonce: store.NewNonce(), Body: guildNamed(t, "green")})
		if err != nil {
			t.Fatal(err)
		}
	})
	out, _ := skua(t, exitDone, put...)
	wants(t, out, "guild/b  version 5  is put back\n")
	if version, epoch, name := guildB(t, dir); version != 5 || epoch != 2 || name != "red" || refusedFiles(t, q) != 0 {
		t.Errorf("the guild is %s, version %d, epoch %d, %d files", name, version, epoch, refusedFiles(t, q))
	}
	_, told = skua(t, exitFailed, put...)
	wants(t, told, "there is nothing of guild/b")
}

func TestADocumentThatHasMovedOnIsOnlyWrittenOverOnPurpose(t *testing.T) {
	for what, r := range map[string]store.Refusal{
		"written": {Version: 3, Epoch: 2, Body: guildNamed(t, "gold")},
		"opened":  {Version: 4, Epoch: 1, Body: guildNamed(t, "gold")},
	} {
		t.Run(what, func(t *testing.T) {
			dir, q := guilds(t, r)
			_, told := skua(t, exitFailed, "store", "quarantine", "-C", dir, "put", "guild/b")
			wants(t, told, "guild/b has moved on: the content was refused on top of version ", "and the database has version 4 in epoch 2; --force")
			if _, _, name := guildB(t, dir); name != "blue" || refusedFiles(t, q) != 1 {
				t.Errorf("the guild is %s", name)
			}
			skua(t, exitDone, "store", "quarantine", "-C", dir, "put", "guild/b", "--force")
			if version, epoch, name := guildB(t, dir); version != 5 || epoch != 2 || name != "gold" || refusedFiles(t, q) != 0 {
				t.Errorf("the guild is %s, version %d, epoch %d", name, version, epoch)
			}
		})
	}
}

func TestARunThatWasInterruptedIsFinishedByTheNext(t *testing.T) {
	dir, q := guilds(t, store.Refusal{Version: 3, Epoch: 2, Body: guildNamed(t, "blue")}) // was written, and the file not removed
	out, _ := skua(t, exitDone, "store", "quarantine", "-C", dir, "put", "guild/b")
	wants(t, out, "guild/b  version 4  is what the database has already\n")
	if version, _, _ := guildB(t, dir); version != 4 || refusedFiles(t, q) != 0 {
		t.Errorf("version %d", version)
	}
}

func TestOfSeveralRefusedContentsOneIsNamed(t *testing.T) {
	dir, q := guilds(t, store.Refusal{Version: 3, Epoch: 1, Body: guildNamed(t, "old")}, store.Refusal{Version: 4, Epoch: 2, Body: guildNamed(t, "new")})
	for _, verb := range []string{"put", "drop"} {
		_, told := skua(t, exitUsage, "store", "quarantine", "-C", dir, verb, "guild/b")
		wants(t, told, "guild/b is there more than once, in the epochs 1, 2: say --epoch")
		_, told = skua(t, exitFailed, "store", "quarantine", "-C", dir, verb, "guild/b", "--epoch", "7")
		wants(t, told, "there is nothing of guild/b in epoch 7")
	}
	out, _ := skua(t, exitDone, "store", "quarantine", "-C", dir, "drop", "guild/b", "--epoch", "1")
	wants(t, out, "guild/b  epoch 1  is dropped\n")
	skua(t, exitDone, "store", "quarantine", "-C", dir, "put", "guild/b")
	if version, _, name := guildB(t, dir); version != 5 || name != "new" || refusedFiles(t, q) != 0 {
		t.Errorf("the guild is %s, version %d", name, version)
	}
}
