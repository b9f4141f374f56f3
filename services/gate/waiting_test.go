package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// refused is the code for which a peer's last handshake did not get it its session; empty if it did.
func (p *peer) refused() string {
	if r := p.hello.Sys.Resume.Refused; r != nil {
		return r.Code
	}
	return ""
}

// lose breaks the connection and waits until the server knows.
func (p *peer) lose(t *testing.T, waiting float64) {
	t.Helper()
	p.conn.cut()
	until(t, "the session waits", func() bool { return gathered2(t, p.metrics)["skua_gate_sessions_waiting"] == waiting })
}

func TestASessionWaitsForItsWindowAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startSmall(t, gate.Config{Handle: counter, ResumeWindow: 30 * time.Second})
		var peers []*peer
		for i := range 3 {
			p := n.peer()
			must(t, p.connect(never, never))
			p.ask("count", fmt.Sprint(i))
			must(t, p.hear(3))
			p.conn.cut()
			peers = append(peers, p)
			time.Sleep(10 * time.Second) //nolint:forbidigo // fake time
		}
		synctest.Wait()
		if got := n.gate.Sessions().Count(); got != 2 {
			t.Errorf("%d sessions wait after 30, 20 and 10 s, want 2", got)
		}
		must(t, peers[0].connect(never, never))
		if code := peers[0].refused(); code != packet.ResumeUnknown {
			t.Errorf("after 30 s: %q", code)
		}
		must(t, peers[1].connect(never, never))
		if code := peers[1].refused(); code != "" {
			t.Errorf("after 20 s: %q", code)
		}
		peers[1].conn.cut() // and once more: the window begins anew
		synctest.Wait()
		time.Sleep(15 * time.Second) //nolint:forbidigo // fake time
		must(t, peers[1].connect(never, never))
		if code := peers[1].refused(); code != "" {
			t.Errorf("15 s after the second loss: %q", code)
		}
		must(t, peers[2].connect(never, never))
		if code := peers[2].refused(); code != "" {
			t.Errorf("after 25 s: %q", code)
		}
		for i, p := range peers {
			_, _ = p.conn.Write(pack(packet.Kick, nil))
			_ = p.conn.Close()
			_ = i
		}
		synctest.Wait()
	})
}

func TestAClientThatIsNotHeardWaitsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startSmall(t, gate.Config{Handle: counter, Heartbeat: time.Second})
		p := n.peer()
		must(t, p.connect(never, never))
		p.ask("count", "0")
		must(t, p.hear(3))
		if err := p.hear(4); err == nil || p.kick != "idle" {
			t.Errorf("ended with %v", err)
		}
		must(t, p.connect(never, never))
		p.ask("count", "1")
		must(t, p.hear(6))
		_ = p.conn.Close()
	})
}

func TestTooManyThatWaitLetTheLongestGo(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter, MaxWaiting: 2})
	var peers []*peer
	for i := range 4 {
		p := n.peer()
		must(t, p.connect(never, never))
		p.ask("count", fmt.Sprint(i))
		must(t, p.hear(3))
		p.lose(t, float64(min(i+1, 2)))
		until(t, "two wait", func() bool { return n.gate.Sessions().Count() == min(i+1, 2) })
		peers = append(peers, p)
	}
	for i, want := range []string{packet.ResumeUnknown, packet.ResumeUnknown, "", ""} {
		must(t, peers[i].connect(never, never))
		if code := peers[i].refused(); code != want {
			t.Errorf("peer %d: %q, want %q", i, code, want)
		}
	}
}

// flood is a handler that pushes as much as it is asked for.
func flood(c *actor.Context, r *gate.Request) {
	var n, size int
	_, _ = fmt.Sscanf(string(r.Body), `"%d %d"`, &n, &size)
	body := []byte(`"` + strings.Repeat("x", size) + `"`)
	s := r.Session
	r.Reply(nil)
	c.After(20*time.Millisecond, func() {
		for range n {
			_ = s.Push("flood", body, gate.Delivery{})
		}
	})
}

func TestMoreThanTheRingHoldsWhileAwayEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		ask  string
		code string
	}{
		{`"9 10"`, ""}, {`"11 10"`, packet.ResumeOverflow}, {`"2 600"`, packet.ResumeOverflow}, {`"1 5000"`, packet.ResumeOverflow},
	} {
		n := startSmall(t, gate.Config{Handle: flood, RingPackages: 10, RingBytes: 1000})
		p := n.peer()
		p.ackEvery = 1
		must(t, p.connect(never, never))
		p.ask("flood", test.ask)
		must(t, p.hear(1))
		p.lose(t, 1)
		if test.code != "" {
			until(t, "the session ended", func() bool { return n.gate.Sessions().Count() == 0 })
			if got := gathered2(t, n.metrics)["skua_gate_ring_bytes"]; got != 0 {
				t.Errorf("%v bytes are counted in rings that are gone", got)
			}
		} else {
			until(t, "all was pushed", func() bool { return gathered2(t, n.metrics)["skua_gate_pushes_total"] == 9 })
		}
		must(t, p.connect(never, never))
		if code := p.refused(); code != test.code {
			t.Errorf("%s: %q, want %q", test.ask, code, test.code)
		}
		if test.code == "" {
			must(t, p.hear(10))
		}
	}
}

