package grain

import (
	"fmt"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
)

// Identity is who an activation of a grain is.
type Identity struct {
	Kind, ID string
	// Epoch rises from each activation of the grain to the next one, on whatever node. What the grain writes carries it, so that whoever keeps it can refuse what
	// an activation writes that has been replaced. It is below 2^53.
	Epoch uint64
	// Ref is as whom others know the activation: what is sent there is passed on when the grain has gone elsewhere, for a while. It is not the actor of the kind itself, which only it sends to.
	Ref actor.Ref
}

// Kind tells how grains of one kind are made, and where.
type Kind struct {
	// Name of the kind, as [cluster.CheckName] has it.
	Name string
	// New is how to make the actor of an activation. Its name, if it has one, must be one that only this grain has. nil on a node that has none of them: it reaches those of other nodes.
	// New must not wait; what the actor loads, it loads as a [Loader].
	New func(id Identity) actor.Spec
	// Placement is how the node is chosen. Default Spread.
	Placement Placement
	// Role is what a node must have to be chosen; empty for any.
	Role string
	// Idle is after how long without a message a grain goes to sleep: it is stopped, and made anew by the next message. Default 5 min; negative never.
	// All nodes must have the same.
	Idle time.Duration
}

// Placement is how a node is chosen for a grain that is nowhere.
type Placement uint8

// The placements. Each chooses among the nodes that are alive, can prove their names, have the role and do not drain.
const (
	// Spread gives each node a share of the ids by their hash, the larger the greater its label grain-weight is (a number, 1 if there is none): an id is placed on the same node
	// again while nodes stay the same.
	Spread Placement = iota
	// LeastLoaded takes the node with the fewest grains.
	LeastLoaded
	// PreferLocal takes the node of whoever speaks to the grain first, if it may have it; else it is as Spread.
	PreferLocal
)

// WeightLabel is the label of a node that tells Spread its share.
const WeightLabel = "grain-weight"

// Loader is an actor of a kind that has something to load before its first message: messages wait until done is called, with an error if there is to be no
// activation. It may Ask and Go meanwhile, and must call done in the end.
type Loader interface {
	Load(c *actor.Context, done func(error))
}

const (
	defaultIdle = 5 * time.Minute
	// maxID is how many bytes an id may have.
	maxID = 255
)

func (k *Kind) check() error {
	if err := cluster.CheckName(k.Name); err != nil {
		return fmt.Errorf("grain: kind: %w", err)
	}
	if k.Role != "" {
		if err := cluster.CheckName(k.Role); err != nil {
			return fmt.Errorf("grain: kind %s: role: %w", k.Name, err)
		}
	}
	if k.Placement > PreferLocal {
		return fmt.Errorf("grain: kind %s: placement %d, expected Spread, LeastLoaded or PreferLocal", k.Name, k.Placement)
	}
	if k.Idle == 0 {
		k.Idle = defaultIdle
	}
	return nil
}

// keyOf is how a grain is called in all tables.
func (g *Grains) keyOf(kind, id string) (string, error) {
	if g.kinds[kind] == nil {
		return "", fmt.Errorf("%w: %q", ErrKind, kind)
	}
	if id == "" || len(id) > maxID {
		return "", fmt.Errorf("%w: %d bytes, expected 1 to %d", ErrID, len(id), maxID)
	}
	return kind + "/" + id, nil
}

// kindOf is the kind of a key; nil if there is none.
func (g *Grains) kindOf(key string) (k *Kind, id string) {
	name, id, _ := strings.Cut(key, "/")
	return g.kinds[name], id
}
