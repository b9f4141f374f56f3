package bot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// player is one bot.
type player struct {
	run      *run
	target   Target
	number   int
	name     string
	rng      *rand.Rand
	conn     *client.Client
	far      int
	lastTalk time.Time

	mu         sync.Mutex
	id         string
	view       *View
	early      []early // pushes from before the answer to enter
	steps      []Step
	coins      int64
	saved      Saved
	unanswered int
	lost       error
}

type early struct {
	route string
	body  []byte
}

// dial connects, and sees to it that no push is missed.
func (p *player) dial(ctx context.Context) error {
	url, err := p.target.url()
	if err != nil {
		return err
	}
	cfg := p.run.cfg
	opts := cfg.Options
	opts.OnAny, opts.OnEvent, opts.Inline = p.push, p.run.meters.event, true
	if cfg.Roam {
		opts.Also = cfg.urls()
	}
	if n := len(cfg.Sources); n > 0 {
		opts.NetDial = dialFrom(cfg.Sources[p.number%n])
	}
	begin := time.Now()
	if p.conn, err = client.Dial(ctx, url, opts); err != nil {
		return err
	}
	p.run.meters.connect.add(time.Since(begin))
	return nil
}

// busyPause is how long a bot waits that was told that too many log in at once.
const busyPause = 200 * time.Millisecond

func (p *player) login(ctx context.Context) error {
	begin := time.Now()
	defer func() { p.run.meters.login.add(time.Since(begin)) }()
	for {
		var out struct{ UID, Name string }
		err := p.ask(ctx, "login", map[string]string{"name": p.name, "password": p.run.cfg.Password}, &out)
		var refused *client.Error
		if errors.As(err, &refused) && refused.Code == "busy" {
			if !wait(ctx, busyPause) {
				return context.Cause(ctx)
			}
			continue
		}
		if err != nil {
			return err
		}
		if out.Name != p.name || out.UID == "" {
			return fmt.Errorf("bot: %q logged in and is %+v", p.name, out)
		}
		return nil
	}
}

