package gate

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/mesh"
)

// Others is what a gate has of the other nodes of its cluster. Members and Mesh are required.
type Others struct {
	Members *cluster.Members
	Mesh    *mesh.Mesh
	// Keys sign the tokens by which clients go on with their sessions: the first one signs, each is taken for good. All nodes need the same. Without any, no
	// session goes on at another gate.
	Keys [][]byte
	// AgentRole is the role of the nodes that have the agents of players. Empty: each gate's own node has them.
	AgentRole string
}

// AddressLabel is the label of a node that has the addresses of its main gate, for clients that have to go there: URLs, with spaces between. A gate of another name has
// "gate." and that name.
const AddressLabel = "gate"

// MaxAddresses is how many addresses a client is told.
const MaxAddresses = 8

// others finds the gates of other nodes, and which node a player's agent is to be on. Its methods may be called from any goroutine.
type others struct {
	Others
	name   string // of the gate
	label  string
	prints uint64 // what the gates have to have in common

	mu    sync.Mutex
	known map[identity]actor.Ref
}

// identity is an incarnation of a node.
type identity struct {
	node        string
	incarnation uint64
}

func newOthers(cfg *Config) (*others, error) {
	if cfg.Others == nil {
		return nil, nil
	}
	if cfg.Others.Members == nil || cfg.Others.Mesh == nil {
		return nil, fmt.Errorf("gate: Config.Others of gate %q needs Members and a Mesh", cfg.Name)
	}
	label := AddressLabel
	if cfg.Name != ServiceName {
		label = AddressLabel + "." + strings.TrimPrefix(cfg.Name, ServiceName+".")
	}
	return &others{Others: *cfg.Others, name: cfg.Name, label: label, prints: fingerprint(cfg), known: map[identity]actor.Ref{}}, nil
}

// fingerprint tells gates apart between which no session can move: what clients were told, and what is in packages that were sent, would not be true any more.
func fingerprint(cfg *Config) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %s %d %s %t", cfg.Name, cfg.Codec, cfg.MaxPacket, cfg.Bodies.Name(), cfg.GzipFrom > 0) // it never fails
	for _, route := range slices.Sorted(maps.Keys(cfg.Routes)) {
		_, _ = fmt.Fprintf(h, " %q=%d", route, cfg.Routes[route])
	}
	return h.Sum64()
}

// own is the name of this node.
func (o *others) own() string { return o.Members.Self().Name }

// gate is the actor of the gate of this name on another node. It waits until ctx ends.
func (o *others) gate(ctx context.Context, m cluster.Member) (actor.Ref, error) {
	id := identity{m.Name, m.Incarnation}
	if ref, ok := o.cached(id); ok {
		return ref, nil
	}
	ref, err := o.Mesh.Lookup(ctx, m.Name, o.name)
	if err == nil {
		o.keep(id, ref)
	}
	return ref, err
}

// find is gate for an actor: then runs in it, before find returns if the gate is known.
func (o *others) find(c *actor.Context, m cluster.Member, then func(actor.Ref, error)) {
	id := identity{m.Name, m.Incarnation}
	if ref, ok := o.cached(id); ok {
		then(ref, nil)
		return
	}
	o.Mesh.Find(c, m.Name, o.name, func(ref actor.Ref, err error) {
		if err == nil {
			o.keep(id, ref)
		}
		then(ref, err)
	})
}

func (o *others) cached(id identity) (actor.Ref, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ref, ok := o.known[id]
	return ref, ok
}

// keep remembers a gate, and forgets those of incarnations that are over.
func (o *others) keep(id identity, ref actor.Ref) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for other := range o.known {
		if m, ok := o.Members.Find(other.node); !ok || m.Incarnation != other.incarnation {
			delete(o.known, other)
		}
	}
	o.known[id] = ref
}

// reachable are the other nodes that can be reached.
func (o *others) reachable() []cluster.Member {
	own := o.own()
	return slices.DeleteFunc(o.Members.List(), func(m cluster.Member) bool { return m.Name == own || !m.State.Reachable() })
}

// home is the node that is to have a player's agent; ok is false if there is none. All nodes that see the same members find the same one (rendezvous hashing: Thaler and
// Ravishankar 1998), and when one comes or goes only the players move that it gets or had.
func (o *others) home(uid string) (m cluster.Member, ok bool) {
	if o.AgentRole == "" {
		return o.Members.Self(), true
	}
	var most uint64
	for _, candidate := range o.Members.List() {
		if candidate.State != cluster.Alive || candidate.Draining || !candidate.Has(o.AgentRole) {
			continue
		}
		h := fnv.New64a()
		_, _ = io.WriteString(h, candidate.Name) // it never fails, nor does the next
		_, _ = io.WriteString(h, "\xff"+uid)
		if score := mix(h.Sum64()); !ok || score > most {
			m, most, ok = candidate, score, true
		}
	}
	return m, ok
}

// mix spreads the bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// addressesFor are where a client finds this gate on other nodes that take clients: all of some nodes, which are others each time, so that the clients of a node that ends don't all
// go to the same.
func (o *others) addressesFor() []string {
	if o == nil {
		return nil
	}
	nodes := slices.DeleteFunc(o.reachable(), func(m cluster.Member) bool { return m.State != cluster.Alive || m.Draining || m.Labels[o.label] == "" })
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	var all []string
	for _, m := range nodes {
		if all = append(all, strings.Fields(m.Labels[o.label])...); len(all) >= MaxAddresses {
			return all[:MaxAddresses]
		}
	}
	return all
}
