package reload

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/skua-go/skua/cluster"
	code "github.com/skua-go/skua/lua/reload"
)

// GroupKind says by what the actors of a Group are chosen.
type GroupKind string

// The kinds of groups.
const (
	ByShare   GroupKind = "share"
	ByService GroupKind = "service"
	ByPlayer  GroupKind = "player"
	ByNode    GroupKind = "node"
)

// maxGroup is how long the text of a group may be: it goes into an order.
const maxGroup = 2 << 10

// Group is some of a cluster's actors, which try a version before the others.
type Group struct {
	Kind  GroupKind
	Share float64  // of ByShare: above 0, below 1
	Names []string // of scripts, players or nodes
}

const groupForms = `a share as "5%", "service NAME", "player ID,ID" or "node NAME"`

// ParseGroup reads a group as operators write it. A = may stand for the space, and several names have commas between them.
func ParseGroup(text string) (Group, error) {
	fail := func(why string) (Group, error) {
		return Group{}, fmt.Errorf("reload: canary: found %q%s, expected %s", clip(text), why, groupForms)
	}
	if len(text) > maxGroup {
		return Group{}, fmt.Errorf("reload: canary: found %d bytes, expected at most %d", len(text), maxGroup)
	}
	if number, ok := strings.CutSuffix(strings.TrimSpace(text), "%"); ok {
		share, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(share) || share <= 0 || share >= 100 {
			return fail(", which is no share above 0 and below 100")
		}
		return Group{Kind: ByShare, Share: share / 100}, nil
	}
	at := strings.IndexAny(text, " =")
	if at < 0 {
		return fail("")
	}
	g := Group{Kind: GroupKind(text[:at])}
	if !slices.Contains([]GroupKind{ByService, ByPlayer, ByNode}, g.Kind) {
		return fail("")
	}
	for name := range strings.SplitSeq(text[at+1:], ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			return fail(", with an empty name")
		}
		if !slices.Contains(g.Names, name) {
			g.Names = append(g.Names, name)
		}
	}
	return g, nil
}

// String is what ParseGroup reads.
func (g *Group) String() string {
	if g.Kind == ByShare {
		return strconv.FormatFloat(g.Share*100, 'g', -1, 64) + "%"
	}
	return string(g.Kind) + " " + strings.Join(g.Names, ",")
}

func (g *Group) has(name string) bool { return slices.Contains(g.Names, name) }

// check refuses a group of nodes that are not there.
func (g *Group) check(self string, others []cluster.Member) error {
	if g.Kind != ByNode {
		return nil
	}
	for _, name := range g.Names {
		if name != self && !slices.ContainsFunc(others, func(m cluster.Member) bool { return m.Name == name }) {
			return fmt.Errorf("reload: canary: there is no node %q, or it is not reachable", clip(name))
		}
	}
	return nil
}

// chooser tells which version the VMs of a group get that begin while the canary goes on; nil is the one of all others. Players are not known by then, see part.look.
func (g *Group) chooser(node string, to *code.Version, concerns func(script string) bool) func(script string) *code.Version {
	var mu sync.Mutex // reaches remembers
	due := map[string]float64{}
	return func(script string) *code.Version {
		mu.Lock()
		defer mu.Unlock()
		in := false
		switch g.Kind {
		case ByShare:
			if concerns(script) {
				due[script] += g.Share
				if in = due[script] >= 1; in {
					due[script]--
				}
			}
		case ByService:
			in = g.has(script)
		case ByNode:
			in = g.has(node)
		case ByPlayer:
		}
		if in {
			return to
		}
		return nil
	}
}

// unit is a VM with all who share it: they go over together.
type unit struct {
	target
	agents int
}

// members are the actors of a group that is named, among all of a node.
func (g *Group) members(node string, all []target) []target {
	var some []target
	for _, t := range all {
		if g.Kind == ByService && g.has(t.script) || g.Kind == ByNode && g.has(node) {
			some = append(some, t)
		}
	}
	return some
}

// pick takes a share of a node's VMs: of each script that the change is about at least one, and leaves at least one.
func (g *Group) pick(all []unit, concerns func(script string) bool) []target {
	of := map[string][]unit{}
	for _, u := range all {
		if concerns(u.script) {
			of[u.script] = append(of[u.script], u)
		}
	}
	var some []target
	for _, list := range of {
		agents, taken := 0, 0
		for _, u := range list {
			agents += u.agents
		}
		for _, u := range list[:len(list)-1] {
			if taken > 0 && float64(taken) >= g.Share*float64(agents) {
				break
			}
			some = append(some, u.target)
			taken += u.agents
		}
	}
	return some
}