// enter puts the player on the map and starts the view.
func (p *player) enter(ctx context.Context) (Seat, error) {
	var seat Seat
	if err := p.ask(ctx, "enter", nil, &seat); err != nil {
		return seat, err
	}
	view, err := NewView(seat)
	if err != nil {
		return seat, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id, p.far, p.view, p.coins = seat.ID, seat.View, view, seat.Coins
	p.steps = []Step{{N: seat.N, X: seat.X, Y: seat.Y, At: time.Now()}}
	for id := range view.Players {
		p.run.saw(id)
	}
	for _, e := range p.early {
		p.apply(e.route, e.body)
	}
	p.early = nil
	return seat, nil
}

// maxEarly bounds the pushes before the answer to enter.
const maxEarly = 10_000

// push takes a push; body is valid until it returns.
func (p *player) push(route string, body []byte) {
	p.run.pushed()
	if p.run.cfg.Load != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view != nil {
		p.apply(route, body)
		return
	}
	if len(p.early) < maxEarly {
		p.early = append(p.early, early{route, bytes.Clone(body)})
		return
	}
	p.run.errors.add("%s: more than %d pushes before the answer to enter", p.name, maxEarly)
}

// apply takes one push; p.mu is held.
func (p *player) apply(route string, body []byte) {
	var err error
	switch route {
	case "enter", "move", "leave", "coin", "coin_gone":
		err = p.view.Apply(route, body)
		if route == "enter" {
			err = errors.Join(err, apply(body, func(m Player) error {
				p.run.saw(m.ID)
				return nil
			}))
		}
	case "chat":
		err = apply(body, func(m struct{ ID, Name, Text string }) error {
			if m.ID == "" || m.Name == "" || m.Text == "" {
				return fmt.Errorf("%w: chat %+v", ErrView, m)
			}
			return nil
		})
	case "purse":
		err = apply(body, func(m struct{ Coins int64 }) error {
			p.coins = max(p.coins, m.Coins)
			return nil
		})
	default:
		err = fmt.Errorf("%w: nobody knows the route %q", ErrView, route)
	}
	if err != nil {
		p.run.errors.add("%s (%s): %v", p.name, p.target.Transport, err)
	}
}

// errLost is wrapped by what ask returns when it is the connection that failed, and not the answer.
var errLost = errors.New("bot: connection lost")

// ask makes a request. Errors: *client.Error, errLost, ctx's, or what the node did wrong.
func (p *player) ask(ctx context.Context, route string, in, out any) error {
	before := p.conn.Stats().BytesIn
	begin := time.Now()
	p.run.meters.requests.Add(1)
	err := p.conn.Request(ctx, route, in, out) // with the run's timeout
	var refused *client.Error
	switch {
	case err == nil || errors.As(err, &refused):
		if p.view != nil { // on the map: the way there is measured apart
			p.run.meters.answered(time.Since(begin))
		}
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("bot: cancelled: %w", context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded) && p.conn.Stats().BytesIn == before:
		// Not a byte since the request: nobody is there, which a datagram transport hears of only by silence.
		return fmt.Errorf("%w: silence for %v: %w", errLost, p.run.cfg.Timeout, err)
	case connectionEnded(err):
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// connectionEnded says whether the error is one that a node that dies or stops leaves behind. A node that breaks the protocol or kicks is another matter.
func connectionEnded(err error) bool {
	var kick *client.KickError
	if errors.As(err, &kick) {
		return kick.Code == "shutdown"
	}
	return errors.Is(err, client.ErrSessionLost) || errors.Is(err, client.ErrServerClosed) || errors.Is(err, client.ErrServerSilent) || errors.Is(err, client.ErrWrite)
}

// play walks about until the time is over. It returns when nothing is under way any more.
func (p *player) play(ctx context.Context, until <-chan struct{}) {
	steps := p.run.cfg.Steps
	for made := 0; steps == 0 || made < steps; {
		select {
		case <-until:
			return
		case <-ctx.Done():
			return
		default:
		}
		n, ok := p.burst(ctx)
		if (!ok || !p.sometimes(ctx)) && !p.again(ctx) {
			return
		}
		made += n
		if pause := p.run.cfg.Think(p.rng); pause > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-until:
			case <-ctx.Done():
			}
			timer.Stop()
		}
	}
}

// again puts a player on the map whose session was lost, and who has logged in again. What it was not answered may have been done.
func (p *player) again(ctx context.Context) bool {
	p.mu.Lock()
	over := p.run.cfg.Options.Resume == client.ResumeOff || !errors.Is(p.lost, client.ErrSessionLost) || p.conn.Err() != nil
	if !over {
		p.lost, p.view, p.early = nil, nil, nil
	}
	p.mu.Unlock()
	if over {
		return false
	}
	_, err := p.enter(ctx)
	return p.check(ctx, "enter", err)
}

// moved is a step and its answer.
type moved struct {
	DX int `json:"dx"`
	DY int `json:"dy"`

	err    error
	at     time.Time
	answer struct {
		X, Y     int
		N, Coins int64
	}
}

// burst sends a few steps at once and checks their answers against each other. It returns how many, and false when the player can't go on.
func (p *player) burst(ctx context.Context) (int, bool) {
	moves := make([]moved, 1+p.rng.IntN(p.run.cfg.Pipeline))
	for i := range moves {
		moves[i].DX, moves[i].DY = p.rng.IntN(3)-1, p.rng.IntN(3)-1
	}
	var all sync.WaitGroup
	for i := range moves {
		m := &moves[i]
		all.Go(func() {
			m.err = p.ask(ctx, "move", m, &m.answer)
			m.at = time.Now()
		})
	}
	all.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	unanswered := 0
	for i := range moves {
		if m := &moves[i]; m.err != nil {
			unanswered++
			p.failed(ctx, "move", m.err)
		}
	}
	p.unanswered += unanswered
	p.record(moves, unanswered)
	return len(moves), unanswered == 0
}

// failed reports an error of a request, unless it is the end of the connection or of the run; p.mu is held.
func (p *player) failed(ctx context.Context, route string, err error) {
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errLost):
		if p.lost == nil {
			p.lost = err
		}
	default:
		p.run.errors.kind(kindOf(err), "%s (%s): %s: %v", p.name, p.target.Transport, route, err)
	}
}

