package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/transport"
)

func TestAnswersToTheFramesOfOneReadGoOutInOneWrite(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		const frames = 20
		_, m := inMemory(t, plain, transport.Config{}, echo, nil)
		c := m.dial("1")
		var all []byte
		for i := range frames {
			all = append(all, frame(fmt.Sprint(i))...)
		}
		for range 10 {
			c.send(bytes.Clone(all))
			for i := range frames {
				if got := c.receive(t); got != fmt.Sprint(i) {
					t.Fatalf("answer %d is %q", i, got)
				}
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.writes) > 12 { // the watch may have thought that a handler blocks
			t.Errorf("10 reads were answered with writes of %v bytes", c.writes)
		}
		if c.armed > 3 {
			t.Errorf("the write deadline was set %d times", c.armed)
		}
	})
}

func TestPushesAndTheEndGoOutWhileAHandlerBlocks(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		gate, begun := make(chan struct{}), make(chan struct{})
		bye := errors.New("bye")
		s, m := inMemory(t, plain, transport.Config{}, func(s *session, body string) error {
			if err := s.conn.Send(frame("before")); err != nil {
				return err
			}
			close(begun)
			<-gate
			return echo(s, body)
		}, nil)
		c := m.dial("1")
		ss := s.next()
		c.send(frame("hi"))
		<-begun
		if got := c.receive(t); got != "before" {
			t.Errorf("received %q", got)
		}
		if err := ss.conn.Send(frame("push")); err != nil {
			t.Fatal(err)
		}
		if got := c.receive(t); got != "push" {
			t.Errorf("received %q", got)
		}
		ss.conn.CloseWith(bye, frame("last"))
		if got := c.receive(t); got != "last" {
			t.Errorf("received %q", got)
		}
		close(gate)
		if reason := ss.reason(t); !errors.Is(reason, bye) {
			t.Errorf("closed with %v", reason)
		}
	})
}

func TestAClientThatDoesNotReadItsAnswersHoldsUpOnlyItself(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		synctest.Test(t, func(t *testing.T) {
			s, m := inMemory(t, plain, transport.Config{WriteTimeout: 4 * time.Second, Idle: -1, Backlog: 1000}, echo, nil)
			var ended []*session
			for range 100 {
				c := m.dial("1")
				c.room = 10
				ended = append(ended, s.next())
				c.send(frame(text(20)))
			}
			synctest.Wait()
			c := m.dial("2")
			_ = s.next()
			c.send(frame("hi"))
			if got := c.receive(t); got != "hi" {
				t.Errorf("received %q", got)
			}
			begun := time.Now()
			for i, ss := range ended {
				switch i % 4 { // what others do while it is being written to
				case 1:
					ss.conn.Close()
				case 2:
					if err := ss.conn.Send(frame(text(990))); !errors.Is(err, transport.ErrBacklog) {
						t.Errorf("Send: %v", err)
					}
				case 3:
					ss.conn.CloseWith(errors.New("bye"), frame("bye"))
				}
			}
			for i, ss := range ended {
				reason, took := ss.reason(t), time.Since(begun)
				switch {
				case i%4 == 1 && !errors.Is(reason, transport.ErrClosed), i%4 == 2 && !errors.Is(reason, transport.ErrBacklog), i%4 == 3 && reason.Error() != "bye":
					t.Errorf("connection %d was closed with %v", i, reason)
				case i%4 == 0 && (!errors.Is(reason, transport.ErrWrite) || took < 4*time.Second || took > 7*time.Second):
					t.Errorf("connection %d was closed after %v with %v", i, took, reason)
				}
			}
		})
	})
}

func TestAWriteToAClientThatHasGoneIsItsEnd(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s, m := inMemory(t, plain, transport.Config{}, echo, nil)
		c := m.dial("1")
		ss := s.next()
		c.mu.Lock()
		c.writeErr = &net.OpError{Op: "write", Err: syscall.EPIPE}
		c.mu.Unlock()
		c.send(frame("hi"))
		if reason := ss.reason(t); !errors.Is(reason, transport.ErrPeerClosed) || !errors.Is(reason, syscall.EPIPE) {
			t.Errorf("closed with %v", reason)
		}
	})
}

func TestEachClientHasItsTimeForEachWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := inMemory(t, true, transport.Config{WriteTimeout: 4 * time.Second, Idle: -1}, echo, nil)
		c := m.dial("1")
		c.room = 100
		ss := s.next()
		for range 20 { // 3 s after each write it reads
			if err := ss.conn.Send(frame(text(90))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second) //nolint:forbidigo // fake time
			if got := c.receive(t); len(got) != 90 {
				t.Fatal(got)
			}
		}
	})
}

// drainer is a session that counts Drained.
type drainer struct {
	*session
	drained chan int // what was queued then
}

func (d *drainer) Drained() { d.drained <- d.conn.Queued() }

