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
	keptWorkers    = 150 // that were needed once stay: 16 a listener, and 32 for actors
)

func TestAttacksAreRefusedWithinBoundsWhileOthersPlayOn(t *testing.T) {
	t.Parallel()
	s := besiege(t, sized(3, 10))
	defer http.DefaultClient.CloseIdleConnections()
	lasting := sized(200*time.Millisecond, 2*time.Second)
	quiet := s.quiet(lasting)
	t.Logf("%-34s %v", "quiet", quiet)
	perRequest := s.costOfARequest(t, lasting, quiet)
	for _, a := range attacks {
		if only := os.Getenv("ONLY"); only != "" && !strings.Contains(a.name, only) {
			continue
		}
		before := s.metrics()
		for range sized(1, 3) {
			quiet := s.quiet(lasting)
			w := s.obey(order{Attack: a.name, For: lasting})
			control := s.obey(order{For: w.lasted, Crowd: equal(w, quiet, perRequest)})
			t.Logf("%-34s quiet   %v", a.name, quiet)
			t.Logf("%-34s control %v; %d requests of the crowd", a.name, control, control.Requests)
			t.Logf("%-34s attack  %v; told: %v", a.name, w, w.Told)
		}
		s.newcomers(a.name)
		for _, name := range a.moved {
			what := fmt.Sprintf("the counter %s has grown from %v in the phase %q", name, before[name], a.name)
			until(t, what, func() bool { return s.metrics()[name] > before[name] })
		}
	}
}

// equal is the crowd for which the node, and the attackers' process, use as much of the cores as in an attack.
func equal(attack, quiet *window, perRequest time.Duration) crowd {
	more := attack.cpu[ofNode].used - time.Duration(float64(quiet.cpu[ofNode].used)*attack.lasted.Seconds()/quiet.lasted.Seconds())
	return crowd{PerSecond: max(0, float64(more)/float64(perRequest)/attack.lasted.Seconds()), CPU: attack.cpu[ofAttackers].used}
}

// costOfARequest is what one of the crowd costs the node.
func (s *siege) costOfARequest(t *testing.T, lasting time.Duration, quiet *window) time.Duration {
	t.Helper()
	w := s.obey(order{For: lasting, Crowd: crowd{PerSecond: sized(500.0, 3000.0)}})
	more := w.cpu[ofNode].used - time.Duration(float64(quiet.cpu[ofNode].used)*w.lasted.Seconds()/quiet.lasted.Seconds())
	cost := max(more, 1) / time.Duration(max(w.Requests, 1))
	t.Logf("%-34s %v; %d requests at %v each", "honest crowd", w, w.Requests, cost)
	return max(cost, time.Microsecond)
}
