package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/skua-go/skua/services/store"
)

// readers are what the connections that only read run.
type readers struct{ load, byNumber, ids, span, upward, downward, kind *sql.Stmt }

func (s *readers) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range s.texts() {
		stmt, err := db.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // close does
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

func (s *readers) texts() []prepared {
	// Of a query's documents those with content are told by their entry: others have none.
	const found = `SELECT e.key, e.doc, d.id FROM entries e JOIN docs d ON d.doc = e.doc WHERE e.num = ? AND e.key >= ? AND e.key < ? ORDER BY e.key `
	return []prepared{
		{&s.load, `SELECT doc, ver, epoch, body FROM docs WHERE kind = ? AND id = ?`},
		{&s.byNumber, `SELECT doc, ver, epoch, body FROM docs WHERE doc = ?`},
		{&s.ids, `SELECT id FROM docs WHERE kind = ? AND id > ? ORDER BY id LIMIT ?`},
		{&s.span, `SELECT id, doc, ver, epoch, body FROM docs WHERE kind = ? AND id > ? AND id <= ? ORDER BY id`},
		{&s.upward, found + `LIMIT ?`},
		{&s.downward, found + `DESC LIMIT ?`},
		{&s.kind, `SELECT kind FROM docs WHERE kind > ? ORDER BY kind LIMIT 1`},
	}
}

func (s *readers) close() error {
	var errs []error
	for _, p := range s.texts() {
		if *p.stmt != nil {
			errs = append(errs, (*p.stmt).Close())
		}
	}
	return errors.Join(errs...)
}

// Load implements store.Backend.
func (db *DB) Load(ctx context.Context, kind, id string) (store.Doc, error) {
	if err := store.CheckName(kind, id); err != nil {
		return store.Doc{}, err
	}
	if !db.calls.Enter() {
		return store.Doc{}, store.ErrClosed
	}
	defer db.calls.Leave()
	h, known := db.heads.get(name{kind, id}) // before the row: see heads
	doc, err := readRow(db.reads.load.QueryRowContext(ctx, kind, id), store.Doc{Kind: kind, ID: id}, h, known)
	if err != nil {
		return store.Doc{}, classify(ctx, "load "+store.Name(kind, id), err)
	}
	if !doc.Exists() {
		return doc, fmt.Errorf("%w: %s", store.ErrNotFound, store.Name(kind, id))
	}
	return doc, nil
}

// readRow makes a document of its row, if there is one, and of the head that it had before the row was read.
func readRow(row *sql.Row, doc store.Doc, h head, known bool) (store.Doc, error) {
	var num int64
	if err := some(row.Scan(&num, &doc.Version, &doc.Epoch, (*[]byte)(&doc.Body))); err != nil {
		return doc, err
	}
	return h.onto(num, doc, known)
}

// onto applies a head to the row that was read after it.
func (h *head) onto(num int64, doc store.Doc, known bool) (store.Doc, error) {
	if !known || !h.above(num, doc.Version, doc.Epoch) {
		return doc, nil
	}
	if doc.Version != h.base {
		return doc, fmt.Errorf("%s: the row is at version %d, the log goes on from %d", store.Name(doc.Kind, doc.ID), doc.Version, h.base)
	}
	body, err := fold(doc.Kind, doc.ID, doc.Body, h.chain)
	doc.Version, doc.Epoch, doc.Body = h.version, h.epoch, body
	return doc, err
}

// some makes no error of no row.
func some(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// LoadFields implements store.Backend.
func (db *DB) LoadFields(ctx context.Context, kind, id string, fields []string) (store.Doc, error) {
	if err := store.CheckFields(fields); err != nil {
		return store.Doc{}, err
	}
	doc, err := db.Load(ctx, kind, id)
	if err != nil {
		return doc, err
	}
	doc.Body, err = store.Project(doc.Body, fields)
	return doc, err
}

// Kinds implements store.Backend. The time depends on the number of kinds, not of documents.
func (db *DB) Kinds(ctx context.Context) ([]string, error) {
	if !db.calls.Enter() {
		return nil, store.ErrClosed
	}
	defer db.calls.Leave()
	var kinds []string
	for last := ""; ; kinds = append(kinds, last) {
		err := db.reads.kind.QueryRowContext(ctx, last).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return kinds, nil
		}
		if err != nil {
			return nil, classify(ctx, "kinds", err)
		}
	}
}

// readAtOnce is how many documents are looked up together.
const readAtOnce = 256

// Scan implements store.Backend.
func (db *DB) Scan(ctx context.Context, kind, after string, limit int) ([]store.Doc, error) {
	if err := store.CheckScan(kind, after, limit); err != nil {
		return nil, err
	}
	if !db.calls.Enter() {
		return nil, store.ErrClosed
	}
	defer db.calls.Leave()
	a := answer{limit: limit}
	for !a.full() {
		ids, err := db.idsAfter(ctx, kind, after, min(readAtOnce, limit-len(a.docs)))
		if err == nil && len(ids) > 0 {
			err = db.scanSpan(ctx, kind, after, ids, &a)
			after = ids[len(ids)-1]
		}
		if err != nil {
			return nil, classify(ctx, "scan "+kind, err)
		}
		if len(ids) == 0 {
			break
		}
	}
	return a.docs, nil
}

// answer is the documents that a Scan or Find has so far.
type answer struct {
	docs  []store.Doc
	limit int
	bytes int
}

func (a *answer) full() bool { return len(a.docs) >= a.limit || a.bytes >= store.MaxAnswer }

func (a *answer) add(doc store.Doc) {
	a.docs = append(a.docs, doc)
	a.bytes += len(doc.Body)
}

func (db *DB) idsAfter(ctx context.Context, kind, after string, limit int) ([]string, error) {
	rows, err := db.reads.ids.QueryContext(ctx, kind, after, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	ids := make([]string, 0, limit)
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// scanSpan adds the documents from behind an id up to the last of ids. One that is made meanwhile may be among them, as
// it was when it was made.
func (db *DB) scanSpan(ctx context.Context, kind, after string, ids []string, a *answer) error {
	heads := map[string]head{}
	for _, id := range ids {
		if h, known := db.heads.get(name{kind, id}); known {
			heads[id] = h
		}
	}
	rows, err := db.reads.span.QueryContext(ctx, kind, after, ids[len(ids)-1])
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for !a.full() && rows.Next() {
		doc := store.Doc{Kind: kind}
		var num int64
		if err := rows.Scan(&doc.ID, &num, &doc.Version, &doc.Epoch, (*[]byte)(&doc.Body)); err != nil {
			return err
		}
		h, known := heads[doc.ID]
		if doc, err = h.onto(num, doc, known); err != nil {
			return err
		}
		if doc.Exists() {
			a.add(doc)
		}
	}
	return rows.Err()
}

// found is a document in an index.
type found struct {
	key []byte
	num int64
	store.Doc
}

// Find implements store.Backend.
func (db *DB) Find(ctx context.Context, q store.Query) ([]store.Doc, error) {
	if !db.calls.Enter() {
		return nil, store.ErrClosed
	}
	defer db.calls.Leave()
	var declared []declaredIndex
	if list := db.declared.Load(); list != nil {
		declared = *list
	}
	indexes := make([]store.Index, len(declared))
	for i := range declared {
		indexes[i] = declared[i].Index
	}
	plan, err := q.Plan(indexes)
	if err != nil {
		return nil, err
	}
	num := declared[slices.IndexFunc(declared, func(x declaredIndex) bool { return x.Kind == plan.Index.Kind && x.Name == plan.Index.Name })].num
	f := finder{db: db, plan: plan, num: num, bounds: boundsOf(&q, &plan), answer: answer{limit: q.Limit}}
	docs, err := f.run(ctx)
	if err != nil {
		return nil, classify(ctx, "find "+q.Kind, err)
	}
	for i := range docs {
		if docs[i].Body, err = store.Project(docs[i].Body, q.Fields); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// finder is a Find under way.
type finder struct {
	db   *DB
	plan store.Plan
	num  int64
	bounds
	answer
}

func (f *finder) run(ctx context.Context) ([]store.Doc, error) {
	for !f.full() {
		page, err := f.page(ctx, min(readAtOnce, f.limit-len(f.docs)))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		if err := f.take(ctx, page); err != nil {
			return nil, err
		}
		if last := page[len(page)-1].key; f.plan.Reverse {
			f.hi = last
		} else {
			f.lo = slices.Concat(last, []byte{0})
		}
	}
	return f.docs, nil
}

// page finds the next documents in the index.
func (f *finder) page(ctx context.Context, limit int) ([]found, error) {
	stmt := f.db.reads.upward
	if f.plan.Reverse {
		stmt = f.db.reads.downward
	}
	rows, err := stmt.QueryContext(ctx, f.num, f.lo, f.hi, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	page := make([]found, 0, limit)
	for rows.Next() {
		d := found{Doc: store.Doc{Kind: f.plan.Index.Kind}}
		if err := rows.Scan(&d.key, &d.num, &d.ID); err != nil {
			return nil, err
		}
		page = append(page, d)
	}
	return page, rows.Err()
}

// take reads the documents of a page. Since the page was read some may have changed: those that are no longer in the
// bounds are left out.
func (f *finder) take(ctx context.Context, page []found) error {
	for _, d := range page {
		if f.full() {
			return nil
		}
		h, known := f.db.heads.get(name{d.Kind, d.ID})
		doc, err := readRow(f.db.reads.byNumber.QueryRowContext(ctx, d.num), d.Doc, h, known)
		if err != nil {
			return err
		}
		if doc.Exists() && f.has(doc) {
			f.add(doc)
		}
	}
	return nil
}

func (f *finder) has(doc store.Doc) bool {
	values, in, err := f.plan.Index.Key(doc.Kind, doc.ID, doc.Body)
	if err != nil || !in {
		return false
	}
	key := string(append(keyOf(f.plan.Index, values), doc.ID...))
	return key >= string(f.lo) && key < string(f.hi)
}

// Ping implements store.Backend.
func (db *DB) Ping(ctx context.Context) error {
	if !db.calls.Enter() {
		return store.ErrClosed
	}
	defer db.calls.Leave()
	var one int
	if err := db.read.QueryRowContext(ctx, `SELECT 1 FROM sqlite_schema LIMIT 1`).Scan(&one); err != nil {
		return classify(ctx, "ping", err)
	}
	return nil
}
