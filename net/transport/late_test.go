package transport_test

import (
	"fmt"
	"runtime"
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
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients, every = 200, 5
				release := make(chan struct{})
				begin := make(chan struct{})
				s, m := inMemory(t, false, transport.Config{}, func(s *session, body string) error {
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
				close(release)
				s.stop()
			})
		})
	}
}
