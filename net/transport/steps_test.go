package transport_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/transport"
)

func TestConnectionsThatTellWhenTheyHaveSomethingCostNoGoroutine(t *testing.T) {
	const n = 2000
	s, m := inMemory(t, false, transport.Config{}, echo, nil)
	first := m.dial("1")
	first.send(frame("warm"))
	if got := first.receive(t); got != "warm" {
		t.Fatal(got)
	}
	before := runtime.NumGoroutine()
	conns := make([]*memConn, n)
	for i := range conns {
		conns[i] = m.dial("1")
	}
	for i, c := range conns {
		c.send(frame(fmt.Sprint(i)))
	}
	for i, c := range conns {
		if got := c.receive(t); got != fmt.Sprint(i) {
			t.Fatalf("connection %d received %q", i, got)
		}
	}
	const shared = 50 // workers and the watch
	until(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= before+shared })
	if open := s.stats.Snapshot().Open; open != n+1 {
		t.Errorf("%d connections are open", open)
	}
}

func TestStepsDeliverInOrderAndOneAtATimeWhoeverNotifies(t *testing.T) {
	const frames, notifiers = 3000, 4
	var got []string // the race detector sees who writes it
	all := make(chan struct{})
	_, m := inMemory(t, false, transport.Config{}, func(_ *session, body string) error {
		if got = append(got, body); len(got) == frames {
			close(all)
		}
		return nil
	}, nil)
	c := m.dial("1")
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range notifiers {
		wg.Go(func() {
			for !stop.Load() {
				c.news()
			}
		})
	}
	var stream []byte
	for i := range frames {
		stream = append(stream, frame(fmt.Sprint(i))...)
	}
	for piece := range slices.Chunk(stream, 7) {
		c.send(piece)
	}
	select {
	case <-all:
	case <-time.After(patience):
		t.Error("they don't arrive")
	}
	stop.Store(true)
	wg.Wait()
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("frame %d is %q", i, body)
		}
	}
}

func TestStepsEndAsReadingDoes(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		do   func(c *memConn, s *session)
		cfg  transport.Config
		want error
	}{
		"the client's end":        {do: func(c *memConn, _ *session) { c.end(io.EOF) }, want: transport.ErrPeerClosed},
		"an error":                {do: func(c *memConn, _ *session) { c.end(broken) }, want: transport.ErrRead},
		"close":                   {do: func(_ *memConn, s *session) { s.conn.Close() }, want: transport.ErrClosed},
		"close with":              {do: func(_ *memConn, s *session) { s.conn.CloseWith(broken, frame("bye")) }, want: broken},
		"idle":                    {do: func(*memConn, *session) {}, cfg: transport.Config{Idle: 3 * time.Second}, want: transport.ErrIdle},
		"half a frame":            {do: func(c *memConn, _ *session) { c.send([]byte{0, 9, 'x'}) }, cfg: transport.Config{Idle: -1}, want: transport.ErrFrameTimeout},
		"a bad frame":             {do: func(c *memConn, _ *session) { c.send([]byte{0xff}) }, want: transport.ErrFrame},
		"a panic":                 {do: func(c *memConn, _ *session) { c.send(frame("panic")) }, want: transport.ErrPanic},
		"an end of the goroutine": {do: func(c *memConn, _ *session) { c.send(frame("exit")) }, want: transport.ErrPanic},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, plain bool) {
				synctest.Test(t, func(t *testing.T) {
					s, m := inMemory(t, plain, tt.cfg, func(s *session, body string) error {
						switch body {
						case "panic":
							panic("planned")
						case "exit":
							runtime.Goexit()
						}
						return echo(s, body)
					}, nil)
					c := m.dial("1")
					ss := s.next()
					c.send(frame("hello"))
					if got := c.receive(t); got != "hello" {
						t.Fatal(got)
					}
					tt.do(c, ss)
					if reason := ss.reason(t); !errors.Is(reason, tt.want) {
						t.Errorf("closed with %v", reason)
					}
					if name == "close with" {
						if got := c.receive(t); got != "bye" {
							t.Errorf("the last frame is %q", got)
						}
					}
					s.stop()
					if !c.isClosed() {
						t.Error("the connection was not closed")
					}
				})
			})
		})
	}
}

func TestStepsOfAConnectionThatIsFloodedLeaveTimeForOthers(t *testing.T) {
	var flooded atomic.Int64
	_, m := inMemory(t, false, transport.Config{}, func(s *session, body string) error {
		if body == "flood" {
			flooded.Add(1)
			return nil
		}
		return echo(s, body)
	}, nil)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 8 {
		c := m.dial("1")
		wg.Go(func() {
			for !stop.Load() {
				c.send(frame("flood"))
				for { // never empty, never long
					c.mu.Lock()
					n := len(c.in)
					c.mu.Unlock()
					if n < 100 || stop.Load() {
						break
					}
					runtime.Gosched()
				}
			}
		})
	}
	c := m.dial("1")
	for i := range 20 {
		c.send(frame(fmt.Sprint(i)))
		if got := c.receive(t); got != fmt.Sprint(i) {
			t.Errorf("received %q", got)
		}
	}
	stop.Store(true)
	wg.Wait()
	if flooded.Load() == 0 {
		t.Error("nobody flooded")
	}
}