func TestAConnectedClientMayLagBehindTheRingButNotComeBackThen(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: flood, RingPackages: 10, RingBytes: 1000})
	p := n.peer()
	p.ackEvery = 1 << 40
	must(t, p.connect(never, never))
	p.ask("flood", `"50 10"`)
	must(t, p.hear(51)) // more than the ring holds, and nothing is acknowledged
	must(t, p.connect(never, never))
	if code := p.refused(); code != "" { // it has received all, and says so
		t.Errorf("refused: %q", code)
	}
	p.ask("flood", `"50 10"`)
	must(t, p.hear(60))
	p.received -= 30 // as if the last were lost with the connection
	until(t, "all was pushed", func() bool { return gathered2(t, n.metrics)["skua_gate_pushes_total"] == 100 })
	must(t, p.connect(never, never))
	if code := p.refused(); code != packet.ResumeOverflow {
		t.Errorf("refused: %q", code)
	}
}

func TestAllRingsTogetherAreBounded(t *testing.T) {
	const bound = 4000
	n := startSmall(t, gate.Config{Handle: flood, AllRingBytes: bound})
	var peers []*peer
	for range 4 {
		p := n.peer()
		p.ackEvery = 1 << 40
		must(t, p.connect(never, never))
		p.ask("flood", `"20 100"`)
		must(t, p.hear(21))
		peers = append(peers, p)
		if got := gathered2(t, n.metrics)["skua_gate_ring_bytes"]; got <= 0 || got > bound {
			t.Errorf("%v bytes are kept, expected some, and %d at most", got, bound)
		}
	}
	// One that has received all comes back however little is kept for it, and one that waits for more than there is room for ends.
	must(t, peers[3].connect(never, never))
	if code := peers[3].refused(); code != "" {
		t.Errorf("refused: %q", code)
	}
	gone := n.peer()
	must(t, gone.connect(never, never))
	gone.ask("flood", `"60 100"`)
	must(t, gone.hear(1))
	gone.lose(t, 1)
	until(t, "the session ended", func() bool { return n.gate.Sessions().Count() == 4 })
}

func TestASessionThatIsKickedWhileAwaySaysSo(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: func(c *actor.Context, r *gate.Request) {
		s := r.Session
		r.Reply(r.Body)
		c.After(20*time.Millisecond, func() { s.Kick("cheater", "we saw it") })
	}})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("x", "1")
	must(t, p.hear(1))
	p.conn.cut()
	until(t, "the session ended", func() bool { return n.gate.Sessions().Count() == 0 })
	must(t, p.connect(never, never))
	if code := p.refused(); code != packet.ResumeEnded {
		t.Errorf("refused: %q", code)
	}
}

func TestAStopEndsThoseThatWait(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	p.lose(t, 1)
	n.stop()
	must(t, n.sys.Shutdown(t.Context()))
	if got := n.gate.Sessions().Count(); got != 0 {
		t.Errorf("%d sessions are left", got)
	}
}

func TestAHandlerHearsOfEachChange(t *testing.T) {
	var heard []string
	changes := make(chan string, 100)
	n := startSmall(t, gate.Config{Handle: counter, OnSession: func(_ *actor.Context, s *gate.Session, e gate.Event) {
		changes <- fmt.Sprint([]string{"connected", "away", "back", "disconnected"}[e.Change], " ", e.Reason, s.UID() != "")
	}})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	p.lose(t, 1)
	heard = append(heard, <-changes, <-changes)
	must(t, p.connect(never, never))
	heard = append(heard, <-changes)
	_, _ = p.conn.Write(pack(packet.Kick, nil))
	heard = append(heard, <-changes)
	if want := []string{"connected true", "away losttrue", "back true", "disconnected lefttrue"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

func TestAClientWithoutResumeEndsWithItsConnectionAndSeesNothingOfIt(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	conn, err := n.net.dial(never, never)
	must(t, err)
	p := n.peer()
	p.conn, p.open = conn, true
	_, _ = conn.Write(slices.Concat(pack(packet.Handshake, []byte(`{"sys":{"type":"js-websocket","version":"0.0.1"}}`)), pack(packet.HandshakeAck, nil)))
	hello, err := p.read()
	must(t, err)
	if strings.Contains(string(hello.Body), "resume") {
		t.Errorf("the handshake has resume: %s", hello.Body)
	}
	for range 100 { // more than what would be acknowledged
		p.ask("count", "0")
	}
	_, _ = conn.Write(pack(packet.Heartbeat, nil))
	for data := 0; data < 300; {
		got, err := p.read()
		must(t, err)
		if got.Type == packet.Data {
			data++
		} else if got.Type != packet.Heartbeat {
			t.Fatalf("a %s came", got.Type)
		}
	}
	conn.cut()
	until(t, "the session ended", func() bool { return n.gate.Sessions().Count() == 0 })
}

func TestAnAckFromAClientWithoutResumeIsABadPacket(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	conn, err := n.net.dial(never, never)
	must(t, err)
	p := n.peer()
	p.conn = conn
	_, _ = conn.Write(slices.Concat(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil), packet.AppendAck(nil, 0)))
	for p.kick == "" && err == nil {
		_, err = p.read()
	}
	if p.kick != "bad_packet" {
		t.Errorf("ended with %v", err)
	}
}

func TestResumeCanBeSwitchedOff(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter, ResumeWindow: -1})
	p := n.peer()
	if err := p.connect(never, never); err == nil || !strings.Contains(err.Error(), "no resume in") {
		t.Errorf("the server speaks of resume: %v", err)
	}
}
