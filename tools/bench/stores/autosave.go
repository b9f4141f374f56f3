package stores

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/tools/bench/measure"
)

// game is players that each change one of 50 fields at a pace.
type game struct {
	players         int
	every, autosave time.Duration
	lasts           time.Duration
	whole           bool // documents are saved whole
}

// play has it played, from when started has returned, and returns when all is written, with the error of anything that was not saved.
func (g game) play(ctx context.Context, db *counting, started func() error) error {
	_, err := withStore(ctx, store.Config{Backend: db, Autosave: g.autosave}, func(sys *actor.System, ref actor.Ref) (float64, error) {
		refused := make(chan error, 1)
		var claims errgroup.Group
		claims.SetLimit(200)
		for i := range g.players {
			claims.Go(func() error {
				p := &changer{game: g, store: ref, id: docID(i), refused: refused}
				owner, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return p }})
				if err != nil {
					return err
				}
				_, err = sys.Ask(ctx, owner, claim{})
				return err
			})
		}
		if err := errors.Join(claims.Wait(), started()); err != nil {
			return 0, err
		}
		sys.Publish(starting, begin{})
		timer := time.NewTimer(g.lasts)
		defer timer.Stop()
		select {
		case <-timer.C:
			return 0, nil
		case err := <-refused:
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	return err
}

const starting = "starting"

type begin struct{}

// counting counts the documents that are written, and may have them written whole.
type counting struct {
	store.Backend
	whole bool
	docs  atomic.Int64
}

func (b *counting) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	b.docs.Add(int64(len(writes)))
	if b.whole {
		for i := range writes {
			writes[i].Patch = nil
		}
	}
	return b.Backend.Apply(ctx, writes)
}

// changer is a player's owner.
type changer struct {
	game
	store   actor.Ref
	id      string
	n       int
	refused chan<- error
}

func (p *changer) Start(c *actor.Context) error {
	c.Subscribe(starting)
	return nil
}

func (p *changer) Receive(c *actor.Context, msg any) {
	switch msg.(type) {
	case claim:
		c.Ask(p.store, store.Claim{Kind: kind, ID: p.id}, c.Reply)
	case begin:
		c.After(rand.N(p.every), func() { // not all at once
			p.change(c)
			c.Every(p.every, func() { p.change(c) })
		})
	}
}

func (p *changer) change(c *actor.Context) {
	p.n++
	c.Ask(p.store, store.Save{Kind: kind, ID: p.id, Body: changed(p.n)}, func(_ any, err error) {
		if err != nil {
			select {
			case p.refused <- err:
			default: // one is enough
			}
		}
	})
}

// changed is a content in which each of the 50 fields has changed in its turn.
func changed(n int) bson.Raw {
	d := make(bson.D, 50)
	for i := range d {
		d[i] = bson.E{Key: fmt.Sprintf("field%02d", i), Value: fmt.Sprintf("%026d", (n+49-i)/50)}
	}
	return encode(d)
}

// written is how many bytes this process has given to write and its like so far (proc(5), wchar).
func written() (int64, error) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, fmt.Errorf("stores: %w", err)
	}
	_, rest, _ := strings.Cut("\n"+string(text), "\nwchar: ")
	var n int64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return 0, fmt.Errorf("stores: /proc/self/io: %w", err)
	}
	return n, nil
}

// bytesPerSave is what the embedded store writes for one save of a document of 2 KB, its checkpoints included.
func (g game) bytesPerSave(ctx context.Context) (float64, error) {
	var before, docs int64
	_, err := onEmbedded(ctx, g.players, changed(0), func(inner store.Backend) (float64, error) {
		db := &counting{Backend: inner, whole: g.whole}
		err := g.play(ctx, db, func() (err error) {
			before, err = written()
			return err
		})
		docs = db.docs.Load()
		return 0, err
	})
	after, failed := written() // closing has made the last checkpoint
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	if docs == 0 {
		return 0, errors.New("stores: nothing was saved")
	}
	return float64(after-before) / float64(docs), nil
}

// quick is the load of 10,000 players that change once a second, autosave 2 s, by a tenth of them at ten times the pace, so that patches are folded several
// times in some seconds.
func quick(lasts time.Duration, whole bool) game {
	return game{players: 1000, every: 100 * time.Millisecond, autosave: 200 * time.Millisecond, lasts: lasts, whole: whole}
}

// AutosaveShare is the share of the bytes of whole-document saves that the embedded store writes for the same saves as patches.
func AutosaveShare(ctx context.Context) (float64, error) {
	patches, err := measure.InChild("store-bytes-patches")(ctx)
	if err != nil {
		return 0, err
	}
	whole, err := measure.InChild("store-bytes-whole")(ctx)
	return patches / whole, err
}

// AutosaveCPU is how many percent of a core a process uses that has 10,000 players which each change one of 50 fields a second, autosave 2 s, on the embedded store.
func AutosaveCPU() measure.Func { return measure.InChild("store-autosave-cpu") }

func autosaveCPU(ctx context.Context) (float64, error) {
	g := game{players: 10_000, every: time.Second, autosave: 2 * time.Second, lasts: 12 * time.Second}
	return onEmbedded(ctx, g.players, changed(0), func(inner store.Backend) (float64, error) {
		db := &counting{Backend: inner}
		var before time.Duration
		err := g.play(ctx, db, func() (err error) {
			before, err = measure.CPUTime()
			return err
		})
		if err != nil {
			return 0, err
		}
		after, err := measure.CPUTime()
		// A save is due when autosave is over since the first change that it has, and the next change comes up to a pace later.
		if least := int64(g.players) * int64(g.lasts/(g.autosave+2*g.every)); err == nil && db.docs.Load() < least {
			err = fmt.Errorf("stores: %d documents were written, expected %d at least: it does not keep up", db.docs.Load(), least)
		}
		return 100 * (after - before).Seconds() / g.lasts.Seconds(), err
	})
}

// Figures are what has a process of its own.
func Figures() map[string]measure.Func {
	return map[string]measure.Func{
		"store-bytes-patches": quick(14*time.Second, false).bytesPerSave,
		"store-bytes-whole":   quick(4*time.Second, true).bytesPerSave,
		"store-autosave-cpu":  autosaveCPU,
	}
}
