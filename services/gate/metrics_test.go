package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/gate"
)

// gathered are all series of a node's gate, by name and labels' values.
func gathered(t *testing.T, n *node) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry() // checks what is collected against what is described
	must(t, reg.Register(n.metrics))
	families, err := reg.Gather()
	must(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

func closedFor(t *testing.T, n *node, reason string) float64 {
	t.Helper()
	return gathered(t, n)["skua_transport_closed_total "+reason+" tcp"]
}

func TestCountersCount(t *testing.T) {
	n := start(t, world{})
	gathered(t, n) // valid before anything happened, too
	c := n.enter("ann", client.Options{})
	must(t, request(c, "push", `{"n":3}`, nil))
	if err := request(c, "nowhere", nil, nil); err == nil {
		t.Error("nowhere answers")
	}
	other := n.dial(client.Options{})
	_ = request(other, "login", `{"name":"ann","password":"wrong"}`, nil)
	newer := n.enter("ann", client.Options{})
	kickOf(t, c)
	until(t, "the old session has ended", func() bool { return gathered(t, n)["skua_gate_sessions"] == 2 })
	r := n.raw()
	r.send([]byte("garbage"))
	r.kicked()
	must(t, newer.Notify(t.Context(), "echo", nil))
	must(t, request(newer, "echo", nil, nil))
	until(t, "both connections have been counted as closed", func() bool {
		now := gathered(t, n)
		return now["skua_transport_closed_total replaced tcp"] > 0 && now["skua_transport_closed_total bad_packet tcp"] > 0
	})
	got := gathered(t, n)
	for name, want := range map[string]float64{
		"skua_gate_requests_total": 7, "skua_gate_request_errors_total": 2, "skua_gate_pushes_total": 3, "skua_gate_push_errors_total": 0,
		"skua_gate_logins_total": 2, "skua_gate_logins_denied_total": 1, "skua_gate_sessions_replaced_total": 1,
		"skua_transport_accepted_total tcp": 4, "skua_transport_closed_total replaced tcp": 1, "skua_transport_closed_total bad_packet tcp": 1,
		"skua_transport_accept_errors_total tcp": 0, "skua_transport_panics_total tcp": 0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["skua_transport_bytes_total in tcp"] == 0 || got["skua_transport_packets_total out tcp"] == 0 {
		t.Errorf("nothing went over the wire: %v", got)
	}
}

// A client can ask for as many routes as it likes, and a handler may answer all of them.
func TestRoutesThatClientsMakeUpAreNoSeries(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) {
		if strings.HasPrefix(r.Route, "no.") {
			r.Fail("no", "no such thing")
			return
		}
		r.Reply(r.Body)
	}})
	p := n.peer()
	p.ackEvery = 1
	must(t, p.connect(never, never))
	count := func() (series int) {
		for name := range gathered2(t, n.metrics) {
			if strings.HasPrefix(name, "skua_gate_request_seconds ") {
				series++
			}
		}
		return series
	}
	for i, of := range []struct {
		routes string
		series int
	}{{"no.", 1}, {"yes.", 65}} {
		for route := range 300 {
			p.ask(fmt.Sprint(of.routes, route), "")
			must(t, p.hear(300*i+route+1))
		}
		if got := count(); got != of.series {
			t.Errorf("%d routes are told apart after 300 of %q, expected %d", got, of.routes, of.series)
		}
	}
}

// gathered2 are all series of a gate's metrics.
func gathered2(t *testing.T, m *gate.Metrics) map[string]float64 {
	return gathered(t, &node{metrics: m})
}
