package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

type point struct{ X, Y int }

func TestRequestsAndPushesCarryJSONAndRawBytes(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, func(s *server, _ *transport.Config) { s.dict = map[string]uint16{"arena.move": 1, "chat": 2} })
		got := make(chan string, 10)
		c := s.dial(client.Options{
			Name: "tester", User: map[string]int{"age": 3},
			On:    map[string]func([]byte){"chat": func(b []byte) { got <- "chat " + string(b) }},
			OnAny: func(route string, b []byte) { got <- route + "? " + string(b) },
		})
		if ss := s.next(); ss.hello.Sys.Type != "tester" || string(ss.hello.User) != `{"age":3}` {
			t.Errorf("the server saw %+v", ss.hello)
		}
		if string(c.User()) != `{"motd":"hi"}` {
			t.Errorf("the client saw %s", c.User())
		}
		var p point
		if err := c.Request(t.Context(), "arena.move", point{1, -2}, &p); err != nil || p != (point{1, -2}) {
			t.Errorf("%+v, %v", p, err)
		}
		big := bytes.Repeat([]byte{0, 1, 2}, 20000)
		var raw []byte
		if err := c.Request(t.Context(), "not.in.the.dictionary", big, &raw); err != nil || !bytes.Equal(raw, big) {
			t.Errorf("%d bytes came back, %v", len(raw), err)
		}
		var msg json.RawMessage
		if err := c.Request(t.Context(), "x", json.RawMessage(`[1]`), &msg); err != nil || string(msg) != "[1]" {
			t.Errorf("%s, %v", msg, err)
		}
		if err := c.Request(t.Context(), "x", nil, &p); err != nil {
			t.Errorf("empty answer: %v", err)
		}
		if err := c.Request(t.Context(), "x", "no json", &p); err == nil || !strings.Contains(err.Error(), "no json") {
			t.Errorf("answer that is not JSON: %v", err)
		}
		if err := c.Notify(t.Context(), "chat", "hello"); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"chat hello", "chat? hello"} {
			if g := take(t, got, "no push"); g != want {
				t.Errorf("push %q, expected %q", g, want)
			}
		}
	})
}

func TestPipelinedRequestsAreAnsweredInOrderWithTheirOwnAnswer(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, nil)
		var ids []uint64
		c := s.dial(client.Options{OnAnswer: func(id uint64) { ids = append(ids, id) }})
		const rounds, width = 5, 100
		for round := range rounds {
			var wg sync.WaitGroup
			for i := range width {
				wg.Go(func() {
					in, out := fmt.Sprint(round, "/", i), []byte(nil)
					if err := c.Request(t.Context(), "echo", in, &out); err != nil || string(out) != in {
						t.Errorf("%s was answered %q, %v", in, out, err)
					}
				})
			}
			wg.Wait()
		}
		st := c.Stats()
		if st.Answers != rounds*width || st.OutOfOrder != 0 || st.Unknown != 0 || st.Late != 0 || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		_ = c.Close() // the reader is gone: ids is ours
		for i, id := range ids {
			if id != uint64(i+1) {
				t.Fatalf("answer %d has id %d", i, id)
			}
		}
		if len(ids) != rounds*width {
			t.Errorf("%d answers", len(ids))
		}
	})
}

// overdue is a context whose time is over when something has happened.
type overdue struct {
	context.Context
	since <-chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.since }

