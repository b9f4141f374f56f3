package store_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func inSerial(t *testing.T, cfg store.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	inRig(t, cfg, func(db *faulty) store.Backend { return oneWriter{db} }, run)
}

// What would only wait behind the batch that is on its way gathers, and goes out together.
func TestADatabaseWithOneWriterHasOneBatchOfCommitsAtATime(t *testing.T) {
	inSerial(t, store.Config{}, func(t *testing.T, r *rig) {
		owners := r.players(5)
		hold := make(chan struct{})
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-hold
			return do()
		})
		var waiting []<-chan answer
		for i, o := range owners {
			waiting = append(waiting, o.begin(store.Commit{Kind: "player", ID: fmt.Sprint("p", i), Body: numbered(1)}))
		}
		pass(time.Second)
		if sent := r.db.sent(); len(sent) != 1 || len(sent[0].writes) != 1 {
			t.Fatalf("%d batches are on their way", len(sent))
		}
		close(hold)
		for _, a := range waiting {
			if a := <-a; a.err != nil {
				t.Error(a.err)
			}
		}
		if sent := r.db.sent(); len(sent) != 2 || len(sent[1].writes) != 4 {
			t.Errorf("%d batches, the last one of %d", len(sent), len(sent[len(sent)-1].writes))
		}
		for i := range owners {
			r.has(fmt.Sprint("p", i), 1)
		}
	})
}

func TestCommitsDoNotWaitForSavesBeforeADatabaseWithOneWriter(t *testing.T) {
	inSerial(t, store.Config{Autosave: 10 * time.Millisecond}, func(t *testing.T, r *rig) {
		owners := r.players(3)
		hold := make(chan struct{})
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			if writes[0].ID == "p0" {
				<-hold
			}
			return do()
		})
		owners[0].save("p0", 1)
		pass(time.Second)
		for n := 1; n < 4; n++ {
			owners[1].must(store.Commit{Kind: "player", ID: "p1", Body: numbered(n)})
		}
		owners[2].save("p2", 1)
		pass(time.Second)
		if n := len(r.db.writes("p2")); n != 0 {
			t.Errorf("%d saves do not wait for the batch that is under way", n)
		}
		close(hold)
		pass(time.Second)
		r.has("p0", 1)
		r.has("p1", 3)
		r.has("p2", 1)
	})
}

// A commit that waits while the service stops is written and answered.
func TestAStopDoesNotForgetCommitsThatGather(t *testing.T) {
	inSerial(t, store.Config{}, func(t *testing.T, r *rig) {
		owners := r.players(2)
		hold := make(chan struct{})
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-hold
			return do()
		})
		first := owners[0].begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		second := owners[1].begin(store.Commit{Kind: "player", ID: "p1", Body: numbered(1)})
		r.sys.Stop(r.store, nil)
		pass(time.Second)
		close(hold)
		for _, a := range []<-chan answer{first, second} {
			if a := <-a; a.err != nil {
				t.Error(a.err)
			}
		}
		r.has("p0", 1)
		r.has("p1", 1)
	})
}

// The content that an owner hands in is compared with what it had, and what differs is checked; it must be as if all of it were.
func TestContentIsCheckedByWhatDiffersAsAllOfItIs(t *testing.T) {
	before := raw(t, bson.D{
		{Key: "name", Value: "ä name"},
		{Key: "alive", Value: true},
		{Key: "filler", Value: string(bytes.Repeat([]byte("x"), 300))},
		{Key: "bag", Value: bson.A{bson.D{{Key: "id", Value: 1}, {Key: "kind", Value: "sword"}}, "text", bson.A{int64(1), 2.5}}},
		{Key: "in", Value: bson.D{{Key: "a", Value: bson.Binary{Subtype: 2, Data: []byte("abc")}}, {Key: "b", Value: bson.Regex{Pattern: "x", Options: "im"}}}},
		{Key: "last", Value: bson.DateTime(5)},
	})
	random := rand.New(rand.NewPCG(1, 2))
	refused, patches := 0, 0
	for range 30_000 {
		after := damaged(random, before)
		want := store.CheckBody("player", "1", after)
		patch, err := store.CheckedDiff("player", "1", before, after)
		if fmt.Sprint(err) != fmt.Sprint(want) {
			t.Fatalf("%x:\ngot  %v\nwant %v", []byte(after), err, want)
		}
		if err != nil {
			refused++
			continue
		}
		if patch == nil {
			continue
		}
		patches++
		if diff := store.Diff(before, after); text(diff) != text(patch) {
			t.Fatalf("%x: got %s, want %s", []byte(after), text(patch), text(diff))
		}
	}
	if refused < 300 || patches < 300 {
		t.Errorf("%d were refused and %d patches found", refused, patches)
	}
}

// damaged is a content with some bytes changed, and perhaps some more or less of them, of the right length or not.
func damaged(random *rand.Rand, content bson.Raw) bson.Raw {
	out := bytes.Clone(content)
	for range 1 + random.IntN(3) {
		at := random.IntN(len(out))
		switch random.IntN(6) {
		case 0:
			out[at] = 0
		case 1:
			out[at] = byte(random.IntN(20))
		case 2:
			out[at] = byte(random.IntN(256))
		case 3:
			out[at] = []byte{'.', '$', 'a', 'b', 0xff}[random.IntN(5)]
		case 4: // an element twice, or another one's bytes
			n := random.IntN(min(20, len(out)-at))
			out = bytes.Join([][]byte{out[:at], content[min(at, len(content)):min(at+n, len(content))], out[at:]}, nil)
		case 5:
			n := random.IntN(min(20, len(out)-at))
			out = append(out[:at:at], out[at+n:]...)
		}
		if len(out) < 5 {
			return content
		}
	}
	if random.IntN(10) > 0 {
		binary.LittleEndian.PutUint32(out, uint32(len(out)))
		out[len(out)-1] = 0
	}
	return out
}
