package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/datacenter"
	"github.com/skua-go/skua/services/store"
)

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
		return nil, fmt.Errorf("store migrate: the project has no migrations/%s.lua in lua.path, and this program none in Go", kind)
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
