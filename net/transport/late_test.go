package transport_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/transport"
)

func TestAHandlerThatDoesNotReturnKeepsNobodyElsesAnswersBack(t *testing.T) {
	for what, stay := range map[string]func(release chan struct{}){
		"blocks":              func(release chan struct{}) { <-release },
		"ends its goroutine":  func(chan struct{}) { runtime.Goexit() },
		"blocks, then leaves": func(release chan struct{}) { <-release; runtime.Goexit() },
	} {
		whether(t, what, func(t *testing.T, gathers bool) {
			synctest.Test(t, func(t *testing.T) {
				const clients, every = 200, 5
				release := make(chan struct{})
				begin := make(chan struct{})
				m := newMemory()
				var ln net.Listener = m
				g := &gathering{memory: m}
				if gathers {
					ln = g
				}
				s := serveOn(t, ln, transport.Config{}, func(s *session, body string) error {
					<-begin // all of them have something to be handled by now, so workers go from one to the next
					if body == "stay" {
						stay(release)
					}
					return echo(s, body)
				}, nil)
				conns := make([]*memConn, clients)
				for i := range conns {
					conns[i] = m.dial("1")
				}
				synctest.Wait()
				for i, c := range conns {
					body := fmt.Sprint(i)
					if i%every == every-1 {
						body = "stay"
					}
					c.send(frame(body))
				}
				synctest.Wait()
				close(begin)
				begun := time.Now()
				for i, c := range conns {
					if i%every == every-1 {
						continue
					}
					if got := c.receive(t); got != fmt.Sprint(i) {
						t.Errorf("client %d received %q", i, got)
					}
				}
				if took := time.Since(begun); took > 100*time.Millisecond {
					t.Errorf("the answers took %v", took)
				}
				if most := g.most(); gathers && most < 2 {
					t.Errorf("at most %d answers have left together", most)
				}
				close(release)
				s.stop()
			})
		})
	}
}

// busy is a session whose Drained is what a test makes it.
type busy struct {
	*session
	drained func()
}

func (b *busy) Drained() { b.drained() }

func TestDrainedKeepsNoAnswerBack(t *testing.T) {
	for what, end := range map[string]func(){"blocks": func() {}, "blocks, then leaves": runtime.Goexit} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release, called := make(chan struct{}), make(chan struct{}, 1)
				g := &gathering{memory: newMemory()}
				stop := serveHandler(t, g, func(c *transport.Conn) (transport.Receiver, error) {
					c.Ready()
					return &busy{session: &session{conn: c, frame: func(s *session, body string) error {
						s.conn.NotifyDrained()
						return echo(s, body)
					}, closed: make(chan error, 1)}, drained: func() {
						called <- struct{}{}
						<-release
						end()
					}}, nil
				})
				c := g.dial("1")
				c.send(frame("hi"))
				<-called
				if got := c.receive(t); got != "hi" {
					t.Errorf("received %q", got)
				}
				if g.most() == 0 {
					t.Error("nothing was written late")
				}
				close(release)
				stop()
			})
		})
	}
}

// whether runs a test over connections whose listener sends together what several have written, and over others.
func whether(t *testing.T, name string, f func(t *testing.T, gathers bool)) {
	t.Run(name+"/apart", func(t *testing.T) { f(t, false) })
	t.Run(name+"/together", func(t *testing.T) { f(t, true) })
}

// gathering is a listener that sends together what its connections have written.
type gathering struct {
	*memory
	mu      sync.Mutex
	late    []func()
	longest int
}

func (g *gathering) Accept() (net.Conn, error) {
	c, err := g.memory.Accept()
	if err != nil {
		return nil, err
	}
	return &gathered{c.(*memConn), g}, nil
}

func (g *gathering) SendLate() {
	g.mu.Lock()
	late := g.late
	g.late, g.longest = nil, max(g.longest, len(late))
	g.mu.Unlock()
	for _, send := range late {
		send()
	}
}

// most is how many have left together at most.
func (g *gathering) most() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.longest
}

type gathered struct {
	*memConn
	g *gathering
}

func (c *gathered) WriteLate(p []byte) (int, error) {
	p = bytes.Clone(p)
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.g.late = append(c.g.late, func() { _, _ = c.Write(p) }) // it takes everything
	return len(p), nil
}
