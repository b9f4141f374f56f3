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
	// Time for which a canary is watched whose order does not say. Longer finds what happens rarely.
	CanaryTime Duration `toml:"canary_time" env:"CANARY_TIME"`
	// By how much the share of handlers that fail may be larger with the new version, until a canary is taken back: 0.02 is two of a hundred.
	CanaryMargin float64 `toml:"canary_margin" env:"CANARY_MARGIN"`
	// By which factor the p99 of handlers may be longer with the new version. Times are measured to a factor of two, in favour of the new version, and below 5 ms nothing is slow.
	CanarySlower float64 `toml:"canary_slower" env:"CANARY_SLOWER"`
	// Messages that the group of a canary has to have handled in its time; with fewer it is taken back, since nothing is known of it.
	CanaryMessages int `toml:"canary_messages" env:"CANARY_MESSAGES"`
}

func reloadDefaults() ReloadConfig {
	limits := reload.DefaultLimits()
	return ReloadConfig{
		Start: string(reload.Auto), Timeout: Duration{10 * time.Second}, Parallel: 2, Keep: 50,
		CanaryTime: Duration{30 * time.Second}, CanaryMargin: limits.Margin, CanarySlower: limits.Slower, CanaryMessages: limits.Messages,
	}
}

func (c *Config) validateReload(k *check) {
	r := &c.Reload
	k.oneOf("reload.start", r.Start, string(reload.Auto), string(reload.Stored), string(reload.Folder))
	k.that(r.Start != string(reload.Folder) || !c.shared(), "reload.start", r.Start, "auto or stored, as there may be other nodes, which run one version")
	k.duration("reload.timeout", r.Timeout, 100*time.Millisecond, 2*time.Minute)
	k.between("reload.parallel", r.Parallel, 1, 64)
	k.between("reload.keep", r.Keep, 2, 1000)
	k.duration("reload.canary_time", r.CanaryTime, reload.MinCanaryTime, reload.MaxCanaryTime)
	k.that(r.CanaryMargin >= 0 && r.CanaryMargin < 1, "reload.canary_margin", r.CanaryMargin, "0 to below 1")
	k.that(r.CanarySlower >= 1 && r.CanarySlower <= 1000, "reload.canary_slower", r.CanarySlower, "1 to 1000")
	k.between("reload.canary_messages", r.CanaryMessages, 1, 1_000_000)
}