func (o overdue) Err() error {
	select {
	case <-o.since:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		asked, release := make(chan struct{}), make(chan struct{})
		s := serve(t, kind, func(s *server, _ *transport.Config) {
			s.handle = func(ss *session, m packet.Message) {
				switch m.Route {
				case "fail":
					ss.fail(m.ID, packet.Reason{Code: "not_found", Msg: "no such item"})
				case "late":
					close(asked)
					go func() { <-release; ss.answer(m.ID, nil) }()
				case "twice":
					ss.answer(m.ID, nil)
					ss.answer(m.ID, nil)
				case "swap":
					ss.answer(m.ID+1, nil)
					ss.answer(m.ID, nil)
				case "sync":
					ss.answer(m.ID, nil)
				}
			}
		})
		c := s.dial(client.Options{MaxPending: 3})
		var remote *client.Error
		if err := c.Request(t.Context(), "fail", nil, nil); !errors.As(err, &remote) || remote.Code != "not_found" || remote.Msg != "no such item" {
			t.Errorf("an error answer: %v", err)
		}
		if err := c.Request(overdue{t.Context(), asked}, "late", nil, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "late") {
			t.Errorf("a late answer: %v", err)
		}
		close(release)
		if err := c.Request(t.Context(), "twice", nil, nil); err != nil {
			t.Error(err)
		}
		var wg sync.WaitGroup // "swap" answers the one after it first, which is a "silent"
		silent, end := context.WithCancel(t.Context())
		wg.Go(func() { _ = c.Request(t.Context(), "swap", nil, nil) })
		wg.Wait()
		for range 3 {
			wg.Go(func() { _ = c.Request(silent, "silent", nil, nil) })
		}
		for c.Stats().Pending < 3 {
			runtime.Gosched()
		}
		if err := c.Request(t.Context(), "x", nil, nil); !errors.Is(err, client.ErrTooManyRequests) {
			t.Errorf("one more than may be pending: %v", err)
		}
		end()
		wg.Wait()
		if err := c.Request(t.Context(), "sync", nil, nil); err != nil {
			t.Error(err)
		}
		for deadline := time.Now().Add(patience); c.Stats().Late == 0 && time.Now().Before(deadline); {
			runtime.Gosched() // the late answer comes when it comes
		}
		if st := c.Stats(); st.Late != 1 || st.Unknown != 2 {
			t.Errorf("%+v, expected 1 late answer and 2 of nobody's", st)
		}
		if err := c.Request(t.Context(), strings.Repeat("r", 256), nil, nil); !errors.Is(err, packet.ErrRoute) {
			t.Errorf("a long route: %v", err)
		}
		if err := c.Request(t.Context(), "x", make(chan int), nil); err == nil {
			t.Error("a channel was encoded")
		}
		_ = c.Close()
		if err := c.Request(t.Context(), "x", nil, nil); !errors.Is(err, client.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := c.Notify(t.Context(), "x", nil); !errors.Is(err, client.ErrClosed) {
			t.Errorf("notify after Close: %v", err)
		}
	})
}

func TestAnswersOutOfOrderAreCounted(t *testing.T) {
	s := serve(t, "tcp", func(s *server, _ *transport.Config) {
		var first uint64
		s.handle = func(ss *session, m packet.Message) {
			if first == 0 {
				first = m.ID
				return
			}
			ss.answer(m.ID, nil)
			ss.answer(first, nil)
		}
	})
	c := s.dial(client.Options{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := c.Request(t.Context(), "x", nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st := c.Stats(); st.OutOfOrder != 1 || st.Unknown != 0 {
		t.Errorf("%+v", st)
	}
}

func TestPushesAreHandledInOrderAndMayRequest(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, nil)
		done := make(chan struct{})
		var c *client.Client
		var ready sync.WaitGroup
		ready.Add(1)
		n := 0
		c = s.dial(client.Options{On: map[string]func([]byte){"n": func(b []byte) {
			ready.Wait()
			if string(b) != fmt.Sprint(n) {
				t.Errorf("push %q, expected %d", b, n)
			}
			if n++; n%100 == 0 {
				if err := c.Request(t.Context(), "echo", nil, nil); err != nil {
					t.Error(err)
				}
			}
			if n == 500 {
				close(done)
			}
		}}})
		ss := s.next()
		for i := range 500 {
			ss.push("n", fmt.Appendf(nil, "%d", i))
		}
		ready.Done()
		take(t, done, "not all pushes arrive")
	})
}

