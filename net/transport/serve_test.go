package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/transport"
)

func TestFramesArriveWholeHoweverTheyAreCut(t *testing.T) {
	s := serve(t, transport.Config{}, echo, nil)
	c := s.dial()
	var stream []byte
	bodies := []string{"a", "", text(300), text(511), text(513), "b", text(40000), "c", text(60000)}
	for _, b := range bodies {
		stream = append(stream, frame(b)...)
	}
	go func() {
		for i := 0; i < 2000; i++ { // half packets, byte by byte
			_, _ = c.Write(stream[i : i+1])
		}
		_, _ = c.Write(stream[2000:])
	}()
	for _, b := range bodies {
		want(t, c, b)
	}
}

func TestPipelinedFramesAreAnsweredInOrder(t *testing.T) {
	s := serve(t, transport.Config{}, echo, nil)
	var wg sync.WaitGroup
	for client := range 20 {
		c := s.dial()
		wg.Go(func() {
			var all []byte
			for i := range 100 {
				all = append(all, frame(fmt.Sprint(client, ":", i))...)
			}
			_, _ = c.Write(all)
			for i := range 100 {
				if got, err := receive(c); err != nil || got != fmt.Sprint(client, ":", i) {
					t.Errorf("client %d: %q, %v, expected answer %d", client, got, err, i)
					return
				}
			}
		})
	}
	wg.Wait()
	until(t, "the counters do not add up", func() bool {
		n := s.stats.Snapshot()
		return n.FramesIn == 2000 && n.FramesOut == 2000 && n.BytesIn == n.BytesOut && n.Accepted == 20 && n.Open == 20
	})
}

func TestBadFramesCloseTheirConnectionOnly(t *testing.T) {
	s := serve(t, transport.Config{MaxFrame: 1000, Farewell: func(reason error) []byte { return frame(transport.Class(reason)) }}, echo, nil)
	good := s.dial()
	_ = s.next()
	for name, c := range map[string]struct {
		bytes []byte
		err   error
	}{
		"garbage":  {[]byte{0xff, 1, 2}, transport.ErrFrame},
		"oversize": {frame(text(2000)), transport.ErrFrameTooLong},
		"a little": {frame(text(999)), transport.ErrFrameTooLong},
	} {
		bad := s.dial()
		ss := s.next()
		_, _ = bad.Write(c.bytes)
		if reason := ss.reason(t); !errors.Is(reason, c.err) {
			t.Errorf("%s: closed with %v, expected %v", name, reason, c.err)
		}
		if got, err := receive(bad); err != nil || got != "frame" {
			t.Errorf("%s: the client got %q, %v, expected to be told", name, got, err)
		}
	}
	send(t, good, frame("still here"))
	want(t, good, "still here")
	if n := s.stats.Snapshot(); n.Closed["frame"] != 3 {
		t.Errorf("counters %v, expected 3 bad frames", n.Closed)
	}
}

