// Package topics has actors publish to all actors of the cluster that have subscribed to a topic.
//
// A message goes once to each node that has subscribers, and is spread there. What one actor publishes to a topic arrives everywhere in the order in which it published it. It is delivered as
// messages between nodes are: once, and lost only with the node it is for, or when that node has too much waiting. Each node's actor called topics registers the topics that the node has subscribers of with
// package names; so who subscribes gets what is published from some milliseconds later on.
package topics

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/names"
)

// AgentName is the name of the actor that spreads what other nodes publish.
const AgentName = "topics"

const (
	maxTopic = 128 // bytes
	prefix   = "topic:"
)

// The errors that callers tell apart with errors.Is.
var (
	// ErrTopic is wrapped for what can't be the name of a topic.
	ErrTopic = errors.New("topics: bad topic")
	// ErrFull is wrapped when this node has subscribers of as many topics as it may.
	ErrFull = errors.New("topics: too many topics")
)

// Message is what subscribers get.
type Message struct {
	Topic string
	// From is who has published it.
	From actor.Ref
	// Body is the message: of a type that goes to other nodes. It must not be changed.
	Body any
}

// WireTypes adds the messages of this package to those that go to other nodes.
func WireTypes(t *wire.Types) {
	wire.Add(t, "topics.Message", func(c *wire.Coder, dst []byte, m Message) ([]byte, error) {
		dst = wire.AppendString(dst, m.Topic)
		return c.Append(c.AppendRef(dst, m.From), m.Body)
	}, func(r *wire.Reader) (Message, error) {
		m := Message{Topic: r.String(), From: r.Ref()}
		var err error
		if r.Err() == nil {
			m.Body, err = r.Message()
		}
		return m, errors.Join(r.Err(), err)
	})
}

// Topics are those of a node.
type Topics struct {
	names *names.Names
	max   int
}

// New makes the Topics of a node, which may have subscribers of up to most topics, 0 for 10,000. Its Spec is to be spawned, after that of names.
func New(n *names.Names, most int) *Topics {
	if most <= 0 {
		most = 10_000
	}
	return &Topics{names: n, max: most}
}

// Subscribe has an actor of this node get, as Message, what is published to a topic by anybody, until Unsubscribe or its end. then runs in the actor when the other nodes are being told; its error is
// ErrTopic or ErrFull.
func (t *Topics) Subscribe(c *actor.Context, topic string, then func(error)) {
	if err := check(topic); err != nil {
		then(err)
		return
	}
	c.Subscribe(prefix + topic)
	t.ask(c, subscribe{topic}, func(err error) {
		if err != nil {
			c.Unsubscribe(prefix + topic)
		}
		then(err)
	})
}

// Unsubscribe ends that: nothing more comes.
func (t *Topics) Unsubscribe(c *actor.Context, topic string) {
	c.Unsubscribe(prefix + topic)
	if agent, ok := c.System().Lookup(AgentName); ok {
		c.Send(agent, unsubscribe{topic})
	}
}

func (t *Topics) ask(c *actor.Context, msg any, then func(error)) {
	agent, ok := c.System().Lookup(AgentName)
	if !ok {
		then(&actor.Error{Code: actor.NoActor, Actor: AgentName})
		return
	}
	c.Ask(agent, msg, func(_ any, err error) { then(err) })
}

// Publish sends a message to all subscribers, this actor too if it is one, and tells how many there are on this node, and how many nodes it goes to beside. It does not wait.
func (t *Topics) Publish(c *actor.Context, topic string, body any) (here, nodes int, err error) {
	return t.PublishFor(c, c.Self(), topic, body)
}

// PublishFor is Publish in the name of another actor.
func (t *Topics) PublishFor(c *actor.Context, from actor.Ref, topic string, body any) (here, nodes int, err error) {
	if err := check(topic); err != nil {
		return 0, 0, err
	}
	m := Message{Topic: topic, From: from, Body: body}
	for _, in := range t.names.Query(prefix + topic) {
		if in.Ref.IsRemote() {
			c.Send(in.Ref, m)
			nodes++
		}
	}
	return c.Publish(prefix+topic, m), nodes, nil
}

func check(topic string) error {
	if topic == "" || len(topic) > maxTopic {
		return fmt.Errorf("%w %.64q: a name of 1 to %d bytes is expected", ErrTopic, topic, maxTopic)
	}
	return nil
}

type (
	subscribe   struct{ topic string }
	unsubscribe struct{ topic string }
)

// Spec is how to spawn the agent of this node.
func (t *Topics) Spec() actor.Spec {
	return actor.Spec{
		Name: AgentName,
		New: func() actor.Actor {
			return &agent{t: t, topics: map[string]map[actor.Ref]struct{}{}, of: map[actor.Ref]map[string]struct{}{}}
		},
		Supervision: actor.Supervision{Limit: -1}, // who has subscribed is nowhere else
	}
}

// agent knows who has subscribed on this node.
type agent struct {
	t      *Topics
	topics map[string]map[actor.Ref]struct{}
	of     map[actor.Ref]map[string]struct{}
}

// Receive takes subscriptions of this node, messages of others, and ends.
func (a *agent) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case subscribe:
		c.Reply(nil, a.subscribe(c, m.topic))
	case unsubscribe:
		a.unsubscribe(c, c.From(), m.topic)
	case Message:
		c.Publish(prefix+m.Topic, m)
	case actor.Terminated:
		for topic := range a.of[m.Ref] {
			a.unsubscribe(c, m.Ref, topic)
		}
	}
}

func (a *agent) subscribe(c *actor.Context, topic string) error {
	who := c.From()
	if who.IsZero() || who.IsRemote() {
		return fmt.Errorf("%w %s: only actors of this node subscribe", ErrTopic, topic)
	}
	subscribers := a.topics[topic]
	if subscribers == nil {
		if len(a.topics) >= a.t.max {
			return fmt.Errorf("%w: %s: this node has subscribers of %d", ErrFull, topic, len(a.topics))
		}
		if err := a.t.names.Register(prefix+topic, c.Self(), names.Options{}); err != nil {
			return fmt.Errorf("topics: %s: %w", topic, err)
		}
		subscribers = map[actor.Ref]struct{}{}
		a.topics[topic] = subscribers
	}
	subscribers[who] = struct{}{}
	if a.of[who] == nil {
		a.of[who] = map[string]struct{}{}
		c.Watch(who)
	}
	a.of[who][topic] = struct{}{}
	return nil
}

func (a *agent) unsubscribe(c *actor.Context, who actor.Ref, topic string) {
	if _, ok := a.of[who][topic]; !ok {
		return
	}
	delete(a.of[who], topic)
	if len(a.of[who]) == 0 {
		delete(a.of, who)
		c.Unwatch(who)
	}
	delete(a.topics[topic], who)
	if len(a.topics[topic]) == 0 {
		delete(a.topics, topic)
		a.t.names.Unregister(prefix+topic, c.Self())
	}
}
