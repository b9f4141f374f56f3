package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

func TestSessionsThatGoFromGateToGateAllTheTimeLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"", "world"} {
		t.Run("agents on role "+role, func(t *testing.T) {
			t.Parallel()
			c := meet(t, 3, func(i int) []string {
				if i == 2 {
					return []string{"world"}
				}
				return nil
			}, func(_ int, cfg *gate.Config) { cfg.Others.AgentRole = role })
			var all sync.WaitGroup
			for player := range 6 {
				r := c.rove(fmt.Sprintf("p%d", player), player%3)
				all.Go(func() { r.torment(t, c, rand.New(rand.NewPCG(uint64(player), 7))) })
			}
			all.Wait()
		})
	}
}

// torment has a client ask while its connections are cut and it goes from node to node, and compares what both sides have.
func (r *rover) torment(t *testing.T, c *crowd, rnd *rand.Rand) {
	stop := make(chan struct{})
	var moving sync.WaitGroup
	moving.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(20+rnd.IntN(200)) * time.Millisecond):
				r.move(c.nodes[rnd.IntN(len(c.nodes))])
			}
		}
	})
	const asks = 40
	for i := range asks {
		if err := r.ask(i%4, i%5); err != nil {
			t.Errorf("request %d: %v", i, err)
			break
		}
	}
	close(stop)
	moving.Wait()
	if err := r.inOrder(); err != nil {
		t.Error(err)
	}
	asked, node, heard := r.asked(t)
	if !slices.Equal(asked, upTo(asks)) || slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "disconnect") }) {
		t.Errorf("the agent at %s was asked %v, and heard %q", node, asked, heard)
	}
	if want := asks / 4 * 6; len(r.pushed) != want {
		t.Errorf("%d pushes, want %d", len(r.pushed), want)
	}
}

func TestOfSeveralGatesThatClaimASessionAtOnceOneGetsIt(t *testing.T) {
	t.Parallel()
	c := meet(t, 3, nil, nil)
	for round := range 8 {
		first := hail(t, c.nodes[0], "")
		first.logIn(fmt.Sprintf("p%d", round))
		token := first.welcome.Token
		claims := make([]*caller, 4)
		var all sync.WaitGroup
		for i := range claims {
			all.Go(func() { claims[i] = knock(t, c.nodes[i%3], token) })
		}
		all.Wait()
		first.close()
		// Whoever got it last has it; all others can be told no more than that they should come again. The one with the token of any of them that was resumed goes on.
		var resumed int
		for _, l := range claims {
			if l.refusedCode() != "" {
				t.Errorf("a claim was refused with %q", l.refusedCode())
			}
			if l.welcome.Resumed {
				resumed++
			}
			l.close()
		}
		if resumed == 0 {
			t.Fatal("nobody has got the session")
		}
		last := hail(t, c.nodes[1], token)
		if !last.welcome.Resumed {
			t.Fatalf("the client could not come back: %+v", last.welcome)
		}
		last.ask(1, "ask", `{"n":1}`)
		for got := last.answer(); !strings.Contains(got, `"n":1`); got = last.answer() { // behind that of the login, which it comes by again
			if !strings.Contains(got, "uid") {
				t.Fatalf("answered %q", got)
			}
		}
		count := 0
		for _, n := range c.nodes {
			count += n.gate.Sessions().Count()
		}
		if count != 1 {
			t.Errorf("%d sessions, want one", count)
		}
		last.send(packet.Kick, nil)
		last.close()
		until(t, "the session has ended everywhere", func() bool {
			return c.nodes[0].gate.Sessions().Known()+c.nodes[1].gate.Sessions().Known()+c.nodes[2].gate.Sessions().Known() == 0
		})
	}
}

func TestTheSessionsOfADeadGateAreLostAndTheClientIsToldSo(t *testing.T) {
	t.Parallel()
	c := meet(t, 2, nil, nil)
	l := hail(t, c.nodes[0], "")
	l.logIn("ann")
	c.nodes[0].stop()
	c.nodes[0].Kill()
	until(t, "the other node has noticed", func() bool {
		m, ok := c.nodes[1].Members.Find("n0")
		return !ok || !m.State.Reachable()
	})
	again := hail(t, c.nodes[1], l.welcome.Token)
	if again.refusedCode() != packet.ResumeLost {
		t.Errorf("%+v, want %s", again.welcome, packet.ResumeLost)
	}
	again.logIn("ann")
	again.ask(2, "asked", "{}")
	if got := again.answer(); !strings.Contains(got, `"node":"n1"`) {
		t.Errorf("answered %q", got)
	}
}

func TestATokenThatNoGateHasMadeIsAskedNobodyFor(t *testing.T) {
	t.Parallel()
	c := meet(t, 2, nil, nil)
	l := hail(t, c.nodes[0], "")
	forged := []byte(l.welcome.Token)
	for _, at := range []int{0, 5, 30, len(forged) - 1} {
		other := slices.Clone(forged)
		other[at] = map[bool]byte{true: 'A', false: 'B'}[other[at] == 'B']
		if got := hail(t, c.nodes[1], string(other)); got.refusedCode() != packet.ResumeUnknown {
			t.Errorf("a token with another byte %d: %+v", at, got.welcome)
		}
	}
}

