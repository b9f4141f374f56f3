package kcp_test

import (
	"net"
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
