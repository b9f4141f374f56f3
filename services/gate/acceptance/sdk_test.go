package acceptance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"sync"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// sdk is a client of the torture that is clients/go's. A session that is lost ends a Client, and the next has a new session.
type sdk struct {
	name int
	w    *torture
	rnd  *rand.Rand // of the goroutine that connects
	ask  *rand.Rand // of the one that asks

	mu      sync.Mutex
	client  *client.Client // nil while there is none
	epoch   int
	number  int // of the last request,
	last    int // and of the last that was answered
	pending []int
	pushed  counted
	wrong   []string
}

func (s *sdk) fail(format string, args ...any) {
	if len(s.wrong) < 5 {
		s.wrong = append(s.wrong, fmt.Sprintf("client %d (clients/go), session %d: ", s.name, s.epoch)+fmt.Sprintf(format, args...))
	}
}

func (s *sdk) complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}

// urls are the doors in some order.
func (s *sdk) urls(rnd *rand.Rand) []string {
	var all []string
	for _, g := range s.w.gates {
		all = append(all, "tcp://"+g.addrs[overTCP], "kcp://"+g.addrs[overKCP], "ws://"+g.addrs[overWS]+"/ws")
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (s *sdk) live(ctx context.Context) {
	for ctx.Err() == nil {
		urls := s.urls(s.rnd)
		s.mu.Lock()
		epoch := s.epoch
		s.mu.Unlock()
		c, err := client.Dial(ctx, urls[0], client.Options{
			Also: urls[1:], Inline: true, RequestTimeout: -1, HandshakeTimeout: 5 * time.Second, NetDial: s.dial,
			On: map[string]func([]byte){"news": func(body []byte) { s.news(epoch, body) }},
			OnEvent: func(e client.Event) {
				if e.Kind == client.Resumed {
					s.w.resumed.Add(1)
				}
			},
		})
		if err != nil {
			continue // cut in its first handshake: nothing has been asked
		}
		s.mu.Lock()
		s.client = c
		s.mu.Unlock()
		if s.w.quitting.Load() {
			_ = c.Close()
		}
		select {
		case <-c.Done():
			s.lost(c.Err())
		case <-ctx.Done():
			_ = c.Close()
		}
		if s.w.quitting.Load() {
			return
		}
	}
}

// dial makes connections that break, to any gate: by itself a client comes back to the one that it was at.
func (s *sdk) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, s.w.anywhere(addr))
	if err != nil {
		return nil, err
	}
	s.w.connections.Add(1)
	return s.w.knife.around(nc), nil
}

var refusal = regexp.MustCompile(`resume_[a-z]+`)

// lost ends the session's account.
func (s *sdk) lost(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = nil
	if errors.Is(why, client.ErrClosed) {
		return // we have left
	}
	code := refusal.FindString(why.Error())
	if !errors.Is(why, client.ErrSessionLost) || code == "" {
		s.fail("ended with %v, expected a session that was refused", why)
	}
	s.w.oracle.lost(lostSession{
		client: s.name, epoch: s.epoch, code: code, sent: s.number, answered: s.last, pushed: s.pushed,
		received: uint64(s.pushed.here + s.pushed.passed + s.last),
	})
	s.epoch++
	s.number, s.last, s.pending, s.pushed = 0, 0, nil, counted{}
}

func (s *sdk) news(epoch int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n news
	if err := json.Unmarshal(body, &n); err != nil {
		s.fail("a push %q: %v", body, err)
		return
	}
	if before := s.pushed; !s.pushed.take(n) || epoch != s.epoch || n.Epoch != epoch {
		s.fail("push %+v behind %+v of session %d", n, before, s.epoch)
	}
}

func (s *sdk) answer(epoch, number int, body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, client.ErrSessionLost) || errors.Is(err, client.ErrClosed) {
		return // the end of the session tells
	}
	var a reply
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	switch {
	case err != nil:
		s.fail("request %d: %v", number, err)
		return
	case epoch != s.epoch || a.Number != number || len(s.pending) == 0 || s.pending[0] != number:
		s.fail("request %d of session %d got the answer to %d, %v are not answered", number, epoch, a.Number, s.pending)
	case a.Pushed > s.pushed.here:
		s.fail("the answer to request %d came behind push %d, expected %d pushes before it", number, s.pushed.here, a.Pushed)
	}
	if len(s.pending) > 0 {
		s.pending = s.pending[1:]
	}
	s.last = number
	s.w.answered.Add(1)
}

// request asks the next question, wherever the connection is just now.
func (s *sdk) request() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil || len(s.pending) >= 16 {
		return
	}
	q := invent(s.ask, question{Client: s.name, Epoch: s.epoch, Number: s.number + 1})
	var err error
	if s.ask.IntN(5) == 0 {
		err = s.client.Notify(context.Background(), "note", q)
	} else {
		err = s.client.RequestFunc("do", q, 0, func(body []byte, err error) { s.answer(q.Epoch, q.Number, body, err) })
		if err == nil {
			s.pending = append(s.pending, q.Number)
		}
	}
	switch {
	case errors.Is(err, client.ErrRing), errors.Is(err, client.ErrBacklog), errors.Is(err, client.ErrSessionLost), errors.Is(err, client.ErrClosed):
		return // and nothing has been asked
	case err != nil:
		s.fail("request %d: %v", q.Number, err)
		return
	}
	s.number++
	if q.Pushes > tortureRing && !s.w.knife.blunt.Load() {
		_ = s.client.Reconnect("")
	}
}

// leave changes the transport; when all is over, it leaves.
func (s *sdk) leave() {
	s.mu.Lock()
	c, url := s.client, s.urls(s.ask)[0]
	s.mu.Unlock()
	switch {
	case c == nil:
	case s.w.quitting.Load():
		_ = c.Close()
	default:
		_ = c.Reconnect(url)
	}
}

func (s *sdk) unsettled() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	handled, pushed := s.w.oracle.counts(s.name, s.epoch)
	if len(s.pending) == 0 && handled == s.number && pushed == s.pushed {
		return ""
	}
	return fmt.Sprintf("client %d (clients/go), session %d: %d of %d requests handled, %d without an answer, %+v of %+v pushes received",
		s.name, s.epoch, handled, s.number, len(s.pending), s.pushed, pushed)
}
