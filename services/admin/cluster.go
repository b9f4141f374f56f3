package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// Bounds of /cluster/drain.
const (
	maxDrainBody = 4 << 10
	// MaxDrain is the longest time that a drain may be given.
	MaxDrain = 24 * time.Hour
	// lineTimeout is how long a peer may take to read a line of progress.
	lineTimeout = 10 * time.Second
)

// Cluster is what the node knows of the cluster, and can do there. It is called from many goroutines.
type Cluster interface {
	// Status is what the node knows; it is told as JSON.
	Status(context.Context) (any, error)
	// Drain has a node, or this one if Node is empty, give what it has to others. Each step is told. It blocks until the node has left, or has nothing left if it is not to stop. A drain of this node that ends
	// with its stop returns before.
	Drain(ctx context.Context, order DrainOrder, tell func(DrainProgress)) error
}

// DrainOrder says what is to be drained.
type DrainOrder struct {
	// Node is its name; empty is the node that is asked.
	Node string `json:"node,omitempty"`
	// Timeout bounds it, in milliseconds.
	Timeout int64 `json:"timeout_ms"`
	// Stay leaves the node running, with nothing on it.
	Stay bool `json:"stay,omitempty"`
}

// DrainProgress is a line of the answer of /cluster/drain.
type DrainProgress struct {
	Node string `json:"node,omitempty"`
	Step string `json:"step,omitempty"`
	// State is begun, done, failed or going (on).
	State string `json:"state,omitempty"`
	// Text says more, for people.
	Text string `json:"text,omitempty"`
	// Took is how long a step that is done or has failed took, in milliseconds.
	Took int64 `json:"took_ms,omitempty"`
	// End is true in the last line, and Error says then why the drain failed, empty if it did not.
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"`
}

// cluster tells who is there.
func (s *Server) cluster(w http.ResponseWriter, r *http.Request) {
	status, err := s.Cluster.Status(r.Context())
	if err != nil {
		plain(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	text, err := json.Marshal(status)
	if err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the peer may be gone
}

// drain drains a node, and tells line by line how far that is. A peer that goes does not end it.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	order, err := readOrder(w, r)
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	write := func(p DrainProgress) {
		line, err := json.Marshal(p)
		if err != nil {
			return // strings and numbers only
		}
		// What can't be written nobody reads; the drain goes on.
		_ = out.SetWriteDeadline(time.Now().Add(lineTimeout))
		_, _ = w.Write(append(line, '\n'))
		_ = out.Flush()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(order.Timeout)*time.Millisecond+time.Minute)
	defer cancel()
	last := DrainProgress{Node: order.Node, End: true}
	who := whoAsks(r.Context())
	entry := Entry{Node: s.Version.Node, Who: who.Name, Role: who.Role.String(), From: r.RemoteAddr, Action: "drain", Target: clip(order.Node), Outcome: Begun}
	s.record(entry) // a node that stops may not come to the other one
	entry.Outcome = Done
	if err := s.Cluster.Drain(ctx, order, write); err != nil {
		last.Error = err.Error()
		entry.Outcome, entry.Error = Failed, clip(last.Error)
	}
	s.record(entry)
	write(last)
}

func readOrder(w http.ResponseWriter, r *http.Request) (order DrainOrder, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return order, errors.New("the body: expected application/json")
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDrainBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&order); err != nil {
		return order, errors.New(`the body: expected JSON such as {"node":"world-2","timeout_ms":60000}: ` + err.Error())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return order, errors.New("the body: expected one object")
	}
	if order.Timeout <= 0 || order.Timeout > MaxDrain.Milliseconds() {
		return order, errors.New("timeout_ms: expected 1 to 86400000")
	}
	return order, nil
}
