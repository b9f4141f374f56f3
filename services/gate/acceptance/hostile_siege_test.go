package acceptance_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"
)

// siege is a node, players and attackers, each a process of its own.
type siege struct {
	world
	players   int
	processes [3]*process // of which the CPU time is looked at
	orders    *json.Encoder
	outcomes  *json.Decoder
	// perRequest is what a request of the crowd costs the node.
	perRequest time.Duration

	mu      sync.Mutex
	samples []sample // in the order in which they were answered
	settled int64
	trouble string
}

// The processes of a siege.
const (
	ofNode = iota
	ofPlayers
	ofAttackers
)

// besiege starts the node, this many players on each transport, and attackers who wait for orders.
func besiege(t *testing.T, players int) *siege {
	t.Helper()
	s := &siege{world: world{t: t, who: "newcomer"}, players: players * len(honestTransports)}
	node := startProcess(t, roleNode, dirVariable+"="+t.TempDir())
	must(t, node.out.Decode(&s.addrs))
	at, err := json.Marshal(places{s.addrs, players})
	must(t, err)
	playing := startProcess(t, rolePlayers, placesVariable+"="+string(at))
	attacking := startProcess(t, roleAttackers, placesVariable+"="+string(at))
	s.processes = [3]*process{node, playing, attacking}
	s.orders, s.outcomes = json.NewEncoder(attacking.in), attacking.out
	var ready outcome
	must(t, s.outcomes.Decode(&ready))
	var listening sync.WaitGroup
	listening.Go(func() {
		for {
			var r report
			if playing.out.Decode(&r) != nil {
				return // they have been told to stop
			}
			s.mu.Lock()
			s.samples = append(s.samples, r.Samples...)
			s.settled = r.Settled
			if r.Trouble != "" {
				s.trouble = r.Trouble
			}
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() { // before the processes' own
		_ = playing.in.Close()
		listening.Wait()
		if s.trouble != "" {
			t.Errorf("a player was disturbed: %s", s.trouble)
		}
	})
	return s
}

// watch has something done, and looks at players and node meanwhile.
func (s *siege) watch(do func() outcome) *window {
	s.t.Helper()
	w := &window{}
	var looking sync.WaitGroup
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	s.mu.Lock()
	s.samples = nil
	s.mu.Unlock()
	begun := time.Now()
	for i, p := range s.processes {
		w.cpu[i] = cpuOf(p.cmd.Process.Pid)
	}
	looking.Go(func() { s.look(ctx, w) })
	w.outcome = do()
	for i, p := range s.processes {
		w.cpu[i] = cpuOf(p.cmd.Process.Pid).minus(w.cpu[i])
	}
	ended := time.Now()
	w.lasted = ended.Sub(begun)
	cancel()
	looking.Wait()
	until(s.t, "each player has had all its answers", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.trouble != "" {
			s.t.Fatalf("a player was disturbed: %s", s.trouble)
		}
		return s.settled > ended.UnixNano()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.samples {
		if x.Due >= begun.UnixNano() && x.Due < ended.UnixNano() {
			w.took = append(w.took, time.Duration(x.Took))
		}
	}
	slices.Sort(w.took)
	return w
}

// look notes the peaks until ctx ends.
func (s *siege) look(ctx context.Context, w *window) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		m := s.metrics()
		w.goroutines = max(w.goroutines, m["go_goroutines"])
		w.heap = max(w.heap, m["go_memstats_heap_inuse_bytes"])
		w.resident = max(w.resident, m["process_resident_memory_bytes"])
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// quiet is a window in which nothing happens.
func (s *siege) quiet(lasting time.Duration) *window {
	return s.watch(func() outcome {
		select {
		case <-time.After(lasting):
		case <-s.t.Context().Done():
		}
		return outcome{}
	})
}

// obey is a window in which attackers do as they are told.
func (s *siege) obey(o order) *window {
	s.t.Helper()
	return s.watch(func() (r outcome) {
		must(s.t, s.orders.Encode(o))
		must(s.t, s.outcomes.Decode(&r))
		if r.Failed {
			s.t.Errorf("the attackers have failed in %q", o.Attack)
		}
		return r
	})
}

// newcomers log in, one over each transport.
func (s *siege) newcomers(when string) {
	for _, transport := range honestTransports {
		if newcomer, err := s.enter(transport); err != nil {
			s.t.Errorf("%s: a newcomer: %v", when, err)
		} else {
			_ = newcomer.conn.Close()
		}
	}
}
