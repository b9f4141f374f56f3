package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/trace"
	"github.com/skua-go/skua/services/admin"
)

// observable adds to the API what operators change of traces and of the log.
func (n *node) observable(api *admin.API) {
	api.Tracing = tracing{n.traces}
	if n.traces != nil {
		api.Sample = n.project.cfg.Trace.Sample
	}
	api.Scripts = n.rt
	if n.levels != nil {
		api.Levels = levels{n.levels}
	}
}

// tracing is what operators choose of the traces.
type tracing struct{ of *traces }

// Rules is part of admin.Tracing.
func (t tracing) Rules() []admin.TraceRule {
	if t.of == nil {
		return nil
	}
	rules := t.of.chooser.Rules()
	all := make([]admin.TraceRule, len(rules))
	for i, r := range rules {
		all[i] = admin.TraceRule{Player: r.User, Route: r.Route, Share: r.Share, Until: r.Until}
	}
	return all
}

// Add is part of admin.Tracing.
func (t tracing) Add(r admin.TraceRule) error {
	if t.of == nil {
		return admin.ErrNoCollector
	}
	return t.of.chooser.Add(trace.Rule{User: r.Player, Route: r.Route, Share: r.Share, Until: r.Until})
}

// Clear is part of admin.Tracing.
func (t tracing) Clear() int {
	if t.of == nil {
		return 0
	}
	return t.of.chooser.Clear()
}

// levels are those of the log, for operators.
type levels struct{ of *logLevels }

// List is part of admin.Levels.
func (l levels) List() []admin.LogLevel {
	found, until := l.of.list()
	all := make([]admin.LogLevel, 0, len(found))
	for component, level := range found {
		one := admin.LogLevel{Component: component, Level: strings.ToLower(level.String())}
		if at, ends := until[component]; ends {
			at = at.UTC()
			one.Until = &at
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b admin.LogLevel) int { return cmp.Compare(a.Component, b.Component) })
	return all
}

// Set is part of admin.Levels.
func (l levels) Set(component, text string, within time.Duration) error {
	level, err := parseLevel(text)
	if err != nil {
		return err
	}
	return l.of.set(component, level, within)
}

// Reset is part of admin.Levels.
func (l levels) Reset(component string) { l.of.reset(component) }

// explainTimeout is how long a script that is stuck may take to say where it is. Only the line in the log waits for it, and a node that stops.
const explainTimeout = 3 * time.Second

// explain is where in a script an actor is, for the log.
func (n *node) explain(of actor.Ref) string {
	rt := n.scripted.Load()
	if rt == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	where, err := rt.Where(ctx, n.sys, of)
	if err != nil {
		return "" // it is in Go, whose stack is there
	}
	return where
}
