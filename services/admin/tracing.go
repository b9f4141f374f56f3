package admin

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Tracing is what operators choose of the traces. It is called from many goroutines.
type Tracing interface {
	// Rules are what is traced beside the configured share.
	Rules() []TraceRule
	// Add has one more rule hold until its time, in the place of one about the same.
	Add(TraceRule) error
	// Clear ends all rules, and tells how many there were.
	Clear() int
}

// ErrNoCollector says that a node has nobody to send traces to.
var ErrNoCollector = errors.New("the node has no collector of traces: set trace.endpoint and start it again")

// TraceRule is what begins a trace: the requests of a player, those of a route, or a share of all. One of the three is set.
type TraceRule struct {
	Player string    `json:"player,omitempty"`
	Route  string    `json:"route,omitempty"`
	Share  float64   `json:"share,omitempty" doc:"Of all requests, above 0 and up to 1."`
	Until  time.Time `json:"until"`
}

// TraceOrder has something traced.
type TraceOrder struct {
	Player string  `json:"player,omitempty" doc:"The player's uid."`
	Route  string  `json:"route,omitempty"`
	Share  float64 `json:"share,omitempty" doc:"Of all requests, above 0 and up to 1."`
	For    string  `json:"for,omitempty" doc:"How long, as in 90s or 10m; 5m if nothing is said."`
}

// Traces is what is traced.
type Traces struct {
	Sample float64     `json:"sample" doc:"The configured share of all requests."`
	Rules  []TraceRule `json:"rules"`
}

// Ended is how many rules an operator has ended.
type Ended struct {
	Ended int `json:"ended"`
}

const (
	// usualTrace is how long a rule holds, usualLevel how long a level of the log if nothing is said, and maxFor the longest time of both.
	usualTrace = 5 * time.Minute
	maxFor     = 24 * time.Hour
	// maxOperand bounds the names that operators give.
	maxOperand = 256
)

// readFor is how long something is to last.
func readFor(text string, usual time.Duration) (time.Duration, error) {
	if text == "" {
		return usual, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > maxFor {
		return 0, failure(codeBad, "for: found %q, expected 1s to %v", clip(text), maxFor)
	}
	return d, nil
}

func (s *Server) traceRoutes() []route {
	if s.API.Tracing == nil {
		return nil
	}
	return []route{
		{method: http.MethodGet, path: "/traces", id: "traces", role: View, summary: "What is traced", answer: Traces{}, serve: func(*query) (any, error) { return s.traces(), nil }},
		{method: http.MethodPost, path: "/traces", id: "trace", role: Operate, summary: "Trace a player, a route or a share of all requests for a while", body: TraceOrder{}, answer: Traces{}, serve: s.trace},
		{
			method: http.MethodPost, path: "/traces/clear", id: "untrace", role: Operate, summary: "Trace no more than is configured", answer: Ended{},
			serve: func(q *query) (any, error) {
				n := s.API.Tracing.Clear()
				q.detail = strconv.Itoa(n) + " rules"
				return Ended{n}, nil
			},
		},
	}
}

func (s *Server) traces() Traces {
	return Traces{Sample: s.API.Sample, Rules: append([]TraceRule{}, s.API.Tracing.Rules()...)}
}

func (s *Server) trace(q *query) (any, error) {
	o := q.body.(*TraceOrder) //nolint:forcetypeassert // what the route says
	set := 0
	for _, is := range []bool{o.Player != "", o.Route != "", o.Share != 0} {
		if is {
			set++
		}
	}
	if set != 1 || o.Share < 0 || o.Share > 1 || len(o.Player) > maxOperand || len(o.Route) > maxOperand {
		return nil, failure(codeBad, "expected one of: player, route, each up to %d bytes; share, above 0 and up to 1", maxOperand)
	}
	within, err := readFor(o.For, usualTrace)
	if err != nil {
		return nil, err
	}
	r := TraceRule{Player: o.Player, Route: o.Route, Share: o.Share, Until: time.Now().Add(within).UTC()}
	q.detail = "player " + o.Player
	switch {
	case o.Route != "":
		q.detail = "route " + o.Route
	case o.Share != 0:
		q.detail = "share " + strconv.FormatFloat(o.Share, 'g', -1, 64)
	}
	q.detail += " for " + within.String()
	if err := s.API.Tracing.Add(r); err != nil {
		return nil, err
	}
	return s.traces(), nil
}
