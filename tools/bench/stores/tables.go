package stores

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
	"github.com/skua-go/skua/tools/bench/measure"
)

//go:embed scripts
var sources embed.FS

const (
	loadDocs = 1000
	patience = 2 * time.Minute // for an answer and for a handler; what is measured takes seconds
)

// script runs f with how to call a handler of the script, in a node whose store has documents of 4 KB.
func script(ctx context.Context, f func(call func(handler string, args ...any) error) (float64, error)) (float64, error) {
	return onEmbedded(ctx, loadDocs, newCharacter(), func(db store.Backend) (float64, error) {
		return withStore(ctx, store.Config{Backend: db}, func(sys *actor.System, _ actor.Ref) (float64, error) {
			files, err := fs.Sub(sources, "scripts")
			if err != nil {
				return 0, err
			}
			rt, err := lua.NewRuntime(lua.Config{
				Scripts: files, Library: scripts.FS(), Engine: lua54.New(), Budget: patience, Log: slog.New(slog.DiscardHandler),
				Modules: []lua.Module{documents.New(documents.Config{Autosave: 2 * time.Second}).Module()},
			})
			if err != nil {
				return 0, err
			}
			launcher, err := sys.Spawn(rt.Launcher())
			if err != nil {
				return 0, err
			}
			v, err := sys.Ask(ctx, launcher, lua.Launch{Script: "documents", Args: value.Of()})
			if err != nil {
				return 0, err
			}
			service, _ := v.(actor.Ref)
			return f(func(handler string, args ...any) error {
				_, err := sys.Ask(ctx, service, lua.Command(handler, args...))
				return err
			})
		})
	})
}

// LoadTable is how many nanoseconds a script waits for a document of 4 KB as a table, past the store's cache.
func LoadTable(ctx context.Context) (float64, error) {
	return script(ctx, func(call func(string, ...any) error) (float64, error) {
		return measure.PerOp(ctx, func(n int) error { return call("load", n, loadDocs) })
	})
}

// BareLoad is how many nanoseconds a Go program needs to read one from the bare engine and to decode it into a struct.
func BareLoad(ctx context.Context) (float64, error) {
	return onBare(ctx, loadDocs, newCharacter(), func(b *bare) (float64, error) {
		return measure.PerOp(ctx, func(n int) error {
			for i := range n {
				var c character
				if err := b.load(ctx, i%loadDocs, &c); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Access is how many nanoseconds a script takes to read, or to write, a field of a field of an open document, or of a table that is none.
func Access(handler string, opened bool) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return script(ctx, func(call func(string, ...any) error) (float64, error) {
			return measure.PerOp(ctx, func(n int) error { return call(handler, n, opened) })
		})
	}
}