func TestADrainedGateSendsItsClientsToOthersAndTheirAgentsToo(t *testing.T) {
	t.Parallel()
	c := meet(t, 2, nil, nil)
	r := c.rove("ann", 0)
	r.mu.Lock()
	r.to = "" // where the server sends it
	r.mu.Unlock()
	must(t, r.ask(3, 0))
	slow := make(chan error, 1)
	go func() { slow <- r.ask(1, 30) }()
	until(t, "the agent has pushed", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.pushed) == 4 })
	plain, err := client.Dial(t.Context(), c.nodes[0].url, client.Options{Resume: client.ResumeOff})
	must(t, err)
	defer plain.Close()
	must(t, request(plain, "login", map[string]string{"name": "bob"}, nil))

	c.nodes[0].Members.SetDraining(true)
	until(t, "the other node knows", func() bool { m, _ := c.nodes[1].Members.Find("n0"); return m.Draining })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, c.nodes[0].gate.Drain(ctx))
	must(t, <-slow)
	if code := kickOf(t, plain); code != "moved" {
		t.Errorf("a client without resume got %q", code)
	}
	until(t, "nothing is left", func() bool { return c.nodes[0].gate.Sessions().Known() == 0 })
	asked, node, heard := r.asked(t)
	if node != "n1" || len(asked) != 0 || !slices.Equal(heard, []string{"connect"}) {
		t.Errorf("the agent is at %s, was asked %v and heard %q: want a fresh one at n1", node, asked, heard)
	}
	r.mu.Lock()
	events := slices.Clone(r.events)
	r.mu.Unlock()
	if !slices.Equal(events, []string{"away", "resumed"}) {
		t.Errorf("the client has seen %q", events)
	}
	// Who comes now is sent on.
	late, err := client.Dial(t.Context(), c.nodes[0].url, client.Options{})
	must(t, err)
	defer late.Close()
	must(t, request(late, "login", map[string]string{"name": "cat"}, nil))
	if got := c.nodes[1].gate.Sessions().Count(); got != 2 {
		t.Errorf("%d sessions at the other gate, want 2", got)
	}
}

func TestAgentsOnAnotherNodeAreLikeThoseOfThisOne(t *testing.T) {
	t.Parallel()
	c := meet(t, 4, func(i int) []string {
		if i >= 2 {
			return []string{"world"}
		}
		return nil
	}, func(_ int, cfg *gate.Config) { cfg.Others.AgentRole, cfg.Linger = "world", 0 })
	r := c.rove("ann", 0)
	must(t, r.ask(3, 1))
	must(t, request(r.Client, "group", nil, nil))
	must(t, request(r.Client, "cast", nil, nil))
	until(t, "the group's push is there", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.casts == 1 })
	_, node, _ := r.asked(t)
	home := c.nodes[2]
	if node == "n3" {
		home = c.nodes[3]
	}
	if node != home.Name || home.gate.Sessions().Known() != 1 || home.gate.Sessions().Count() != 0 {
		t.Errorf("the agent is at %s", node)
	}
	// The agent's node dies: another one has a fresh agent, and nothing else is to be noticed.
	home.stop()
	home.Kill()
	if err := r.ask(0, 0); err != nil && codeOf(err) != "unavailable" { // it was with the agent, or not: nobody knows
		t.Error(err)
	}
	must(t, r.ask(0, 0))
	asked, now, heard := r.asked(t)
	if now == node || len(asked) == 0 || len(asked) > 2 || !slices.Equal(heard, []string{"connect"}) {
		t.Errorf("the agent is at %s, was asked %v and heard %q: want a fresh one", now, asked, heard)
	}
	err := request(r.Client, "leave", nil, nil)
	if code := kickOf(t, r.Client); code != "bye" {
		t.Errorf("kicked with %q, and %v", code, err)
	}
	until(t, "nothing is left of it", func() bool {
		return c.nodes[0].gate.Sessions().Known()+c.nodes[2].gate.Sessions().Known()+c.nodes[3].gate.Sessions().Known()-home.gate.Sessions().Known() == 0
	})
}

