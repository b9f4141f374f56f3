package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/net/packet"

	"github.com/skua-go/skua/tools/bench/measure"
)

const (
	botProcesses = 2 // a transport
	botThinks    = 10 * time.Second
)

// Bots is per cents of a core that a node with a Lua agent a session uses while half of count clients over TCP and half over KCP, in four processes, each ask it something every 10 s on
// average: the median of five windows, which take duration together. An error of any client fails it; memory and latencies go to standard error.
func Bots(count int, duration time.Duration) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, "lua-bots", func(p *measure.Process) (_ float64, err error) {
			before, err := p.RSS()
			if err != nil {
				return 0, err
			}
			processes, err := startBots(ctx, strings.Fields(p.Addr), count/2/botProcesses)
			defer func() {
				for _, b := range processes {
					err = errors.Join(err, b.Stop()) // says what has failed in it
				}
			}()
			if err != nil {
				return 0, err
			}
			used, err := cpu(ctx, p, duration/windows)
			if err != nil {
				return 0, err
			}
			resident, err := measure.RSS(p.PID)
			if err != nil {
				return 0, err
			}
			fmt.Fprintf(os.Stderr, "%d sessions: %.0f MiB resident, %.0f KiB a session with its agent\n",
				count, float64(resident)/(1<<20), float64(resident-before)/float64(count)/(1<<10))
			return used, nil
		})
	}
}

// startBots returns those that have started, also with an error.
func startBots(ctx context.Context, addrs []string, each int) (processes []*measure.Process, err error) {
	if len(addrs) != 2 {
		return nil, fmt.Errorf("clients: found addresses %q, expected one of TCP and one of KCP", addrs)
	}
	var (
		mu  sync.Mutex
		all errgroup.Group
	)
	for i, transport := range []string{"tcp", leanKCP} {
		for range botProcesses {
			all.Go(func() error {
				b, err := measure.StartServer(ctx, "bots", transport, addrs[i], strconv.Itoa(each))
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				processes = append(processes, b)
				return nil
			})
		}
	}
	err = all.Wait()
	return processes, err
}

// bots is one process of clients: args are their transport, the node's address and their number. It is ready when all are connected.
func bots(ctx context.Context, args []string, ready func(string)) error {
	if len(args) != 3 {
		return fmt.Errorf("clients: found bots %q, expected a transport, an address and a number", args)
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return fmt.Errorf("clients: the number of bots: %w", err)
	}
	var times latencies
	all, err := populate(ctx, count, func(ctx context.Context, _ int) (*client, error) { return dialEcho(ctx, args[0], args[1]) },
		func(c *client) error { return c.play(&times) })
	if err != nil {
		return err
	}
	ready("connected")
	<-ctx.Done()
	err = all.close()
	fmt.Fprintf(os.Stderr, "%d bots over %s: %v\n", count, args[0], &times)
	return err
}

// play asks something each 10 s, at moments of its own, until the connection ends.
func (c *client) play(times *latencies) error {
	for think := rand.N(botThinks); ; think = botThinks/2 + rand.N(botThinks) {
		if err := c.rest(think); err != nil {
			return err
		}
		begun := time.Now()
		if err := c.Exchange(); err != nil {
			return err
		}
		times.add(time.Since(begun))
	}
}

// rest keeps the connection alive for that long.
func (c *client) rest(d time.Duration) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if _, err := c.read(packet.Heartbeat); !errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(errors.New("clients: a bot at rest heard something"), err)
	}
	return c.conn.SetReadDeadline(time.Time{})
}

// latencies are of many requests.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	l.all = append(l.all, d)
	l.mu.Unlock()
}

// at is the latency that this share of the requests, 0 to 1, did not exceed.
func (l *latencies) at(share float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[int(share*float64(len(l.all)-1))]
}

// String is for people.
func (l *latencies) String() string {
	return fmt.Sprintf("%d requests, p50 %.3g ms, p99 %.3g ms, slowest %.3g ms",
		len(l.all), ms(l.at(0.5)), ms(l.at(0.99)), ms(l.at(1)))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
