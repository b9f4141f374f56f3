package sqlite_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// canon has the keys of all documents in it in order, because a patched body may have them in another one.
func canon(tb testing.TB, body bson.Raw) bson.Raw {
	tb.Helper()
	var d bson.D
	if err := bson.Unmarshal(body, &d); err != nil {
		tb.Fatal(err)
	}
	return marshal(tb, sorted(d))
}

func sorted(v any) any {
	switch v := v.(type) {
	case bson.D:
		for i := range v {
			v[i].Value = sorted(v[i].Value)
		}
		slices.SortFunc(v, func(a, b bson.E) int { return cmp.Compare(a.Key, b.Key) })
	case bson.A:
		for i := range v {
			v[i] = sorted(v[i])
		}
	}
	return v
}

// model is what a document must be, and how its owner changes it.
type model struct {
	kind, id       string
	version, epoch int64
	fields         map[string]any // nil: no content
	body           bson.Raw       // as it was written last
}

func (m *model) raw(tb testing.TB) bson.Raw {
	tb.Helper()
	d := bson.D{}
	for _, key := range slices.Sorted(mapKeys(m.fields)) {
		d = append(d, bson.E{Key: key, Value: m.fields[key]})
	}
	return marshal(tb, d)
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// change changes some fields, as a game does: numbers, texts, a list that grows and shrinks, a document inside.
func (m *model) change(random *rand.Rand) {
	if m.fields == nil {
		m.fields = map[string]any{"name": m.id, "bag": bson.A{}, "in": bson.D{{Key: "x", Value: int64(0)}, {Key: "y", Value: "y"}}}
		for i := range 20 {
			m.fields[fmt.Sprint("f", i)] = int64(i)
		}
		return
	}
	for range 1 + random.IntN(3) {
		switch random.IntN(6) {
		case 0:
			delete(m.fields, fmt.Sprint("f", random.IntN(20)))
		case 1:
			bag, _ := m.fields["bag"].(bson.A)
			m.fields["bag"] = append(slices.Clone(bag), random.Int64())
		case 2:
			bag, _ := m.fields["bag"].(bson.A)
			m.fields["bag"] = slices.Clone(bag[:random.IntN(len(bag)+1)])
		case 3:
			m.fields["in"] = bson.D{{Key: "x", Value: random.Int64()}, {Key: "y", Value: "y"}}
		default:
			m.fields[fmt.Sprint("f", random.IntN(20))] = fmt.Sprint("v", random.Int64())
		}
	}
}

// next is the model's next write.
func (m *model) next(tb testing.TB, random *rand.Rand) store.Write {
	tb.Helper()
	w := store.Write{Kind: m.kind, ID: m.id, Version: m.version, Epoch: m.epoch, Nonce: store.NewNonce()}
	m.version++
	if m.fields != nil && random.IntN(40) == 0 {
		m.fields, m.body, w.Delete = nil, nil, true
		return w
	}
	had := m.body
	m.change(random)
	m.body = m.raw(tb)
	w.Body = m.body
	if had != nil && random.IntN(20) != 0 {
		w.Patch = store.Diff(had, m.body)
	}
	return w
}

func (m *model) check(tb testing.TB, db store.Backend) {
	tb.Helper()
	doc, err := db.Load(context.Background(), m.kind, m.id)
	m.same(tb, doc, err)
}

func (m *model) same(tb testing.TB, doc store.Doc, err error) {
	tb.Helper()
	if m.body == nil != errors.Is(err, store.ErrNotFound) || m.body != nil && err != nil {
		tb.Fatalf("%s: %v", m.id, err)
	}
	if doc.Version != m.version || doc.Epoch != m.epoch {
		tb.Fatalf("%s: version %d of epoch %d, want %d of %d", m.id, doc.Version, doc.Epoch, m.version, m.epoch)
	}
	if m.body != nil && !bytes.Equal(canon(tb, doc.Body), canon(tb, m.body)) {
		tb.Fatalf("%s, version %d:\ngot  %s\nwant %s", m.id, m.version, doc.Body, m.body)
	}
}

// Whatever is done to documents, in memory, in the log and in the rows they are one and the same: also after the file was
// opened again, and while the log is being shortened all the time.
func TestDocumentsAreTheirRowsAndTheLogTogether(t *testing.T) {
	for _, c := range []struct {
		name           string
		bytes, records int
	}{{"with a long log", 32 << 20, 1 << 17}, {"with a short log", 100_000, 1 << 17}, {"with few documents in the log", 32 << 20, 5}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			random := rand.New(rand.NewPCG(6, uint64(c.bytes+c.records)))
			models := make([]*model, 60)
			for i := range models {
				models[i] = &model{kind: []string{"player", "guild"}[i%2], id: fmt.Sprint("d", i)}
			}
			for range 3 {
				db := open(t, dir)
				if err := db.Limit(c.bytes, c.records); err != nil {
					t.Fatal(err)
				}
				for range 20 {
					some := models[random.IntN(40):] // those at the end more often
					live(t, db, some[:random.IntN(len(some)+1)], random)
				}
				checkAll(t, db, models)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			checkAll(t, open(t, dir), models)
		})
	}
}

