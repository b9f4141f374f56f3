package acceptance_test

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/internal/netlab/labtest"
)

// tortureRing is how many data packages a session keeps: so few that it happens that a client has missed more.
const tortureRing = 256

// torture is what all clients share.
type torture struct {
	gates      []dialer // at any of which a client can go on with its session
	oracle     *oracle
	knife      *knife
	nodes      []*node
	moves      func() int // how often sessions have gone to another gate; nil for a single one
	transports []string

	connections, resumed, answered atomic.Int64
	quitting                       atomic.Bool // who has left does not come back

	mu    sync.Mutex
	kicks map[string]int
}

func (w *torture) kick(code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kicks[code]++
}

// traveller is a client: every second is the one of this package, every second that of clients/go.
type traveller interface {
	live(ctx context.Context)
	request()             // asks the next question
	leave()               // says goodbye, or changes the transport
	unsettled() string    // what is still to come
	complaints() []string // what was wrong
}

// rough is the network: a phone's, in a train.
var rough = netlab.Link{Delay: 10 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.03, Reorder: 0.02, Duplicate: 0.01}

func TestSessionsSurviveTortureExactlyOnceAndInOrder(t *testing.T) {
	t.Parallel()
	if !labtest.Isolated(t) {
		return
	}
	clients, length := sized(40, 200), sized(4*time.Second, time.Minute)
	luck := seed(t)
	lab := labtest.Open(t, rough, luck)
	o := &oracle{sessions: map[[2]int]*record{}}
	n := start(t, lab.Listen().String(), o.config(), "", tortured...)
	w := newTorture(t, o, lab, luck, n)
	w.run(t, lab, clients, length, luck)
}

// tortured are the transports of the torture.
var tortured = []string{overTCP, overKCP, overWS}

// newTorture is that of these gates.
func newTorture(t *testing.T, o *oracle, lab *netlab.Network, luck uint64, nodes ...*node) *torture {
	t.Helper()
	w := &torture{oracle: o, nodes: nodes, transports: tortured, kicks: map[string]int{}, knife: &knife{rnd: rand.New(rand.NewPCG(luck, 1))}}
	for _, n := range nodes {
		doors := dialer{around: w.knife.around, addrs: map[string]string{}}
		for transport, addr := range n.addrs {
			_, port, err := net.SplitHostPort(addr)
			must(t, err)
			doors.addrs[transport] = net.JoinHostPort(lab.Server().String(), port)
		}
		w.gates = append(w.gates, doors)
	}
	return w
}

