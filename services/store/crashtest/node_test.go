package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
	"github.com/skua-go/skua/services/store/sqlite"
)

const (
	childEnv = "SKUA_TEST_CRASH_CHILD" // makes the test binary a node, and says where its database is
	players  = 32
	autosave = 100 * time.Millisecond
	remember = 20 // changes in a player's log
	kind     = "player"
)

// player tells twice, far apart, how often it was changed, and by a log in which a change that is missing or there twice would show.
type player struct {
	N     int64   `bson:"n"`
	By    string  `bson:"by"` // the node that has changed it last
	First int64   `bson:"first"`
	Log   []int64 `bson:"log"` // First to N
	Pad   string  `bson:"pad"`
	M     int64   `bson:"m"`
}

func (p *player) change(by string) {
	p.N++
	p.M, p.By = p.N, by
	if p.Log = append(p.Log, p.N); len(p.Log) > remember {
		p.First, p.Log = p.N, []int64{p.N} // an array that shrinks is a patch of another sort
	}
	if len(p.Log) == 1 {
		p.First = p.N
	}
}

// torn says what is wrong with a content that no player has ever had.
func (p *player) torn() error {
	if p.N != p.M || p.First+int64(len(p.Log)) != p.N+1 {
		return fmt.Errorf("n is %d, m %d, the log begins at %d and has %d", p.N, p.M, p.First, len(p.Log))
	}
	for i, n := range p.Log {
		if n != p.First+int64(i) {
			return fmt.Errorf("the log begins at %d and says %v", p.First, p.Log)
		}
	}
	return nil
}

// owner is an actor that owns a player and changes it all the time. It says on out what it does: before it has done it, or, of a commit, when it is acknowledged.
type owner struct {
	id   int
	node string
	out  io.Writer
	doc  *store.Document[player]
	gone bool
}

// What an owner says: a letter, its number, the number of the change and the time.
const (
	opened    = 'o'
	changes   = 's'
	committed = 'c'
	lost      = 'l'
	failed    = 'f'
)

func (o *owner) say(what byte, n int64) {
	if _, err := fmt.Fprintf(o.out, "%c %d %d %d\n", what, o.id, n, time.Now().UnixNano()); err != nil {
		o.gone = true // nobody listens any more
	}
}

func (o *owner) Start(c *actor.Context) error {
	store.Open(c, store.Claim{Kind: kind, ID: docID(o.id)}, player{Pad: strings.Repeat("x", 1500)}, func(doc *store.Document[player], err error) {
		if err != nil {
			o.fail(c, err)
			return
		}
		o.doc = doc
		o.say(opened, doc.Data.N)
		o.later(c)
	})
	return nil
}

func (o *owner) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case store.Lost:
		o.gone = true
		if errors.Is(m.Err, store.ErrFenced) {
			o.say(lost, o.doc.Data.N)
			return
		}
		o.fail(c, m.Err)
	case store.Refused:
		o.fail(c, m.Err)
	}
}

// Stop hands in what is not handed in yet, as a clean stop should, and changes nothing from then on: timers and answers still come until the actor has ended.
func (o *owner) Stop(c *actor.Context, _ error) {
	if o.doc == nil || o.gone {
		return
	}
	o.gone = true
	if err := o.doc.Save(c); err != nil {
		o.fail(c, err)
	}
}

func (o *owner) fail(c *actor.Context, err error) {
	o.gone = true
	c.Log().Error("a player's owner", "player", o.id, "error", err)
	o.say(failed, 0)
}

func (o *owner) later(c *actor.Context) {
	c.After(time.Duration(1+rand.IntN(8))*time.Millisecond, func() { o.change(c) })
}

// change changes the player once, and commits one of six changes.
func (o *owner) change(c *actor.Context) {
	if o.gone {
		return
	}
	o.doc.Data.change(o.node)
	n := o.doc.Data.N
	o.say(changes, n)
	if rand.IntN(6) > 0 {
		if err := o.doc.Changed(c); err != nil {
			o.fail(c, err)
			return
		}
		o.later(c)
		return
	}
	o.doc.Commit(c, func(err error) {
		switch {
		case err == nil:
			o.say(committed, n)
			o.later(c) // a stopped owner changes nothing then
		case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrNotOwner): // Lost tells
		case errors.Is(err, actor.ErrStopped), errors.Is(err, context.Canceled): // the node stops
		default:
			o.fail(c, err)
		}
	})
}

func docID(i int) string { return fmt.Sprint("p", i) }

// open opens the database that where names: the directory of an embedded one, or MongoDB's URI and, behind a space, the name of the database.
func open(where string) (store.Backend, error) {
	if uri, name, ok := strings.Cut(where, " "); ok {
		return mongo.Open(mongo.Options{URI: uri, Database: name})
	}
	return sqlite.Open(context.Background(), sqlite.Options{Dir: where})
}

// node starts a store and the owners of all players.
func node(name string, db store.Backend, out, log io.Writer) (*actor.System, error) {
	sys := actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))})
	if _, err := sys.Spawn(store.Spec(store.Config{Backend: db, Autosave: autosave})); err != nil {
		return sys, err
	}
	for i := range players {
		if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &owner{id: i, node: name, out: out} }}); err != nil {
			return sys, err
		}
	}
	return sys, nil
}

// child is a node that runs until it is killed, or until its parent is gone, which closes its standard input.
func child(where string) error {
	db, err := open(where)
	if err != nil {
		return err
	}
	if _, err := node("child", db, os.Stdout, os.Stderr); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(errors.New("the parent is gone"), err)
}