// Its Receiver is known when Open has returned only.
func TestDrainedIsToldToWhoAsksForItWhileItOpens(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			d := &drainer{drained: make(chan int, 100)}
			stop := serveHandler(t, m.listener(plain), func(c *transport.Conn) (transport.Receiver, error) {
				c.Ready()
				d.session = &session{conn: c, frame: echo, closed: make(chan error, 1)}
				c.NotifyDrained()
				synctest.Wait()
				return d, nil
			})
			m.dial("1")
			if n := <-d.drained; n != 0 {
				t.Errorf("%d bytes waited", n)
			}
			synctest.Wait()
			if len(d.drained) != 0 {
				t.Error("told once more")
			}
			d.conn.Close()
			stop()
		})
	})
}

func TestDrainedIsToldOnceForEachTimeThatItWasAskedFor(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			var open func(c *transport.Conn) (transport.Receiver, error)
			opened := make(chan *drainer, 1)
			open = func(c *transport.Conn) (transport.Receiver, error) {
				c.Ready()
				d := &drainer{session: &session{conn: c, frame: func(s *session, body string) error {
					if body == "notify" {
						s.conn.NotifyDrained()
					}
					return echo(s, body)
				}, closed: make(chan error, 1)}, drained: make(chan int, 100)}
				opened <- d
				return d, nil
			}
			stop := serveHandler(t, m.listener(plain), open)
			c := m.dial("1")
			d := <-opened
			d.conn.NotifyDrained() // nothing waits
			if n := <-d.drained; n != 0 {
				t.Errorf("%d bytes waited", n)
			}
			c.mu.Lock()
			c.room = 10
			c.mu.Unlock()
			for range 3 {
				if err := d.conn.Send(frame("123456")); err != nil {
					t.Fatal(err)
				}
			}
			d.conn.NotifyDrained()
			d.conn.NotifyDrained()
			synctest.Wait()
			if len(d.drained) != 0 {
				t.Error("told while frames wait")
			}
			if n := d.conn.Queued(); n == 0 {
				t.Error("nothing is queued")
			}
			for range 3 {
				c.receive(t)
			}
			synctest.Wait()
			if n := len(d.drained); n != 2 {
				t.Errorf("told %d times, expected 2", n)
			}
			c.send(frame("notify")) // from within a handler
			c.receive(t)
			synctest.Wait()
			if n := len(d.drained); n != 3 {
				t.Errorf("told %d times, expected 3", n)
			}
			d.conn.Close()
			d.conn.NotifyDrained()
			stop()
			if n := len(d.drained); n != 3 {
				t.Errorf("told %d times, the last after the end", n)
			}
		})
	})
}

func TestFramesOfAllSendersGoOutWholeAndInTheirOrder(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		const senders, each = 4, 500
		s, m := inMemory(t, plain, transport.Config{Backlog: 1 << 20}, echo, nil)
		c := m.dial("1")
		ss := s.next()
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for n := range each {
					if i == 0 {
						c.send(frame(fmt.Sprintf("0 %d", n)))
					} else if err := ss.conn.Send(frame(fmt.Sprintf("%d %d", i, n))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var next [senders]int
		for range senders * each {
			var who, n int
			if _, err := fmt.Sscan(c.receive(t), &who, &n); err != nil {
				t.Fatal(err)
			}
			if next[who] != n {
				t.Fatalf("frame %d of sender %d came, expected %d", n, who, next[who])
			}
			next[who]++
		}
		wg.Wait()
	})
}

func TestABroadcastReachesEveryone(t *testing.T) {
	const n = 1000
	s, m := inMemory(t, false, transport.Config{}, echo, nil)
	conns, sessions := make([]*memConn, n), make([]*session, n)
	for i := range conns {
		conns[i] = m.dial("1")
		sessions[i] = s.next()
		if i%10 == 0 {
			conns[i].room = 1 // it does not read
		}
	}
	push := frame("to all")
	for _, ss := range sessions {
		if err := ss.conn.Send(push); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		if i%10 != 0 {
			if got := c.receive(t); got != "to all" {
				t.Fatal(got)
			}
		}
	}
	for i, ss := range sessions {
		if i%10 == 0 {
			ss.conn.Close()
		}
	}
}

func BenchmarkBroadcastTo10000(b *testing.B) {
	const n = 10000
	m := newMemory()
	var mu sync.Mutex
	var sessions []*session
	var ready atomic.Int64
	stop := serveHandler(b, m, func(c *transport.Conn) (transport.Receiver, error) {
		c.Ready()
		mu.Lock()
		defer mu.Unlock()
		ss := &session{conn: c, frame: echo, closed: make(chan error, 1)}
		sessions = append(sessions, ss)
		ready.Add(1)
		return ss, nil
	})
	defer stop()
	conns := make([]*memConn, n)
	for i := range conns {
		conns[i] = m.dial("1")
	}
	for ready.Load() < n {
		time.Sleep(time.Millisecond) //nolint:forbidigo // a benchmark
	}
	push := frame(text(100))
	var burst transport.Burst
	b.ReportAllocs()
	for b.Loop() {
		for _, ss := range sessions {
			if err := burst.Send(ss.conn, push); err != nil {
				b.Fatal(err)
			}
		}
		burst.Flush()
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "deliveries/s")
	for _, c := range conns {
		c.mu.Lock()
		c.out = nil
		c.mu.Unlock()
	}
}
