package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// A database server is killed under a node that lives on, again and again: what it had acknowledged is there when it comes back, the node goes on by itself, what
// it could not write meanwhile arrives, and no write counts twice.
func TestNothingAcknowledgedIsLostWhenTheDatabaseIsKilled(t *testing.T) {
	for name, lua := range map[string]bool{"go": false, "lua": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits(t)
			t.Log("a server that is killed leaves the system's cache of its files: what a power cut would take is not shown")
			outlive(t, lua)
		})
	}
}

// outage is a database that is killed and comes back, under a node that lives on.
type outage struct {
	*testing.T
	scene
	server  *ferrettest.Server
	door    *ferrettest.Door
	metrics *prometheus.Registry
	account *account
	seen    []store.Doc // the players, when they were looked at last

	exposed int           // changes that would be gone if the node had died as well
	oldest  time.Duration // how old the oldest of them was
	away    time.Duration // the longest time from a kill until all that had been changed before the database came back was written
}

func outlive(t *testing.T, lua bool) {
	t.Helper()
	moments := seed(t)
	server := ferrettest.Start(t)
	door := server.Door(t)
	s := onFerretDB(door, lua)
	s.savers = 2
	metrics := store.NewMetrics()
	o := &outage{
		T: t, scene: s, server: server, door: door, metrics: prometheus.NewPedanticRegistry(), account: newAccount(s.players), seen: make([]store.Doc, s.players),
	}
	o.metrics.MustRegister(metrics)
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, db)
	sys, err := node(setup{scene: s, name: "survivor", db: db, out: o.account, log: t.Output(), metrics: metrics})
	if err == nil {
		err = o.account.until("open", func(_ int, l *life) bool { return l.open })
	}
	rounds := crashes()
	for round := 0; round < rounds && err == nil && !t.Failed(); round++ {
		<-time.After(time.Duration(20+moments.IntN(200)) * time.Millisecond)
		err = o.round(moments)
	}
	if err != nil {
		shut(t, sys)
		t.Fatal(err)
	}
	o.end(sys, db, rounds)
}

// round kills the database and brings it back.
func (o *outage) round(moments *rand.Rand) error {
	o.server.Kill()
	killed := time.Now()
	o.door.Shut() // until it has been looked at
	<-time.After(time.Duration(moments.IntN(100)) * time.Millisecond)
	o.server.Restart(o.T)
	if err := o.look(killed); err != nil {
		return err
	}
	var waits []int64 // all that was changed until now
	var commits []int
	o.account.read(func(lives []life) {
		for i := range lives {
			waits = append(waits, lives[i].last)
			commits = append(commits, lives[i].commits)
		}
	})
	o.door.Open()
	if err := o.account.until("committing again", func(i int, l *life) bool { return l.commits > commits[i] || o.saver(i) }); err != nil {
		return err
	}
	return o.arrive(waits, killed)
}

// look holds what the server has after a kill against what the owners were told before it. Nobody writes meanwhile.
func (o *outage) look(killed time.Time) error {
	o.Helper()
	db, err := mongo.Open(mongo.Options{URI: o.server.URI(), Database: "skua"})
	if err != nil {
		return err
	}
	defer closed(o.T, db)
	for i := range o.players {
		doc, err := db.Load(context.Background(), kind, docID(i))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		p := read(o.T, doc)
		o.account.read(func(lives []life) {
			l, before := &lives[i], o.seen[i]
			switch was := read(o.T, before); {
			case p.N < l.committed:
				o.Errorf("%s: change %d is lost, which was acknowledged; the database has %d, version %d", docID(i), l.committed, p.N, doc.Version)
			case p.N > l.last:
				o.Errorf("%s: the database has change %d, which was never made; the last one was %d", docID(i), p.N, l.last)
			case p.N < was.N || doc.Version < before.Version || doc.Version > before.Version && p.N == was.N && before.Exists():
				o.Errorf("%s: version %d has change %d, version %d before it had %d", docID(i), doc.Version, p.N, before.Version, was.N)
			case doc.Epoch != 1:
				o.Errorf("%s: epoch %d after one claim", docID(i), doc.Epoch)
			}
			for n, at := range l.times {
				if age := killed.Sub(time.Unix(0, at)); n > p.N && age > 0 {
					o.exposed++
					o.oldest = max(o.oldest, age)
				} else if n <= p.N {
					delete(l.times, n)
				}
			}
		})
		o.seen[i] = doc
	}
	return nil
}

// arrive waits until the players are as they were when they had made these changes, or newer.
func (o *outage) arrive(waits []int64, killed time.Time) error {
	o.Helper()
	db, err := o.open()
	if err != nil {
		return err
	}
	defer closed(o.T, db)
	for began := time.Now(); ; <-time.After(5 * time.Millisecond) {
		docs, err := db.Scan(context.Background(), kind, "", o.players)
		if err != nil {
			return err
		}
		here := 0
		for _, doc := range docs {
			for i := range waits {
				if docID(i) == doc.ID && read(o.T, doc).N >= waits[i] {
					here++
				}
			}
		}
		if here == len(waits) {
			o.away = max(o.away, time.Since(killed))
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("of %d players, %d are in the database as they were %v ago", len(waits), here, patience)
		}
	}
}

// end stops the node cleanly. Then the database has all that was ever done, and each write once.
func (o *outage) end(sys *actor.System, db store.Backend, rounds int) {
	o.Helper()
	shut(o.T, sys)
	var all findings
	writes := int64(0)
	judge := newOracle(o.T, o.players)
	for i := range o.players {
		doc, p := judge.claim(db, i)
		l := &o.account.lives[i]
		if p.N != l.last || doc.Epoch != 2 || l.lost {
			o.Errorf("%s: the database has change %d, version %d, epoch %d after two claims; its owner has made %d (lost: %v)", docID(i), p.N, doc.Version, doc.Epoch, l.last, l.lost)
		}
		writes += doc.Version
		all.commits += l.commits
		all.kept += l.kept
		all.changes += int(l.last)
	}
	if acknowledged := int64(metrictest.Value(o.T, o.metrics, "skua_store_writes_total")); writes != acknowledged {
		o.Errorf("the versions tell of %d writes, and %d were acknowledged", writes, acknowledged)
	}
	o.Logf("the database was killed %d times under a node that lived on: %d commits acknowledged, all there, none twice (%d writes, as many as the versions tell); %d commits were told that it is away, and kept; "+
		"of %d changes none is lost; had the node died in the same moments, %d would be, the oldest %v before (promised: %v and one batch); all was written again %v after a kill at the latest",
		rounds, all.commits, writes, all.kept, all.changes, o.exposed, o.oldest.Round(time.Millisecond), autosave, o.away.Round(time.Millisecond))
	if all.commits == 0 || all.kept == 0 || o.exposed == 0 {
		o.Error("that is not the load that was meant")
	}
}
