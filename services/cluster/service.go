// Package cluster is what scripts have of other nodes: skynet.cluster, and the module cluster with services by name, locks and elections with fencing tokens, topics, and what is to be done once
// in the cluster. Its service takes the messages of scripts/cluster.lua and scripts/skynet/cluster.lua.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	nodes "github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
	"github.com/skua-go/skua/lua"
)

// ServiceName is the name under which scripts find the service.
const ServiceName = "cluster"

// Config is what the service stands on. All of it is required.
type Config struct {
	Members *nodes.Members
	Mesh    *mesh.Mesh
	Names   *names.Names
	Leases  *lease.Leases
	Topics  *topics.Topics
}

// Spec is how to spawn the service, after names and topics and before the services of scripts.
func Spec(cfg Config) (actor.Spec, error) {
	if cfg.Members == nil || cfg.Mesh == nil || cfg.Names == nil || cfg.Leases == nil || cfg.Topics == nil {
		return actor.Spec{}, errors.New("cluster: Members, Mesh, Names, Leases and Topics are needed")
	}
	return actor.Spec{
		Name: ServiceName,
		New: func() actor.Actor {
			return &service{Config: cfg, held: map[int64]*hold{}, topics: map[string]map[actor.Ref]struct{}{}, watched: map[actor.Ref]struct{}{}}
		},
		// Who holds a lock is nowhere else: in a successor all would be held for ever.
		Supervision: actor.Supervision{Limit: -1},
	}, nil
}

// service is the actor.
type service struct {
	Config
	last    int64
	held    map[int64]*hold
	topics  map[string]map[actor.Ref]struct{} // scripts of this node
	watched map[actor.Ref]struct{}
}

// errUse is wrapped for wrong arguments.
var errUse = errors.New("cluster: wrong use")

// Receive takes commands of scripts of this node, what is published, and the ends of scripts.
func (s *service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case lua.Message:
		s.command(c, m.Args)
	case topics.Message:
		s.spread(c, m)
	case actor.Terminated:
		s.ended(c, m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("cluster: %T is no message of this service", msg))
	}
}

// Stop gives all locks back.
func (s *service) Stop(c *actor.Context, _ error) {
	for id := range s.held {
		s.release(c, id)
	}
}

func (s *service) command(c *actor.Context, args value.List) {
	cmd, _ := args.At(0).Str()
	args = args.Rest(1)
	from := c.From()
	if from.IsRemote() || from.IsZero() {
		c.Reply(nil, &actor.Error{Code: actor.Refused, Actor: ServiceName, Text: "it serves scripts of its own node"})
		return
	}
	if _, watched := s.watched[from]; !watched {
		s.watched[from] = struct{}{}
		c.Watch(from)
	}
	switch cmd {
	case "find":
		s.find(c, args)
	case "address":
		answer(c, func() (value.List, error) { return s.address(c, args) })
	case "members":
		c.Reply(s.members(), nil)
	case "register", "unregister", "query", "any":
		answer(c, func() (value.List, error) { return s.name(c, cmd, args) })
	case "lock", "try", "once":
		s.take(c, cmd, args)
	case "release", "held", "lost":
		s.use(c, cmd, args)
	case "holder":
		s.holder(c, args)
	case "subscribe", "unsubscribe", "publish":
		s.topic(c, cmd, args)
	default:
		c.Reply(nil, fmt.Errorf("%w: %q is no command of this service", errUse, cmd))
	}
}

func answer(c *actor.Context, f func() (value.List, error)) {
	l, err := f()
	if err != nil {
		c.Reply(nil, err)
		return
	}
	c.Reply(l, nil)
}

// addressOf is an address as scripts have it.
func addressOf(ref actor.Ref) any {
	if ref.IsRemote() {
		return ref.Address()
	}
	return int64(ref.ID())
}

