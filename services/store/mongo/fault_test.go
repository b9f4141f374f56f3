package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

func write(tb testing.TB, id string, version, epoch int64) store.Write {
	tb.Helper()
	body, err := bson.Marshal(bson.D{{Key: "n", Value: version + 1}})
	if err != nil {
		tb.Fatal(err)
	}
	return store.Write{Kind: "player", ID: id, Version: version, Epoch: epoch, Nonce: store.NewNonce(), Body: body}
}

// A connection is cut after the server has done the work and before the driver hears so. The driver may not repeat
// updates on a server that stands alone, so the caller is told, and its retry must not count twice nor conflict.
func TestRetryAfterACutConnectionComesOutRight(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	db := open(t, mongo.Options{URI: p.URI()})
	ctx := context.Background()
	batches := [][]store.Write{
		{write(t, "a", 0, 1)}, // a new document: an upsert
		{write(t, "a", 1, 1)}, // an update
		{write(t, "a", 2, 1), write(t, "b", 0, 1), write(t, "stale", 4, 1)}, // a batch in which one fails
		{{Kind: "player", ID: "a", Version: 3, Epoch: 1, Nonce: store.NewNonce(), Delete: true}},
		{write(t, "free", 0, 0)}, // a document without an owner
	}
	for i, batch := range batches {
		p.CutAfter("update")
		_, err := db.Apply(ctx, batch)
		if !store.Retryable(err) {
			t.Fatalf("batch %d: the cut gave %v, want one that is retryable", i, err)
		}
		if p.Cuts() != i+1 {
			t.Fatalf("batch %d: %d connections were cut", i, p.Cuts())
		}
		errs, err := db.Apply(ctx, batch)
		if err != nil {
			t.Fatalf("batch %d: the retry gave %v", i, err)
		}
		for j, err := range errs {
			if stale := batch[j].ID == "stale"; stale != errors.Is(err, store.ErrConflict) || !stale && err != nil {
				t.Errorf("batch %d, write %d: the retry gave %v", i, j, err)
			}
		}
	}
	for id, version := range map[string]int64{"a": 4, "b": 1, "free": 1, "stale": 0} {
		doc, err := db.Load(ctx, "player", id)
		if doc.Version != version || (err == nil) != (id == "b" || id == "free") {
			t.Errorf("%s: version %d, %v; want version %d", id, doc.Version, err, version)
		}
	}
}

func TestClaimAfterACutConnectionIsOwnership(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	db := open(t, mongo.Options{URI: p.URI()})
	p.CutAfter("findAndModify")
	if _, err := db.Claim(context.Background(), "player", "x", 0); !store.Retryable(err) || p.Cuts() != 1 {
		t.Fatalf("the cut gave %v", err)
	}
	doc, err := db.Claim(context.Background(), "player", "x", 0)
	if err != nil || doc.Epoch != 2 { // the first one got in as well, and nobody holds its epoch
		t.Fatalf("%+v, %v", doc, err)
	}
}

func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	server := ferrettest.Start(t)
	db := open(t, mongo.Options{URI: server.URI(), Timeout: 2 * time.Second})
	ctx := t.Context()
	const kills, each = 3, 30
	version := int64(0)
	for kill := range kills {
		killed := make(chan struct{})
		begin := make(chan struct{})
		go func() { // races with the writes on purpose
			<-begin
			server.Kill()
			close(killed)
		}()
		failed := 0
		for i := range each {
			w := write(t, "x", version, 1)
			if i == each/2 {
				close(begin)
			}
			for attempt := 0; ; attempt++ {
				errs, err := db.Apply(ctx, []store.Write{w})
				if err == nil && errs[0] == nil {
					version++
					break
				}
				if err == nil {
					t.Fatalf("kill %d, write %d, attempt %d: %v", kill, i, attempt, errs[0])
				}
				if !store.Retryable(err) || attempt > 10 {
					t.Fatal(err)
				}
				if failed++; failed == 1 {
					<-killed
					server.Restart(t)
				}
			}
		}
		<-killed
		if failed == 0 { // all writes were faster than the kill
			server.Restart(t)
		}
		t.Logf("kill %d: %d calls failed on the way", kill, failed)
	}
	for attempt := 0; ; attempt++ {
		doc, err := db.Load(ctx, "player", "x")
		if store.Retryable(err) && attempt < 10 {
			continue // the connection that the last kill has cut
		}
		if err != nil || doc.Version != kills*each || doc.Body.Lookup("n").Int64() != kills*each {
			t.Fatalf("%+v, %v; want version %d", doc, err, kills*each)
		}
		return
	}
}

