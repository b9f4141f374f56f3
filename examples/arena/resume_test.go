package arena_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// line is a TCP proxy that can be cut, like the way to a player on a train.
type line struct {
	t    *testing.T
	ln   net.Listener
	to   string
	runs sync.WaitGroup

	mu    sync.Mutex
	down  bool // who connects is sent away
	conns map[net.Conn]struct{}
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, ln: ln, to: to, conns: make(map[net.Conn]struct{})}
	l.runs.Go(l.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		l.cut()
		l.runs.Wait()
	})
	return l
}

func (l *line) addr() string { return l.ln.Addr().String() }

func (l *line) accept() {
	for {
		in, err := l.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", l.to)
		if err != nil || !l.add(in, out) {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			continue
		}
		l.runs.Go(func() { l.copy(out, in) })
		l.runs.Go(func() { l.copy(in, out) })
	}
}

func (l *line) add(in, out net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return false
	}
	l.conns[in], l.conns[out] = struct{}{}, struct{}{}
	return true
}

func (l *line) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from) // ends as the connections do
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{to, from} {
		_ = c.Close()
		delete(l.conns, c)
	}
}

// cut breaks all connections where they are, and lets nobody through until mend.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, and what was on its way is gone
		}
		_ = c.Close()
	}
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// TestThePageResumesAfterItsConnectionWasCut plays on in the same session: no login, and nothing that happened meanwhile is missing or there twice.
func TestThePageResumesAfterItsConnectionWasCut(t *testing.T) {
	n := newNode(t, "scripts/world.lua", pageWorld)
	b := browser(t)
	l := newLine(t, n.http)
	ada, bob := openPageAt(t, b, l.addr(), 1280, 800, 1), openPage(t, b, n, 1000, 700, 1)
	ada.enter("Ada", "secret of ada")
	bob.enter("Bob", "secret of bob")
	ada.Until("arena.state.players.some((p) => p.name === 'Bob')")
	bob.Until("arena.state.players.some((p) => p.name === 'Ada')")
	evaluate[bool](bob, `(() => { // Bob's page watches whether Ada ever goes
		window.gone = 0;
		setInterval(() => { if (!arena.state.players.some((p) => p.name === "Ada")) window.gone++; }, 10);
		return true;
	})()`)

	var want []string
	for round := 1; round <= 3; round++ {
		l.cut()
		ada.Until("arena.state.connection.state === 'away' && !document.getElementById('notice').hidden")
		if round == 1 {
			ada.Screenshot("away.png")
		}
		// What Bob says and does meanwhile waits for Ada, and what she says waits for the connection.
		said := fmt.Sprintf("round %d, are you there?", round)
		bob.say(said)
		moved := bob.walk(kb.ArrowLeft) || bob.walk(kb.ArrowRight) || bob.walk(kb.ArrowDown)
		answer := fmt.Sprintf("round %d, yes", round)
		ada.say(answer)
		if !moved {
			t.Fatal("Bob can't walk")
		}
		want = append(want, said, answer)
		l.mend()
		evaluate[bool](ada, "dispatchEvent(new Event('online'))") // as a browser says it, which spares us the back-off
		ada.Until("arena.state.connection.state === 'resumed' && document.getElementById('notice').hidden")
		at := bob.state().Me
		ada.Until(fmt.Sprintf("arena.state.players.some((p) => p.name === 'Bob' && p.n === %d && p.x === %d && p.y === %d)", at.N, at.X, at.Y))
		bob.Until(fmt.Sprintf("arena.state.chat.length === %d", len(want)))
		ada.Until(fmt.Sprintf("arena.state.chat.length === %d", len(want)))
		for name, p := range map[string]page{"Ada": ada, "Bob": bob} {
			for i, line := range p.state().Chat {
				if line.Text != want[i] {
					t.Fatalf("round %d: line %d of %s's chat is %q, expected %q", round, i, name, line.Text, want[i])
				}
			}
		}
		before := ada.state()
		if !ada.walk(kb.ArrowRight) && !ada.walk(kb.ArrowLeft) && !ada.walk(kb.ArrowUp) {
			t.Fatal("Ada can't walk")
		}
		after := ada.state()
		if steps, asked := after.Me.N-before.Me.N, after.Connection.Stats.Answers-before.Connection.Stats.Answers; steps < 1 || steps > int64(asked) {
			t.Fatalf("Ada asked for %d steps, and made %d", asked, steps)
		}
	}
	if s := ada.state().Connection.Stats; s.Resumed != 3 || s.Lost != 0 {
		t.Errorf("%d sessions resumed, %d lost; expected 3 and 0", s.Resumed, s.Lost)
	}
	if gone := evaluate[int](bob, "window.gone"); gone != 0 {
		t.Error("Ada was gone from Bob's page for a while")
	}
	for name, p := range map[string]page{"Ada": ada, "Bob": bob} {
		if c := p.Complaints("WebSocket connection to"); len(c) > 0 {
			t.Errorf("%s's console: %q", name, c)
		}
	}
}
