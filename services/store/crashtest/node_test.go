package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
	"github.com/skua-go/skua/services/store/sqlite"
)

const (
	childEnv = "SKUA_TEST_CRASH_CHILD" // makes the test binary a node, and is the scene that it plays
	autosave = 100 * time.Millisecond
)

// scene says who plays and where: the directory of an embedded database, or MongoDB's URI and, behind a space, the name of the database there.
type scene struct {
	lua     bool // the owners are services in Lua
	players int
	savers  int // how many owners never commit, the last ones
	where   string
}

func (s *scene) saver(i int) bool { return i >= s.players-s.savers }

func (s scene) String() string { return fmt.Sprint(s.lua, " ", s.players, " ", s.savers, " ", s.where) }

func parseScene(text string) (s scene, err error) {
	if _, err := fmt.Sscan(text, &s.lua, &s.players, &s.savers); err != nil {
		return s, fmt.Errorf("found %q, expected whether it is Lua, the number of players and of savers, and a database: %w", text, err)
	}
	s.where = strings.SplitN(text, " ", 4)[3]
	return s, nil
}

// open opens the database.
func (s scene) open() (store.Backend, error) {
	if uri, name, ok := strings.Cut(s.where, " "); ok {
		return mongo.Open(mongo.Options{URI: uri, Database: name})
	}
	return sqlite.Open(context.Background(), sqlite.Options{Dir: s.where})
}

// setup is what a node is made of.
type setup struct {
	scene
	name    string
	db      store.Backend
	out     io.Writer // gets what the owners say
	log     io.Writer
	metrics *store.Metrics
}

// node starts a store and the owners of all players.
func node(s setup) (*actor.System, error) {
	// Commits that wait while a database is held must not run out of time on a machine that is busy.
	sys := actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelError})), CallTimeout: patience})
	if _, err := sys.Spawn(store.Spec(store.Config{Backend: s.db, Autosave: autosave, Metrics: s.metrics})); err != nil {
		return sys, err
	}
	spec := func(i int) actor.Spec {
		return actor.Spec{New: func() actor.Actor { return &owner{id: i, node: s.name, saver: s.saver(i), out: s.out} }}
	}
	if s.lua {
		var err error
		if spec, err = scripted(&s); err != nil {
			return sys, err
		}
	}
	for i := range s.players {
		ref, err := sys.Spawn(spec(i))
		if err != nil {
			return sys, err
		}
		if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &mourner{of: ref, id: i, out: s.out} }}); err != nil {
			return sys, err
		}
	}
	return sys, nil
}

// child is a node that runs until it is killed, or until its parent is gone, which closes its standard input.
func child(text string) error {
	s, err := parseScene(text)
	if err != nil {
		return err
	}
	db, err := s.open()
	if err != nil {
		return err
	}
	if _, err := node(setup{scene: s, name: "child", db: db, out: os.Stdout, log: os.Stderr}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(errors.New("the parent is gone"), err)
}
