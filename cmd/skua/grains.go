package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/services/grains"
)

// grainKinds are the kinds of the configuration. Their scripts are looked for where they run: on nodes with their role.
func (n *node) grainKinds() ([]grain.Kind, error) {
	cfg := &n.project.cfg
	kinds := make([]grains.Kind, 0, len(cfg.Grains))
	for _, name := range slices.Sorted(maps.Keys(cfg.Grains)) {
		g := cfg.Grains[name]
		k := grains.Kind{Name: name, Script: g.script(name), Placement: placements()[g.Placement], Role: g.Role, Idle: g.Idle.Duration}
		if k.Idle == 0 {
			k.Idle = -1 // a kind's 0 is its default
		}
		switch {
		case k.Role != "" && !slices.Contains(cfg.Cluster.Roles, k.Role):
			k.Script = "" // it reaches those of others
		case !n.rt.Has(k.Script):
			return nil, fmt.Errorf("grains.%s.script = %q: there is no such script in %s", name, k.Script, strings.Join(cfg.Lua.Path, ", "))
		}
		kinds = append(kinds, k)
	}
	return n.grainScripts.Kinds(n.rt, kinds)
}

// openGrains has the node have grains, and reach those of others.
func (n *node) openGrains() error {
	kinds, err := n.grainKinds()
	if err != nil {
		return err
	}
	if n.trial != nil && len(kinds) == 0 {
		return nil // nobody else asks for any, and time that tests let pass is quicker without
	}
	g, err := grain.Open(grain.Config{
		Node: n.peers, Members: n.members, Mesh: n.mesh, System: n.sys, Kinds: kinds, Log: n.log.With("part", "grains"), Metrics: n.metrics,
	})
	if err != nil {
		return err
	}
	n.grains.Store(g)
	n.grainScripts.Use(g)
	return nil
}

// closeGrains ends what they have beside actors, which have ended.
func (n *node) closeGrains() error {
	if g := n.grains.Load(); g != nil {
		return g.Close()
	}
	return nil
}