func TestSlowLorisIsCutInTheHandshake(t *testing.T) {
	s := serve(t, transport.Config{HandshakeTimeout: 150 * time.Millisecond}, echo, func(*session) error { return nil })
	c := s.dial()
	ss := s.next()
	stop := make(chan struct{})
	go func() { // whole frames and half ones: none of them buys time
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			if _, err := c.Write(frame("x")); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	reason := ss.reason(t)
	close(stop)
	if !errors.Is(reason, transport.ErrHandshakeTimeout) {
		t.Fatalf("closed with %v", reason)
	}
	if held := time.Since(ss.conn.Opened()); held < 150*time.Millisecond {
		t.Errorf("closed after %v, too early", held)
	}
}

func TestAFrameMustBeFinishedInTime(t *testing.T) {
	s := serve(t, transport.Config{FrameTimeout: 100 * time.Millisecond, Idle: -1}, echo, nil)
	c := s.dial()
	ss := s.next()
	send(t, c, frame("whole"))
	want(t, c, "whole")
	go func() {
		long := frame(text(10000))
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := range long {
			if _, err := c.Write(long[i : i+1]); err != nil {
				return
			}
			<-tick.C
		}
	}()
	if reason := ss.reason(t); !errors.Is(reason, transport.ErrFrameTimeout) {
		t.Fatalf("closed with %v", reason)
	}
}

func TestIdleConnectionsAreClosedAndBusyOnesAreNot(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		synctest.Test(t, func(t *testing.T) {
			s, m := inMemory(t, plain, transport.Config{Idle: time.Hour, HandshakeTimeout: 100 * time.Millisecond}, echo, nil)
			idle := m.dial("1")
			is := s.next()
			busy := m.dial("2")
			bs := s.next()
			is.conn.SetIdle(time.Second)
			bs.conn.SetIdle(time.Second)
			for range 10 {
				time.Sleep(time.Second / 2) //nolint:forbidigo // fake time
				busy.send(frame("hi"))
				if got := busy.receive(t); got != "hi" {
					t.Errorf("received %q", got)
				}
			}
			if reason := is.reason(t); !errors.Is(reason, transport.ErrIdle) || !idle.isClosed() {
				t.Errorf("the idle one was closed with %v", reason)
			}
			s.stop()
		})
	})
}

func TestSlowClientIsClosedAndTheOthersNeverNotice(t *testing.T) {
	const backlog = 64 << 10
	s := serve(t, transport.Config{Backlog: backlog}, echo, nil)
	slow := s.dial()
	ss := s.next()
	good := s.dial()
	_ = s.next()
	var sent, most int
	for body := frame(text(1000)); ; sent++ {
		err := ss.conn.Send(body)
		most = max(most, ss.conn.Counters().Queued)
		if err != nil {
			if !errors.Is(err, transport.ErrBacklog) {
				t.Fatalf("Send %d: %v", sent, err)
			}
			break
		}
		if sent%100 == 0 {
			send(t, good, frame("me"))
			want(t, good, "me")
		}
	}
	if reason := ss.reason(t); !errors.Is(reason, transport.ErrBacklog) {
		t.Errorf("closed with %v", reason)
	}
	if most > backlog {
		t.Errorf("%d bytes waited, the bound is %d", most, backlog)
	}
	if err := ss.conn.Send(frame("x")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after the end: %v", err)
	}
	if n := s.stats.Snapshot(); n.Closed["backlog"] != 1 {
		t.Errorf("counters %v", n.Closed)
	}
	send(t, good, frame("me"))
	want(t, good, "me")
	_ = slow.Close()
	t.Logf("the client that never reads was closed after %d frames of 1000 bytes; at most %d bytes waited", sent, most)
}

func TestTheLastFrameArrivesBehindWhatIsQueued(t *testing.T) {
	replaced := errors.New("replaced")
	s := serve(t, transport.Config{Classify: func(error) string { return "replaced" }}, echo, nil)
	c := s.dial()
	ss := s.next()
	send(t, c, []byte(strings.Repeat("\x00\x01x", 1000))) // unread bytes, which would turn the close into a reset
	for i := range 50 {
		if err := ss.conn.Send(frame(fmt.Sprint("push ", i))); err != nil {
			t.Fatal(err)
		}
	}
	ss.conn.CloseWith(replaced, frame("kick"))
	ss.conn.CloseWith(errors.New("second"), frame("never"))
	if reason := ss.reason(t); !errors.Is(reason, replaced) {
		t.Errorf("closed with %v", reason)
	}
	pushes := 0
	for {
		got, err := receive(c)
		if err != nil {
			t.Fatalf("after %d pushes: %v, expected the kick", pushes, err)
		}
		if got == "kick" {
			break
		}
		if strings.HasPrefix(got, "push") {
			pushes++
		}
	}
	if got, err := receive(c); !errors.Is(err, io.EOF) || pushes != 50 {
		t.Errorf("%d pushes before the kick; after it %q, %v, expected a clean end", pushes, got, err)
	}
	if n := s.stats.Snapshot(); n.Closed["replaced"] != 1 {
		t.Errorf("counters %v", n.Closed)
	}
}

