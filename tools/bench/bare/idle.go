package bare

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/tools/bench/lean"
	"github.com/skua-go/skua/tools/bench/measure"
)

// dialing is how many connect at a time.
const dialing = 64

// TCPIdleBytes is bytes of the echo server's resident memory a connection that has had one answer, with count of them.
func TCPIdleBytes(count int) measure.Func {
	return idleBytes("bare-tcp", count, func(ctx context.Context, addr string) (measure.Client, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return newFrames(conn), nil
	})
}

// WebSocketIdleBytes is the same over WebSocket.
func WebSocketIdleBytes(count int) measure.Func { return idleBytes("bare-ws", count, dialWebSocket) }

// KCPIdleBytes is the same over KCP, with kcp-go at the server's end.
func KCPIdleBytes(count int) measure.Func {
	return idleBytes("bare-kcp", count, func(ctx context.Context, addr string) (measure.Client, error) {
		conn, err := lean.DialBare(ctx, addr)
		if err != nil {
			return nil, err
		}
		return newFrames(conn), nil
	})
}

func idleBytes(server string, count int, dial func(ctx context.Context, addr string) (measure.Client, error)) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, server, func(p *measure.Process) (float64, error) {
			before, err := p.RSS()
			if err != nil {
				return 0, err
			}
			clients := make([]measure.Client, count)
			defer func() {
				for _, c := range clients {
					if c != nil {
						_ = c.Close() // it has done its part
					}
				}
			}()
			all, dialCtx := errgroup.WithContext(ctx)
			for worker := range dialing {
				all.Go(func() error {
					for i := worker; i < count; i += dialing {
						c, err := dial(dialCtx, p.Addr)
						if err == nil {
							clients[i] = c
							err = c.Exchange()
						}
						if err != nil {
							return fmt.Errorf("connection %d of %d: %w", i, count, err)
						}
					}
					return nil
				})
			}
			if err := all.Wait(); err != nil {
				return 0, err
			}
			after, err := p.RSS()
			return float64(after-before) / float64(count), err
		})
	}
}
