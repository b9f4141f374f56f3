package main

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/grain"
)

// GrainConfig is a table [grains.NAME]: a kind of grains. All nodes of a cluster have the same.
type GrainConfig struct {
	// Script of the kind's grains, found along `lua.path`, without `.lua`; empty: the one that is called as the kind is.
	Script string `toml:"script" env:"SCRIPT"`
	// Time without a message after which a grain goes to sleep; `0s`: never. Longer keeps memory taken, shorter has more of them loaded again.
	Idle Duration `toml:"idle" env:"IDLE"`
	// How the node of a grain that sleeps is chosen: `spread` (by its id, in shares by the label `grain-weight` of the nodes, 1 without one), `least_loaded` (the one with the fewest grains) or `prefer_local` (the one of whoever speaks to it first).
	Placement string `toml:"placement" env:"PLACEMENT"`
	// Role of the nodes (`cluster.roles`) that have the kind's grains; empty: all nodes.
	Role string `toml:"role" env:"ROLE"`
}

// placements are the choices of grains.NAME.placement.
func placements() map[string]grain.Placement {
	return map[string]grain.Placement{"spread": grain.Spread, "least_loaded": grain.LeastLoaded, "prefer_local": grain.PreferLocal}
}

// grainDefaults are the kinds of a configuration, with nothing set.
func grainDefaults(found map[string]*GrainConfig) map[string]*GrainConfig {
	if len(found) == 0 {
		return nil
	}
	made := make(map[string]*GrainConfig, len(found))
	for name := range found {
		made[name] = &GrainConfig{Idle: Duration{5 * time.Minute}, Placement: "spread"}
	}
	return made
}

// script is that of a kind.
func (g *GrainConfig) script(kind string) string { return cmp.Or(g.Script, kind) }

func (c *Config) validateGrains(k *check) {
	for name, g := range c.Grains {
		key := "grains." + name
		k.that(tableName.MatchString(name), "grains", name, "names of small letters, digits and _, which begin with a letter")
		k.that(g.Script == "" || isScript(g.Script), key+".script", g.Script, "the name of a script, without .lua, inside lua.path, or nothing")
		k.that(g.Idle.Duration == 0 || g.Idle.Duration >= time.Second && g.Idle.Duration <= 30*24*time.Hour, key+".idle", g.Idle, "0s, or 1s to 720h0m0s")
		k.oneOf(key+".placement", g.Placement, slices.Sorted(maps.Keys(placements()))...)
		k.that(g.Role == "" || cluster.CheckName(g.Role) == nil, key+".role", g.Role, "a role of cluster.roles, or nothing")
	}
	if text, is := c.Cluster.Labels[grain.WeightLabel]; is {
		weight, err := strconv.ParseFloat(text, 64)
		k.that(err == nil && weight > 0 && weight <= 1000, "cluster.labels", grain.WeightLabel+" = "+text, "a number above 0, 1000 at most")
	}
}
