package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/store"
)

func newStoreMigrateCommand(at *storePlace) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "migrate KIND",
		Short: "Lead all documents of a kind through the project's migrations",
		Long: `Lead all documents of a kind through the project's migrations, scripts/migrations/KIND.lua or those in Go, and write those that change. A document that
fails is named with its step and stays as it was; the others go on. Documents that are of the newest version are left alone, so the command can be repeated.

Nodes migrate documents by themselves when they are opened: this is for those that nobody opens. With MongoDB, stop the nodes first: a document
that somebody has open meanwhile may be taken from its owner, whose next write is then a conflict.`,
		Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := store.CheckName(args[0], "id"); err != nil {
				return &usageError{err}
			}
			return at.with(cmd, true, func(ctx context.Context, p *project, db store.Backend) error {
				m := &migration{kind: args[0], dry: dry, db: db, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), found: map[int64]int64{}}
				return m.run(ctx, p)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "write nothing, only tell what would be")
	return cmd
}

// steps lead a kind's documents to the newest version.
type steps interface {
	// migrate gives the content of a document, which is of version from, in the newest version. One that ends with errStuck ends the run.
	migrate(ctx context.Context, d store.Doc, from int64) ([]byte, error)
	stop() error
}

// goSteps are those of an extension.
type goSteps struct{ store.Migration }

func (s goSteps) migrate(_ context.Context, d store.Doc, _ int64) ([]byte, error) {
	return s.Apply(d.Kind, d.ID, d.Body)
}

func (goSteps) stop() error { return nil }

// migration is one run of `skua store migrate`.
type migration struct {
	kind     string
	dry      bool
	db       store.Backend
	out, err io.Writer

	steps    steps
	progress *progress
	newest   int64
	found    map[int64]int64 // documents by version
	changed  int64
	failed   int64
}

func (m *migration) run(ctx context.Context, p *project) (err error) {
	if inGo, ok := p.ext.Migrations[m.kind]; ok {
		m.steps, m.newest = goSteps{inGo}, int64(inGo.Version)
	} else {
		scripts, err := startMigrator(ctx, p, m.kind)
		if err != nil {
			return err
		}
		m.steps, m.newest = scripts, scripts.newest
	}
	defer func() { err = errors.Join(err, m.steps.stop()) }()
	m.progress = newProgress(m.err, "migrate", -1)
	defer m.progress.end()
	err = scan(ctx, m.db, m.kind, func(docs []store.Doc) error { return m.page(ctx, docs) })
	m.progress.end()
	m.tell()
	if err != nil {
		return err
	}
	if m.failed > 0 {
		return fmt.Errorf("store migrate: %d documents of the kind %s could not be migrated, and stay as they were", m.failed, m.kind)
	}
	return nil
}

// tell says what was found and done.
func (m *migration) tell() {
	for _, v := range slices.Sorted(maps.Keys(m.found)) {
		fmt.Fprintf(m.out, "version %d: %d documents\n", v, m.found[v])
	}
	done := "changed"
	if m.dry {
		done = "would change"
	}
	fmt.Fprintf(m.out, "%d documents %s, to version %d; %d failed\n", m.changed, done, m.newest, m.failed)
}

// fail tells of a document that stays as it was.
func (m *migration) fail(err error) {
	m.failed++
	m.progress.end()
	fmt.Fprintln(m.err, err)
}

// page migrates some documents and writes them.
func (m *migration) page(ctx context.Context, docs []store.Doc) error {
	writes := make([]store.Write, 0, len(docs))
	for _, d := range docs {
		m.progress.add(len(d.Body))
		w, ok, err := m.one(ctx, d)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errStuck) {
			return err
		}
		if err != nil {
			m.fail(err)
		} else if ok {
			writes = append(writes, w)
		}
	}
	if m.dry {
		m.changed += int64(len(writes))
		return nil
	}
	return m.write(ctx, writes)
}

// one gives the write that a document needs, if any.
func (m *migration) one(ctx context.Context, d store.Doc) (store.Write, bool, error) {
	from, err := schemaOf(d)
	if err != nil {
		return store.Write{}, false, err
	}
	m.found[from]++
	if from == m.newest {
		return store.Write{}, false, nil
	}
	body, err := m.steps.migrate(ctx, d, from)
	if err != nil {
		return store.Write{}, false, err
	}
	return store.Write{
		Kind: d.Kind, ID: d.ID, Version: d.Version, Epoch: d.Epoch, Nonce: store.NewNonce(), Body: body, Patch: store.Diff(d.Body, body),
	}, true, nil
}

// schemaOf is the version of a document's schema.
func schemaOf(d store.Doc) (int64, error) {
	v := d.Body.Lookup(store.SchemaField)
	if v.IsZero() {
		return 1, nil
	}
	n, ok := v.AsInt64OK()
	if !ok || n < 0 {
		return 0, fmt.Errorf("%w: %s: the field %s has %s, and no version", store.ErrSchema, store.Name(d.Kind, d.ID), store.SchemaField, v)
	}
	return max(n, 1), nil
}

// write writes what nobody else has changed meanwhile.
func (m *migration) write(ctx context.Context, writes []store.Write) error {
	return persist(ctx, func() error {
		if len(writes) == 0 {
			return nil
		}
		results, err := m.db.Apply(ctx, writes)
		if err != nil {
			return err
		}
		var again []store.Write
		var why error
		for i, err := range results {
			switch {
			case err == nil:
				m.changed++
			case store.Retryable(err):
				again, why = append(again, writes[i]), err
			default:
				m.fail(err)
			}
		}
		writes = again
		return why
	})
}
