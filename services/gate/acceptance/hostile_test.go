package acceptance_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
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
	keptWorkers    = 350 // that were needed once stay: 16 a listener, and 256 for actors
)

// onlyVariable is a part of the name of the attacks to make, when not all of them are wanted.
const onlyVariable = "SKUA_ATTACKS"

func TestAttacksAreRefusedWithinBoundsWhileOthersPlayOn(t *testing.T) {
	t.Parallel()
	s := besiege(t, sized(3, 10))
	defer http.DefaultClient.CloseIdleConnections()
	quiet := s.quiet(sized(200*time.Millisecond, 2*time.Second))
	t.Logf("%-34s %v", "quiet", quiet)
	s.measureTheCrowd(quiet)
	var table strings.Builder
	for _, a := range attacks {
		if !strings.Contains(a.name, os.Getenv(onlyVariable)) {
			continue
		}
		before := s.metrics()
		c := &comparison{}
		for len(c.attack) < sized(1, fewRounds) || full() && len(c.attack) < mostRounds && len(c.complaints()) > 0 {
			s.round(a.name, c)
		}
		fmt.Fprintf(&table, "\n%-34s %v", a.name, c)
		if full() {
			for _, complaint := range c.complaints() {
				t.Errorf("%s: %s", a.name, complaint)
			}
		}
		s.refused(a, before, quiet, c.attack)
	}
	t.Logf("medians of all rounds:%s", table.String())
	m := s.metrics()
	t.Logf("at the end: %v goroutines, %.0f MB heap; KCP sessions: %v, raw %v", m["go_goroutines"], m["go_memstats_heap_inuse_bytes"]/1e6,
		m[`skua_kcp_sessions{transport="kcp"}`], m[`skua_kcp_sessions{transport="kcp-raw"}`])
	until(t, "the node is as it was before", func() bool {
		m := s.metrics()
		return m[`skua_kcp_sessions{transport="kcp-raw"}`] == 0 &&
			m["go_goroutines"] <= quiet.goroutines+keptWorkers &&
			m[`skua_transport_connections{transport="tcp"}`] <= float64(s.players+crowdSize())
	})
}

// round is a quiet window, one with an attack, and one with honest clients who take as much of the cores; these two in turns, so that neither is always the first.
func (s *siege) round(attack string, c *comparison) {
	s.t.Helper()
	quiet := s.quiet(sized(100*time.Millisecond, time.Second))
	besieged := func() *window {
		return s.obey(order{Attack: attack, For: sized(0, 2*time.Second)})
	}
	var w *window
	if len(c.attack)%2 == 0 {
		w = besieged()
	}
	model := w
	if model == nil {
		model = c.attack[len(c.attack)-1]
	}
	control := s.obey(order{For: min(model.lasted, sized(500*time.Millisecond, time.Minute)), Crowd: s.equal(model, quiet)})
	if w == nil {
		w = besieged()
	}
	c.quiet, c.control, c.attack = append(c.quiet, quiet), append(c.control, control), append(c.attack, w)
	s.t.Logf("%-34s quiet   %v", attack, quiet)
	s.t.Logf("%-34s control %v; %d requests of the crowd", attack, control, control.Requests)
	s.t.Logf("%-34s attack  %v; told: %v", attack, w, w.Told)
}

// refused checks that an attack was refused as it should be, and has left the node within its bounds.
func (s *siege) refused(a attack, before map[string]float64, quiet *window, rounds []*window) {
	s.t.Helper()
	for _, w := range rounds {
		for _, code := range a.told {
			if w.Told[code] == 0 {
				s.t.Errorf("%s: nobody was told %q, but %v", a.name, code, w.Told)
			}
		}
		if w.goroutines > quiet.goroutines+moreGoroutines || w.heap > quiet.heap+moreHeap {
			s.t.Errorf("%s: %v goroutines and %v bytes of heap, in quiet %v and %v", a.name, w.goroutines, w.heap, quiet.goroutines, quiet.heap)
		}
	}
	for _, name := range a.moved {
		what := fmt.Sprintf("the counter %s has grown from %v in the phase %q", name, before[name], a.name)
		until(s.t, what, func() bool { return s.metrics()[name] > before[name] })
	}
	s.newcomers(a.name)
}

// equal is the crowd for which the node, and the attackers' process, use as much of the cores as in an attack.
func (s *siege) equal(attack, quiet *window) crowd {
	more := attack.moreCPU(ofNode, quiet)
	return crowd{PerSecond: max(0, float64(more)/float64(s.perRequest)/attack.lasted.Seconds()), CPU: attack.cpu[ofAttackers].used}
}

// measureTheCrowd finds out what a request of the crowd costs the node.
func (s *siege) measureTheCrowd(quiet *window) {
	s.t.Helper()
	w := s.obey(order{For: sized(200*time.Millisecond, 2*time.Second), Crowd: crowd{PerSecond: sized(500.0, 3000.0)}})
	s.perRequest = max(w.moreCPU(ofNode, quiet)/time.Duration(max(w.Requests, 1)), 10*time.Microsecond)
	s.t.Logf("%-34s %v; %d requests at %v each", "honest crowd", w, w.Requests, s.perRequest)
}
