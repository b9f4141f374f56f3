package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// turns runs each actor that has something to do in a goroutine of its own, and so knows when none has: that is when a test may let time pass.
type turns struct {
	mu      sync.Mutex
	busy    int           // actors that have something to do
	begun   uint64        // how often one has got something to do
	resting chan struct{} // closed when none is busy, if somebody waits for that
}

func newTurns() *turns { return &turns{} }

// Ready is called by the actor system.
func (t *turns) Ready(r actor.Runnable) {
	t.mu.Lock()
	t.busy++
	t.begun++
	t.mu.Unlock()
	go func() {
		for r.Step() {
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.busy--
		if t.busy == 0 && t.resting != nil {
			close(t.resting)
			t.resting = nil
		}
	}()
}

// Await is called by those who wait for actors, which run by themselves.
func (t *turns) Await(done <-chan struct{}) { <-done }

// rest waits until no actor has anything to do, and tells how often one has begun to.
func (t *turns) rest(ctx context.Context) (begun uint64, err error) {
	t.mu.Lock()
	for t.busy > 0 {
		if t.resting == nil {
			t.resting = make(chan struct{})
		}
		resting := t.resting
		t.mu.Unlock()
		select {
		case <-resting:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		t.mu.Lock()
	}
	defer t.mu.Unlock()
	return t.begun, nil
}

// settle waits until no actor has anything to do and no work is done off one, as long as ctx lasts.
func (t *turns) settle(ctx context.Context, sys *actor.System) error {
	for {
		begun, err := t.rest(ctx)
		if err == nil && sys.Stats().Working == 0 {
			// What work has begun while the actors were counted is either seen now, or has had an actor begin once more.
			if again, _ := t.rest(ctx); again == begun {
				return nil
			}
			continue
		}
		if err == nil {
			select {
			case <-time.After(time.Millisecond): // work tells nobody when it ends
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("time.advance: the node's services do not come to rest")
		}
		return fmt.Errorf("time.advance: %w", err)
	}
}
