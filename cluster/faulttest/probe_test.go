//go:build linux

package faulttest_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
)

// healed is how long all may take to be well again when no fault is left: JetStream's elections and TCP's pauses are in it, and machines that are busy.
const healed = 2 * time.Minute

// probe waits until this node has all that it should have when nothing is wrong while it plays, or tells what is missing.
func (n *node) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), healed)
	defer cancel()
	begun := time.Now()
	if err := until(ctx, "not all nodes are alive", n.allAlive); err != nil {
		return err
	}
	n.log.Info("all nodes are alive", "after", time.Since(begun))
	n.mu.Lock()
	before := map[string]int64{}
	for what, times := range n.done {
		before[what] = times
	}
	n.mu.Unlock()
	goesOn := func(what string) error {
		return until(ctx, "it does not go on: "+what, func() error {
			if n.counted(what) <= before[what] {
				return fmt.Errorf("%d times, as before", before[what])
			}
			return nil
		})
	}
	for _, o := range n.others {
		for _, what := range []string{"ticks from ", "news from ", "answers from "} {
			if err := goesOn(what + o); err != nil {
				return err
			}
		}
	}
	for _, what := range []string{"deposits", "locks", "additions", "calls of grains"} {
		if err := goesOn(what); err != nil {
			return err
		}
	}
	if err := until(ctx, "not all names are known", n.allNamed); err != nil {
		return err
	}
	if err := n.grainsAnswer(ctx); err != nil {
		return err
	}
	for _, key := range []string{"x", "y"} {
		x, err := n.leases.Acquire(ctx, lease.Key(lease.Lock, key), nil)
		if err != nil {
			return err
		}
		if err := x.Release(ctx); err != nil {
			return err
		}
	}
	n.log.Info("all is well", "after", time.Since(begun))
	return nil
}

// until asks for something until it is so, or ctx ends.
func until(ctx context.Context, what string, ok func() error) error {
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s within %v: %w", what, healed, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (n *node) allAlive() error {
	for _, name := range n.Peers {
		if m, ok := n.members.Find(name); !ok || m.State != cluster.Alive || !m.Held {
			return fmt.Errorf("%s: known %v, %v, name held %v", name, ok, m.State, m.Held)
		}
	}
	return nil
}

func (n *node) allNamed() error {
	var found []string
	for _, in := range n.names.Query("echo") {
		found = append(found, in.Node)
	}
	if slices.Sort(found); !slices.Equal(found, n.Peers) {
		return fmt.Errorf("echoes on %v, expected on %v", found, n.Peers)
	}
	if _, err := n.names.Any("counter", names.RoundRobin()); err != nil {
		return err
	}
	return nil
}