func TestSlowHandlersEndTheClientRatherThanLoseAPush(t *testing.T) {
	s := serve(t, "tcp", nil)
	release := make(chan struct{})
	c := s.dial(client.Options{MaxPushes: 2000, OnAny: func(string, []byte) { <-release }})
	ss := s.next()
	for range 100 {
		ss.push("x", make([]byte, 100))
	}
	take(t, c.Done(), "the client goes on")
	if err := c.Err(); !errors.Is(err, client.ErrSlowHandlers) {
		t.Errorf("%v", err)
	}
	close(release)
}

func TestAKickTellsWhy(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, nil)
		handled := make(chan string, 1)
		c := s.dial(client.Options{OnAny: func(_ string, b []byte) { handled <- string(b) }})
		ss := s.next()
		ss.push("last", []byte("words"))
		ss.conn.CloseWith(errors.New("replaced"), packet.AppendKick(nil, packet.Reason{Code: "replaced", Msg: "logged in elsewhere"}))
		if got := take(t, handled, "the push before the kick is lost"); got != "words" {
			t.Errorf("push %q", got)
		}
		take(t, c.Done(), "the client goes on")
		var kick *client.KickError
		if err := c.Err(); !errors.As(err, &kick) || kick.Code != "replaced" || kick.Msg != "logged in elsewhere" {
			t.Errorf("%v", err)
		}
		if err := c.Request(t.Context(), "x", nil, nil); !errors.As(err, &kick) {
			t.Errorf("request after the kick: %v", err)
		}
	})
}

func TestTheServersEndReachesEveryClient(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, nil)
		var clients []*client.Client
		for range 20 {
			clients = append(clients, s.dial(client.Options{}))
		}
		s.stop()
		for _, c := range clients {
			take(t, c.Done(), "a client goes on")
			var kick *client.KickError
			if err := c.Err(); !errors.As(err, &kick) || kick.Code != "shutdown" {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestCloseIsNoticedByTheServer(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, func(s *server, _ *transport.Config) { s.handle = func(*session, packet.Message) {} })
		c := s.dial(client.Options{})
		ss := s.next()
		if err := c.Notify(t.Context(), "last", "words"); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		reason := take(t, ss.closed, "the server does not notice")
		if !errors.Is(reason, transport.ErrPeerClosed) {
			t.Errorf("the server's reason: %v", reason)
		}
		if err := c.Err(); !errors.Is(err, client.ErrClosed) {
			t.Errorf("%v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if in := ss.conn.Counters().FramesIn; in < 3 {
			t.Errorf("the server got %d frames, the notify is lost", in)
		}
	})
}

func TestHeartbeatsMeasureTheRoundTripAndFindASilentServer(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, func(s *server, _ *transport.Config) {
			s.heartbeat = 1.5 // seconds
			mute := false
			s.raw = func(ss *session, p packet.Packet) error {
				if p.Type == packet.Data {
					mute = true
				}
				if mute {
					return nil
				}
				return ss.packet(p)
			}
		})
		c := s.dial(client.Options{})
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for c.Stats().RTT == 0 {
			select {
			case <-c.Done():
				t.Fatalf("before a round trip: %v", c.Err())
			case <-tick.C:
			}
		}
		if rtt := c.Stats().RTT; rtt < 0 || rtt > patience {
			t.Errorf("round trip %v", rtt)
		}
		err := c.Request(t.Context(), "go.mute", nil, nil)
		if !errors.Is(err, client.ErrServerSilent) {
			t.Errorf("%v", err)
		}
	})
}