func TestCloseWithGivesUpOnAClientThatDoesNotRead(t *testing.T) {
	s := serve(t, transport.Config{Linger: 100 * time.Millisecond, Backlog: 64 << 20}, echo, nil)
	c := s.dial()
	ss := s.next()
	for range 300 {
		if err := ss.conn.Send(frame(text(60000))); err != nil {
			t.Fatal(err)
		}
	}
	ss.conn.CloseWith(errors.New("bye"), frame("kick"))
	_ = ss.reason(t)
	until(t, "the connection is still there", func() bool { return s.stats.Snapshot().Open == 0 })
	_ = c.Close()
}

func TestPanicsCloseTheirConnectionOnly(t *testing.T) {
	var log strings.Builder
	s := serve(t, transport.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(s *session, body string) error {
		if body == "panic" {
			panic("over the edge")
		}
		return echo(s, body)
	}, nil)
	good := s.dial()
	_ = s.next()
	bad := s.dial()
	ss := s.next()
	send(t, bad, frame("panic"))
	if reason := ss.reason(t); !errors.Is(reason, transport.ErrPanic) || !strings.Contains(reason.Error(), "over the edge") {
		t.Errorf("closed with %v", reason)
	}
	send(t, good, frame("ok"))
	want(t, good, "ok")
	s.stop()
	if got := log.String(); !strings.Contains(got, "over the edge") || !strings.Contains(got, "serve_test.go") {
		t.Errorf("the log has no stack: %s", got)
	}
	if n := s.stats.Snapshot(); n.Panics != 1 || n.Closed["panic"] != 1 {
		t.Errorf("counters %+v", n)
	}
}

func TestLimitsOfConnectionsAreToldToTheClient(t *testing.T) {
	farewell := func(reason error) []byte { return frame(transport.Class(reason)) }
	for name, c := range map[string]struct {
		cfg   transport.Config
		class string
	}{
		"all":     {transport.Config{MaxConns: 2, Farewell: farewell}, "full"},
		"address": {transport.Config{MaxConnsPerAddr: 2, Farewell: farewell}, "address"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.cfg, echo, nil)
			first := s.dial()
			fs := s.next()
			_ = s.dial()
			_ = s.next()
			want(t, s.dial(), c.class)
			if n := s.stats.Snapshot(); n.Refused[c.class] != 1 || n.Open != 2 {
				t.Errorf("counters %+v", n)
			}
			_ = first.Close()
			_ = fs.reason(t)
			until(t, "the place of the one that left is not free", func() bool { return s.stats.Snapshot().Open == 1 })
			again := s.dial()
			_ = s.next()
			send(t, again, frame("in"))
			want(t, again, "in")
		})
	}
}

func TestHandlersMayRefuse(t *testing.T) {
	banned := errors.New("banned")
	s := serve(t, transport.Config{Farewell: func(reason error) []byte { return frame(reason.Error()) }}, echo, func(*session) error { return banned })
	want(t, s.dial(), "banned")
	until(t, "the refusal is not counted", func() bool { n := s.stats.Snapshot(); return n.Refused["handler"] == 1 && n.Accepted == 0 })
}

func TestHandlersErrorIsTheReason(t *testing.T) {
	wrong := errors.New("wrong password")
	s := serve(t, transport.Config{}, func(*session, string) error { return wrong }, nil)
	c := s.dial()
	ss := s.next()
	send(t, c, append(frame("a"), frame("b")...))
	if reason := ss.reason(t); !errors.Is(reason, wrong) {
		t.Errorf("closed with %v", reason)
	}
	if n := s.stats.Snapshot(); n.FramesIn != 1 || n.Closed["handler"] != 1 {
		t.Errorf("counters %+v, expected one frame", n)
	}
}

func TestAnswersReachAClientThatHasEndedItsHalf(t *testing.T) {
	s := serve(t, transport.Config{}, echo, nil)
	c := s.dial()
	send(t, c, frame(text(5000)))
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want(t, c, text(5000))
	if reason := s.next().reason(t); !errors.Is(reason, transport.ErrPeerClosed) {
		t.Errorf("closed with %v", reason)
	}
}

