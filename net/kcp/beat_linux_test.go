package kcp_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

// herd is many raw sessions that say something now and then.
type herd struct {
	t     *testing.T
	ln    net.Listener
	stats *kcp.Stats
	udp   *net.UDPConn
	sent  uint64
	turn  uint32 // datagrams of the herd at rest
	plays bool   // one of it does
}

const herdSize = 100

func newHerd(t *testing.T) *herd {
	t.Helper()
	h := &herd{t: t, stats: new(kcp.Stats)}
	h.ln = listen(t, kcp.Config{Raw: true, Sockets: 1, Stats: h.stats})
	h.udp = socket(t, h.ln)
	for conv := range uint32(herdSize) {
		h.push(conv, 0)
	}
	eventually(t, "sessions", func() bool { return h.stats.Snapshot().Raw == herdSize })
	return h
}

func (h *herd) push(conv, sn uint32) {
	h.t.Helper()
	if _, err := h.udp.Write(segment(1+conv, 81, 0, sn, 0, []byte("x"))); err != nil {
		h.t.Fatal(err)
	}
	h.sent++
}

// graze has the sessions say something in turn, as if each did so seldom, until that is so.
func (h *herd) graze(what string, until func() bool) {
	h.t.Helper()
	often := time.NewTicker(2 * time.Millisecond)
	defer often.Stop()
	for end := time.Now().Add(patience); !until(); <-often.C {
		if time.Now().After(end) {
			h.t.Fatalf("%s: not in %v", what, patience)
		}
		if h.turn%herdSize == 0 {
			kcp.Age(h.ln, 10*time.Second)
		}
		h.push(h.turn%herdSize, 0) // again, which is acknowledged, too
		h.turn++
		if h.plays {
			h.push(0, 1)
		}
	}
}

func (h *herd) resting(n int) func() bool {
	return func() bool { return kcp.Resting(h.ln) == n }
}

func TestAReaderOfManyHeartbeatsRestsUntilSomebodyPlays(t *testing.T) {
	h := newHerd(t)
	for range 2 {
		h.graze("resting", h.resting(1))
		at := h.turn + 20
		h.graze("more datagrams", func() bool { return h.turn >= at })
		eventually(t, "all datagrams", func() bool { return h.stats.Snapshot().DatagramsIn == h.sent })

		h.graze("resting", h.resting(1))
		h.plays = true
		h.graze("rising", h.resting(0))
		h.plays = false
	}
}

func TestAReaderRisesWhenNothingComes(t *testing.T) {
	h := newHerd(t)
	h.graze("resting", h.resting(1))
	eventually(t, "rising", h.resting(0))
	h.push(0, 0)
	eventually(t, "a datagram that is waited for", func() bool { return h.stats.Snapshot().DatagramsIn == h.sent })
}

func TestAListenerThatRestsCloses(t *testing.T) {
	h := newHerd(t)
	h.graze("resting", h.resting(1))
	if err := h.ln.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody resting", h.resting(0))
}

func TestTheBeatLendsItselfToWhomDatagramsAreFor(t *testing.T) {
	h := newHerd(t)
	lender, ok := h.ln.(interface {
		Lend(f func(tell func()) (left bool))
	})
	if !ok {
		t.Fatal("the listener lends nobody anything")
	}
	var told atomic.Int64 // the herd's sessions say the same again and again, so only new data is told of
	lent := make(chan int64, 100)
	lender.Lend(func(tell func()) bool {
		before := told.Load()
		tell()
		lent <- told.Load() - before
		return false
	})
	for range herdSize {
		c, err := h.ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		told := sync.OnceFunc(func() { told.Add(1) })
		teller := c.(interface {
			Notify(f func())
			ReadNow(p []byte) (int, error)
		})
		buf := make([]byte, 10)
		if n, err := teller.ReadNow(buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := teller.ReadNow(buf); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		teller.Notify(told)
	}
	h.graze("resting", h.resting(1))
	kcp.Age(h.ln, 10*time.Second)
	const some = 5
	for conv := range uint32(some) {
		h.push(conv, 1)
	}
	sum := int64(0)
	h.graze("telling", func() bool {
		select {
		case n := <-lent:
			sum += n
		default:
		}
		return sum == some
	})
}

func TestATickerTicksWhileItIsSetAndEndsWaits(t *testing.T) {
	ticker, err := kcp.NewTicker()
	if err != nil {
		t.Fatal(err)
	}
	const every = 5 * time.Millisecond
	begun := time.Now()
	if err := ticker.Set(every); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := ticker.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took < 3*every { // the last is no earlier, however late others were waited for
		t.Errorf("three ticks of %v within %v", every, took)
	}
	if err := ticker.Set(0); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ticker.Wait() == nil { // one tick may have come before it was stopped
		}
	}()
	if err := ticker.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if ticker.Set(every) == nil {
		t.Error("a closed one can be set")
	}
}
