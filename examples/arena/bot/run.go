package bot

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// run is one Run.
type run struct {
	cfg     Config
	players []*player
	errors  errorList
	meters  *meters
	number  atomic.Int64 // of requests of a load
	heard   atomic.Int64 // when a push came last, in Unix nanoseconds

	mu   sync.Mutex
	seen map[string]bool // everybody who was in anyone's view, and the players themselves
}

func newRun(cfg Config) *run {
	return &run{cfg: cfg, meters: newMeters(), seen: map[string]bool{}}
}

// saw remembers who was in view.
func (r *run) saw(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[id] = true
}

func (r *run) pushed() {
	r.meters.pushes.Add(1)
	r.heard.Store(time.Now().UnixNano())
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
	r := newRun(cfg)
	for i, t := range cfg.order() {
		number := cfg.First + i
		r.players = append(r.players, &player{
			run: r, target: t, number: number, name: fmt.Sprintf("%s-%d", cfg.Prefix, number), rng: rand.New(rand.NewPCG(cfg.Seed, uint64(number))),
		})
	}
	defer r.close()
	if cfg.Progress != nil {
		watched, stop := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { r.watch(watched) })
		defer watching.Wait()
		defer stop()
	}
	in := r.enter(ctx)
	if len(in) == 0 {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("bot: nobody got in: %w", err)
		}
		return nil, fmt.Errorf("bot: nobody got in: %s", r.errors.texts[0])
	}
	cfg.Entered(len(in))
	began := time.Now()
	r.playWithCuts(ctx, in)
	played := time.Since(began)
	if ctx.Err() == nil && cfg.Load == nil {
		r.compare(ctx, in)
	}
	return r.report(in, played), nil
}

// playWithCuts lets all play, and cuts their connections now and then.
func (r *run) playWithCuts(ctx context.Context, in []*player) {
	var cutting sync.WaitGroup
	cuts, stop := context.WithCancel(ctx)
	if r.cfg.Cut > 0 {
		cutting.Go(func() { r.cut(cuts, in) })
	}
	if r.cfg.Load != nil {
		r.ask(ctx, in)
	} else {
		r.play(ctx, in)
	}
	stop()
	cutting.Wait()
}

// cut cuts a connection at a time, so that each is cut once in Config.Cut on average.
func (r *run) cut(ctx context.Context, in []*player) {
	rng := rand.New(rand.NewPCG(r.cfg.Seed, 1<<63)) // a seed that no player has
	urls := r.cfg.urls()
	pause := Exponential(r.cfg.Cut / time.Duration(len(in)))
	for wait(ctx, pause(rng)) {
		to := ""
		if r.cfg.Roam {
			to = urls[rng.IntN(len(urls))]
		}
		_ = in[rng.IntN(len(in))].conn.Reconnect(to) // one that has ended is in the report as lost
	}
}

// enter brings all players in, a few at a time and not faster than the ramp, and returns those who got in.
func (r *run) enter(ctx context.Context) []*player {
	turns := make(chan struct{}, r.cfg.Logins)
	var all sync.WaitGroup
	var mu sync.Mutex
	var in []*player
	began := time.Now()
	for i, p := range r.players {
		if !wait(ctx, r.cfg.Ramp.At(i)-time.Since(began)) {
			break
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			if err := p.comeIn(ctx); err != nil {
				if ctx.Err() == nil {
					r.errors.kind(kindOf(err), "%s (%s): %v", p.name, p.target.Transport, err)
				}
				return
			}
			r.meters.in.Add(1)
			mu.Lock()
			defer mu.Unlock()
			in = append(in, p)
		})
	}
	all.Wait()
	return in
}

// comeIn connects, logs in and enters the map, as far as the run asks for it.
func (p *player) comeIn(ctx context.Context) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	if !p.run.cfg.NoLogin {
		if err := p.login(ctx); err != nil {
			return err
		}
	}
	if p.run.cfg.Load != nil {
		return nil
	}
	_, err := p.enter(ctx)
	return err
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

// maxSettle bounds the waiting in units of Config.Settle: where strangers play on it is never quiet.
const maxSettle = 6

// compare waits until what everybody sees is what is there. What is still wrong when no push has come for a while is an error.
func (r *run) compare(ctx context.Context, in []*player) {
	began := time.Now()
	for {
		wrong := r.wrong(in)
		if len(wrong) == 0 {
			return
		}
		last := time.Unix(0, r.heard.Load())
		if last.Before(began) {
			last = began
		}
		if time.Since(last) < r.cfg.Settle && time.Since(began) < maxSettle*r.cfg.Settle {
			if !wait(ctx, compareEvery) {
				return
			}
			continue
		}
		for _, w := range wrong {
			r.errors.add("%v after the last push: %s", r.cfg.Settle, w)
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
		p.mu.Unlock()
	}
	if len(r.strangers(known)) > 0 {
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

// strangers are those who were in view and are not known.
func (r *run) strangers(known map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for id := range r.seen {
		if !known[id] {
			all = append(all, id)
		}
	}
	return all
}

func (r *run) report(in []*player, played time.Duration) *Report {
	m := r.meters
	rep := &Report{
		Clients: len(in), Played: played, Latency: m.request.latency(), Connect: m.connect.latency(), Login: m.login.latency(), Back: m.back.latency(),
		Relogins: uint64(m.relogins.Load()), meters: m,
	}
	known := map[string]bool{}
	for _, p := range in {
		known[p.id] = true
	}
	for _, p := range in {
		s := p.conn.Stats()
		rep.Requests += s.Requests
		rep.Answers += s.Answers
		rep.Pushes += s.Pushes
		rep.Resumes += s.Resumes
		if s.Unknown > 0 {
			r.errors.add("%s (%s): %d answers to no request", p.name, p.target.Transport, s.Unknown)
		}
		if s.OutOfOrder > 0 {
			r.errors.add("%s (%s): %d answers came after the answer to a later request", p.name, p.target.Transport, s.OutOfOrder)
		}
		p.ended(r)
		p.mu.Lock()
		if p.lost != nil {
			rep.Lost = append(rep.Lost, fmt.Sprintf("%s (%s): %v", p.name, p.target.Transport, p.lost))
		}
		p.mu.Unlock()
		if r.cfg.Load == nil {
			rep.Players = append(rep.Players, p.report())
		}
	}
	if r.cfg.Load == nil {
		rep.Strangers = len(r.strangers(known))
	}
	r.errors.mu.Lock()
	defer r.errors.mu.Unlock()
	rep.Errors, rep.ErrorCount, rep.Kinds = r.errors.texts, r.errors.count, maps.Clone(r.errors.kinds)
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
		r.errors.kind(kindOf(err), "%s (%s): the connection ended: %v", p.name, p.target.Transport, err)
	}
}
