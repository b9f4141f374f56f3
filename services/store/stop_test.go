package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/services/store"
)

func TestStopWritesEverything(t *testing.T) {
	in(t, store.Config{Autosave: time.Hour, Batch: 7}, func(t *testing.T, r *rig) {
		for i, o := range r.players(50) {
			o.save(fmt.Sprint("p", i), i)
		}
		began := time.Now()
		r.stop()
		if time.Since(began) > 10*time.Millisecond {
			t.Errorf("it took %v", time.Since(began))
		}
		for i := range 50 {
			r.has(fmt.Sprint("p", i), i)
		}
		if r.log.Count("lost") != 0 {
			t.Error("the log speaks of losses")
		}
	})
}

// What changes while a batch is under way is written too.
func TestStopWritesWhatCameDuringABatch(t *testing.T) {
	in(t, store.Config{Autosave: time.Hour}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-time.After(time.Second)
			return do()
		})
		commit := o.begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		o.save("p0", 2)
		r.stop()
		if a := <-commit; a.err == nil && number(r.has("p0", 2).Body) != 2 {
			t.Error("acknowledged, and not there")
		}
		r.has("p0", 2)
	})
}

func TestStopOutlastsAnOutage(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond, StopTimeout: 20 * time.Second}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		back := r.db.cut()
		o.save("p0", 1)
		pass(10 * time.Second)
		time.AfterFunc(8*time.Second, back)
		began := time.Now()
		r.stop()
		if took := time.Since(began); took < 8*time.Second || took > 14*time.Second {
			t.Errorf("it took %v", took)
		}
		r.has("p0", 1)
		if r.log.Count("lost") != 0 || r.log.Count("database is back") != 1 {
			t.Errorf("the log:\n%s", r.log)
		}
	})
}

// The pause after the last failure may be long, and the outage over.
func TestStopTriesAtOnce(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond, Retry: 5 * time.Second}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		back := r.db.cut()
		o.save("p0", 1)
		pass(time.Second)
		back()
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		r.has("p0", 1)
	})
}

func TestStopThatCanNotWriteNamesWhatIsLost(t *testing.T) {
	in(t, store.Config{Autosave: time.Second, StopTimeout: 7 * time.Second, Batch: 10}, func(t *testing.T, r *rig) {
		owners := r.players(30)
		r.db.cut()
		for i, o := range owners {
			o.save(fmt.Sprint("p", i), i)
			pass(time.Millisecond)
		}
		began := time.Now()
		r.stop()
		if took := time.Since(began); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(r.db.sent()) < 4 {
			t.Errorf("%d attempts", len(r.db.sent()))
		}
		said := ""
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "they are lost") {
				said += line
			}
		}
		for _, part := range []string{"level=ERROR", "documents=30", "[player/p0 player/p1 player/p10 ", "player/p26]", "more=10", "tried=7s", "connection refused"} {
			if !strings.Contains(said, part) {
				t.Errorf("no %q in %q", part, said)
			}
		}
		if strings.Count(said, "player/") != 20 || strings.Count(said, "\n") != 1 {
			t.Errorf("it says %q", said)
		}
	})
}
