package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"

	"github.com/skua-go/skua/tools/bench/measure"
)

// news is what is broadcast: 100 bytes of JSON.
var news = value.Of(strings.Repeat("n", 98)).At(0)

const (
	newsRoute      = "news"
	broadcastRoute = "broadcast"
	rounds         = 25
	bursts         = 2
)

// report is what the server says of its broadcasts.
type report struct {
	Seconds float64 `json:"seconds"`
	Members int     `json:"members"`
	Encoded int64   `json:"encoded"`
}

// counting counts what is encoded as a push.
type counting struct {
	codec.JSON
	pushes *atomic.Int64
}

func (f counting) Append(dst []byte, route string, kind codec.Kind, v value.Value) ([]byte, error) {
	if kind == codec.Push {
		f.pushes.Add(1)
	}
	return f.JSON.Append(dst, route, kind, v)
}

// serveBroadcast has all sessions in one group; a request of any has it broadcast.
func serveBroadcast(ctx context.Context, ready func(string)) error {
	n, group, encoded := newNode(), gate.NewGroup(), new(atomic.Int64)
	err := n.open(gate.Config{
		Login: gate.LoginNone, Bodies: counting{pushes: encoded},
		OnSession: func(_ *actor.Context, s *gate.Session, e gate.Event) {
			if e.Change == gate.Connected {
				_, _ = group.Add(s) // its client counts what it gets
			}
		},
		Handle: func(c *actor.Context, r *gate.Request) {
			if r.Route != broadcastRoute {
				echoRequest(c, r)
				return
			}
			before, begun := encoded.Load(), time.Now()
			for range rounds {
				if err := group.Push(newsRoute, news, gate.Delivery{}); err != nil {
					r.FailWith(err)
					return
				}
			}
			took := time.Since(begun)
			b, err := json.Marshal(report{took.Seconds(), group.Count(), encoded.Load() - before})
			if err != nil {
				r.FailWith(err)
				return
			}
			r.Reply(b)
		},
	})
	if err != nil {
		return err
	}
	return n.serve(ctx, ready, []string{"tcp"})
}

// Broadcast is deliveries a second of pushes of 100 bytes to count sessions over TCP, from the first push until the last is in its connection's queue, in a burst of 25.
// Each client must get all of them, and each must have been encoded once.
func Broadcast(count int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, "broadcast", func(p *measure.Process) (float64, error) {
			var got atomic.Int64
			queued := [bursts]chan struct{}{}
			for i := range queued {
				queued[i] = make(chan struct{})
			}
			all, err := populate(ctx, count, func(ctx context.Context, _ int) (*client, error) { return dialEcho(ctx, "tcp", p.Addr) },
				func(c *client) error { return c.hear(queued[:], &got) })
			if err != nil {
				return 0, err
			}
			caller, err := dial(ctx, "tcp", p.Addr)
			if err != nil {
				for _, burst := range queued {
					close(burst)
				}
				return 0, errors.Join(err, all.close())
			}
			perSecond, err := broadcast(ctx, caller, count, queued[:], &got)
			return perSecond, errors.Join(err, caller.Close(), all.close())
		})
	}
}

// broadcast has the server do it, twice: the first time warms up.
func broadcast(ctx context.Context, caller *client, count int, queued []chan struct{}, got *atomic.Int64) (perSecond float64, err error) {
	begun := 0
	defer func() {
		for _, burst := range queued[begun:] {
			close(burst) // after an error nobody may wait for it
		}
	}()
	for burst := range queued {
		asked := time.Now()
		text, err := caller.ask(broadcastRoute, []byte("{}"))
		if err != nil {
			return 0, err
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return 0, err
		}
		if r.Members != count+1 || r.Encoded != rounds { // the caller is one, too
			return 0, fmt.Errorf("found %d pushes encoded for %d sessions, expected %d for %d", r.Encoded, r.Members, rounds, count+1)
		}
		close(queued[burst])
		begun++
		want := int64((burst + 1) * rounds * count)
		for tick := time.NewTicker(time.Millisecond); got.Load() < want; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			if time.Since(asked) > arrival {
				return 0, fmt.Errorf("%d pushes have arrived after %v, expected %d", got.Load(), arrival, want)
			}
		}
		perSecond = float64(rounds*r.Members) / r.Seconds
		fmt.Fprintf(os.Stderr, "burst %d: %.4g deliveries/s into the queues, %.4g until the clients had them\n",
			burst+1, perSecond, float64(rounds*r.Members)/time.Since(asked).Seconds())
	}
	return perSecond, nil
}

// arrival is how long the pushes may take.
const arrival = 15 * time.Second

// hear counts the news of each burst, once all of it is queued: until then it does not take from the server's cores, on which no client would be but here.
func (c *client) hear(queued []chan struct{}, got *atomic.Int64) error {
	for _, burst := range queued {
		<-burst
		for range rounds {
			if _, err := c.read(packet.Data); err != nil {
				return err
			}
			got.Add(1)
		}
	}
	_, err := c.read(packet.Data)
	return err // of the end
}
