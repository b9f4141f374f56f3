package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/skua-go/skua/services/store"
)

// What has gathered in an outage is more than the way to the database takes within the time of a batch.
func TestABatchThatIsTooLargeForTheWayGoesInParts(t *testing.T) {
	const documents, each, timeout = 40, 100_000, 2 * time.Second
	const rate = 400_000 // bytes a second: the whole of it takes 10 s
	in(t, store.Config{Autosave: 50 * time.Millisecond, Timeout: timeout}, func(t *testing.T, r *rig) {
		owners := r.players(documents)
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			bytes := 0
			for i := range writes {
				bytes += len(writes[i].Body)
			}
			takes := time.Duration(bytes) * time.Second / rate
			<-time.After(min(takes, timeout))
			if takes > timeout {
				return nil, away("apply")
			}
			return do()
		})
		for i, o := range owners {
			o.must(store.Save{Kind: "player", ID: fmt.Sprint("p", i), Body: sized(each)})
		}
		pass(time.Minute)
		if n := r.metric("skua_store_pending_documents"); n != 0 {
			t.Fatalf("%v documents still wait", n)
		}
		for i := range owners {
			if doc, err := r.db.Backend.Load(t.Context(), "player", fmt.Sprint("p", i)); err != nil || doc.Version != 1 {
				t.Errorf("p%d has version %d: %v", i, doc.Version, err)
			}
		}
		// Later ones are larger again.
		r.db.onApply(nil)
		for range 10 {
			owners[0].must(store.Commit{Kind: "player", ID: "p0", Body: sized(1000)})
			owners[0].must(store.Commit{Kind: "player", ID: "p0", Body: sized(1001)})
		}
		for i, o := range owners {
			o.must(store.Save{Kind: "player", ID: fmt.Sprint("p", i), Body: sized(each + 1)})
		}
		before := len(r.db.sent())
		pass(time.Second)
		if n := len(r.db.sent()) - before; n != 1 {
			t.Errorf("%d batches where one has room", n)
		}
	})
}
