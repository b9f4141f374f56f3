package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	engine "modernc.org/sqlite"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// player is a document of about 2 KB: 50 fields, one of which says n.
func player(n int) bson.D {
	d := make(bson.D, 50)
	for i := range d {
		d[i] = bson.E{Key: fmt.Sprintf("field%02d", i), Value: fmt.Sprintf("%026d", i)}
	}
	d[n%50].Value = fmt.Sprintf("%026d", n)
	return d
}

func marshal(tb testing.TB, d any) bson.Raw {
	tb.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// population is documents in a database and what was written of them last.
type population struct {
	db      store.Backend
	ids     []string
	version []int64
	bodies  [2]bson.Raw // each version has one or the other, which differ in one field
	patches [2]*store.Patch
}

func populate(tb testing.TB, db store.Backend, docs int) *population {
	tb.Helper()
	p := &population{db: db, ids: make([]string, docs), version: make([]int64, docs)}
	for i := range p.bodies {
		d := player(0)
		d[7].Value = fmt.Sprintf("%026d", i)
		p.bodies[i] = marshal(tb, d)
	}
	for i := range p.patches {
		if p.patches[i] = store.Diff(p.bodies[1-i], p.bodies[i]); p.patches[i] == nil || len(p.patches[i].Set) != 1 {
			tb.Fatalf("the patch is %+v", p.patches[i])
		}
	}
	for i := range p.ids {
		p.ids[i] = fmt.Sprint("p", i)
	}
	for from := 0; from < docs; from += 500 {
		p.must(tb, p.writes(from, min(from+500, docs), false))
	}
	return p
}

// writes are the next ones of some documents, whole or as patches.
func (p *population) writes(from, to int, patch bool) []store.Write {
	batch := make([]store.Write, 0, to-from)
	for i := from; i < to; i++ {
		batch = append(batch, p.write(i, patch))
	}
	return batch
}

func (p *population) write(i int, patch bool) store.Write {
	version := p.version[i]
	p.version[i]++
	w := store.Write{Kind: "player", ID: p.ids[i], Version: version, Epoch: 1, Nonce: store.NewNonce(), Body: p.bodies[version%2]}
	if patch {
		w.Patch = p.patches[version%2]
	}
	return w
}

func (p *population) must(tb testing.TB, writes []store.Write) {
	tb.Helper()
	errs, err := p.db.Apply(context.Background(), writes)
	if err != nil {
		tb.Fatal(err)
	}
	for _, err := range errs {
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// bare is the engine without us: the same rows, the same settings.
type bare struct {
	db                    *sql.DB
	begin, commit, update *sql.Stmt
	read                  *sql.Stmt
}

func openBare(tb testing.TB, docs int, body bson.Raw) *bare {
	tb.Helper()
	connector, err := engine.NewConnector("file:" + filepath.Join(tb.TempDir(), "bare.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		tb.Fatal(err)
	}
	b := &bare{db: sql.OpenDB(connector)}
	b.db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = b.db.Close() })
	b.exec(tb, `CREATE TABLE docs (kind TEXT NOT NULL, id TEXT NOT NULL, ver INTEGER NOT NULL, epoch INTEGER NOT NULL, nonce INTEGER NOT NULL, body BLOB,
		PRIMARY KEY (kind, id)) STRICT`)
	b.exec(tb, `BEGIN`)
	for i := range docs {
		b.exec(tb, `INSERT INTO docs VALUES ('player', ?, 0, 1, ?, ?)`, fmt.Sprint("p", i), store.NewNonce(), []byte(body))
	}
	b.exec(tb, `COMMIT`)
	prepare := func(text string) *sql.Stmt {
		stmt, err := b.db.Prepare(text)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = stmt.Close() })
		return stmt
	}
	b.begin, b.commit = prepare(`BEGIN IMMEDIATE`), prepare(`COMMIT`)
	b.update = prepare(`UPDATE docs SET ver = ver + 1, epoch = ?3, nonce = ?4, body = ?5 WHERE kind = ?1 AND id = ?2`)
	b.read = prepare(`SELECT ver, epoch, body FROM docs WHERE kind = ? AND id = ?`)
	return b
}

func (b *bare) exec(tb testing.TB, text string, args ...any) {
	tb.Helper()
	if _, err := b.db.ExecContext(context.Background(), text, args...); err != nil {
		tb.Fatal(err)
	}
}

