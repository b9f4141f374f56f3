//go:build linux

package faulttest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
	"github.com/skua-go/skua/internal/logtest"
)

// besieged is a cluster in this process with all that listens to NATS, and a stranger on the same server.
type besieged struct {
	*clustertest.Cluster
	t        *testing.T
	log      *logtest.Buffer
	leases   []*lease.Leases
	stranger *nats.Conn
	random   *rand.Rand
}

func besiege(t *testing.T) *besieged {
	t.Helper()
	types := wire.NewTypes()
	names.WireTypes(types)
	topics.WireTypes(types)
	wireTypes(types)
	b := &besieged{t: t, log: &logtest.Buffer{}, random: rand.New(rand.NewPCG(luck(t), 2))}
	b.Cluster = clustertest.Start(t, 3, clustertest.Config{
		// On a machine that is busy all of it takes long, which is not what is tested.
		Types: types, Log: slog.New(slog.NewTextHandler(b.log, nil)), Lease: time.Minute,
		System: func(_ int, cfg *actor.Config) { cfg.CallTimeout = time.Minute },
		Mesh:   func(_ int, cfg *mesh.Config) { cfg.Silent = time.Minute },
		Members: func(int) cluster.MembersConfig {
			return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 30 * time.Second, Dead: time.Minute}
		},
	})
	for _, n := range b.Nodes {
		x, err := names.New(names.Config{Node: n.Node, Members: n.Members, System: n.System, Mesh: n.Mesh, Metrics: n.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		n.Spawn(x.Spec())
		n.Spawn(topics.New(x, 0).Spec())
		n.Spawn(actor.Spec{Name: "echo", New: func() actor.Actor { return actor.Func(func(c *actor.Context, msg any) { c.Reply(msg, nil) }) }})
		l, err := lease.Open(t.Context(), n.Node, n.Members, lease.Config{Dead: 30 * time.Second, Grace: 30 * time.Second, Metrics: n.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		b.leases = append(b.leases, l)
	}
	stranger, err := nats.Connect(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stranger.Close)
	b.stranger = stranger
	return b
}

// noise is some random bytes.
func (b *besieged) noise(most int) []byte {
	data := make([]byte, b.random.IntN(most))
	for i := range data {
		data[i] = byte(b.random.Uint32())
	}
	return data
}

// name is what is none of a node, more often than not.
func (b *besieged) name() string {
	odd := []string{"", "*", ">", "n0.>", "n0.1", "n 0", "n0\r\nPUB skua.beat 0\r\n", "$JS", strings.Repeat("n", 65), "\x00", "ñ", "n1", "n2", "nobody"}
	return odd[b.random.IntN(len(odd))]
}

// beat is a heartbeat that is none, or whose sender can't be.
func (b *besieged) beat() []byte {
	fields := map[string]any{"v": 1, "name": b.name(), "inc": 1, "started": time.Now(), "held": true, "hello": true}
	switch b.random.IntN(8) {
	case 0:
		fields["v"] = b.random.IntN(5)*7 - 7
	case 1:
		fields["inc"] = -1
	case 2:
		fields["roles"] = []string{b.name(), strings.Repeat("r", 100)}
	case 3:
		fields["labels"] = map[string]string{"": strings.Repeat("x", 200)}
	case 4:
		fields["load"] = "much"
	case 5:
		fields["version"] = strings.Repeat("v", 20_000)
	case 6:
		fields["left"] = true // of a former incarnation
	}
	if fields["name"] == "nobody" {
		fields["v"] = 2 // it would be a node of this cluster, with all rights
	}
	text, err := json.Marshal(fields)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// want is what a node says that waits for a lease.
func (b *besieged) want(held string) []byte {
	key := []string{held, "lock.*", "lock.>", ">", "", "lock..x", "lock." + strings.Repeat("x", 600)}[b.random.IntN(7)]
	return fmt.Appendf(nil, `{"v":%d,"key":%q,"node":%q,"inc":%d,"waiter":1,"us":%d}`,
		b.random.IntN(2), key, b.name(), b.random.IntN(2), b.random.Int64()-1<<62)
}

// batch is the head of one, with whatever behind it.
func (b *besieged) batch(to *clustertest.Node) []byte {
	data := b.noise(300)
	if len(data) > 60 && b.random.IntN(4) > 0 { // in the form of docs/cluster.md
		from := b.Nodes[b.random.IntN(3)]
		data[0] = byte(b.random.IntN(3))
		for i := 34; i < 42; i++ {
			data[i] = 0
		}
		data[34] = byte(from.Node.Lease().Incarnation + uint64(b.random.IntN(2)))
		data[42] = byte(copy(data[43:], from.Name))
		if from != to && b.random.IntN(2) == 0 { // of a link that nobody has begun
			data[10]++
		}
	}
	return data
}

// TestStrangersOnAllSubjectsHarmNobody has a stranger publish to each subject that nodes listen to, random bytes and messages in the right form with what can't be in them, and all that it hears once more,
// while the nodes go on working.
func TestStrangersOnAllSubjectsHarmNobody(t *testing.T) {
	b := besiege(t)
	var heard struct {
		sync.Mutex
		all []*nats.Msg
	}
	if _, err := b.stranger.Subscribe("skua.>", func(m *nats.Msg) {
		heard.Lock()
		defer heard.Unlock()
		if len(heard.all) < 2000 {
			heard.all = append(heard.all, m)
		}
	}); err != nil {
		t.Fatal(err)
	}
	held, err := b.leases[0].Acquire(t.Context(), lease.Key(lease.Lock, "mine"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	before := memory()
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			b.work()
		}
	})
	for i := range 20_000 {
		to := b.Nodes[b.random.IntN(3)]
		b.publish(to, held.Key(), i)
		if i%10 == 0 {
			heard.Lock()
			var again *nats.Msg
			if n := len(heard.all); n > 0 {
				again = heard.all[b.random.IntN(n)]
			}
			heard.Unlock()
			if again != nil {
				b.say(again.Subject, again.Data, "")
			}
		}
	}
	stop()
	working.Wait()
	b.work()
	if !held.Held() {
		t.Errorf("the lease is lost: %v", held.Err())
	}
	b.counted()
	if grown := memory() - before; grown > 32<<20 {
		t.Errorf("the nodes have %d KB more", grown>>10)
	}
	for _, n := range b.Nodes {
		if members := n.Members.List(); len(members) != 3 {
			t.Errorf("%s knows %v", n.Name, members)
		}
	}
	if _, err := b.stranger.Request("skua.node.n0.ping", nil, 10*time.Second); err != nil {
		t.Errorf("a ping is not answered any more: %v", err)
	}
}

// publish has the stranger say something to a node.
func (b *besieged) publish(to *clustertest.Node, held string, i int) {
	batches := fmt.Sprintf("skua.n.%s.%d", to.Name, to.Node.Lease().Incarnation)
	wants := "skua.want.skua_leases." + to.Name
	switch i % 8 {
	case 0:
		b.say("skua.beat", b.noise(200), "")
	case 1:
		b.say("skua.beat", b.beat(), "")
	case 2:
		b.say(batches, b.noise(500), "")
	case 3, 4:
		b.say(batches, b.batch(to), "")
	case 5:
		b.say(wants, b.noise(100), "")
	case 6:
		b.say(wants, b.want(held), "")
	default: // an answer that goes where the stranger wants it
		reply := []string{"", batches, wants, "skua.beat", "$KV.skua_leases.lock.theirs", "$KV.skua_nodes." + to.Name}[b.random.IntN(6)]
		b.say("skua.node."+to.Name+".ping", b.noise(50), reply)
	}
}

func (b *besieged) say(subject string, data []byte, reply string) {
	b.t.Helper()
	if err := b.stranger.PublishMsg(&nats.Msg{Subject: subject, Data: data, Reply: reply}); err != nil {
		b.t.Fatal(err)
	}
}

// work has each node ask each other, take a lock, and get the answers that are meant for it.
func (b *besieged) work() {
	b.t.Helper()
	for i, n := range b.Nodes {
		for j, o := range b.Nodes {
			if i == j {
				continue
			}
			ref, err := n.Mesh.Lookup(b.t.Context(), o.Name, "echo")
			if err != nil {
				b.t.Errorf("%s looks the echo of %s up: %v", n.Name, o.Name, err)
				continue
			}
			want := question{n.Name, rand.Uint64()}
			if got, err := n.System.Ask(b.t.Context(), ref, want); err != nil || got != want {
				b.t.Errorf("%s asks %s: %v, %v", n.Name, o.Name, got, err)
			}
		}
		x, err := b.leases[i].Acquire(b.t.Context(), lease.Key(lease.Lock, "theirs"), nil)
		if err != nil {
			b.t.Errorf("%s takes a lock: %v", n.Name, err)
			continue
		}
		if err := x.Release(b.t.Context()); err != nil {
			b.t.Errorf("%s gives a lock back: %v", n.Name, err)
		}
	}
}

// counted wants all of it to have been counted, and logged, but not each.
func (b *besieged) counted() {
	b.t.Helper()
	clustertest.Eventually(b.t, "all is counted", func() bool {
		for _, n := range b.Nodes {
			if n.Metric("skua_cluster_refused_heartbeats_total") < 3000 || n.Metric("skua_mesh_refused_total") < 1000 || n.Metric("skua_lease_refused_total") < 1000 {
				return false
			}
		}
		return true
	})
	for _, text := range []string{"a heartbeat is refused", "a message from a node is refused"} {
		if lines := b.log.Count(text); lines == 0 || lines > 100 {
			b.t.Errorf("%d lines in the log say that %s", lines, text)
		}
	}
	if b.log.Count("reason=panic") > 0 {
		b.t.Error("a batch has caused a panic: see the log")
	}
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
