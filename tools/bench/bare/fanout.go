package bare

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/tools/bench/measure"
)

// ChannelFanout is deliveries a second of messages from one goroutine to many, each with a channel of its own. The next message is sent when
// all have handled the last one.
func ChannelFanout(subscribers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		ns, err := measure.PerOp(ctx, func(n int) error {
			var left atomic.Int64
			var all sync.WaitGroup
			round := make(chan struct{}, 1)
			audience := make([]chan any, subscribers)
			for i := range audience {
				audience[i] = make(chan any, 1)
				all.Go(func() {
					for m := range audience[i] {
						if m, ok := m.(*message); ok && left.Add(-int64(m.n)) == 0 {
							round <- struct{}{}
						}
					}
				})
			}
			m := &message{n: 1}
			for range n {
				left.Store(int64(subscribers))
				for _, ch := range audience {
					ch <- m
				}
				<-round
			}
			for _, ch := range audience {
				close(ch)
			}
			all.Wait()
			return nil
		})
		return float64(subscribers) * float64(time.Second) / ns, err
	}
}