func TestTheEndOfServeIsToldToEveryClient(t *testing.T) {
	s := serve(t, transport.Config{Farewell: func(reason error) []byte { return frame(transport.Class(reason)) }}, echo, nil)
	var conns []net.Conn
	var sessions []*session
	for range 50 {
		conns = append(conns, s.dial())
		sessions = append(sessions, s.next())
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			if got, err := receive(c); err != nil || got != "shutdown" {
				t.Errorf("a client got %q, %v", got, err)
			}
			_ = c.Close()
		})
	}
	s.stop()
	wg.Wait()
	for _, ss := range sessions {
		if reason := ss.reason(t); !errors.Is(reason, transport.ErrShutdown) {
			t.Errorf("closed with %v", reason)
		}
	}
}

// failing is a listener that fails some Accepts.
type failing struct {
	net.Listener
	errs  chan error
	tries atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	f.tries.Add(1)
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

func TestRunningOutOfFilesIsWaitedOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: ln, errs: make(chan error, 3)}
	for range 3 {
		f.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	var log strings.Builder
	s := serveOn(t, f, transport.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, echo, nil)
	c := s.dial()
	send(t, c, frame("late"))
	want(t, c, "late")
	s.stop()
	if n := s.stats.Snapshot(); n.AcceptErr != 3 {
		t.Errorf("%d failures counted, expected 3", n.AcceptErr)
	}
	if lines := strings.Count(log.String(), "accept fails"); lines != 1 {
		t.Errorf("%d lines for 3 failures within the interval: %s", lines, log.String())
	}
}

func TestServeReturnsTheListenersError(t *testing.T) {
	broken := errors.New("broken")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: ln, errs: make(chan error, 1)}
	f.errs <- broken
	err = transport.Serve(context.Background(), f, transport.HandlerFunc(nil), transport.Config{Split: split})
	if !errors.Is(err, broken) {
		t.Errorf("Serve returned %v", err)
	}
	for _, cfg := range []transport.Config{{}, {Split: split, Backlog: -1}} {
		if err := transport.Serve(context.Background(), ln, nil, cfg); err == nil {
			t.Errorf("Serve accepted %+v", cfg)
		}
	}
}

// messages is a connection that must know its frames.
type messages struct {
	net.Conn
	got chan []string
}

func (m *messages) WriteFrames(frames [][]byte) error {
	var bodies []string
	for _, f := range frames {
		bodies = append(bodies, string(f))
	}
	m.got <- bodies
	return nil
}

type once struct {
	net.Listener
	conns chan net.Conn
}

func (o *once) Accept() (net.Conn, error) {
	if c, ok := <-o.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (o *once) Close() error { close(o.conns); return o.Listener.Close() }

func TestMessageTransportsGetEachFrameApart(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	m := &messages{Conn: near, got: make(chan []string, 10)}
	o := &once{Listener: ln, conns: make(chan net.Conn, 1)}
	o.conns <- m
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	closed := make(chan error, 1)
	go func() {
		ended <- transport.Serve(ctx, &closeOnce{once: o}, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			c.Ready()
			for i := range 3 {
				if err := c.Send(frame(fmt.Sprint(i))); err != nil {
					return nil, err
				}
			}
			return &session{conn: c, frame: echo, closed: closed}, nil
		}), transport.Config{Split: split})
	}()
	var all []string
	for len(all) < 3 {
		select {
		case got := <-m.got:
			all = append(all, got...)
		case <-time.After(patience):
			t.Fatalf("only %q arrived", all)
		}
	}
	for i, f := range all {
		if f != string(frame(fmt.Sprint(i))) {
			t.Errorf("message %d is %q", i, f)
		}
	}
	_ = far.Close()
	<-closed
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type closeOnce struct {
	*once
	c sync.Once
}

func (o *closeOnce) Close() error { o.c.Do(func() { _ = o.once.Close() }); return nil }