// run tortures so many clients, until all have left.
func (w *torture) run(t *testing.T, lab *netlab.Network, clients int, length time.Duration, luck uint64) {
	t.Helper()
	var before []int64
	for _, n := range w.nodes {
		before = append(before, n.actors())
	}
	var roamers []traveller
	for i := range clients {
		connecting, asking := rand.New(rand.NewPCG(luck, uint64(2*i+100))), rand.New(rand.NewPCG(luck, uint64(2*i+101)))
		if i%2 == 0 {
			roamers = append(roamers, &roamer{name: i, t: w, rnd: connecting, ask: asking})
		} else {
			roamers = append(roamers, &sdk{name: i, w: w, rnd: connecting, ask: asking})
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var living sync.WaitGroup
	defer living.Wait()
	defer cancel()
	for _, r := range roamers {
		living.Go(func() { r.live(ctx) })
	}

	w.rage(t, lab, roamers, length, luck)
	w.knife.blunt.Store(true)
	w.oracle.calm.Store(true)
	lab.Set(netlab.Link{Delay: 2 * time.Millisecond})
	w.settle(t, roamers)
	w.report(t, roamers, lab)

	w.quitting.Store(true)
	for _, r := range roamers {
		r.leave()
	}
	until(t, "no session is left anywhere when all have said goodbye, nor what stands in for one", func() bool {
		for i, n := range w.nodes {
			if n.gate.Sessions().Count() > 0 || n.actors() > before[i] {
				return false
			}
		}
		return true
	})
	cancel()
	living.Wait()
	w.knife.graves.Wait()
}

// rage lets everything happen at once: requests, pushes, goodbyes, and clients that change their address. On a busy machine it goes on until that is enough.
func (w *torture) rage(t *testing.T, lab *netlab.Network, roamers []traveller, length time.Duration, luck uint64) {
	t.Helper()
	var all sync.WaitGroup
	begun := time.Now()
	over := func(now time.Time) bool {
		past := now.Sub(begun)
		return past > length && (w.hurts(len(roamers)) || past > 10*length)
	}
	every := func(period time.Duration, stream uint64, do func(rnd *rand.Rand)) {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(luck, stream))
			tick := time.NewTicker(period)
			defer tick.Stop()
			for now := range tick.C {
				if over(now) {
					return
				}
				do(rnd)
			}
		})
	}
	every(10*time.Millisecond, 2, func(rnd *rand.Rand) {
		for range 1 + len(roamers)/10 {
			roamers[rnd.IntN(len(roamers))].request()
		}
	})
	every(10*time.Millisecond, 3, func(rnd *rand.Rand) {
		for range 1 + len(roamers)/20 {
			w.oracle.spontaneous(rnd.Int(), 1+rnd.IntN(3))
		}
	})
	every(time.Second, 4, func(rnd *rand.Rand) {
		for range 1 + len(roamers)/100 {
			roamers[rnd.IntN(len(roamers))].leave()
		}
	})
	every(1500*time.Millisecond, 5, func(*rand.Rand) {
		if _, err := lab.Move(); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
}

// settle waits until both sides agree that all is done.
func (w *torture) settle(t *testing.T, roamers []traveller) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		var open []string
		for _, r := range roamers {
			if why := r.unsettled(); why != "" {
				open = append(open, why)
			}
		}
		if len(open) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("%d clients are still owed something, such as: %s", len(open), open[0])
			return
		}
	}
}

// report says what has happened, and fails for what should not have.
func (w *torture) report(t *testing.T, roamers []traveller, lab *netlab.Network) {
	t.Helper()
	codes := w.oracle.judge()
	sessions, handled, pushed, away, back := w.oracle.totals()
	w.mu.Lock()
	kicks := w.kicks
	w.mu.Unlock()
	k := w.knife
	t.Logf("%d clients made %d connections; cut: %d closed, %d reset, %d abandoned; the link: %+v", len(roamers), w.connections.Load(),
		k.cuts[closed].Load(), k.cuts[reset].Load(), k.cuts[abandoned].Load(), lab.Stats())
	t.Logf("%d sessions, %d resumes; lost connections noticed %d times, comebacks %d times; refused: %v; kicks that arrived: %v",
		sessions, w.resumed.Load(), away, back, codes, kicks)
	if w.moves != nil {
		t.Logf("%d times a session went to another gate", w.moves())
	}
	t.Logf("%d requests and notifies handled, %d answers received, %d pushes sent", handled, w.answered.Load(), pushed)
	for _, r := range roamers {
		for _, wrong := range r.complaints() {
			t.Error(wrong)
		}
	}
	w.oracle.mu.Lock()
	for _, wrong := range w.oracle.wrong {
		t.Error(wrong)
	}
	w.oracle.mu.Unlock()
	if !w.hurts(len(roamers)) {
		t.Errorf("only %d resumes, %d requests, %d pushes of %d clients: the torture does not hurt", w.resumed.Load(), handled, pushed, len(roamers))
	}
}

// hurts tells whether enough has happened to mean something.
func (w *torture) hurts(clients int) bool {
	_, handled, pushed, _, _ := w.oracle.totals()
	if w.moves != nil && w.moves() < clients {
		return false
	}
	return w.resumed.Load() >= int64(clients) && handled >= 10*clients && pushed >= 10*clients
}
