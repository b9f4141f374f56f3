package transport_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/transport"
)

// told makes a frame of why a connection ends.
func told(reason error) []byte { return frame(transport.Class(reason)) }

func TestHalfOpenConnectionsAreLimitedInAllAndByNetwork(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg       transport.Config
		full, out string // who fills it, and who is refused then
		in        string // who is not
		class     string
	}{
		"all":  {cfg: transport.Config{MaxHalfOpen: 3}, full: "10.0.%d.1:5", out: "10.1.1.1:5", class: "half-open"},
		"IPv4": {cfg: transport.Config{MaxHalfOpenPerPrefix: 3}, full: "10.0.0.%d:5", out: "10.0.0.77:5", in: "10.0.1.77:5", class: "half-open-prefix"},
		"IPv6": {
			cfg: transport.Config{MaxHalfOpenPerPrefix: 3}, full: "[2001:db8:7:%d::1]:5", out: "[2001:db8:7:99::2]:5", in: "[2001:db8:8::1]:5",
			class: "half-open-prefix",
		},
		"mapped": {cfg: transport.Config{MaxHalfOpenPerPrefix: 3}, full: "10.0.0.%d:5", out: "[::ffff:10.0.0.9]:5", in: "10.0.1.1:5", class: "half-open-prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, plain bool) {
				tt.cfg.Farewell = told
				s, m := inMemory(t, plain, tt.cfg, echo, func(*session) error { return nil })
				var conns []*memConn
				var sessions []*session
				for i := range 3 {
					conns = append(conns, m.dial(fmt.Sprintf(tt.full, i)))
					sessions = append(sessions, s.next())
				}
				refused := m.dial(tt.out)
				if got := refused.receive(t); got != tt.class {
					t.Errorf("told %q", got)
				}
				until(t, "it is not closed", refused.isClosed)
				if n := s.stats.Snapshot(); n.Refused[tt.class] != 1 || n.HalfOpen != 3 {
					t.Errorf("counted %+v", n)
				}
				if tt.in != "" {
					c := m.dial(tt.in)
					c.send(frame("hi"))
					if got := c.receive(t); got != "hi" {
						t.Errorf("received %q", got)
					}
				}
				sessions[0].conn.Ready() // one is through,
				sessions[0].conn.Ready()
				sessions[1].conn.Close() // one has gone
				_ = sessions[1].reason(t)
				until(t, "it still counts", conns[1].isClosed)
				for range 2 {
					until(t, "nobody more is let in", func() bool { // the end is counted behind the close
						c := m.dial(tt.out)
						c.send(frame("hi"))
						return c.receive(t) == "hi"
					})
				}
				again := m.dial(tt.out)
				if got := again.receive(t); got != tt.class {
					t.Errorf("told %q, expected that there are 3 again", got)
				}
			})
		})
	}
}

func TestClientsThatSendTooMuchAreClosedAndOthersAreNot(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg     transport.Config
		good    int // frames each second
		burst   int // frames at once, after a quiet time
		tooMany int
		body    string
	}{
		"frames":              {cfg: transport.Config{PacketRate: 10, PacketBurst: 30}, good: 10, burst: 30, tooMany: 31, body: "x"},
		"frames by default":   {cfg: transport.Config{PacketRate: 10}, good: 10, burst: 20, tooMany: 21, body: "x"},
		"less than one":       {cfg: transport.Config{PacketRate: 0.5}, good: 0, burst: 1, tooMany: 2, body: "x"},
		"bytes":               {cfg: transport.Config{ByteRate: 1000, ByteBurst: 3000}, good: 10, burst: 30, tooMany: 31, body: text(98)},
		"bytes, a long frame": {cfg: transport.Config{ByteRate: 10, MaxFrame: 3000}, good: 0, burst: 30, tooMany: 31, body: text(98)},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, plain bool) {
				synctest.Test(t, func(t *testing.T) {
					tt.cfg.Farewell, tt.cfg.Idle = told, -1
					s, m := inMemory(t, plain, tt.cfg, echo, nil)
					c := m.dial("1")
					ss := s.next()
					exchange := func(n int) {
						for range n {
							c.send(frame(tt.body))
						}
						for range n {
							if got := c.receive(t); got != tt.body {
								t.Fatalf("received %q", got)
							}
						}
					}
					exchange(tt.burst)
					for range 100 { // at the rate, for ever
						time.Sleep(time.Second) //nolint:forbidigo // fake time
						exchange(tt.good)
					}
					time.Sleep(time.Hour) //nolint:forbidigo // fake time
					exchange(tt.burst)
					time.Sleep(time.Hour) //nolint:forbidigo // fake time
					c.send([]byte(strings.Repeat(string(frame(tt.body)), tt.tooMany)))
					reason := ss.reason(t)
					if !errors.Is(reason, transport.ErrRate) || transport.Class(reason) != "rate" {
						t.Errorf("closed with %v", reason)
					}
					for got := ""; got != "rate"; {
						if got = c.receive(t); got != "rate" && got != tt.body {
							t.Fatalf("received %q", got)
						}
					}
					if n := s.stats.Snapshot(); n.Closed["rate"] != 1 {
						t.Errorf("counted %+v", n)
					}
				})
			})
		})
	}
}

func TestWrongLimitsAreNamed(t *testing.T) {
	for _, cfg := range []transport.Config{{MaxHalfOpen: -1}, {MaxHalfOpenPerPrefix: -1}, {PacketBurst: -1}, {ByteBurst: -1}, {PacketRate: -1}, {ByteRate: -0.5}} {
		cfg.Split = split
		err := transport.Serve(t.Context(), newMemory(), transport.HandlerFunc(nil), cfg)
		if err == nil || !strings.Contains(err.Error(), "transport: Config.") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestTotalsNeverFallAndAreRightInTheEnd(t *testing.T) {
	s, m := inMemory(t, false, transport.Config{}, echo, nil)
	var last transport.Snapshot
	for i := range 200 {
		c := m.dial("1")
		ss := s.next()
		c.send(frame("12345678"))
		c.receive(t)
		if i%2 == 0 {
			ss.conn.Close()
			_ = ss.reason(t)
		}
		now := s.stats.Snapshot()
		if now.FramesIn < last.FramesIn || now.BytesIn < last.BytesIn || now.BytesOut < last.BytesOut || now.FramesOut < last.FramesOut {
			t.Fatalf("%+v became %+v", last, now)
		}
		last = now
	}
	s.stop()
	if n := s.stats.Snapshot(); n.FramesIn != 200 || n.FramesOut != 200 || n.BytesIn != 2000 || n.BytesOut != 2000 || n.HalfOpen != 0 {
		t.Errorf("in the end %+v", n)
	}
}