func TestRefusedHandshakesAndDeadServers(t *testing.T) {
	refusing := serve(t, "tcp", func(s *server, _ *transport.Config) { s.code = packet.CodeOldClient })
	if _, err := client.Dial(t.Context(), refusing.url, client.Options{}); !errors.Is(err, client.ErrRefused) || !strings.Contains(err.Error(), "501") {
		t.Errorf("refused: %v", err)
	}
	full := serve(t, "tcp", func(_ *server, cfg *transport.Config) { cfg.MaxConnsPerAddr = 1 })
	_ = full.dial(client.Options{})
	var kick *client.KickError
	if _, err := client.Dial(t.Context(), full.url, client.Options{}); !errors.As(err, &kick) || kick.Code != "address" {
		t.Errorf("over the cap: %v", err)
	}
	for _, kind := range transports { // a server that accepts and says nothing
		mute := serve(t, kind, func(s *server, _ *transport.Config) { s.raw = func(*session, packet.Packet) error { return nil } })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := client.Dial(ctx, mute.url, client.Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, mute: %v", kind, err)
		}
		cancel()
		if _, err := client.Dial(t.Context(), mute.url, client.Options{HandshakeTimeout: 30 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, mute: %v", kind, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1", "tcp://127.0.0.1:1", "ws://127.0.0.1:1/ws", "kcp://nowhere", "::"} {
		if _, err := client.Dial(t.Context(), url, client.Options{}); err == nil || !strings.Contains(err.Error(), url) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAServerThatBreaksTheProtocolIsLeft(t *testing.T) {
	push := func(m packet.Message) []byte {
		out, err := packet.AppendData(nil, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, bytes := range map[string][]byte{
		"garbage":           {0x48, 0x54, 0x54, 0x50},
		"oversize":          {4, 0xff, 0xff, 0xff},
		"request":           push(packet.Message{Type: packet.Request, ID: 1, Route: "x"}),
		"unknown code":      {4, 0, 0, 3, 7, 0, 9},
		"second handshake":  {1, 0, 0, 2, '{', '}'},
		"truncated message": {4, 0, 0, 1, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "tcp", nil)
			c := s.dial(client.Options{})
			if err := s.next().conn.Send(bytes); err != nil {
				t.Fatal(err)
			}
			take(t, c.Done(), "the client goes on")
			if err := c.Err(); !errors.Is(err, client.ErrProtocol) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAServerThatDoesNotReadHoldsNobodyBeyondTheContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	hold := make(chan net.Conn, 1)
	go func() { // shakes hands and never reads again
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 1000))
		out, _ := packet.AppendHandshake(nil, packet.HandshakeResponse{Code: 200})
		_, _ = c.Write(out)
		hold <- c
	}()
	c, err := client.Dial(t.Context(), "tcp://"+ln.Addr().String(), client.Options{MaxBacklog: 1 << 20, WriteTimeout: time.Hour, MaxPending: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 60000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		err := c.Request(ctx, "x", body, nil)
		if errors.Is(err, client.ErrBacklog) {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	_ = (<-hold).Close()
	_ = c.Close()
}

func TestIdleClientsAreCheap(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, nil)
		const n = 100
		before := runtime.NumGoroutine()
		var a, b runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&a)
		for range n {
			c := s.dial(client.Options{})
			if err := c.Request(t.Context(), "x", nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		// A client and a connection of the server have one goroutine each; kcp-go adds one to the server's and two to the client's.
		bound := map[string]int{"tcp": 2 * n, "ws": 2 * n, "kcp": 5 * n}[kind] + 20
		deadline := time.Now().Add(patience)
		for runtime.NumGoroutine()-before > bound && time.Now().Before(deadline) {
			<-tick.C
		}
		extra := runtime.NumGoroutine() - before
		runtime.GC()
		runtime.ReadMemStats(&b)
		t.Logf("%.1f goroutines and %.1f KiB of heap for a client and its connection of the server", float64(extra)/n,
			float64(int64(b.HeapAlloc)-int64(a.HeapAlloc))/n/1024)
		if extra > bound {
			t.Errorf("%d goroutines for %d clients, expected at most %d", extra, n, bound)
		}
	})
}
