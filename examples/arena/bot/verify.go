package bot

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Verify logs the players of a report in again, after their node was killed and started again, and returns what of their state is not as it was promised:
// coins as in the last answer, or more by those that unanswered steps may have found; steps at least those of the last `save`, and at least those
// that were answered before killedAt - window; and the position that belongs to the steps. Clients of a report that played over several transports come back
// over their own, to the addresses that cfg names for each transport.
//
// The error is ErrConfig, or that of a player who can't get in.
func Verify(ctx context.Context, cfg Config, report *Report, killedAt time.Time, window time.Duration) ([]string, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := newRun(cfg)
	addrs := map[string]Target{}
	for _, t := range cfg.targets() {
		addrs[t.Transport] = t
	}
	turns := make(chan struct{}, cfg.Logins)
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, was := range report.Players {
		t, ok := addrs[was.Target.Transport]
		if !ok {
			return nil, fmt.Errorf("%w: %s played over %s, for which there is no address", ErrConfig, was.Name, was.Target.Transport)
		}
		p := &player{run: r, target: t, name: was.Name}
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			err := p.comeBack(ctx, was, killedAt.Add(-window))
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = fmt.Errorf("bot: verify %s: %w", was.Name, err)
			}
		})
	}
	all.Wait()
	return r.errors.texts, failed
}

// comeBack logs a player in and holds what they have against what was promised.
func (p *player) comeBack(ctx context.Context, was PlayerReport, deadline time.Time) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	defer p.conn.Close()
	if err := p.login(ctx); err != nil {
		return err
	}
	seat, err := p.enter(ctx)
	if err != nil {
		return err
	}
	for _, wrong := range was.check(seat, deadline) {
		p.run.errors.add("%s (%s): %s", p.name, p.target.Transport, wrong)
	}
	return nil
}

// check says what of a seat breaks a promise.
func (was PlayerReport) check(seat Seat, deadline time.Time) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if seat.ID != was.ID {
		say("was player %s and is %s", was.ID, seat.ID)
	}
	if seat.Coins < was.Coins || seat.Coins > was.Coins+int64(was.Unanswered) {
		say("has %d coins, was answered %d, and %d steps were not answered", seat.Coins, was.Coins, was.Unanswered)
	}
	sum := int64(0)
	for _, n := range seat.Inventory {
		sum += n
	}
	if sum != seat.Coins {
		say("has %d coins and an inventory of %v", seat.Coins, seat.Inventory)
	}
	if !was.Saved.At.IsZero() && seat.N < was.Saved.N {
		say("has made %d steps, %d were saved", seat.N, was.Saved.N)
	}
	last := was.Steps[len(was.Steps)-1]
	known := false
	for _, s := range was.Steps {
		if s.At.Before(deadline) && seat.N < s.N {
			say("has made %d steps, although n=%d was answered %v before the loss window", seat.N, s.N, deadline.Sub(s.At).Round(time.Millisecond))
		}
		if s.N == seat.N {
			known = true
			if s.X != seat.X || s.Y != seat.Y {
				say("stands at %d,%d with n=%d, was answered %d,%d", seat.X, seat.Y, seat.N, s.X, s.Y)
			}
		}
	}
	switch ahead := seat.N - last.N; {
	case ahead > int64(was.Unanswered):
		say("has made %d steps, was answered %d, and %d were not answered", seat.N, last.N, was.Unanswered)
	case ahead > 0 && int64(distance(seat.X, seat.Y, last.X, last.Y)) > ahead:
		say("stands at %d,%d, %d steps from n=%d at %d,%d", seat.X, seat.Y, ahead, last.N, last.X, last.Y)
	case ahead <= 0 && !known:
		say("has made %d steps, which is before everything that is known (from n=%d)", seat.N, was.Steps[0].N)
	}
	return wrong
}
