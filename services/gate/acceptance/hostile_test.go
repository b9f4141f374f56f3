package acceptance_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// attack is one, and what it has to leave in the counters that the operator sees.
type attack struct {
	name  string
	run   func(w *world, p *phase)
	told  []string // codes that attackers must have been told
	moved []string // counters that must have grown
}

func closedFor(transport, reason string) string {
	return fmt.Sprintf("skua_transport_closed_total{reason=%q,transport=%q}", reason, transport)
}

var attacks = []attack{
	{
		name: "slow lorises and half packets", run: slowly, told: []string{"handshake_timeout", "slow"},
		moved: []string{closedFor("tcp", "handshake"), closedFor("tcp", "slow-frame"), closedFor("kcp", "handshake")},
	},
	{
		name: "oversize, zip bombs, random bytes", run: brokenly, told: []string{"bad_packet"},
		moved: []string{closedFor("tcp", "bad_packet"), closedFor("kcp", "bad_packet"), closedFor("ws", "bad_packet")},
	},
	{
		name: "forged and replayed resume tokens", run: thievishly, told: []string{"resume_unknown"},
		moved: []string{`skua_gate_resumes_total{result="resume_unknown"}`, `skua_gate_resumes_total{result="resumed"}`},
	},
	{
		name: "forged and replayed login tokens", run: falsely, told: []string{"bad_token", "expired", "denied"},
		moved: []string{
			"skua_gate_logins_denied_total", `skua_login_attempts_total{method="jwt",result="bad_token"}`,
			`skua_login_attempts_total{method="token",result="bad_token"}`, closedFor("tcp", "denied"),
		},
	},
	{
		name: "first KCP packets, made up", run: kcpStrangers,
		moved: []string{
			`skua_kcp_unknown_total{transport="kcp"}`, `skua_kcp_hellos_total{transport="kcp"}`, `skua_kcp_bad_cookies{transport="kcp"}`,
			`skua_kcp_malformed_total{transport="kcp"}`,
		},
	},
	{
		name: "first KCP packets at a raw door", run: kcpRawStrangers,
		moved: []string{`skua_kcp_full_total{transport="kcp-raw"}`, `skua_transport_refused_total{reason="half-open",transport="kcp-raw"}`},
	},
	{
		name: "half-open connections, one network", run: halfOpenOfOneNetwork, told: []string{"too_many_connections", "handshake_timeout"},
		moved: []string{`skua_transport_refused_total{reason="half-open-prefix",transport="tcp"}`},
	},
	{
		name: "half-open connections, everywhere", run: halfOpenEverywhere, told: []string{"full", "handshake_timeout"},
		moved: []string{`skua_transport_refused_total{reason="half-open",transport="tcp"}`},
	},
	{
		name: "clients that never read", run: neverReading,
		moved: []string{closedFor("tcp", "backlog"), "skua_gate_too_slow_total"},
	},
	{
		name: "packets and requests too fast", run: tooFast, told: []string{"too_fast", "too_many_requests", "too_fast for the route"},
		moved: []string{closedFor("tcp", "rate"), closedFor("tcp", "too_many_requests"), "skua_gate_too_fast_total"},
	},
}

// What the node may take more than in quiet, at most: orders of magnitude below what each attack would take that is let have its way.
const (
	moreGoroutines = 3000
	moreHeap       = 256 << 20
	keptWorkers    = 150 // that were needed once stay: 16 a listener, and 32 for actors
)

func TestAttacksAreRefusedWithinBoundsWhileOthersPlayOn(t *testing.T) {
	t.Parallel()
	w := startWorld(t, sized(3, 10))
	defer http.DefaultClient.CloseIdleConnections()
	quiet := w.during("quiet", func(*phase) {
		select {
		case <-time.After(sized(500*time.Millisecond, 5*time.Second)):
		case <-t.Context().Done():
		}
	})
	t.Log(quiet)
	for _, a := range attacks {
		before := w.metrics()
		p := w.during(a.name, func(p *phase) { a.run(w, p) })
		t.Log(p)
		for _, code := range a.told {
			if p.told[code] == 0 {
				t.Errorf("%s: nobody was told %q, but %v", a.name, code, p.told)
			}
		}
		for _, name := range a.moved {
			until(t, fmt.Sprintf("the counter %s has grown from %v in the phase %q", name, before[name], a.name), func() bool { return w.metrics()[name] > before[name] })
		}
		if p.goroutines > quiet.goroutines+moreGoroutines || p.heap > quiet.heap+moreHeap {
			t.Errorf("%s: %v goroutines and %v bytes of heap, in quiet %v and %v", a.name, p.goroutines, p.heap, quiet.goroutines, quiet.heap)
		}
	}
	m := w.metrics()
	t.Logf("at the end: %v goroutines, %.0f MB heap; KCP sessions: %v, raw %v", m["go_goroutines"], m["go_memstats_heap_inuse_bytes"]/1e6,
		m[`skua_kcp_sessions{transport="kcp"}`], m[`skua_kcp_sessions{transport="kcp-raw"}`])
	until(t, "the node is as it was before", func() bool {
		m := w.metrics()
		return m[`skua_kcp_sessions{transport="kcp-raw"}`] == 0 && m["go_goroutines"] <= quiet.goroutines+keptWorkers && m[`skua_transport_connections{transport="tcp"}`] <= float64(len(w.players))
	})
	w.stop()
	w.playing.Wait()
}