func TestAHandlerThatBlocksHoldsUpNobodyElse(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		const blocked = 100 // more than there are workers
		gate := make(chan struct{})
		var begun atomic.Int64
		_, m := inMemory(t, plain, transport.Config{}, func(s *session, body string) error {
			if body == "block" {
				begun.Add(1)
				<-gate
			}
			return echo(s, body)
		}, nil)
		var conns []*memConn
		for range blocked {
			c := m.dial("1")
			c.send(frame("block"))
			conns = append(conns, c)
		}
		until(t, "not all are handled at a time", func() bool { return begun.Load() == blocked })
		c := m.dial("1")
		c.send(frame("hi"))
		if got := c.receive(t); got != "hi" {
			t.Error(got)
		}
		close(gate)
		for _, c := range conns {
			if got := c.receive(t); got != "block" {
				t.Error(got)
			}
		}
	})
}

func TestAConnectionThatWasRefusedIsClosed(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		farewell := func(err error) []byte { return frame(err.Error()) }
		s, m := inMemory(t, plain, transport.Config{Farewell: farewell}, echo, func(*session) error { return errors.New("not you") })
		c := m.dial("1")
		if got := c.receive(t); got != "not you" {
			t.Errorf("received %q", got)
		}
		until(t, "it is not closed", c.isClosed)
		s.stop()
		if n := s.stats.Snapshot(); n.Refused["handler"] != 1 || n.Accepted != 0 {
			t.Errorf("counted %+v", n)
		}
	})
}

func TestEveryoneOfAFloodIsToldWhyTheyAreRefused(t *testing.T) {
	s, m := inMemory(t, false, transport.Config{MaxConns: 1, Farewell: func(err error) []byte { return frame(transport.Class(err)) }}, echo, nil)
	m.dial("1")
	s.next()
	flood := make([]*memConn, 1000)
	for i := range flood {
		flood[i] = m.dial("2")
	}
	for i, c := range flood {
		if got := c.receive(t); got != "full" {
			t.Fatalf("client %d was told %q", i, got)
		}
		until(t, "a client that was refused is not closed", c.isClosed)
	}
	if n := s.stats.Snapshot(); n.Refused["full"] != 1000 {
		t.Errorf("counted %+v", n)
	}
}

func TestAnUnfinishedFrameHoldsNoMoreThanItNeeds(t *testing.T) {
	const n = 1000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // pools give back what they hold in two steps
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		return mem.HeapAlloc
	}
	s, m := inMemory(t, false, transport.Config{}, echo, nil)
	conns := make([]*memConn, n)
	before := heap()
	for i := range conns {
		conns[i] = m.dial("1")
		conns[i].send([]byte{0, 100, 'x'})
	}
	until(t, "they are not read", func() bool { return s.stats.Snapshot().BytesIn == 3*n })
	with := heap()
	for _, c := range conns {
		c.send([]byte(strings.Repeat("x", 99)))
	}
	for _, c := range conns {
		if got := c.receive(t); len(got) != 100 {
			t.Fatal(got)
		}
	}
	if each := (int64(with) - int64(before)) / n; each > 8<<10 { // a whole buffer has twice as much
		t.Errorf("%d bytes of heap a connection", each)
	}
}

func TestAReadingGoroutineIsReplacedWhenNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		number := func() string {
			var buf [64]byte
			id, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), " [")
			return id
		}
		s, m := inMemory(t, true, transport.Config{Idle: 10 * time.Second}, func(s *session, _ string) error {
			return s.conn.Send(frame(number()))
		}, nil)
		c := m.dial("1")
		ss := s.next()
		ask := func() string {
			c.send(frame("who reads?"))
			return c.receive(t)
		}
		first := ask()
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		if again := ask(); again != first {
			t.Errorf("%s became %s while frames came", first, again)
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // fake time
		if later := ask(); later == first {
			t.Errorf("%s, whose stack has grown, goes on", first)
		}
		begun := time.Now()
		if reason := ss.reason(t); !errors.Is(reason, transport.ErrIdle) || time.Since(begun) != 10*time.Second {
			t.Errorf("closed after %v with %v", time.Since(begun), reason)
		}
	})
}

func TestHandlersThatBlockHoldUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const blocked, asks = 100, 50 // far more than workers are let in at once
		release := make(chan struct{})
		s, m := inMemory(t, false, transport.Config{}, func(s *session, body string) error {
			if body == "block" {
				<-release
			}
			return echo(s, body)
		}, nil)
		var held []*memConn
		for range blocked {
			c := m.dial("1")
			c.send(frame("block"))
			held = append(held, c)
		}
		time.Sleep(time.Second) //nolint:forbidigo // fake time, in which all of them have blocked
		c := m.dial("1")
		var took time.Duration
		for i := range asks {
			time.Sleep(time.Second) //nolint:forbidigo // fake time, in which everybody comes to rest
			begun := time.Now()
			c.send(frame(fmt.Sprint(i)))
			if got := c.receive(t); got != fmt.Sprint(i) {
				t.Fatalf("received %q", got)
			}
			took += time.Since(begun)
		}
		if took > 20*time.Millisecond {
			t.Errorf("%d requests took %v beside %d handlers that block", asks, took, blocked)
		}
		close(release)
		for _, c := range held {
			c.receive(t)
		}
		s.stop()
	})
}