func TestAPlayersNewestLoginIsTheOneThatStaysWhateverTheGate(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]func(int, *gate.Config){
		"agents":      nil,
		"agents away": func(_ int, cfg *gate.Config) { cfg.Others.AgentRole = "world" },
		"handlers":    func(_ int, cfg *gate.Config) { cfg.Agent, cfg.Handle = "", counter },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := meet(t, 3, func(i int) []string { return []string{"world"}[:i%2] }, cfg)
			first := c.rove("ann", 0)
			second := c.rove("ann", 1)
			if code := kickOf(t, first.Client); code != "replaced" {
				t.Errorf("the older one got %q", code)
			}
			if name != "handlers" {
				must(t, second.ask(2, 0))
				must(t, second.inOrder())
			}
			// All at once: one stays.
			must(t, second.Close())
			clients := make([]*client.Client, 9)
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() {
					cl, err := client.Dial(t.Context(), c.nodes[i%3].url, client.Options{})
					if err != nil {
						t.Error(err)
						return
					}
					clients[i] = cl
					if err := request(cl, "login", map[string]string{"name": "bob"}, nil); err != nil {
						t.Logf("%d: %v", i, err)
						_ = cl.Close() // replaced, or told to come again
					}
				})
			}
			all.Wait()
			until(t, "one is left", func() bool {
				sessions, alive := 0, 0
				for _, n := range c.nodes {
					sessions += n.gate.Sessions().Count()
				}
				for _, cl := range clients {
					if cl != nil && cl.Err() == nil {
						alive++
					}
				}
				return sessions == 1 && alive == 1
			})
			for _, cl := range clients {
				if cl != nil {
					_ = cl.Close()
				}
			}
		})
	}
}

func TestAPlayerIsFoundByNameAtAnyGate(t *testing.T) {
	t.Parallel()
	c := meet(t, 2, nil, nil)
	ann, bob := c.rove("ann", 0), c.rove("bob", 1)
	online := func(of *rover, uid string) bool {
		var answer struct{ Online bool }
		must(t, request(of.Client, "online", map[string]string{"uid": uid}, &answer))
		return answer.Online
	}
	for _, uid := range []string{"ann", "bob"} {
		if !online(ann, uid) || !online(bob, uid) {
			t.Errorf("%s is not found", uid)
		}
		must(t, request(ann.Client, "tell", map[string]string{"uid": uid}, nil))
	}
	must(t, request(ann.Client, "tell", map[string]string{"uid": "nobody"}, nil))
	if online(ann, "nobody") {
		t.Error("somebody is found who is not there")
	}
	for _, r := range []*rover{ann, bob} {
		until(t, "the push is there", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.casts == 1 })
	}
}

// caller is a client that shows what it likes.
type caller struct {
	t       testing.TB
	conn    net.Conn
	welcome packet.ResumeAnswer
	kick    packet.Reason
}

// hail shakes hands, with a token or for a new session.
func hail(t testing.TB, n *gated, token string) *caller {
	l := knock(t, n, token)
	l.send(packet.HandshakeAck, nil)
	return l
}

// knock is hail without the acknowledgement: the token stays good.
func knock(t testing.TB, n *gated, token string) *caller {
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "tcp://"))
	if err != nil {
		t.Error(err)
		return &caller{t: t}
	}
	t.Cleanup(func() { _ = conn.Close() })
	l := &caller{t: t, conn: conn}
	_ = conn.SetDeadline(time.Now().Add(patience))
	l.send(packet.Handshake, fmt.Appendf(nil, `{"sys":{"type":"t","version":"1","resume":{"token":%q}}}`, token))
	typ, body, err := l.read()
	switch {
	case err != nil: // closed without a word, as far as it could still be read
	case typ == packet.Kick:
		l.kick = packet.DecodeReason(body)
	default:
		var w struct {
			Sys struct{ Resume packet.ResumeAnswer }
		}
		if err := json.Unmarshal(body, &w); err != nil {
			t.Error(err)
		}
		l.welcome = w.Sys.Resume
	}
	return l
}

func (l *caller) send(typ packet.Type, body []byte) { _, _ = l.conn.Write(pack(typ, body)) }

func (l *caller) close() { _ = l.conn.Close() }

func (l *caller) refusedCode() string {
	if l.welcome.Refused == nil {
		return ""
	}
	return l.welcome.Refused.Code
}

func (l *caller) read() (packet.Type, []byte, error) {
	var head [packet.HeaderSize]byte
	if _, err := readFull(l.conn, head[:]); err != nil {
		return 0, nil, err
	}
	body := make([]byte, int(head[1])<<16|int(head[2])<<8|int(head[3]))
	_, err := readFull(l.conn, body)
	return packet.Type(head[0]), body, err
}

func readFull(conn net.Conn, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = conn.Read(p[n:])
		n += m
	}
	return n, err
}

func (l *caller) ask(id uint64, route, body string) {
	frame, err := packet.AppendData(nil, packet.Message{Type: packet.Request, ID: id, Route: route, Body: []byte(body)}, nil)
	must(l.t, err)
	_, _ = l.conn.Write(frame)
}

// answer is the body of the next answer.
func (l *caller) answer() string {
	l.t.Helper()
	for {
		typ, body, err := l.read()
		must(l.t, err)
		if typ == packet.Kick {
			must(l.t, errors.New(string(body)))
		}
		if typ == packet.Data {
			m, err := packet.DecodeMessage(body, nil, 1<<20)
			must(l.t, err)
			return string(m.Body)
		}
	}
}

func (l *caller) logIn(name string) {
	l.t.Helper()
	l.ask(1, "login", fmt.Sprintf(`{"name":%q}`, name))
	l.answer()
}
