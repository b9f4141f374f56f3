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

func TestABurstReachesTheConnectionsOfAllServers(t *testing.T) {
	const n = 1000 // more than are handed over at once
	var conns []*memConn
	var sessions []*session
	servers, memories := [2]*server{}, [2]*memory{}
	for i := range servers {
		servers[i], memories[i] = inMemory(t, i == 1, transport.Config{}, echo, nil)
	}
	for i := range n {
		c := memories[i%2].dial("1")
		if i%10 == 0 {
			c.room = 1 // it does not read
		}
		conns, sessions = append(conns, c), append(sessions, servers[i%2].next())
	}
	var b transport.Burst
	for round := range 3 {
		text := fmt.Sprint("to all ", round)
		for _, ss := range sessions {
			if err := b.Send(ss.conn, frame(text)); err != nil {
				t.Fatal(err)
			}
		}
		b.Flush()
		for i, c := range conns {
			if i%10 == 0 {
				continue
			}
			if got := c.receive(t); got != text {
				t.Fatalf("connection %d received %q, expected %q", i, got, text)
			}
		}
	}
	for i, ss := range sessions {
		if i%10 == 0 {
			ss.conn.Close()
		}
	}
}

func TestTheFirstOfALargeBurstDoNotWaitForTheLast(t *testing.T) {
	const n = 1000
	s, m := inMemory(t, false, transport.Config{}, echo, nil)
	var b transport.Burst
	defer b.Flush()
	var first *memConn
	for range n {
		c := m.dial("1")
		if first == nil {
			first = c
		}
		if err := b.Send(s.next().conn, frame("hi")); err != nil {
			t.Fatal(err)
		}
	}
	if got := first.receive(t); got != "hi" { // before Flush
		t.Errorf("received %q", got)
	}
}

func TestWhatIsSentBesideABurstKeepsItsPlace(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		synctest.Test(t, func(t *testing.T) {
			var b transport.Burst
			s, m := inMemory(t, plain, transport.Config{}, func(s *session, body string) error {
				if body == "burst" { // to itself, while its answers are kept back
					if err := b.Send(s.conn, frame("own")); err != nil {
						return err
					}
				}
				return echo(s, body)
			}, nil)
			c := m.dial("1")
			ss := s.next()
			burst := func(text string) {
				if err := b.Send(ss.conn, frame(text)); err != nil {
					t.Fatal(err)
				}
			}
			burst("1")
			if err := ss.conn.Send(frame("2")); err != nil {
				t.Fatal(err)
			}
			burst("3")
			c.send(frame("4"))
			synctest.Wait()
			c.mu.Lock()
			if len(c.writes) > 0 {
				t.Errorf("written before Flush: %q", c.out)
			}
			c.mu.Unlock()
			b.Flush()
			for i := range 4 {
				if got, want := c.receive(t), fmt.Sprint(i+1); got != want {
					t.Errorf("received %q, expected %q", got, want)
				}
			}
			synctest.Wait()
			c.send(frame("burst"))
			if own, answer := c.receive(t), c.receive(t); own != "own" || answer != "burst" {
				t.Errorf("received %q and %q", own, answer)
			}
			b.Flush() // it is written already
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.writes) != 2 {
				t.Errorf("written in pieces of %v bytes, expected 2", c.writes)
			}
		})
	})
}

func TestAConnectionMayEndInABurst(t *testing.T) {
	bye := errors.New("bye")
	for name, tt := range map[string]struct {
		end  func(*transport.Burst, *session) error
		want error
		last string // what the client receives
	}{
		"close":      {func(_ *transport.Burst, s *session) error { s.conn.Close(); return nil }, transport.ErrClosed, ""},
		"close with": {func(_ *transport.Burst, s *session) error { s.conn.CloseWith(bye, frame("bye")); return nil }, bye, "hi bye"},
		"backlog":    {func(b *transport.Burst, s *session) error { return b.Send(s.conn, frame(text(1000))) }, transport.ErrBacklog, ""},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, plain bool) {
				synctest.Test(t, func(t *testing.T) {
					s, m := inMemory(t, plain, transport.Config{Backlog: 1000, Linger: time.Second}, echo, nil)
					c := m.dial("1")
					ss := s.next()
					var b transport.Burst
					if err := b.Send(ss.conn, frame("hi")); err != nil {
						t.Fatal(err)
					}
					if err := tt.end(&b, ss); err != nil && !errors.Is(err, tt.want) {
						t.Errorf("ended with %v", err)
					}
					synctest.Wait()
					if err := b.Send(ss.conn, frame("late")); !errors.Is(err, transport.ErrClosed) {
						t.Errorf("Send to a connection that is closing: %v", err)
					}
					b.Flush()
					if reason := ss.reason(t); !errors.Is(reason, tt.want) {
						t.Errorf("closed with %v", reason)
					}
					for _, want := range strings.Fields(tt.last) {
						if got := c.receive(t); got != want {
							t.Errorf("received %q, expected %q", got, want)
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
