// Package bare holds what Skua is measured against and shares no code with it: channels, and echo servers on plain sockets.
package bare

import (
	"context"
	"sync"

	"github.com/skua-go/skua/tools/bench/measure"
)

// message has the size of a small message with its sender; it is passed as any, like an actor's.
type message struct{ n, from int }

// ChannelSend is ns for a message through a buffered channel of 1,024, with one sender and one receiver.
func ChannelSend(ctx context.Context) (float64, error) {
	return measure.PerOp(ctx, func(n int) error {
		ch := make(chan any, 1024)
		var sum int
		var receiver sync.WaitGroup
		receiver.Go(func() {
			for m := range ch {
				if m, ok := m.(*message); ok {
					sum += m.n
				}
			}
		})
		m := &message{n: 1}
		for range n {
			ch <- m
		}
		close(ch)
		receiver.Wait()
		return check(sum, n)
	})
}

// ChannelPingPong is ns for a message there and back between two goroutines, with many pairs at once: the time divided by all round trips.
func ChannelPingPong(pairs int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.PerOp(ctx, func(n int) error {
			each := (n + pairs - 1) / pairs
			sums := make([]int, pairs)
			var all sync.WaitGroup
			for p := range pairs {
				there, back := make(chan any, 1), make(chan any, 1)
				all.Go(func() {
					for m := range there {
						back <- m
					}
				})
				all.Go(func() {
					m := &message{n: 1}
					for range each {
						there <- m
						if m, ok := (<-back).(*message); ok {
							sums[p] += m.n
						}
					}
					close(there)
				})
			}
			all.Wait()
			total := 0
			for _, s := range sums {
				total += s
			}
			return check(total, each*pairs)
		})
	}
}