// refOf reads an address of this node: a number, or nil for whoever asks.
func refOf(c *actor.Context, v value.Value) (actor.Ref, error) {
	switch v.Kind() {
	case value.Nil:
		return c.From(), nil
	case value.Int:
		id, _ := v.Int()
		return c.System().RefOf(uint64(id)), nil
	case value.String:
		text, _ := v.Str()
		if ref, ok := c.System().Lookup(text); ok {
			return ref, nil
		}
		return actor.Ref{}, fmt.Errorf("%w: no service of this node is called %q", errUse, text)
	default:
		return actor.Ref{}, fmt.Errorf("%w: an address of this node is expected, got %s", errUse, v.Kind())
	}
}

// address is the address of a service of this node as text that works on all.
func (s *service) address(c *actor.Context, args value.List) (value.List, error) {
	ref, err := refOf(c, args.At(0))
	if err != nil {
		return value.List{}, err
	}
	return value.Of(ref.Address()), nil
}

// find finds a service of another node by its name there, or its number.
func (s *service) find(c *actor.Context, args value.List) {
	node, _ := args.At(0).Str()
	if id, ok := args.At(1).Int(); ok {
		answer(c, func() (value.List, error) {
			m, known := s.Members.Find(node)
			if !known {
				return value.List{}, &actor.Error{Code: actor.Unreachable, Actor: node, Text: "no node of this name is known"}
			}
			n, err := c.System().NodeOf(node, m.Incarnation)
			if err != nil {
				return value.List{}, fmt.Errorf("cluster: %w", err)
			}
			return value.Of(addressOf(n.Ref(uint64(id)))), nil
		})
		return
	}
	name, ok := args.At(1).Str()
	if !ok {
		c.Reply(nil, fmt.Errorf("%w: the name or number of a service on %s is expected, got %s", errUse, node, args.At(1).Kind()))
		return
	}
	s.Mesh.Find(c, node, name, func(ref actor.Ref, err error) {
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.Reply(value.Of(addressOf(ref)), nil)
	})
}

// members is a table for each node.
func (s *service) members() value.List {
	self := s.Members.Self().Name
	all := s.Members.List()
	list := make([]any, 0, len(all))
	for _, m := range all {
		roles := make([]any, len(m.Roles))
		for i, r := range m.Roles {
			roles[i] = r
		}
		labels := map[string]any{}
		for k, v := range m.Labels {
			labels[k] = v
		}
		list = append(list, map[string]any{
			"name": m.Name, "incarnation": int64(m.Incarnation), "version": m.Version, "started": m.Started.Unix(), "state": m.State.String(), "self": m.Name == self,
			"draining": m.Draining, "roles": roles, "labels": labels, "actors": m.Load.Actors, "sessions": m.Load.Sessions,
			"grains": m.Load.Grains, "cpu": m.Load.CPU, "memory": m.Load.Memory,
		})
	}
	return value.Of(list)
}

// name is the commands on services by name.
func (s *service) name(c *actor.Context, cmd string, args value.List) (value.List, error) {
	name, ok := args.At(0).Str()
	if !ok {
		return value.List{}, fmt.Errorf("%w: %s: a name is expected, got %s", errUse, cmd, args.At(0).Kind())
	}
	switch cmd {
	case "query":
		list := []any{}
		for _, in := range s.Names.Query(name) {
			list = append(list, map[string]any{"address": addressOf(in.Ref), "node": in.Node, "weight": in.Weight, "draining": in.Draining})
		}
		return value.Of(list), nil
	case "any":
		by, err := pickOf(args)
		if err != nil {
			return value.List{}, err
		}
		ref, err := s.Names.Any(name, by)
		if errors.Is(err, names.ErrNobody) {
			return value.Of(nil), nil
		}
		return value.Of(addressOf(ref)), err
	}
	ref, err := refOf(c, args.At(1))
	if err != nil {
		return value.List{}, err
	}
	if cmd == "unregister" {
		return value.Of(s.Names.Unregister(name, ref)), nil
	}
	weight, _ := args.At(2).Float()
	return value.Of(true), s.Names.Register(name, ref, names.Options{Weight: weight})
}

