package luas

import (
	"context"
	"fmt"

	"github.com/skua-go/skua/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// Call is calls a second from one service to another and back, with inFlight calls at a time.
func (s Suite) Call(inFlight int) measure.Func { return s.calls("call", inFlight) }

// CallTable is calls a second with a table of four fields there and back.
func (s Suite) CallTable() measure.Func { return s.calls("call_table") }

func (s Suite) calls(cmd string, args ...any) measure.Func {
	return s.repeated(func(ctx context.Context, n *node, caller actor.Ref, ops int) error {
		_, err := n.call(ctx, caller, cmd, append([]any{ops}, args...)...)
		return err
	})
}

// Send is messages a second from one service to another, until all are handled.
func (s Suite) Send() measure.Func {
	return s.repeated(func(ctx context.Context, n *node, caller actor.Ref, ops int) error {
		v, err := n.call(ctx, caller, "send", ops)
		if err != nil {
			return err
		}
		if got, _ := v.Int(); got < int64(ops) {
			return fmt.Errorf("luas: %d messages have arrived of %d", got, ops)
		}
		return nil
	})
}

// repeated is operations a second of a caller beside an echo service.
func (s Suite) repeated(f func(ctx context.Context, n *node, caller actor.Ref, ops int) error) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return s.with(ctx, func(n *node) (float64, error) {
			caller, err := n.start(ctx, "caller")
			if err != nil {
				return 0, err
			}
			if _, err := n.call(ctx, caller, "open"); err != nil {
				return 0, err
			}
			return measure.PerSecond(func(ctx context.Context) (float64, error) {
				return measure.PerOp(ctx, func(ops int) error { return f(ctx, n, caller, ops) })
			})(ctx)
		})
	}
}

// Multicast is deliveries a second of messages that one service publishes in bursts to many, until all have handled the burst's last one.
func (s Suite) Multicast(subscribers int) measure.Func {
	const burst = 50
	return func(ctx context.Context) (float64, error) {
		return s.with(ctx, func(n *node) (float64, error) {
			publisher, err := n.start(ctx, "publisher")
			if err != nil {
				return 0, err
			}
			if _, err := n.call(ctx, publisher, "open", subscribers); err != nil {
				return 0, err
			}
			return measure.PerSecond(func(ctx context.Context) (float64, error) {
				return measure.PerOp(ctx, func(ops int) error {
					for left := ops; left > 0; left -= burst * subscribers {
						messages := min(burst, (left+subscribers-1)/subscribers)
						if _, err := n.call(ctx, publisher, "publish", messages); err != nil {
							return err
						}
					}
					return nil
				})
			})(ctx)
		})
	}
}
