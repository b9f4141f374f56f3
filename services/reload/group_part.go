package reload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// canary is the part of a change in which some actors run its version, and the others do not yet.
type canary struct {
	group    Group
	concerns func(script string) bool
	measured *lua.Measurement
	vms      map[actor.Ref]bool // of the group, for players
	since    time.Time
}

// CanaryRuns tells of a canary on a node.
type CanaryRuns struct {
	Version string    `json:"version"`
	Group   string    `json:"group"`
	Since   time.Time `json:"since"`
}

// try has the group's actors of this node go over, and those of it that begin from now on. If one can't, all are back when it returns.
func (p *part) try(ctx context.Context, epoch uint64) (Applied, error) {
	if err := p.take(ctx); err != nil {
		return Applied{}, err
	}
	defer p.leave()
	c, err := p.current(epoch)
	switch {
	case err != nil:
		return Applied{}, err
	case c.canary == nil || c.begun:
		return Applied{}, fmt.Errorf("%w: epoch %d has no canary to begin", ErrBusy, epoch)
	}
	p.mark(c, false)
	limited, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	g := &c.canary.group
	p.cfg.Runtime.Choose(g.chooser(p.cfg.Name, c.to, c.canary.concerns))
	var list []target
	switch g.Kind {
	case ByPlayer:
		list, err = p.players(limited, c)
	case ByShare:
		list = g.pick(p.units(limited), c.canary.concerns)
	case ByService, ByNode:
		list = g.members(p.cfg.Name, p.targets())
	}
	done := Applied{Node: p.cfg.Name}
	if err == nil {
		done, err = p.bringThese(limited, c, list, c.to, c.down)
	}
	if err != nil {
		return done, errors.Join(err, p.back(ctx, c))
	}
	return done, nil
}

// look brings players of the group over who have come since, and tells what has been counted.
func (p *part) look(ctx context.Context, epoch uint64) (Applied, map[string]map[string]lua.Figures, error) {
	if err := p.take(ctx); err != nil {
		return Applied{}, nil, err
	}
	defer p.leave()
	c, err := p.current(epoch)
	if err != nil {
		return Applied{}, nil, err
	}
	if c.canary == nil {
		return Applied{}, nil, fmt.Errorf("%w: epoch %d has no canary", ErrFenced, epoch)
	}
	done := Applied{Node: p.cfg.Name}
	if c.begun && c.canary.group.Kind == ByPlayer {
		limited, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
		defer cancel()
		list, err := p.players(limited, c)
		if err == nil && len(list) > 0 {
			done, err = p.bringThese(limited, c, list, c.to, c.down)
		}
		if err != nil {
			return done, nil, err
		}
	}
	return done, c.canary.measured.Scripts(), nil
}

// players are the agents on this node of those players of the group that have not been brought over yet.
func (p *part) players(ctx context.Context, c *change) ([]target, error) {
	if p.cfg.Players == nil {
		return nil, nil
	}
	agents, err := p.cfg.Players(ctx, c.canary.group.Names)
	if err != nil {
		return nil, fmt.Errorf("reload: canary: the agents of players: %w", err)
	}
	in := make(map[actor.Ref]bool, len(agents))
	for _, ref := range agents {
		in[ref] = true
	}
	var list []target
	for _, t := range p.targets() {
		if in[t.ref] && !c.canary.vms[t.ref] {
			list = append(list, t)
		}
	}
	c.canary.vms = in // forgets those that have ended
	return list, nil
}

// units are the VMs of this node, each with how many go over with it. Actors that are stuck are left out: whoever asks for a few has others.
func (p *part) units(ctx context.Context) []unit {
	ctx, cancel := context.WithTimeout(ctx, min(surveyTime, p.cfg.Timeout/2))
	defer cancel()
	all := p.targets()
	agents := map[actor.Ref]int{}
	var mu sync.Mutex
	p.each(ctx, all, func(t target) {
		r, err := p.running(ctx, t)
		if err != nil || r.Version == "" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		agents[r.VM] = max(r.Agents, 1)
	})
	units := make([]unit, 0, len(agents))
	for _, t := range all { // in the order of the actors
		if n := agents[t.ref]; n > 0 {
			units = append(units, unit{t, n})
		}
	}
	return units
}

// trying tells of a canary under way.
func (p *part) trying() *CanaryRuns {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.change
	if c == nil || c.canary == nil || !c.begun || c.applied {
		return nil
	}
	return &CanaryRuns{Version: c.to.ID(), Group: c.canary.group.String(), Since: c.canary.since.UTC()}
}
