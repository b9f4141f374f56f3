package mesh_test

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/mesh"
)

// batchOf is a batch as a stranger would forge it, see batch.go.
func batchOf(name string, incarnation, link, number, ackLink, ack uint64, frames ...[]byte) []byte {
	b := []byte{1, 0}
	for _, v := range []uint64{link, number, ackLink, ack, incarnation} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(append(b, byte(len(name))), name...)
	for _, f := range frames {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	return b
}

func TestWhatStrangersSendIsRefusedAndCounted(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	other, err := nats.Connect(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	subject := mesh.SubjectOf("n0", a.Node.Lease().Incarnation)
	n1, i1 := "n1", b.Node.Lease().Incarnation
	forged := [][]byte{
		nil, {0}, {1}, []byte("random bytes on our subject"), {2, 0, 0, 0}, // other versions
		batchOf(n1, i1, 0, 1, 0, 0),                                                                // no link
		batchOf("n1.>", i1, 1, 1, 0, 0), batchOf("*", i1, 1, 1, 0, 0), batchOf("", i1, 1, 1, 0, 0), // no names
		batchOf("nobody", 3, 7, 1, 0, 0, []byte{1}), batchOf(n1, i1+1, 7, 1, 0, 0, []byte{1}), // no members
		batchOf(n1, i1, 7, 9, 0, 0, []byte{1}),         // an unknown link
		batchOf(n1, i1, 7, 0, 7, 1<<40),                // acknowledgements of what was not sent
		append(batchOf(n1, i1, 7, 1, 0, 0), 200, 1, 2), // a frame that is longer than its batch
	}
	for _, data := range forged {
		if err := other.Publish(subject, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "all are refused", func() bool { return a.Metric("skua_mesh_refused_total") >= float64(len(forged))-2 })
	clustertest.Eventually(t, "the nodes go on", func() bool {
		v, err := a.System.Ask(t.Context(), ref, "still")
		return v == "still" && err == nil
	})
}

func TestForgedAnswersReachNobody(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	answer := make(chan any, 1)
	go func() {
		v, err := a.System.Ask(t.Context(), ref, "silence")
		answer <- []any{v, err}
	}()
	clustertest.Eventually(t, "the request waits", func() bool { return a.Metric("skua_mesh_calls") == 1 })
	i1 := b.Node.Lease().Incarnation
	for call := range uint64(3000) {
		forged := batchOf("n1", i1, 99, 2, 0, 0, append(binary.AppendUvarint([]byte{3}, call), 1))
		a.Mesh.Take(forged) // of a link that might still begin
		forged[1] = mesh.FlagKnown
		a.Mesh.Take(forged)
	}
	select {
	case v := <-answer:
		t.Errorf("a forged answer was believed: %v", v)
	default:
	}
	if n := a.Metric("skua_mesh_refused_total"); n < 3000 {
		t.Errorf("%v were refused", n)
	}
	if n := a.Metric("skua_mesh_gaps_total"); n < 3000 {
		t.Errorf("%v were taken for batches behind a gap", n)
	}
}

func TestBadFramesOfAPeerWedgeNothing(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient, Mesh: func(_ int, cfg *mesh.Config) { cfg.MaxMessage = 1 << 20 }})
	a, b := c.Nodes[0], c.Nodes[1]
	var l list
	own := a.Spawn(l.spec())
	i1, number := b.Node.Lease().Incarnation, uint64(0)
	send := func(frames ...[]byte) {
		number++
		a.Mesh.Take(batchOf("n1", i1, 4711, number, 0, 0, frames...))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		f := make([]byte, 1+rnd.IntN(40))
		for i := range f {
			f[i] = byte(rnd.Uint32())
		}
		f[0] = byte(1 + rnd.IntN(int(mesh.LastKind)+2))
		send(f)
	}
	send([]byte{11, 0xff, 0xff, 0xff, 0xff, 0x7f, 1})            // a message of 34 GB
	send(append([]byte{11, 0x80, 0x80, 4}, make([]byte, 10)...)) // a piece whose end never comes
	send([]byte{12, 1})                                          // its end comes too early
	before := l.len()
	send(append(binary.AppendUvarint([]byte{1}, own.ID()), 0, 0, 8, 'o', 'k'))
	clustertest.Eventually(t, "a good message after all that arrives", func() bool { return l.len() > before })
	if l.got[len(l.got)-1] != "ok" {
		t.Errorf("it is %v", l.got[len(l.got)-1])
	}
	if a.Metric("skua_mesh_refused_total") < 1000 {
		t.Error("what is no frame was not counted")
	}
}

func TestABadPayloadIsAnsweredAndNoMore(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Members: patient})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	_, err := a.System.Ask(t.Context(), ref, deep{100})
	if err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("a message of a type that is not registered: %v", err)
	}
	if v, err := a.System.Ask(t.Context(), ref, 1); v != 1 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	a.System.Send(ref, deep{1})
	if n := a.System.Stats().DeadLetters; n != 1 {
		t.Errorf("%d dead letters", n)
	}
}

type deep struct{ n int }

// FuzzTake has a node take any bytes, as a stranger's and as those of a peer whose batches are in order.
func FuzzTake(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(binary.AppendUvarint([]byte{1}, 1<<24), 0, 0, 8, 'o', 'k'))
	f.Add([]byte{2, 1, 1, 0, 100, 0, 0, 13, 1, 0x41})
	f.Add([]byte{11, 20, 1, 2, 3})
	for k := range byte(mesh.LastKind) + 1 {
		f.Add([]byte{k, 1, 1, 1, 1, 1, 1, 1})
	}
	c := clustertest.Start(f, 2, clustertest.Config{Members: func(int) cluster.MembersConfig {
		return cluster.MembersConfig{Beat: time.Second, Suspect: time.Hour, Dead: 2 * time.Hour}
	}})
	a, b := c.Nodes[0], c.Nodes[1]
	a.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(c *actor.Context, msg any) { c.Reply(msg, nil) }) }})
	i1, number := b.Node.Lease().Incarnation, uint64(0)
	f.Fuzz(func(_ *testing.T, data []byte) {
		a.Mesh.Take(data)
		number++
		a.Mesh.Take(batchOf("n1", i1, 4711, number, 0, 0, data))
		number++
		a.Mesh.Take(append(batchOf("n1", i1, 4711, number, 0, 0), data...))
	})
}
