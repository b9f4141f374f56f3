package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/datacenter"
	"github.com/skua-go/skua/services/store"
)

func newStoreMigrateCommand(at *storePlace) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "migrate KIND",
		Short: "Lead all documents of a kind through the project's migrations",
		Long: `Lead all documents of a kind through the project's migrations, scripts/migrations/KIND.lua, and write those that change. A document that
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

// migration is one run of `skua store migrate`.
type migration struct {
	kind     string
	dry      bool
	db       store.Backend
	out, err io.Writer

	scripts  *migrator
	progress *progress
	newest   int64
	found    map[int64]int64 // documents by version
	changed  int64
	failed   int64
}

func (m *migration) run(ctx context.Context, p *project) (err error) {
	if m.scripts, err = startMigrator(ctx, p, m.kind); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.scripts.stop()) }()
	m.newest = m.scripts.newest
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
	body, err := m.scripts.migrate(ctx, d, from)
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

// migratorCore is the module that scripts/skua/migrator.lua is made with.
const migratorCore = "skua.migrator.core"

// stepPatience is far more than steps need that end at all.
const stepPatience = time.Minute

// errStuck ends the whole run: the step is still at work, and could hand in what it makes as another document's.
var errStuck = errors.New("store migrate: a step does not end")

// migrator runs the migrations of a kind in a project's scripts, beside which there is no store, and no clients.
type migrator struct {
	sys    *actor.System
	ref    actor.Ref
	kind   string
	newest int64
	// patience is how long the steps of one document may take.
	patience time.Duration

	doc  store.Doc // that it works on; set between two calls
	from int64
	body []byte
}

func startMigrator(ctx context.Context, p *project, kind string) (_ *migrator, err error) {
	log := discard()
	n := &node{project: p, log: log, metrics: prometheus.NewRegistry()}
	n.sys = actor.New(actor.Config{Node: p.cfg.Name, CallTimeout: p.cfg.Lua.CallTimeout.Duration, Log: log})
	made := &migrator{sys: n.sys, kind: kind, patience: stepPatience}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.stop())
		}
	}()
	if err := n.buildScripts(func() {}, lua.Module{Name: migratorCore, Open: made.open}); err != nil {
		return nil, err
	}
	if name := "migrations." + kind; !n.rt.Has(name) {
		return nil, fmt.Errorf("store migrate: the project has no migrations/%s.lua in lua.path", kind)
	}
	var launcher actor.Ref
	for _, spec := range []actor.Spec{datacenter.Spec(datacenter.Config{}), n.data.Spec(), n.sockets.Spec(), n.mongo.Spec(), n.rt.Launcher()} {
		if launcher, err = n.sys.Spawn(spec); err != nil {
			return nil, err
		}
	}
	v, err := n.sys.Ask(ctx, launcher, lua.Launch{Script: "skua.migrator"})
	if err != nil {
		return nil, err
	}
	made.ref = v.(actor.Ref) //nolint:forcetypeassert // what Launch is answered by
	if made.newest, err = made.version(ctx); err != nil {
		return nil, err
	}
	return made, nil
}

// version asks for the newest version of the schema.
func (m *migrator) version(ctx context.Context) (int64, error) {
	v, err := m.sys.Ask(ctx, m.ref, lua.Command("newest", m.kind))
	if err != nil {
		return 0, err
	}
	if list, ok := v.(value.List); ok {
		for _, v := range list.All {
			if n, ok := v.Int(); ok {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("store migrate: the migrations of %s have no version", m.kind)
}

// migrate gives a document's content in the newest version.
func (m *migrator) migrate(ctx context.Context, d store.Doc, from int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	m.doc, m.from, m.body = d, from, nil
	_, err := m.sys.Ask(ctx, m.ref, lua.Command("migrate"))
	var raised *lua.Error // by the step, which has ended then
	if ctx.Err() != nil || errors.Is(err, actor.ErrDeadline) && !errors.As(err, &raised) {
		return nil, fmt.Errorf("%w: %s: version %d: no answer within %v", errStuck, store.Name(d.Kind, d.ID), from, m.patience)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.Name(d.Kind, d.ID), err)
	}
	if err := store.CheckBody(d.Kind, d.ID, m.body); err != nil {
		return nil, err
	}
	return m.body, nil
}

func (m *migrator) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return m.sys.Shutdown(ctx)
}

// open pushes the module.
func (m *migrator) open(_ *lua.Host, s vm.State) {
	codec := bson.NewDocuments(s, store.SchemaField, store.MaxBody, store.MaxDepth)
	s.NewTable(0, 2)
	s.PushFunc("take", func(s vm.State) int {
		if err := codec.Push(s, m.doc.Body, store.Name(m.doc.Kind, m.doc.ID)); err != nil {
			s.Errorf("%s", err.Error())
		}
		s.PushString(m.doc.Kind)
		s.PushString(m.doc.ID)
		s.PushInt(m.from)
		return 4
	})
	s.SetField(-2, "take")
	s.PushFunc("give", func(s vm.State) int {
		version, _ := s.Int(2)
		body, err := codec.Take(nil, s, 1, m.doc.Body, version, store.Name(m.doc.Kind, m.doc.ID))
		if err != nil {
			s.Errorf("%s", err.Error())
		}
		m.body = body
		return 0
	})
	s.SetField(-2, "give")
}
