package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// owner is an actor that owns a document and counts in it. A call tells it to go on; it is answered when that is durable, or by why it is not.
type owner struct {
	id      string
	n       int64
	pad     string
	claimed bool
	waiting []actor.Promise // for that
}

type step struct {
	bare bool // without the pad
}

// ready is answered when the owner has its document.
type ready struct{}

func (o *owner) Start(c *actor.Context) error {
	o.claim(c)
	return nil
}

// claim asks until it is told yes or no: on a busy machine the answer may be later than the store waits.
func (o *owner) claim(c *actor.Context) {
	keeper, _ := c.System().Lookup(store.ServiceName)
	c.Ask(keeper, store.Claim{Kind: "player", ID: o.id}, func(_ any, err error) {
		if errors.Is(err, store.ErrUnavailable) {
			o.claim(c)
			return
		}
		if err != nil {
			c.Stop(c.Self(), err)
			return
		}
		o.claimed = true
		for _, p := range o.waiting {
			c.ReplyTo(p, nil, nil)
		}
		o.waiting = nil
	})
}

func (o *owner) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case ready:
		if !o.claimed {
			o.waiting = append(o.waiting, c.Promise())
			return
		}
		c.Reply(nil, nil)
	case step:
		o.n++
		pad := o.pad
		if m.bare {
			pad = ""
		}
		raw, err := bson.Marshal(bson.D{{Key: "pad", Value: pad}, {Key: "n", Value: o.n}})
		if err != nil {
			c.Reply(nil, err)
			return
		}
		keeper, _ := c.System().Lookup(store.ServiceName)
		n := o.n
		c.Ask(keeper, store.Commit{Kind: "player", ID: o.id, Body: raw}, func(_ any, err error) { c.Reply(n, err) })
	}
}

// The way to the database is slow, cut and silent in turns while players commit: nobody waits for ever, memory stays bounded, the store comes back by itself, and
// what was told to be durable is there. The server is one whose updates are atomic, as MongoDB's are and FerretDB's are not.
func TestABadNetworkLosesNothingThatWasCommitted(t *testing.T) {
	server := mongotest.Answer(t, mongotest.NewMemory().Answer)
	p := mongotest.NewProxy(t, server.Addr())
	p.Forget()
	const timeout = 400 * time.Millisecond
	db := open(t, mongo.Options{URI: "mongodb://" + p.Addr() + "/?maxPoolSize=8&serverMonitoringMode=poll&heartbeatFrequencyMS=500", Timeout: timeout})
	log := &logtest.Buffer{}
	sys := actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(log, nil)), CallTimeout: 30 * time.Second})
	const maxBytes = 1 << 20
	if _, err := sys.Spawn(store.Spec(store.Config{Backend: db, Timeout: 2 * timeout, Retry: 10 * time.Millisecond, MaxPendingBytes: maxBytes})); err != nil {
		t.Fatal(err)
	}
	const owners = 20
	var refs [owners]actor.Ref
	var durable [owners]atomic.Int64
	for i := range refs {
		ref, err := sys.Spawn(actor.Spec{Name: fmt.Sprintf("owner%d", i), New: func() actor.Actor { return &owner{id: fmt.Sprint(i), pad: strings.Repeat("x", 2000)} }})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = ref
	}
	var begun runtime.MemStats
	runtime.ReadMemStats(&begun)
	ctx, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range refs {
		wg.Go(func() {
			for ctx.Err() == nil {
				v, err := sys.Ask(context.Background(), refs[i], step{})
				if n, ok := v.(int64); ok && err == nil {
					durable[i].Store(n)
				} else {
					failed.Add(1)
					pause(time.Millisecond)
				}
			}
		})
	}
	total := func() (n int64) {
		for i := range durable {
			n += durable[i].Load()
		}
		return n
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 6 {
		switch round % 4 {
		case 0:
			p.Slow(time.Duration(random.IntN(20))*time.Millisecond, 0)
		case 1:
			p.Cut()
		case 2:
			p.Slow(0, 200_000)
		case 3:
			p.Stall()
			pause(timeout + timeout/2)
			p.Flow()
			p.Cut()
		}
		pause(50 * time.Millisecond)
		p.Slow(0, 0)
		// It comes back by itself: all go on.
		for i := range durable {
			was, deadline := durable[i].Load(), time.Now().Add(30*time.Second)
			for durable[i].Load() == was {
				if time.Now().After(deadline) {
					t.Fatalf("round %d: owner %d does not go on\n%s", round, i, log)
				}
				pause(time.Millisecond)
			}
		}
	}
	end()
	wg.Wait()
	var ended runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&ended)
	if grown := int64(ended.HeapAlloc) - int64(begun.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range durable {
		doc, err := db.Load(context.Background(), "player", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if n := doc.Body.Lookup("n").AsInt64(); n < durable[i].Load() || doc.Version > n {
			t.Errorf("owner %d: the database has %d in version %d, %d was durable", i, n, doc.Version, durable[i].Load())
		}
	}
	t.Logf("%d commits were durable, %d failed", total(), failed.Load())
	if failed.Load() == 0 || log.Count("database is back") == 0 {
		t.Error("the network was never bad")
	}
}

// pause lets the disturbed network have its time.
func pause(d time.Duration) { <-time.After(d) }
