package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// storeProject is a project with an embedded store that has these documents.
func storeProject(t *testing.T, docs ...store.Doc) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "skua.toml"), "name = \"moving\"\n")
	put(t, filepath.Join(dir, "scripts", "main.lua"), "")
	if len(docs) > 0 {
		inStore(t, dir, func(db store.Backend) {
			results, err := db.Import(t.Context(), docs)
			if err != nil {
				t.Fatal(err)
			}
			for i, err := range results {
				if err != nil {
					t.Fatalf("%s: %v", docs[i].ID, err)
				}
			}
		})
	}
	return dir
}

func inStore(t *testing.T, dir string, f func(db store.Backend)) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "data"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	f(db)
}

// allOf reads all that a project's store has.
func allOf(t *testing.T, dir string) (all []store.Doc) {
	t.Helper()
	inStore(t, dir, func(db store.Backend) {
		kinds, err := db.Kinds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range kinds {
			err := scan(t.Context(), db, kind, func(docs []store.Doc) error {
				all = append(all, docs...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	return all
}

func equalDocs(t *testing.T, got, want []store.Doc) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d documents, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Kind != w.Kind || g.ID != w.ID || g.Version != w.Version || g.Epoch != w.Epoch || !bytes.Equal(g.Body, w.Body) {
			t.Errorf("%s/%s: got version %d, epoch %d, %v; want %d, %d, %v", w.Kind, w.ID, g.Version, g.Epoch, g.Body, w.Version, w.Epoch, w.Body)
		}
	}
}

// skua runs a command and wants its exit code; it returns what it wrote.
func skua(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	out, errs := newWatched(), newWatched() // a node's goroutines write to them, too
	if got := run(t.Context(), args, out, errs); got != code {
		t.Fatalf("skua %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.text(), errs.text())
	}
	return out.text(), errs.text()
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

func body(t *testing.T, d bson.D) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// someDocs are of three kinds, of many types, more than one page.
func someDocs(t *testing.T) []store.Doc {
	t.Helper()
	docs := []store.Doc{
		{Kind: "guild", ID: "red", Version: 7, Epoch: 3, Body: body(t, bson.D{{Key: "name", Value: "Red"}, {Key: "members", Value: bson.A{"ann", int64(2)}}})},
		{Kind: "mail", ID: "a b/ü", Version: 1, Body: body(t, bson.D{
			{Key: "sent", Value: time.UnixMilli(1_700_000_000_123)}, {Key: "id", Value: bson.NewObjectID()}, {Key: "nothing", Value: nil},
		})},
	}
	for i := range scanPage + 10 {
		docs = append(docs, store.Doc{Kind: "player", ID: fmt.Sprintf("p%05d", i), Version: int64(i + 1), Epoch: int64(i % 5), Body: body(t, bson.D{
			{Key: "gold", Value: int64(math.MaxInt64 - i)}, {Key: "hp", Value: 0.1 * float64(i)}, {Key: "save", Value: bson.Binary{Data: bytes.Repeat([]byte{byte(i)}, 40)}},
		})})
	}
	return docs
}

func TestWhatWasExportedAndImportedIsEqual(t *testing.T) {
	docs := someDocs(t)
	from, to := storeProject(t, docs...), storeProject(t)
	file := filepath.Join(t.TempDir(), "all.skua")
	_, told := skua(t, exitDone, "store", "export", "-C", from, file)
	wants(t, told, "exported "+strconv.Itoa(len(docs))+" documents")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: players are for this user only", info.Mode(), err)
	}
	_, told = skua(t, exitDone, "store", "import", "-C", to, file)
	wants(t, told, "imported "+strconv.Itoa(len(docs))+" documents")
	equalDocs(t, allOf(t, to), docs)

	// The same content is the same file.
	out, _ := skua(t, exitDone, "store", "export", "-C", to, "-")
	if text, err := os.ReadFile(file); err != nil || string(text) != out {
		t.Errorf("another export of the same documents is different: %v", err)
	}
	skua(t, exitFailed, "store", "export", "-C", to, file) // it is there already
}

func TestAnExportOfSomeKindsHasTheseOnly(t *testing.T) {
	docs := someDocs(t)
	from, to := storeProject(t, docs...), storeProject(t)
	file := filepath.Join(t.TempDir(), "some.skua")
	skua(t, exitDone, "store", "export", "-C", from, "--kind", "mail", "--kind", "guild", "--kind", "mail", "--kind", "none", file)
	skua(t, exitDone, "store", "import", "-C", to, file)
	equalDocs(t, allOf(t, to), docs[:2])
}

func TestAnImportIntoDocumentsNeedsMergeAndLeavesThem(t *testing.T) {
	docs := someDocs(t)
	mine := store.Doc{Kind: "player", ID: "p00003", Version: 90, Epoch: 9, Body: body(t, bson.D{{Key: "mine", Value: true}})}
	from, to := storeProject(t, docs...), storeProject(t, mine)
	file := filepath.Join(t.TempDir(), "all.skua")
	skua(t, exitDone, "store", "export", "-C", from, file)
	_, told := skua(t, exitFailed, "store", "import", "-C", to, file)
	wants(t, told, "the database has documents, player/p00003 for one; --merge")
	equalDocs(t, allOf(t, to), []store.Doc{mine})
	for range 2 { // the second finds all there, as an import that was interrupted does
		_, told = skua(t, exitDone, "store", "import", "-C", to, "--merge", file)
		wants(t, told, "player/p00003 is there already", "\n1 documents were there already")
	}
	docs[2+3] = mine
	equalDocs(t, allOf(t, to), docs)
}

func TestAFileThatWasCutIsNamedAndNothingOfItIsImported(t *testing.T) {
	from, to := storeProject(t, someDocs(t)[:12]...), storeProject(t)
	out, _ := skua(t, exitDone, "store", "export", "-C", from, "-")
	file := filepath.Join(t.TempDir(), "cut.skua")
	for cut := range len(out) {
		err := (&importer{err: &bytes.Buffer{}}).check(strings.NewReader(out[:cut]))
		if err == nil {
			t.Fatalf("cut to %d of %d bytes: no error", cut, len(out))
		}
		if cut > 50 && (!strings.Contains(err.Error(), "it was cut") || !strings.Contains(err.Error(), "damaged at byte ")) {
			t.Fatalf("cut to %d of %d bytes: %v", cut, len(out), err)
		}
	}
	put(t, file, out[:len(out)/2])
	_, told := skua(t, exitFailed, "store", "import", "-C", to, file)
	wants(t, told, "damaged at byte ", ", behind player/p0000", "it was cut", "nothing was imported")
	if got := allOf(t, to); len(got) != 0 {
		t.Errorf("%d documents", len(got))
	}
	put(t, file, out+"x")
	_, told = skua(t, exitFailed, "store", "import", "-C", to, file)
	wants(t, told, "there is more")
}

func TestAChangedByteIsFoundWhereItIs(t *testing.T) {
	from, to := storeProject(t, someDocs(t)[:12]...), storeProject(t)
	out, _ := skua(t, exitDone, "store", "export", "-C", from, "-")
	for at := range len(out) {
		changed := []byte(out)
		changed[at] ^= 0x10
		if err := (&importer{err: &bytes.Buffer{}}).check(bytes.NewReader(changed)); err == nil {
			t.Fatalf("byte %d of %d was changed, and nobody saw it", at, len(out))
		}
	}
	file := filepath.Join(t.TempDir(), "changed.skua")
	put(t, file, strings.Replace(out, "Red", "Rex", 1))
	_, told := skua(t, exitFailed, "store", "import", "-C", to, file)
	wants(t, told, "damaged at byte 33, behind the header: the checksum of guild/red is ", "they were changed; nothing was imported")
	if got := allOf(t, to); len(got) != 0 {
		t.Errorf("%d documents", len(got))
	}
	put(t, file, "{}")
	_, told = skua(t, exitFailed, "store", "import", "-C", to, file)
	wants(t, told, "no file of `skua store export`")
}

func TestWhatComesThroughAPipeIsImportedUpToTheDamage(t *testing.T) {
	docs := someDocs(t)[:12]
	from, to := storeProject(t, docs...), storeProject(t)
	out, _ := skua(t, exitDone, "store", "export", "-C", from, "-")
	pipe := func(code int, in string, args ...string) string {
		var errs bytes.Buffer
		root := newRootCommand(extension{})
		root.SetArgs(append([]string{"store", "import", "-C", to, "-"}, args...))
		root.SetIn(strings.NewReader(in))
		root.SetErr(&errs)
		if err := root.ExecuteContext(t.Context()); (err != nil) != (code != exitDone) {
			t.Fatal(err)
		} else if err != nil {
			return err.Error()
		}
		return errs.String()
	}
	wants(t, pipe(exitFailed, out[:len(out)-3]), "it was cut; 12 documents were imported before, the same command with --merge goes on")
	wants(t, pipe(exitDone, out, "--merge"), "imported 12 documents")
	equalDocs(t, allOf(t, to), docs)
}

func TestTheStoreOfARunningNodeIsNotOpened(t *testing.T) {
	dir := storeProject(t, someDocs(t)[:1]...)
	inStore(t, dir, func(store.Backend) {
		_, told := skua(t, exitFailed, "store", "export", "-C", dir, "-")
		wants(t, told, "in use", "stop it first")
	})
	_, told := skua(t, exitFailed, "store", "export", "-C", storeProject(t), "-")
	wants(t, told, "there is no embedded database in ")
}

func TestWrongUseOfStoreCommandsIsTold(t *testing.T) {
	dir := storeProject(t)
	for _, args := range [][]string{{"export"}, {"import"}, {"nothing"}, {"export", "a", "b"}, {"quarantine", "show", "player"}, {"quarantine", "other"}, {"quarantine", "put"}, {"quarantine", "drop", "player"}} {
		skua(t, exitUsage, append([]string{"store", "-C", dir}, args...)...)
	}
	skua(t, exitUsage, "store", "export", "-C", filepath.Join(dir, "nowhere"), "-")
}

func TestANodeWhoseUniqueIndexCanNotBeBuiltNamesBoth(t *testing.T) {
	named := func(id, name string) store.Doc {
		return store.Doc{Kind: "guild", ID: id, Version: 1, Body: body(t, bson.D{{Key: "name", Value: name}})}
	}
	dir := storeProject(t, named("a", "red"), named("b", "red"))
	put(t, filepath.Join(dir, "skua.toml"), "name = \"moving\"\n[store.indexes]\n\"guild.by_name\" = \"name (unique)\"\n")
	_, told := skua(t, exitFailed, "run", dir, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "off", "--listen-http", "off", "--admin", "off")
	wants(t, told, "store.indexes: ", "guild/a", "guild/b", "by_name")
}

func TestTheQuarantineIsShown(t *testing.T) {
	dir := storeProject(t)
	out, _ := skua(t, exitDone, "store", "quarantine", "-C", dir)
	wants(t, out, "nothing is in the quarantine")
	q, err := store.OpenQuarantine(filepath.Join(dir, "data", quarantineDir), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = q.Put(store.Refusal{
		Kind: "player", ID: "a/b", Version: 4, Epoch: 2, Time: time.Unix(1_700_000_000, 0), Error: "too good", Body: body(t, bson.D{{Key: "gold", Value: int64(5)}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"list"}} {
		out, _ = skua(t, exitDone, append([]string{"store", "quarantine", "-C", dir}, args...)...)
		wants(t, out, "2023-11-14T22:13:20Z  player/a/b  version 4  epoch 2  "+filepath.Join(dir, "data"), "\n    too good\n")
	}
	out, _ = skua(t, exitDone, "store", "quarantine", "-C", dir, "show", "player/a/b")
	wants(t, out, `"gold": 5`, `"error": "too good"`)
	_, told := skua(t, exitFailed, "store", "quarantine", "-C", dir, "show", "player/c")
	wants(t, told, "there is nothing of player/c")
	put(t, filepath.Join(dir, "data", quarantineDir, "broken.bson"), "broken")
	out, told = skua(t, exitFailed, "store", "quarantine", "-C", dir)
	wants(t, out, "player/a/b")
	wants(t, told, "broken.bson")
}

func FuzzExportReader(f *testing.F) {
	var file bytes.Buffer
	w, err := newExportWriter(&file)
	if err != nil {
		f.Fatal(err)
	}
	raw, _ := bson.Marshal(bson.D{{Key: "gold", Value: 1}})
	if err := w.add(store.Doc{Kind: "player", ID: "42", Version: 1, Body: raw}); err != nil {
		f.Fatal(err)
	}
	if err := w.end(); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("\xff\xff\xff\x7f\x02skua"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = (&importer{err: &bytes.Buffer{}}).check(bytes.NewReader(data))
	})
}

// A studio begins with the embedded store and moves to MongoDB, and back.
func TestDocumentsMoveFromTheEmbeddedStoreToMongoDBAndBack(t *testing.T) {
	db := ferrettest.Start(t)
	docs := someDocs(t)[:40]
	from, to := storeProject(t, docs...), storeProject(t)
	files := t.TempDir()
	first, second := filepath.Join(files, "first"), filepath.Join(files, "second")
	skua(t, exitDone, "store", "export", "-C", from, first)
	t.Setenv("SKUA_STORE_MONGO", db.URI())
	skua(t, exitDone, "store", "import", "-C", from, first)
	_, told := skua(t, exitFailed, "store", "import", "-C", from, first)
	wants(t, told, "the database has documents, guild/red for one")
	skua(t, exitDone, "store", "export", "-C", from, second)
	t.Setenv("SKUA_STORE_MONGO", "")
	skua(t, exitDone, "store", "import", "-C", to, second)
	equalDocs(t, allOf(t, to), docs)
}