// live writes some documents in a batch and gives some of them a new owner.
func live(t *testing.T, db *sqlite.DB, some []*model, random *rand.Rand) {
	t.Helper()
	writes := make([]store.Write, len(some))
	for i, m := range some {
		writes[i] = m.next(t, random)
	}
	for range 1 + random.IntN(2) { // the second time, all are retries
		errs, err := db.Apply(context.Background(), writes)
		if err := errors.Join(append(errs, err)...); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range some {
		if random.IntN(25) != 0 {
			continue
		}
		doc, err := db.Claim(context.Background(), m.kind, m.id, 0)
		if err != nil {
			t.Fatal(err)
		}
		m.epoch++
		if m.body == nil && len(doc.Body) == 0 {
			err = store.ErrNotFound
		}
		m.same(t, doc, err)
	}
}

// checkAll looks at all documents by each way of reading.
func checkAll(t *testing.T, db *sqlite.DB, models []*model) {
	t.Helper()
	byID := map[string]*model{}
	count := 0
	for _, m := range models {
		m.check(t, db)
		if byID[m.kind+m.id] = m; m.body != nil {
			count++
		}
	}
	for _, kind := range []string{"guild", "player"} {
		last := ""
		for {
			docs, err := db.Scan(context.Background(), kind, last, 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(docs) == 0 {
				break
			}
			for _, doc := range docs {
				if doc.ID <= last {
					t.Fatalf("%s comes behind %s", doc.ID, last)
				}
				last = doc.ID
				count--
				byID[kind+doc.ID].same(t, doc, nil)
			}
		}
	}
	if count != 0 {
		t.Fatalf("%d documents are missing in the scans", count)
	}
}

func TestLogStaysShort(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Limit(96<<10, 1<<17); err != nil {
		t.Fatal(err)
	}
	const docs, most = 300, 100
	p := populate(t, db, docs)
	longest := 0
	for round := range 16 {
		if round == 12 {
			if err := db.Limit(1<<20, most); err != nil {
				t.Fatal(err)
			}
		}
		p.must(t, p.writes(0, docs, true))
		bytes, documents, memory, err := db.Log()
		if err != nil {
			t.Fatal(err)
		}
		// What a transaction adds, and the piece that the log begins with, come on top.
		longest = max(longest, bytes)
		if bytes > 200<<10 || memory > bytes || round > 13 && documents > most+docs {
			t.Fatalf("round %d: the log has %d bytes of %d documents, %d in memory", round, bytes, documents, memory)
		}
	}
	if longest < 96<<10 {
		t.Fatalf("the log had %d bytes at most, so nothing had to make it shorter", longest)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.db = open(t, dir)
	p.must(t, p.writes(0, docs, true)) // all are at the version that was acknowledged
}

func TestReadersSeeEachVersionWhole(t *testing.T) {
	db := open(t, t.TempDir())
	if err := db.Limit(64<<10, 1<<17); err != nil {
		t.Fatal(err)
	}
	const docs, rounds = 8, 100
	write := func(version int64) {
		batch := make([]store.Write, docs)
		for i := range batch {
			w := store.Write{Kind: "player", ID: fmt.Sprint("d", i), Version: version, Nonce: store.NewNonce(), Body: numbered(version + 1)}
			if version > 0 {
				w.Patch = store.Diff(numbered(version), w.Body)
			}
			batch[i] = w
		}
		errs, err := db.Apply(context.Background(), batch)
		if err := errors.Join(append(errs, err)...); err != nil {
			t.Error(err)
		}
	}
	write(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			last := make([]int64, docs)
			for {
				select {
				case <-done:
					return
				default:
				}
				all, err := db.Scan(context.Background(), "player", "", docs)
				for i := range docs {
					doc, err := db.Load(context.Background(), "player", fmt.Sprint("d", i))
					if err != nil {
						t.Error(err)
						return
					}
					all = append(all, doc)
				}
				if err != nil || len(all) != 2*docs {
					t.Errorf("%d documents, %v", len(all), err)
					return
				}
				for i, doc := range all {
					n, m := doc.Body.Lookup("n").Int64(), doc.Body.Lookup("m").Int64()
					if n != doc.Version || m != doc.Version || n < last[i%docs] {
						t.Errorf("version %d says %d and %d, after %d", doc.Version, n, m, last[i%docs])
						return
					}
					last[i%docs] = n
				}
			}
		})
	}
	for version := range int64(rounds) {
		write(version + 1)
	}
	close(done)
	wg.Wait()
}

// Of a write with a patch only the patch is checked at once. What becomes a row is checked whole.
func TestNoRowIsWrittenOfABodyThatIsNone(t *testing.T) {
	db := open(t, t.TempDir())
	good, next := numbered(1), numbered(2)
	bad := bytes.Clone(next)
	bad[5] = '$' // its first key
	if err := apply(db, "x", 0); err != nil {
		t.Fatal(err)
	}
	if err := one(db, store.Write{Kind: "player", ID: "x", Version: 1, Epoch: 1, Nonce: store.NewNonce(), Delete: true}); err != nil {
		t.Fatal(err)
	}
	w := store.Write{Kind: "player", ID: "x", Version: 2, Epoch: 1, Nonce: store.NewNonce(), Body: bad, Patch: store.Diff(good, next)}
	if err := one(db, w); !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("a patch where there is no content: got %v", err)
	}
	if err := apply(db, "y", 0); err != nil {
		t.Fatal(err)
	}
	for version := int64(1); ; version++ {
		w.ID, w.Version, w.Nonce = "y", version, store.NewNonce()
		err := one(db, w)
		if errors.Is(err, store.ErrInvalid) {
			break
		}
		if err != nil || version > 200 {
			t.Fatalf("version %d: %v", version, err)
		}
	}
	doc, err := db.Load(context.Background(), "player", "y")
	if err != nil || doc.Body.Lookup("n").Int64() != 2 {
		t.Fatalf("%+v, %v", doc, err)
	}
}
