package bot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// run is one Run.
type run struct {
	cfg     Config
	players []*player
	errors  errorList
}

// Run logs all clients in, lets them play for the duration, and then lets all stand still and compares what each of them sees with where all of them are.
//
// What the node does wrong is in the report, not in the error: that is ErrConfig, or why nobody could get in. When ctx is cancelled, or the node goes away, Run
// returns what it has seen until then.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg}
	for _, t := range cfg.targets() {
		for range t.Clients {
			i := len(r.players)
			r.players = append(r.players, &player{
				run: r, target: t, name: fmt.Sprintf("%s-%d", cfg.Prefix, i+1),
				rng: rand.New(rand.NewPCG(cfg.Seed, uint64(i))), seen: map[string]bool{},
			})
		}
	}
	defer r.close()
	in := r.enter(ctx)
	if len(in) == 0 {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("bot: nobody got in: %w", err)
		}
		return nil, fmt.Errorf("bot: nobody got in: %s", r.errors.texts[0])
	}
	cfg.Entered(len(in))
	began := time.Now()
	r.play(ctx, in)
	played := time.Since(began)
	if ctx.Err() == nil {
		r.compare(ctx, in)
	}
	return r.report(in, played), nil
}

// enter brings all players onto the map, a few at a time, and returns those who got in.
func (r *run) enter(ctx context.Context) []*player {
	turns := make(chan struct{}, r.cfg.Logins)
	var all sync.WaitGroup
	var mu sync.Mutex
	var in []*player
	for _, p := range r.players {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			err := p.dial(ctx)
			if err == nil {
				err = p.login(ctx)
			}
			if err == nil {
				_, err = p.enter(ctx)
			}
			if err != nil {
				if ctx.Err() == nil {
					r.errors.add("%s (%s): %v", p.name, p.target.Transport, err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			in = append(in, p)
		})
	}
	all.Wait()
	return in
}

func (r *run) play(ctx context.Context, in []*player) {
	until, cancel := context.WithTimeout(ctx, r.cfg.Duration)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range in {
		all.Go(func() { p.play(ctx, until.Done()) })
	}
	all.Wait()
}

// compareEvery is how often the views are looked at while the last pushes arrive.
const compareEvery = 50 * time.Millisecond

// compare waits until what everybody sees is what is there. What is still wrong at the end is an error.
func (r *run) compare(ctx context.Context, in []*player) {
	settled, cancel := context.WithTimeout(ctx, r.cfg.Settle)
	defer cancel()
	for {
		wrong := r.wrong(in)
		if len(wrong) == 0 {
			return
		}
		if wait(settled, compareEvery) {
			continue
		}
		if ctx.Err() == nil {
			for _, w := range wrong {
				r.errors.add("%v after all have stopped: %s", r.cfg.Settle, w)
			}
		}
		return
	}
}

// wrong compares each view with all positions, as their own players know them. Who has lost the connection is nobody's business any more: the node may or
// may not have noticed.
func (r *run) wrong(in []*player) []string {
	var all []Player
	known, gone := map[string]bool{}, map[string]bool{}
	coins := map[int64]Coin{}
	for _, p := range in {
		p.mu.Lock()
		known[p.id] = true
		last := p.steps[len(p.steps)-1]
		if p.lost != nil || p.unanswered > 0 || p.conn.Err() != nil {
			gone[p.id] = true
		} else {
			all = append(all, Player{ID: p.id, Name: p.name, X: last.X, Y: last.Y, N: last.N})
			for id, c := range p.view.Coins {
				coins[id] = c
			}
		}
		p.mu.Unlock()
	}
	if len(gone) > 0 {
		return nil // the rest of the world has changed with them
	}
	var wrong []string
	strangers := false
	for _, p := range in {
		p.mu.Lock()
		last := p.steps[len(p.steps)-1]
		me := Player{ID: p.id, Name: p.name, X: last.X, Y: last.Y, N: last.N}
		ours := &View{Players: map[string]Player{}, Coins: p.view.Coins, self: p.id}
		for id, q := range p.view.Players {
			if known[id] {
				ours.Players[id] = q
			}
		}
		wrong = append(wrong, ours.Compare(me, all, p.far)...)
		for id := range p.seen {
			strangers = strangers || !known[id]
		}
		p.mu.Unlock()
	}
	if strangers {
		return wrong // they walk on, and pick coins up while we compare
	}
	for _, p := range in {
		p.mu.Lock()
		last := p.steps[len(p.steps)-1]
		for id, c := range coins {
			if _, sees := p.view.Coins[id]; !sees && distance(c.X, c.Y, last.X, last.Y) <= p.far {
				wrong = append(wrong, fmt.Sprintf("%s at %d,%d does not see coin %+v", p.name, last.X, last.Y, c))
			}
		}
		p.mu.Unlock()
	}
	return wrong
}

// close ends all connections at once: some of them wait for a goodbye.
func (r *run) close() {
	var all sync.WaitGroup
	for _, p := range r.players {
		if p.conn != nil {
			all.Go(func() { _ = p.conn.Close() }) // it returns nil
		}
	}
	all.Wait()
}

func (r *run) report(in []*player, played time.Duration) *Report {
	rep := &Report{Clients: len(in), Played: played}
	known, strangers := map[string]bool{}, map[string]bool{}
	latencies := make([]*samples, 0, len(in))
	for _, p := range in {
		known[p.id] = true
	}
	for _, p := range in {
		s := p.conn.Stats()
		rep.Requests += s.Requests
		rep.Answers += s.Answers
		rep.Pushes += s.Pushes
		if s.Unknown > 0 {
			r.errors.add("%s (%s): %d answers to no request", p.name, p.target.Transport, s.Unknown)
		}
		if s.OutOfOrder > 0 {
			r.errors.add("%s (%s): %d answers came after the answer to a later request", p.name, p.target.Transport, s.OutOfOrder)
		}
		p.mu.Lock()
		for id := range p.seen {
			if !known[id] {
				strangers[id] = true
			}
		}
		p.mu.Unlock()
		p.ended(r)
		p.mu.Lock()
		if p.lost != nil {
			rep.Lost = append(rep.Lost, fmt.Sprintf("%s (%s): %v", p.name, p.target.Transport, p.lost))
		}
		latencies = append(latencies, &p.latency)
		p.mu.Unlock()
		rep.Players = append(rep.Players, p.report())
	}
	rep.Latency, rep.Strangers = latencyOf(latencies), len(strangers)
	r.errors.mu.Lock()
	defer r.errors.mu.Unlock()
	rep.Errors, rep.ErrorCount = r.errors.texts, r.errors.count
	return rep
}

// ended looks at a connection that ended while nothing was asked on it.
func (p *player) ended(r *run) {
	err := p.conn.Err()
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.lost != nil:
	case connectionEnded(err):
		p.lost = fmt.Errorf("%w: %w", errLost, err)
	case p.unanswered == 0:
		r.errors.add("%s (%s): the connection ended: %v", p.name, p.target.Transport, err)
	}
}
