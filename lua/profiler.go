package lua

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
)

const (
	// profilePace is how many steps a script makes between two looks whether a sample is due, and profileEvery the time from one sample to the next.
	profilePace  = 64
	profileEvery = time.Millisecond
	// maxProfiled bounds the different stacks of a profile. What is beyond is counted as one.
	maxProfiled = 20_000
	// MaxProfile is how long a profile may be.
	MaxProfile = 5 * time.Minute
)

// Sample is a stack that was seen in a profile, as Traceback has it, and how often.
type Sample struct {
	Stack string
	Count int64
}

// ErrProfiled refuses a second profile of a VM at a time.
var ErrProfiled = errors.New("lua: somebody takes a profile of the service already")

// profiler takes samples of what runs in a VM. A clock says when one is due, and the VM takes it at one of its next steps: so time counts, not steps, and only time in which the script
// has run.
type profiler struct {
	due   atomic.Int64 // when the sample was due that is to be taken, in ns since began; 0: none is
	began time.Time

	// Of the VM, under the guard's lock.
	usual   int           // how many steps there are between two ticks otherwise
	steps   int           // since the last that was not the profile's alone
	since   time.Duration // when the present slice of a handler has begun
	samples map[string]int64
	lost    int64 // of stacks beyond maxProfiled
}

// slice notes that a handler begins to run, or goes on, or that it does not any more: a sample that was due in between and has found no step to be taken at is of a handler that has hardly
// any.
func (p *profiler) slice(h *Host, begins bool) {
	if begins {
		p.pace(h)
		p.since = time.Since(p.began)
		return
	}
	if p.isDue() {
		p.add(h.script + ": in function 'a short handler'")
	}
}

// pace has the VM's ticks come more often.
func (p *profiler) pace(h *Host) {
	if v, ok := h.vm.(pacer); ok && p.usual == 0 {
		h.fast, p.usual = true, v.SetPace(profilePace)
	}
}

// isDue tells, once, whether a sample is due of what runs now.
func (p *profiler) isDue() bool {
	due := p.due.Load()
	return due > 0 && p.due.CompareAndSwap(due, 0) && time.Duration(due) >= p.since
}

func (p *profiler) add(stack string) {
	if _, known := p.samples[stack]; known || len(p.samples) < maxProfiled {
		p.samples[stack]++
	} else {
		p.lost++
	}
}

// look takes a sample if one is due, and tells whether the tick was for that only.
func (p *profiler) look(h *Host) (skip bool) {
	if p.usual == 0 { // it began in the middle of a handler
		p.pace(h)
		return false
	}
	if p.isDue() {
		p.add(h.whereabouts())
	}
	if p.steps += profilePace; p.steps < p.usual {
		return true
	}
	p.steps = 0
	return false
}

// run says when samples are due, until ctx ends.
func (p *profiler) run(ctx context.Context) {
	tick := time.NewTicker(profileEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.due.Store(int64(time.Since(p.began)))
		}
	}
}

// Profile watches what a service's VM does until ctx ends, and returns the stacks that it has seen, each as often as it was there at a tick of a clock of profileEvery (1 ms). Where
// agents share a VM it is that of all of them. It costs the service some percent meanwhile.
func (rt *Runtime) Profile(ctx context.Context, sys *actor.System, of actor.Ref) (samples []Sample, every time.Duration, err error) {
	h, err := rt.host(ctx, sys, of)
	if err != nil {
		return nil, 0, err
	}
	p := &profiler{began: time.Now(), samples: map[string]int64{}}
	taken := false
	h.guarded(func(g *guard) {
		if taken = g.profile != nil; !taken {
			g.profile = p
		}
	})
	if taken {
		return nil, 0, ErrProfiled
	}
	var clock sync.WaitGroup
	clock.Go(func() { p.run(ctx) })
	clock.Wait()
	h.guarded(func(g *guard) {
		g.profile = nil
		samples = make([]Sample, 0, len(p.samples)+1)
		for stack, n := range p.samples {
			samples = append(samples, Sample{stack, n})
		}
		if p.lost > 0 {
			samples = append(samples, Sample{"", p.lost})
		}
	})
	return samples, profileEvery, nil
}
