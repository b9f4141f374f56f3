package grain

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/skua-go/skua/actor"
)

// Activation is a grain that is on this node.
type Activation struct {
	Kind, ID string
	Epoch    uint64
	Ref      actor.Ref
	State    string // starting, active or ending
}

// Key is its kind and id: KIND/ID.
func (a *Activation) Key() string { return a.Kind + "/" + a.ID }

// listHosted asks the agent for the grains of this node: answered by listed. It goes to no other node.
type listHosted struct {
	kind, after string
	most        int
}

type listed struct {
	grains []Activation
	total  int
}

// List is the grains of this node, of a kind or of all if that is empty, whose key (KIND/ID) is behind after: most of them at the most, by their keys, and how many there are in all. It looks at all of them, while
// none is started or ended here, so it is for people who look. It blocks until the answer is there, or ctx ends.
func (g *Grains) List(ctx context.Context, kind, after string, most int) (grains []Activation, total int, err error) {
	v, err := g.sys.Ask(ctx, g.agent, listHosted{kind, after, most})
	l, _ := v.(listed)
	return l.grains, l.total, err
}

func (a *agent) list(c *actor.Context, m listHosted) {
	found := listed{}
	byKey := func(x, y *hosted) int { return cmp.Compare(x.key, y.key) }
	kept := make([]*hosted, 0, 2*m.most) // what is behind the first ones of it is dropped when it is full
	for n := range a.hosted {
		for key, h := range a.hosted[n] {
			if m.kind != "" && !strings.HasPrefix(key, m.kind+"/") {
				continue
			}
			found.total++
			if key <= m.after {
				continue
			}
			if kept = append(kept, h); len(kept) == cap(kept) {
				slices.SortFunc(kept, byKey)
				kept = kept[:m.most]
			}
		}
	}
	slices.SortFunc(kept, byKey)
	for _, h := range kept[:min(len(kept), m.most)] {
		kind, id, _ := strings.Cut(h.key, "/")
		found.grains = append(found.grains, Activation{Kind: kind, ID: id, Epoch: h.epoch, Ref: h.front, State: h.state.String()})
	}
	c.Reply(found, nil)
}

func (s hostedState) String() string {
	switch s {
	case isStarting:
		return "starting"
	case isActive:
		return "active"
	default:
		return "ending"
	}
}