func pickOf(args value.List) (names.Pick, error) {
	switch how, _ := args.At(1).Str(); how {
	case "", "turn":
		return names.RoundRobin(), nil
	case "load":
		return names.LeastLoaded(), nil
	case "key":
		return names.ByKey(args.At(2).String()), nil
	default:
		return names.Pick{}, fmt.Errorf("%w: turn, load or key is expected, got %q", errUse, how)
	}
}

// spread passes on to the scripts of this node what was published.
func (s *service) spread(c *actor.Context, m topics.Message) {
	body, ok := m.Body.(value.List)
	if !ok {
		return // published in Go, for Go
	}
	var b value.Builder
	b.String(m.Topic)
	for _, v := range body.All {
		b.Value(v)
	}
	msg := lua.Message{Type: lua.TypeTopic, Args: b.List(), Envelope: &lua.Envelope{From: m.From}}
	for ref := range s.topics[m.Topic] {
		c.Send(ref, msg)
	}
}

// topic is the commands on topics.
func (s *service) topic(c *actor.Context, cmd string, args value.List) {
	topic, ok := args.At(0).Str()
	if !ok {
		c.Reply(nil, fmt.Errorf("%w: %s: the name of a topic is expected, got %s", errUse, cmd, args.At(0).Kind()))
		return
	}
	from := c.From()
	switch cmd {
	case "publish":
		here, others, err := s.Topics.PublishFor(c, from, topic, args.Rest(1))
		if here > 0 {
			here = len(s.topics[topic])
		}
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.Reply(value.Of(here, others), nil)
	case "unsubscribe":
		s.unsubscribe(c, topic, from)
		c.Reply(value.Of(true), nil)
	default:
		if scripts := s.topics[topic]; scripts != nil {
			scripts[from] = struct{}{}
			c.Reply(value.Of(true), nil)
			return
		}
		s.topics[topic] = map[actor.Ref]struct{}{from: {}}
		s.Topics.Subscribe(c, topic, func(err error) {
			if err != nil {
				delete(s.topics, topic)
				c.Reply(nil, err)
				return
			}
			c.Reply(value.Of(true), nil)
		})
	}
}

func (s *service) unsubscribe(c *actor.Context, topic string, who actor.Ref) {
	scripts := s.topics[topic]
	if _, ok := scripts[who]; !ok {
		return
	}
	if delete(scripts, who); len(scripts) == 0 {
		delete(s.topics, topic)
		s.Topics.Unsubscribe(c, topic)
	}
}

// ended gives back what a script had.
func (s *service) ended(c *actor.Context, who actor.Ref) {
	delete(s.watched, who)
	for id, h := range s.held {
		if h.owner == who {
			s.release(c, id)
		}
	}
	for topic := range s.topics {
		s.unsubscribe(c, topic, who)
	}
}

// holder tells who has a lock.
func (s *service) holder(c *actor.Context, args value.List) {
	key, err := keyOf(args)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	c.Go(func(ctx context.Context) (any, error) { return s.Leases.Holder(ctx, key) }, func(v any, err error) {
		h, _ := v.(lease.Holder)
		switch {
		case err != nil:
			c.Reply(nil, err)
		case h.Node == "":
			c.Reply(value.Of(nil), nil)
		default:
			c.Reply(value.Of(map[string]any{"node": h.Node, "epoch": int64(h.Epoch), "since": h.Since.Unix(), "address": string(h.Meta)}), nil)
		}
	})
}

// keyOf reads the kind and the name of a lease.
func keyOf(args value.List) (string, error) {
	kind, _ := args.At(0).Str()
	name, ok := args.At(1).Str()
	if !ok || name == "" || len(name) > maxName {
		return "", fmt.Errorf("%w: a name of 1 to %d bytes is expected", errUse, maxName)
	}
	switch kind {
	case lease.Lock, lease.Leader, lease.Cron:
		return lease.Key(kind, name), nil
	default:
		return "", fmt.Errorf("%w: lock or leader is expected, got %q", errUse, kind)
	}
}

const (
	maxName = 150
	// maxOnce bounds how long it is remembered that something was done.
	maxOnce = 24 * time.Hour
)
