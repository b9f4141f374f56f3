package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// extension is what a studio adds in Go to a skua of its own.
type extension struct {
	// Services run on every node, and under `skua test`. They start behind the store and before the first script, and stop the other way round. The end of
	// one is the end of the node.
	Services []actor.Spec
	// Migrations of the kinds whose schema is led in Go, not in scripts/migrations: for whoever opens their documents, and for `skua store migrate`.
	Migrations map[string]store.Migration
}

// extensions is the table of what is added: a line for each. docs/go.md leads through it.
func extensions() extension {
	return extension{
		Services:   []actor.Spec{},
		Migrations: map[string]store.Migration{},
	}
}

// check looks for what can't be, in a project with these scripts.
func (e *extension) check(scripts fs.FS) error {
	for _, kind := range slices.Sorted(maps.Keys(e.Migrations)) {
		if err := store.CheckName(kind, "id"); err != nil {
			return fmt.Errorf("migrations in Go: %w", err)
		}
		m := e.Migrations[kind]
		if m.Version < 1 {
			return fmt.Errorf("migrations in Go: %s: version %d, 1 or more is expected", kind, m.Version)
		}
		if err := m.Check(); err != nil {
			return fmt.Errorf("migrations in Go: %s: %w", kind, err)
		}
		for _, file := range []string{"migrations/" + kind + ".lua", "migrations/" + kind + "/init.lua"} {
			if _, err := fs.Stat(scripts, file); err == nil {
				return fmt.Errorf("the kind %s has migrations in Go and in %s: it can have one of them", kind, file)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("migrations: %w", err)
			}
		}
	}
	return nil
}

// schema is the version that the migrations in Go lead a kind to, 0 if there are none.
func (e *extension) schema(kind string) int { return e.Migrations[kind].Version }
