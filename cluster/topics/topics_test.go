package topics_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a node with topics.
type place struct {
	*clustertest.Node
	topics *topics.Topics
	names  *names.Names
}

func start(t *testing.T, n int) []*place {
	t.Helper()
	types := wire.NewTypes()
	names.WireTypes(types)
	topics.WireTypes(types)
	var all []*place
	for _, node := range clustertest.Start(t, n, clustertest.Config{Types: types}).Nodes {
		x, err := names.New(names.Config{Node: node.Node, Members: node.Members, System: node.System, Mesh: node.Mesh})
		if err != nil {
			t.Fatal(err)
		}
		p := &place{node, topics.New(x, 2), x}
		node.Spawn(x.Spec())
		node.Spawn(p.topics.Spec())
		all = append(all, p)
	}
	return all
}

// do runs f in an actor of its own, and returns when it has called done.
func (p *place) do(t *testing.T, f func(c *actor.Context, done func())) actor.Ref {
	t.Helper()
	finished := make(chan struct{})
	ref := p.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if msg == "go" {
				f(c, func() { close(finished) })
			}
		})
	}})
	p.System.Send(ref, "go")
	<-finished
	return ref
}

// subscriber is an actor that passes on what it gets.
type subscriber struct {
	p     *place
	got   chan<- topics.Message
	ready chan<- error
}

func (s *subscriber) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case topics.Message:
		s.got <- m
	case string:
		if topic, ok := strings.CutPrefix(m, "-"); ok {
			s.p.topics.Unsubscribe(c, topic)
			s.ready <- nil
			return
		}
		s.p.topics.Subscribe(c, m, func(err error) { s.ready <- err })
	}
}

func (p *place) subscriber(t *testing.T) (ref actor.Ref, tell func(topic string) error, got chan topics.Message) {
	t.Helper()
	got, ready := make(chan topics.Message, 10_000), make(chan error, 1)
	ref = p.Spawn(actor.Spec{New: func() actor.Actor { return &subscriber{p, got, ready} }})
	return ref, func(topic string) error {
		p.System.Send(ref, topic)
		return <-ready
	}, got
}

func (p *place) sees(t *testing.T, topic string, nodes int) {
	t.Helper()
	clustertest.Eventually(t, fmt.Sprintf("%s sees %d nodes", p.Name, nodes), func() bool { return len(p.names.Query("topic:"+topic)) == nodes })
}

func TestWhatIsPublishedComesToAllNodesInOrder(t *testing.T) {
	all := start(t, 3)
	var got []chan topics.Message
	for _, p := range []*place{all[0], all[1], all[1], all[2]} {
		_, tell, ch := p.subscriber(t)
		if err := tell("news"); err != nil {
			t.Fatal(err)
		}
		got = append(got, ch)
	}
	for _, p := range all {
		p.sees(t, "news", 3)
	}
	const n = 2000
	from := all[0].do(t, func(c *actor.Context, done func()) {
		for i := range n {
			here, nodes, err := all[0].topics.Publish(c, "news", i)
			if here != 1 || nodes != 2 || err != nil {
				t.Errorf("%d here, %d nodes, %v", here, nodes, err)
			}
		}
		done()
	})
	for who, ch := range got {
		for i := range n {
			m := <-ch
			if m.Body != i || m.Topic != "news" || m.From.Address() != from.Address() {
				t.Fatalf("subscriber %d got %+v as message %d", who, m, i)
			}
		}
	}
}

func TestWhoUnsubscribesOrEndsGetsNothingMore(t *testing.T) {
	all := start(t, 2)
	_, tell, got := all[1].subscriber(t)
	other, tellOther, _ := all[1].subscriber(t)
	for _, tell := range []func(string) error{tell, tellOther} {
		if err := tell("a"); err != nil {
			t.Fatal(err)
		}
	}
	all[0].sees(t, "a", 1)
	if err := tell("-a"); err != nil {
		t.Fatal(err)
	}
	all[0].do(t, func(c *actor.Context, done func()) {
		if _, nodes, err := all[0].topics.Publish(c, "a", "x"); nodes != 1 || err != nil {
			t.Errorf("%d nodes, %v", nodes, err)
		}
		done()
	})
	all[1].System.Stop(other, nil)
	all[0].sees(t, "a", 0)
	if len(got) != 0 {
		t.Fatalf("got %+v", <-got)
	}
	if err := tell("a"); err != nil {
		t.Fatal(err)
	}
	all[0].sees(t, "a", 1)
}

func TestTopicsHaveBounds(t *testing.T) {
	all := start(t, 1)
	_, tell, _ := all[0].subscriber(t)
	for _, topic := range []string{"a", "b"} {
		if err := tell(topic); err != nil {
			t.Fatal(err)
		}
	}
	if err := tell("c"); !errors.Is(err, topics.ErrFull) {
		t.Fatal(err)
	}
	if err := tell(strings.Repeat("t", 129)); !errors.Is(err, topics.ErrTopic) {
		t.Fatal(err)
	}
}

func TestAMessageInItselfIsRefused(t *testing.T) {
	types := wire.NewTypes()
	topics.WireTypes(types)
	all := start(t, 1)
	sys := all[0].System
	c := wire.NewCoder(types, sys.Node(), sys.Node(), sys.NodeOf)
	data, err := c.Append(nil, topics.Message{Topic: "t", Body: topics.Message{Topic: "t", Body: topics.Message{Topic: "t", Body: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := c.Parse(data); err == nil {
		t.Fatalf("read as %+v", msg)
	}
}
