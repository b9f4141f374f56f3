package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// Load asks one route over and over.
type Load struct {
	Route string
	// Body is the request's, as it is sent. "$n" in it becomes a number that no other request of the run has, so that an echo shows whose answer it is.
	Body string
	// Rate is requests a second of each client; an answer that takes longer than that delays the next. 0: as Config.Think says.
	Rate float64
	// Echo expects the request's own body back.
	Echo bool
	// Expect expects this body, if it is not empty.
	Expect string
}

// asker is one chain of requests of a player, each sent when the one before is answered. It has no goroutine of its own: timers and answers drive it.
type asker struct {
	p     *player
	load  *Load
	rng   *rand.Rand
	all   *sync.WaitGroup
	count *atomic.Int64 // of the player's requests that have ended, well or not
	every time.Duration // 0: think time
	timer *time.Timer   // pending, or the chain is under way

	mu      sync.Mutex // an answer may come before the call that asks for it returns
	due     time.Time  // the next request
	body    []byte
	sent    time.Time
	stopped bool
}

// ask lets all players ask until the time is over, and returns when nothing is under way any more.
func (r *run) ask(ctx context.Context, in []*player) {
	until, cancel := context.WithTimeout(ctx, r.cfg.Duration)
	defer cancel()
	var all sync.WaitGroup
	chains := make([]*asker, 0, r.cfg.Pipeline*len(in))
	for _, p := range in {
		count := new(atomic.Int64)
		for range r.cfg.Pipeline {
			a := &asker{p: p, load: r.cfg.Load, rng: rand.New(rand.NewPCG(r.cfg.Seed, uint64(len(chains)))), all: &all, count: count}
			first := r.cfg.Think(a.rng)
			if a.load.Rate > 0 {
				// Several chains share the rate, each beginning at a time of its own.
				a.every = time.Duration(float64(time.Second) * float64(r.cfg.Pipeline) / a.load.Rate)
				first = Uniform(0, a.every)(a.rng)
			}
			a.due = time.Now().Add(first)
			a.timer = time.AfterFunc(time.Hour, a.next)
			chains = append(chains, a)
			all.Add(1)
			a.timer.Reset(first)
		}
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	select {
	case <-until.Done():
	case <-ended: // all have made their steps, or have lost their connections
	}
	for _, a := range chains {
		a.stop()
	}
	<-ended
}

// stop ends the chain, at once if it waits, else when what is under way is answered.
func (a *asker) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer.Stop() {
		a.all.Done()
	}
}

// again lets the chain go on at that time, unless it has been stopped.
func (a *asker) again(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		a.all.Done()
		return
	}
	a.due = at
	a.timer.Reset(time.Until(at))
}

// next sends a request, unless enough is done.
func (a *asker) next() {
	steps := a.p.run.cfg.Steps
	a.mu.Lock()
	if a.stopped || steps > 0 && a.count.Load() >= int64(steps) {
		a.mu.Unlock()
		a.all.Done()
		return
	}
	a.body = a.p.run.loadBody()
	a.sent = time.Now()
	body := a.body
	a.mu.Unlock()
	a.p.run.meters.requests.Add(1)
	if err := a.p.conn.RequestFunc(a.load.Route, body, 0, a.answered); err != nil {
		a.failed(err)
	}
}

// answered checks an answer. It runs on the client's reading goroutine.
func (a *asker) answered(got []byte, err error) {
	if err != nil {
		a.failed(err)
		return
	}
	a.mu.Lock()
	took, want := time.Since(a.sent), a.body
	a.mu.Unlock()
	a.p.run.meters.answered(took)
	a.count.Add(1)
	if !a.load.Echo {
		want = []byte(a.load.Expect)
	}
	if len(want) > 0 && !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(want)) {
		a.p.run.errors.kind("answer", "%s (%s): %s was answered %.100q, expected %.100q", a.p.name, a.p.target.Transport, a.load.Route, got, want)
	}
	a.wait()
}

// breath is the pause behind an error that comes at once, which must not become a loop.
const breath = 10 * time.Millisecond

// failed counts an error. A client that has ended asks nothing more, and one that is about to log in again after it has lost its session does so later.
func (a *asker) failed(err error) {
	p := a.p
	if errors.Is(err, client.ErrNotLoggedIn) {
		a.again(time.Now().Add(breath))
		return
	}
	a.count.Add(1)
	p.mu.Lock()
	first := p.lost == nil
	if ended := p.conn.Err(); ended != nil {
		p.lost = fmt.Errorf("%w: %w", errLost, ended)
	}
	lost := p.lost != nil
	p.mu.Unlock()
	switch {
	case lost && first && !connectionEnded(p.conn.Err()):
		p.run.errors.kind(kindOf(p.conn.Err()), "%s (%s): the connection ended: %v", p.name, p.target.Transport, p.conn.Err())
	case !lost:
		p.run.errors.kind(kindOf(err), "%s (%s): %v", p.name, p.target.Transport, err)
	}
	if lost {
		a.all.Done()
		return
	}
	a.again(time.Now().Add(breath))
}

// wait lets the time pass until the next request. It holds to the schedule of the rate, but never asks twice to catch up.
func (a *asker) wait() {
	now := time.Now()
	switch {
	case a.every > 0:
		a.mu.Lock()
		due := a.due.Add(a.every)
		a.mu.Unlock()
		if due.Before(now) {
			due = now
		}
		a.again(due)
	default:
		if pause := a.p.run.cfg.Think(a.rng); pause > 0 {
			a.again(now.Add(pause))
			return
		}
		a.next()
	}
}

// loadBody is the body of the next request.
func (r *run) loadBody() []byte {
	n := r.number.Add(1)
	if !strings.Contains(r.cfg.Load.Body, "$n") {
		return []byte(r.cfg.Load.Body)
	}
	// Processes that share a run number from different beginnings.
	unique := strconv.FormatInt(int64(r.cfg.First)*1_000_000_000+n, 10)
	return []byte(strings.ReplaceAll(r.cfg.Load.Body, "$n", unique))
}
