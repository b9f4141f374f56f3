package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/transport"
)

// lending is a listener with a goroutine that lends itself: the test's.
type lending struct {
	*memory
	lent chan func(tell func()) bool
}

func (l *lending) Lend(f func(tell func()) (left bool)) { l.lent <- f }

func (l *lending) Accept() (net.Conn, error) {
	c, err := l.memory.Accept()
	if err != nil {
		return nil, err
	}
	return &roomy{c.(*memConn)}, nil
}

// roomy tells how much can be written without waiting.
type roomy struct{ *memConn }

func (r *roomy) Room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.room == 0 {
		return math.MaxInt
	}
	return max(0, r.room-len(r.out))
}

// hasty is a session whose frames are brief if they say so.
type hasty struct{ *session }

func (hasty) Brief(f []byte) bool { return strings.HasPrefix(string(f[2:]), "brief") }

// lender is a server whose listener lends itself by means of lend.
type lender struct {
	*lending
	lend  func(tell func()) bool
	stats transport.Stats
	ended chan error
	stop  func()
}

func serveLent(t *testing.T, cfg transport.Config, onFrame func(*session, string) error) *lender {
	t.Helper()
	l := &lender{lending: &lending{newMemory(), make(chan func(func()) bool, 1)}, ended: make(chan error, 1)}
	cfg.Split, cfg.Stats = split, &l.stats
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	go func() {
		l.ended <- transport.Serve(ctx, l.lending, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			c.Ready()
			return hasty{&session{conn: c, frame: onFrame, closed: make(chan error, 1)}}, nil
		}), cfg)
	}()
	l.lend = <-l.lent
	return l
}

// end ends the server.
func (l *lender) end(t *testing.T) {
	t.Helper()
	l.stop()
	if err := <-l.ended; err != nil {
		t.Error(err)
	}
}

// idle makes connections of which nothing is to be read.
func (l *lender) idle(n int) (conns []*memConn) {
	for range n {
		conns = append(conns, l.dial("1"))
	}
	synctest.Wait()
	return conns
}

// put is send that tells nobody.
func (c *memConn) put(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, p)
}

// has says whether that, and no more, has been written to the client.
func (c *memConn) has(frames ...string) bool {
	var want []byte
	for _, f := range frames {
		want = append(want, frame(f)...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Equal(c.out, want)
}

func tellAll(conns []*memConn) func() {
	return func() {
		for _, c := range conns {
			c.news()
		}
	}
}

func TestWhatIsBriefIsDoneByWhoLendsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 50 // more than one share
		l := serveLent(t, transport.Config{}, echo)
		defer l.end(t)
		conns := l.idle(n)
		for round := range 3 {
			for i, c := range conns {
				c.out = nil
				c.put(frame(fmt.Sprint("brief ", i, round)))
			}
			if l.lend(tellAll(conns)) {
				t.Error("something is left to others")
			}
			for i, c := range conns {
				if !c.has(fmt.Sprint("brief ", i, round)) {
					t.Fatalf("round %d: connection %d has got %q, when who lends itself is through", round, i, c.out)
				}
			}
		}
	})
}

func TestWhatIsNotBriefIsLeftToWorkers(t *testing.T) {
	for name, in := range map[string][]byte{
		"long":        frame("long"),
		"long behind": append(frame("brief"), frame("long")...),
		"unfinished":  frame("brief")[:3],
		"broken":      {0xff},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				l := serveLent(t, transport.Config{}, func(s *session, body string) error {
					if body == "long" {
						<-gate
					}
					return echo(s, body)
				})
				defer l.end(t)
				conns := l.idle(20)
				for i, c := range conns {
					c.put(frame("brief"))
					if i == 7 {
						c.in = [][]byte{in}
					}
				}
				if !l.lend(tellAll(conns)) {
					t.Error("nothing is left to others")
				}
				time.Sleep(time.Second) //nolint:forbidigo // fake time: those behind it may have gone to a worker, which is held up before it has written
				for i, c := range conns {
					if i != 7 && !c.has("brief") {
						t.Errorf("connection %d has got %q", i, c.out)
					}
				}
				close(gate)
				synctest.Wait()
				odd, want := conns[7], map[string][]string{"long": {"long"}, "long behind": {"brief", "long"}}[name]
				if !odd.has(want...) {
					t.Errorf("it has got %q, expected %q", odd.out, want)
				}
				if odd.isClosed() != (name == "broken") {
					t.Errorf("closed: %v", odd.isClosed())
				}
				if name == "unfinished" {
					odd.put(frame("brief")[3:])
					l.lend(odd.news)
					synctest.Wait()
					if !odd.has("brief") {
						t.Errorf("it has got %q", odd.out)
					}
				}
			})
		})
	}
}

func TestWhoLendsItselfDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serveLent(t, transport.Config{}, echo)
		defer l.end(t)
		c := l.idle(1)[0]
		c.room = 3
		c.put(frame("brief"))
		l.lend(c.news) // would wait for ever
		synctest.Wait()
		c.mu.Lock()
		if len(c.out) != c.room {
			t.Errorf("%q is written", c.out)
		}
		c.room = 0
		c.cond.Broadcast()
		c.mu.Unlock()
		if got := c.receive(t); got != "brief" {
			t.Error(got)
		}
	})
}

func TestWhoLendsItselfMovesDeadlinesThatHaveStruckInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Minute
		l := serveLent(t, transport.Config{Idle: idle}, echo)
		defer l.end(t)
		conns := l.idle(2)
		alive, silent := conns[0], conns[1]
		silence := func() { // what its own clock tells is told by who lends itself
			for _, c := range conns {
				c.mu.Lock()
				if c.timer != nil {
					c.timer.Stop()
				}
				c.mu.Unlock()
			}
		}
		silence()
		time.Sleep(idle / 2) //nolint:forbidigo // fake time
		alive.put(frame("brief"))
		if l.lend(alive.news) {
			t.Error("something is left to others")
		}
		silence()
		time.Sleep(idle * 3 / 4) //nolint:forbidigo // fake time
		if l.lend(alive.news) {
			t.Error("the deadline of one that has spoken is left to others")
		}
		if !l.lend(silent.news) {
			t.Error("nothing is left to others of one that has been silent")
		}
		synctest.Wait()
		if alive.isClosed() || !silent.isClosed() {
			t.Errorf("closed: one that has spoken %v, one that has not %v", alive.isClosed(), silent.isClosed())
		}
	})
}