// write writes whole documents in one transaction.
func (b *bare) write(tb testing.TB, from, to int, body bson.Raw) {
	tb.Helper()
	if _, err := b.begin.Exec(); err != nil {
		tb.Fatal(err)
	}
	for i := from; i < to; i++ {
		if _, err := b.update.Exec("player", fmt.Sprint("p", i), 1, store.NewNonce(), []byte(body)); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := b.commit.Exec(); err != nil {
		tb.Fatal(err)
	}
}

const benchDocs = 10_000

// BenchmarkSaveBulk: how many documents of 2 KB a second, written whole and as patches in batches of 500, beside the bare
// engine in transactions of 500?
func BenchmarkSaveBulk(b *testing.B) {
	rate := func(b *testing.B, write func(from, to int)) {
		b.Helper()
		b.ReportAllocs()
		docs := 0
		for from := 0; b.Loop(); from = (from + 500) % benchDocs {
			write(from, from+500)
			docs += 500
		}
		b.ReportMetric(float64(docs)/b.Elapsed().Seconds(), "docs/s")
	}
	b.Run("bare", func(b *testing.B) {
		body := marshal(b, player(0))
		engine := openBare(b, benchDocs, body)
		rate(b, func(from, to int) { engine.write(b, from, to, body) })
	})
	for _, patch := range []bool{false, true} {
		b.Run(map[bool]string{false: "whole", true: "patches"}[patch], func(b *testing.B) {
			p := populate(b, open(b, b.TempDir()), benchDocs)
			rate(b, func(from, to int) { p.must(b, p.writes(from, to, patch)) })
		})
	}
}

// BenchmarkCommit: how long does one of so many writers, who each wait for theirs, wait for a commit of one field of a
// document of 2 KB, beside one bare write of such a document, and how many commits a second is that?
func BenchmarkCommit(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		body := marshal(b, player(0))
		engine := openBare(b, 1000, body)
		n := 0
		measure(b, 1, func(int) { engine.write(b, n%1000, n%1000+1, body); n++ })
	})
	for _, patch := range []bool{false, true} {
		for _, writers := range []int{1, 16, 100} {
			b.Run(fmt.Sprintf("%s/writers=%d", map[bool]string{false: "whole", true: "patches"}[patch], writers), func(b *testing.B) {
				p := populate(b, open(b, b.TempDir()), 1000)
				measure(b, writers, func(i int) { p.must(b, []store.Write{p.write(i, patch)}) })
			})
		}
	}
}

// measure has writers that each do b.N/writers times what they have to, and reports the middle of their times.
func measure(b *testing.B, writers int, do func(writer int)) {
	b.Helper()
	times := make([][]time.Duration, writers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for range b.N/writers + 1 {
				began := time.Now()
				do(w)
				times[w] = append(times[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkLoad: how long does it take to load a document of 2 KB whose row is new, and one with some 16 patches in the log,
// beside the bare engine?
func BenchmarkLoad(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		engine := openBare(b, benchDocs, marshal(b, player(0)))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			var version, epoch int64
			var body []byte
			if err := engine.read.QueryRow("player", fmt.Sprint("p", i%benchDocs)).Scan(&version, &epoch, &body); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, patches := range []int{0, 16} {
		b.Run(fmt.Sprint("patches=", patches), func(b *testing.B) {
			p := populate(b, open(b, b.TempDir()), benchDocs)
			for range patches {
				for from := 0; from < benchDocs; from += 500 {
					p.must(b, p.writes(from, from+500, true))
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := p.db.Load(context.Background(), "player", p.ids[i%benchDocs]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// written is what this process has written to files so far.
func written(tb testing.TB) int64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		tb.Skip("no /proc/self/io here: ", err)
	}
	_, rest, _ := strings.Cut(string(text), "\nwchar: ")
	var n int64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// perSave is how many bytes are written for each of so many saves, the last checkpoint included.
func perSave(tb testing.TB, docs, rounds int, patch bool) float64 {
	tb.Helper()
	db := open(tb, tb.TempDir())
	p := populate(tb, db, docs)
	order := rand.New(rand.NewPCG(3, 4)).Perm(docs) // neighbours share pages
	before := written(tb)
	for range rounds {
		for batch := range slices.Chunk(order, 500) {
			writes := make([]store.Write, 0, len(batch))
			for _, i := range batch {
				writes = append(writes, p.write(i, patch))
			}
			p.must(tb, writes)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return float64(written(tb)-before) / float64(docs*rounds)
}

// Documents of 2 KB with one of 50 fields changed, checkpoints included.
func TestPatchesWriteLessThanAFifthOfTheBytes(t *testing.T) {
	whole, patches := perSave(t, 400, 5, false), perSave(t, 400, 48, true)
	t.Logf("%.0f bytes for a save as a patch, %.0f for a whole one: %.1f %%", patches, whole, 100*patches/whole)
	if patches > whole/5 {
		t.Fatal("that is more than a fifth")
	}
}

// BenchmarkAutosave: how many bytes are written for each save of one of 10,000 documents of 2 KB with one of 50 fields changed,
// whole and as a patch, checkpoints included?
func BenchmarkAutosave(b *testing.B) {
	for _, patch := range []bool{false, true} {
		b.Run(map[bool]string{false: "whole", true: "patches"}[patch], func(b *testing.B) {
			rounds := b.N
			if patch {
				rounds += 64
			}
			b.ReportMetric(perSave(b, benchDocs, rounds, patch), "B/save")
		})
	}
}

// BenchmarkReopen: how long does it take to open a file after a crash, whose log is as long as it gets?
func BenchmarkReopen(b *testing.B) {
	dir := b.TempDir()
	db := open(b, dir)
	p := populate(b, db, benchDocs)
	for range 40 {
		for from := 0; from < benchDocs; from += 500 {
			p.must(b, p.writes(from, from+500, true))
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
