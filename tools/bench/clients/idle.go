package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skua-go/skua/tools/bench/measure"
)

// IdleBytes is bytes of the server's resident memory a session that has shaken hands and has had one request answered by a handler in Go, with count of them, over "tcp", "ws" or
// "kcp". Everything in the process counts but what is garbage.
func IdleBytes(transport string, count int) measure.Func {
	how := transport
	if how == "kcp" {
		how = leanKCP
	}
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, "go-"+transport, func(p *measure.Process) (float64, error) {
			return grown(ctx, p, count, func(ctx context.Context, _ int) (*client, error) { return dialEcho(ctx, how, p.Addr) }, (*client).idle)
		})
	}
}

// grown is the memory that each of count clients takes of a server.
func grown(
	ctx context.Context, p *measure.Process, count int, dial func(ctx context.Context, i int) (*client, error), live func(*client) error,
) (float64, error) {
	before, err := p.RSS()
	if err != nil {
		return 0, err
	}
	all, err := populate(ctx, count, dial, live)
	if err != nil {
		return 0, err
	}
	after, err := p.RSS()
	return float64(after-before) / float64(count), errors.Join(err, all.close())
}

// dialEcho connects, and waits for one answer.
func dialEcho(ctx context.Context, transport, addr string) (*client, error) {
	c, err := dial(ctx, transport, addr)
	if err != nil {
		return nil, err
	}
	if err := c.Exchange(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// windows is how often what takes long to set up is measured.
const windows = 5

// IdleCPU is per cents of a core that the server spends on count idle sessions over "kcp" with heartbeats each 10 s and KCP's pings: the median of five windows of
// that length.
func IdleCPU(count int, window time.Duration) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, "go-kcp", func(p *measure.Process) (float64, error) {
			all, err := populate(ctx, count, func(ctx context.Context, _ int) (*client, error) { return dialEcho(ctx, leanKCP, p.Addr) }, (*client).idle)
			if err != nil {
				return 0, err
			}
			used, err := cpu(ctx, p, window)
			return used, errors.Join(err, all.close())
		})
	}
}

// cpu is per cents of a core that a server uses: the median of windows of that length.
func cpu(ctx context.Context, p *measure.Process, window time.Duration) (float64, error) {
	var used []float64
	for range windows {
		before, err := p.CPU()
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		select {
		case <-time.After(window):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		after, err := p.CPU()
		if err != nil {
			return 0, err
		}
		used = append(used, 100*float64(after-before)/float64(time.Since(begun)))
	}
	fmt.Fprintf(os.Stderr, "windows of %v: %.3g %% of a core\n", window, used)
	return measure.Median(used), nil
}
