package main

import (
	"time"

	"github.com/skua-go/skua/services/reload"
)

// ReloadConfig is the table [reload]: which scripts a node begins with, and how others take their place.
type ReloadConfig struct {
	// Which scripts the node begins with: `stored`, the version that ran last, and not what lies in the folder, which comes in by `skua reload`; `folder`, what lies there, only for a node that nobody can join; `auto`: `stored` in a cluster, and for a node that nobody can join the folder if it has changed since, else the version that ran last.
	Start string `toml:"start" env:"START"`
	// Time that a reload may take on a node, until which all actors have to come to the end of a handler; else it is undone everywhere. Those that keep the others waiting are named within 3 s.
	Timeout Duration `toml:"timeout" env:"TIMEOUT"`
	// VMs that are brought over at a time. More are done sooner, and leave less of the machine to players meanwhile.
	Parallel int `toml:"parallel" env:"PARALLEL"`
	// Versions that are kept, to go back to.
	Keep int `toml:"keep" env:"KEEP"`
}

func reloadDefaults() ReloadConfig {
	return ReloadConfig{Start: string(reload.Auto), Timeout: Duration{10 * time.Second}, Parallel: 2, Keep: 50}
}

func (c *Config) validateReload(k *check) {
	r := &c.Reload
	k.oneOf("reload.start", r.Start, string(reload.Auto), string(reload.Stored), string(reload.Folder))
	k.that(r.Start != string(reload.Folder) || !c.shared(), "reload.start", r.Start, "auto or stored, as there may be other nodes, which run one version")
	k.duration("reload.timeout", r.Timeout, 100*time.Millisecond, 2*time.Minute)
	k.between("reload.parallel", r.Parallel, 1, 64)
	k.between("reload.keep", r.Keep, 2, 1000)
}
