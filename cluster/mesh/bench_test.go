package mesh_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
)

// bare is two connections to the cluster's server.
func bare(b *testing.B, c *clustertest.Cluster) (from, to *nats.Conn) {
	b.Helper()
	conns := [2]*nats.Conn{}
	for i := range conns {
		nc, err := nats.Connect(c.URL())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(nc.Close)
		conns[i] = nc
	}
	return conns[0], conns[1]
}

// asker asks another actor over and over, so many times at once.
type asker struct {
	to   actor.Ref
	left int
	done chan<- error
}

type begin struct{ n, times int }

func (a *asker) Receive(c *actor.Context, msg any) {
	m := msg.(begin)
	a.left = m.times
	flying := 0
	var next func(any, error)
	next = func(_ any, err error) {
		flying--
		if err != nil {
			a.done <- err
			return
		}
		if a.left > 0 {
			a.left--
			flying++
			c.Ask(a.to, "ping", next)
		} else if flying == 0 {
			a.done <- nil
		}
	}
	for range min(m.n, a.left) {
		a.left--
		flying++
		c.Ask(a.to, "ping", next)
	}
}

func benchmarkAsk(b *testing.B, n int) {
	c := clustertest.Start(b, 2, clustertest.Config{})
	to := c.Nodes[0].See(c.Nodes[1].Spawn(echoes()))
	done := make(chan error, n)
	ask := c.Nodes[0].Spawn(actor.Spec{New: func() actor.Actor { return &asker{to: to, done: done} }})
	b.ReportAllocs()
	b.ResetTimer()
	c.Nodes[0].System.Send(ask, begin{n, b.N})
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAskOfOneCaller(b *testing.B)     { benchmarkAsk(b, 1) }
func BenchmarkAskWith100OnTheWay(b *testing.B) { benchmarkAsk(b, 100) }

func benchmarkBareAsk(b *testing.B, n int) {
	c := clustertest.Start(b, 1, clustertest.Config{})
	from, to := bare(b, c)
	if _, err := to.Subscribe("bare", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		b.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		b.Fatal(err)
	}
	payload := []byte("ping")
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := from.Request("bare", payload, 5*time.Second); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkBareAskOfOneCaller(b *testing.B)     { benchmarkBareAsk(b, 1) }
func BenchmarkBareAskWith100OnTheWay(b *testing.B) { benchmarkBareAsk(b, 100) }

// counter tells when so many messages have come.
type counter struct {
	left int
	done chan<- struct{}
}

func (k *counter) Receive(*actor.Context, any) {
	if k.left--; k.left == 0 {
		close(k.done)
	}
}

func BenchmarkSendOneWay(b *testing.B) {
	c := clustertest.Start(b, 2, clustertest.Config{})
	done := make(chan struct{})
	to := c.Nodes[0].See(c.Nodes[1].Spawn(actor.Spec{New: func() actor.Actor { return &counter{left: b.N, done: done} }}))
	sender := c.Nodes[0].Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			for range msg.(int) {
				c.Send(to, "a small message")
			}
		})
	}})
	b.ReportAllocs()
	b.ResetTimer()
	c.Nodes[0].System.Send(sender, b.N)
	<-done
	if n := c.Nodes[0].System.Stats().DeadLetters; n > 0 {
		b.Errorf("%d messages were lost", n)
	}
}

func BenchmarkBareOneWay(b *testing.B) {
	c := clustertest.Start(b, 1, clustertest.Config{})
	from, to := bare(b, c)
	done := make(chan struct{})
	left := b.N
	sub, err := to.Subscribe("bare", func(*nats.Msg) {
		if left--; left == 0 {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if err := from.Publish("bare", []byte("a small message")); err != nil {
			b.Fatal(err)
		}
	}
	<-done
}