// record checks a burst's answers and keeps the positions; p.mu is held. An answer belongs to its own request if the step that it tells of
// is the one that was asked for, so each new position must be explained by a request of its own.
func (p *player) record(moves []moved, unanswered int) {
	last := p.steps[len(p.steps)-1]
	answered := slices.DeleteFunc(slices.Clone(moves), func(m moved) bool { return m.err != nil })
	slices.SortStableFunc(answered, func(a, b moved) int { return cmp.Compare(a.answer.N, b.answer.N) })
	for _, m := range answered {
		p.coins = max(p.coins, m.answer.Coins)
	}
	for i := 0; i < len(answered); {
		n := answered[i].answer.N
		same := i
		explained := false
		for ; same < len(answered) && answered[same].answer.N == n; same++ {
			m := answered[same]
			if m.answer.X != answered[i].answer.X || m.answer.Y != answered[i].answer.Y {
				p.run.errors.add("%s: two answers with n=%d: %+v and %+v", p.name, n, m.answer, answered[i].answer)
			}
			explained = explained || m.answer.X-last.X == m.DX && m.answer.Y-last.Y == m.DY
		}
		at := Step{N: n, X: answered[i].answer.X, Y: answered[i].answer.Y, At: answered[i].at}
		switch {
		case n == last.N && (at.X != last.X || at.Y != last.Y):
			p.run.errors.add("%s: n=%d was at %d,%d and is answered with %d,%d", p.name, n, last.X, last.Y, at.X, at.Y)
		case n < last.N || n > last.N+1 && unanswered == 0:
			p.run.errors.add("%s: n=%d follows n=%d", p.name, n, last.N)
		case n == last.N+1 && !explained:
			p.run.errors.add("%s: from %+v to %+v, which no request asked for: %+v", p.name, last, at, answered[i:same])
		}
		if n > last.N {
			p.steps = append(p.steps, at)
			last = at
		}
		i = same
	}
	if keep := p.run.cfg.History; len(p.steps) > keep {
		p.steps = slices.Delete(p.steps, 0, max(len(p.steps)-keep, keep/4))
	}
}

// talkPause is the time between two things that a bot says: the map allows one a second.
const talkPause = 3 * time.Second

// sometimes saves or says something.
func (p *player) sometimes(ctx context.Context) bool {
	switch roll := p.rng.IntN(100); {
	case roll < 4:
		return p.save(ctx)
	case roll < 6 && time.Since(p.lastTalk) > talkPause:
		p.lastTalk = time.Now()
		return p.check(ctx, "chat", p.ask(ctx, "chat", map[string]string{"text": fmt.Sprintf("hello from %s, %d", p.name, p.rng.IntN(1000))}, nil))
	}
	return true
}

func (p *player) check(ctx context.Context, route string, err error) bool {
	if err == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed(ctx, route, err)
	return false
}

func (p *player) save(ctx context.Context) bool {
	var got struct {
		X, Y     int
		N, Coins int64
	}
	if !p.check(ctx, "save", p.ask(ctx, "save", nil, &got)) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.steps[len(p.steps)-1]
	if got.N != last.N || got.X != last.X || got.Y != last.Y || got.Coins < p.coins {
		p.run.errors.add("%s: saved %+v, was answered %+v and %d coins before", p.name, got, last, p.coins)
	}
	p.coins = max(p.coins, got.Coins)
	p.saved = Saved{got.X, got.Y, got.N, got.Coins, time.Now()}
	return true
}

// report is the player's part of the report.
func (p *player) report() PlayerReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PlayerReport{
		Target: p.target, Name: p.name, ID: p.id, Saved: p.saved, Coins: p.coins,
		Steps: slices.Clone(p.steps), Unanswered: p.unanswered,
	}
}

// wait lets the time pass; false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