func TestAbsentServerIsRetryableWithinTheTimeout(t *testing.T) {
	addr := freeport.TCP(t, 1)[0]
	const timeout = 300 * time.Millisecond
	db := open(t, mongo.Options{URI: "mongodb://root:hunter2@" + addr + "/", Timeout: timeout})
	ctx := context.Background()
	for what, call := range map[string]func() error{
		"ping":  func() error { return db.Ping(ctx) },
		"load":  func() error { _, err := db.Load(ctx, "player", "x"); return err },
		"claim": func() error { _, err := db.Claim(ctx, "player", "x", 0); return err },
		"apply": func() error { _, err := db.Apply(ctx, []store.Write{write(t, "x", 0, 0)}); return err },
	} {
		begun := time.Now()
		err := call()
		if !store.Retryable(err) || !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), addr) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", what, err)
		}
		if took := time.Since(begun); took > 20*time.Second { // the driver would wait for 30 s
			t.Errorf("%s took %v", what, took)
		}
	}
}

func TestMajorityAndJournalAreAskedForWhateverTheURISays(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	db := open(t, mongo.Options{URI: p.URI() + "&w=1&journal=false&readPreference=secondary&readConcernLevel=local"})
	ctx := context.Background()
	if _, err := db.Apply(ctx, []store.Write{write(t, "x", 0, 0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Load(ctx, "player", "x"); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]bson.D{
		"writeConcern": {{Key: "w", Value: "majority"}, {Key: "j", Value: true}},
		"readConcern":  {{Key: "level", Value: "majority"}},
	} {
		raw, err := bson.Marshal(bson.D{{Key: name, Value: doc}})
		if err != nil {
			t.Fatal(err)
		}
		if !p.Said(raw[4 : len(raw)-1]) {
			t.Errorf("no command had %s %v", name, doc)
		}
	}
	if p.Said([]byte("secondary")) {
		t.Error("a secondary was asked for")
	}
}

func TestForeignDocumentsAreReportedNotOverwritten(t *testing.T) {
	server := ferrettest.Start(t)
	raw := client(t, server.URI()).Database("skua").Collection("player")
	ctx := context.Background()
	for id, doc := range map[string]bson.D{
		"bare": {{Key: "gold", Value: 1}},
		"odd":  {{Key: "ver", Value: 1}, {Key: "epoch", Value: 0}, {Key: "body", Value: "text"}},
	} {
		if _, err := raw.InsertOne(ctx, append(bson.D{{Key: "_id", Value: id}}, doc...)); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, mongo.Options{URI: server.URI()})
	for _, id := range []string{"bare", "odd"} {
		if _, err := db.Load(ctx, "player", id); err == nil || store.Retryable(err) || !strings.Contains(err.Error(), "player/"+id) {
			t.Errorf("load %s: got %v", id, err)
		}
	}
	errs, err := db.Apply(ctx, []store.Write{write(t, "bare", 0, 1), write(t, "other", 0, 1)})
	if err != nil || errs[0] == nil || store.Retryable(errs[0]) || !strings.Contains(errs[0].Error(), "player/bare") {
		t.Errorf("a batch with a foreign document: %v, %v", errs, err)
	}
	if errs[1] != nil && !store.Retryable(errs[1]) { // FerretDB stops at the first error of a command
		t.Errorf("the document beside it: %v", errs[1])
	}
	var kept bson.D
	if err := raw.FindOne(ctx, bson.D{{Key: "_id", Value: "bare"}}).Decode(&kept); err != nil || kept.String() != (bson.D{{Key: "_id", Value: "bare"}, {Key: "gold", Value: int32(1)}}).String() {
		t.Errorf("the foreign document is %v, %v", kept, err)
	}
}
