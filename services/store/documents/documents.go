// Package documents gives scripts the store's documents as plain tables: the Go half of scripts/store.lua.
//
// Nothing is tracked when a script writes into a table. A service that has documents and has run is looked at within Config.Autosave: its tables are encoded,
// and what is another content than before is handed to the store, which finds the difference. The same happens when a script commits, saves or closes a
// document, and when the service ends. A service that does not run costs nothing.
package documents

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// CoreName is the module that scripts/store.lua is made with.
const CoreName = "store.core"

// Config tells how documents are saved. The zero value is ready.
type Config struct {
	// Autosave is that of the store: the longest time that a change waits for its turn to be written. Default 2 s.
	Autosave time.Duration
	// Schema is the version that the store's own migrations lead a kind's documents to, 0 or 1 if it has none. Default nil: it has none.
	Schema func(kind string) int
	// Epoch is the one in which a service claims its documents, as [store.Claim.Epoch]: that of a grain, 0 for others. It is called in the service's actor. Default nil: no service has one.
	Epoch func(service actor.Ref) uint64
}

// Tables are the documents that the scripts of a node have open.
type Tables struct {
	cfg Config

	mu      sync.Mutex
	holders map[name]actor.Ref // who has which open
}

// New makes the tables of a node.
func New(cfg Config) *Tables {
	if cfg.Autosave <= 0 {
		cfg.Autosave = 2 * time.Second
	}
	if cfg.Schema == nil {
		cfg.Schema = func(string) int { return 0 }
	}
	if cfg.Epoch == nil {
		cfg.Epoch = func(actor.Ref) uint64 { return 0 }
	}
	return &Tables{cfg: cfg, holders: map[name]actor.Ref{}}
}

// name is that of a document.
type name struct{ kind, id string }

func (n name) String() string { return store.Name(n.kind, n.id) }

// holder tells who has a document open, if that is another one than self.
func (n *Tables) holder(of name, self actor.Ref) (actor.Ref, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ref, ok := n.holders[of]
	return ref, ok && ref != self
}

func (n *Tables) hold(d name, by actor.Ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holders[d] = by
}

// leave forgets who has a document open, if that is still by.
func (n *Tables) leave(d name, by actor.Ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.holders[d] == by {
		delete(n.holders, d)
	}
}

// Module is the module for scripts.
func (n *Tables) Module() lua.Module {
	return lua.Module{Name: CoreName, Open: func(h *lua.Host, s vm.State) {
		m := &module{
			tables: n, h: h, shelves: map[actor.Ref]*shelf{}, handlers: map[actor.Ref]int{},
			codec: bson.NewDocuments(s, store.SchemaField, store.MaxBody, store.MaxDepth),
			raw:   bson.NewDocuments(s, "", store.MaxBody, store.MaxDepth),
		}
		m.open(s)
	}}
}

// codes are what scripts find in the field code of an error.
func codes() []struct {
	err  error
	code string
} {
	return []struct {
		err  error
		code string
	}{
		{store.ErrFenced, "fenced"},
		{store.ErrConflict, "conflict"},
		{store.ErrUnavailable, "unavailable"},
		{store.ErrTooLarge, "too_large"},
		{store.ErrInvalid, "invalid"},
		{store.ErrDuplicate, "duplicate"},
		{store.ErrNotOwner, "not_owner"},
		{store.ErrSchema, "schema"},
	}
}

// forScript makes an error of the store one that a script can tell from others.
func forScript(h *lua.Host, err error) error {
	var script *lua.Error
	if errors.As(err, &script) {
		return err
	}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			return &lua.Error{Script: h.Name(), Message: err.Error(), Code: c.code}
		}
	}
	return err
}

// invalid is the error for a table that can't be a document.
func invalid(err error) error {
	if size := (*bson.SizeError)(nil); errors.As(err, &size) {
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", store.ErrInvalid, err)
}
