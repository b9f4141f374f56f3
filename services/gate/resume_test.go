package gate_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// counter is a handler that keeps what each session has asked, pushes twice for each request, and answers.
func counter(_ *actor.Context, r *gate.Request) {
	if r.Route == "seen" {
		seen, _ := r.Session.Data.([]string)
		r.Reply([]byte(asText(seen)))
		return
	}
	seen, _ := r.Session.Data.([]string)
	seen = append(seen, string(r.Body))
	r.Session.Data = seen
	_ = r.Session.Push("one", r.Body, gate.Delivery{})
	_ = r.Session.Push("two", r.Body, gate.Delivery{})
	r.Reply(r.Body)
}

// script is what a peer of the enumeration does: requests, of which each brings two pushes and an answer.
const scriptLength = 9

func (p *peer) script() (want []string) {
	for i := range scriptLength {
		body := strconv.Itoa(i)
		p.ask("count", body)
		want = append(want, "push one "+body, "push two "+body, fmt.Sprintf("response %d %s", i+1, body))
	}
	return want
}

// checkScript reads what is left over a connection that holds, and compares both directions with what was to come.
func (p *peer) checkScript(t *testing.T, want []string) {
	t.Helper()
	for tries := 0; ; tries++ {
		if err := p.hear(len(want)); err == nil {
			break
		} else if tries == 3 {
			t.Fatalf("the session does not go on: %v; heard %q", err, p.heard)
		}
		if err := p.connect(never, never); err != nil {
			t.Fatalf("a connection that holds: %v", err)
		}
	}
	if !slices.Equal(p.heard, want) {
		t.Fatalf("heard\n%q, want\n%q", p.heard, want)
	}
	p.ask("seen", "")
	if err := p.hear(len(want) + 1); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range scriptLength {
		all = append(all, strconv.Itoa(i))
	}
	if got, want := p.heard[len(want)], fmt.Sprintf("response %d %s", scriptLength+1, asText(all)); got != want {
		t.Fatalf("the server has handled %s, want %s", got, want)
	}
	_, _ = p.conn.Write(pack(packet.Kick, nil))
	_ = p.conn.Close()
}

// run plays the script over a first connection that breaks at these places, a second that breaks at those, and one that holds.
func (n *small) run(t *testing.T, up, down, up2, down2 int) {
	t.Helper()
	p := n.peer()
	p.stubborn = true // a session of which not even the handshake has come through is refused
	want := p.script()
	if p.connect(up, down) == nil {
		_ = p.hear(len(want))
	}
	if up2 < never || down2 < never {
		if p.connect(up2, down2) == nil {
			_ = p.hear(len(want))
		}
	}
	if err := p.connect(never, never); err != nil {
		t.Fatalf("a connection that holds: %v", err)
	}
	if p.hello.Sys.Resume.Refused != nil && p.received > 0 {
		t.Fatalf("refused: %+v", p.hello.Sys.Resume.Refused)
	}
	p.checkScript(t, want)
}

// measure tells how many bytes go each way when nothing breaks.
func (n *small) measure(t *testing.T) (up, down int) {
	t.Helper()
	p := n.peer()
	want := p.script()
	must(t, p.connect(never, never))
	conn := p.conn
	must(t, p.hear(len(want)))
	conn.in.w.mu.Lock()
	up, down = never-conn.out.left, never-conn.in.left
	conn.in.w.mu.Unlock()
	p.checkScript(t, want)
	return up, down
}

func TestACutAtAnyByteLosesNothingAndRepeatsNothing(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	up, down := n.measure(t)
	if up < 150 || down < 400 {
		t.Fatalf("only %d bytes up and %d down: is that the whole script?", up, down)
	}
	for at := 1; at <= up; at++ {
		n.run(t, at, never, never, never)
	}
	for at := 1; at <= down; at++ {
		n.run(t, never, at, never, never)
	}
}

func TestACutOfTheResumeItselfLosesNothingAndRepeatsNothing(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	up, down := n.measure(t)
	for at := 1; at <= up; at++ {
		n.run(t, never, down*2/3, at, never)
	}
	for at := 1; at <= down; at++ {
		n.run(t, up*2/3, never, never, at)
	}
}

func TestAnAckOfWhatWasNotSentIsABadPacket(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	_, _ = p.conn.Write(packet.AppendAck(nil, 1))
	_ = p.hear(1)
	if p.kick != "bad_packet" {
		t.Errorf("kicked with %q", p.kick)
	}
	must(t, p.connect(never, never))
	if r := p.hello.Sys.Resume; r.Resumed || r.Refused == nil || r.Refused.Code != packet.ResumeUnknown {
		t.Errorf("the session goes on: %+v", r)
	}
}

func TestAnAckThatGoesBackIsIgnored(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	p.ackEvery = 1000
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	_, _ = p.conn.Write(slices.Concat(packet.AppendAck(nil, 3), packet.AppendAck(nil, 1), packet.AppendAck(nil, 3)))
	p.ask("count", "1")
	must(t, p.hear(6))
}

func TestForgedAndUsedTokensAreRefusedAndHarmNobody(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	first := p.token
	p.ask("count", "0")
	must(t, p.hear(3))
	must(t, p.connect(never, never)) // the first token is used up with the ack, which the answer proves
	p.ask("count", "1")
	must(t, p.hear(6))
	for _, forged := range []string{first, "x", "AAAAAAAAAAAAAAAAAAAAAAAA", p.token + "A", p.token[:23], "\x00", string(make([]byte, 5000))} {
		thief := n.peer()
		thief.token = forged
		must(t, thief.connect(never, never))
		if r := thief.hello.Sys.Resume; r.Resumed || r.Refused == nil || r.Refused.Code != packet.ResumeUnknown || r.Token == "" {
			t.Errorf("%q is answered by %+v", forged, r)
		}
		thief.ask("count", "7") // it has a session of its own
		must(t, thief.hear(3))
	}
	p.ask("count", "2")
	must(t, p.hear(9))
}

func TestALostAnswerLeavesTheOldTokenGood(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	good := p.token
	for range 5 {
		p.token = good
		must(t, p.greet(never, never)) // the answer comes, but no ack follows: to the server it may have been lost
		if !p.hello.Sys.Resume.Resumed || p.token == good {
			t.Fatalf("answered %+v", p.hello.Sys.Resume)
		}
	}
	newest := p.token
	p.token = good
	must(t, p.greet(never, never))
	p.token = newest // its handshake may have come behind the other's
	must(t, p.connect(never, never))
	if !p.hello.Sys.Resume.Resumed {
		t.Fatalf("a token that was offered is not good: %+v", p.hello.Sys.Resume)
	}
	p.ask("seen", "")
	must(t, p.hear(4))
	old := n.peer()
	old.token = good
	must(t, old.connect(never, never))
	if old.hello.Sys.Resume.Resumed {
		t.Error("a token from before the ack is good")
	}
	p.ask("count", "1")
	must(t, p.hear(7))
}

func TestAHandshakeThatComesLateCostsNoToken(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	late := *p
	late.conn = nil
	must(t, p.greet(never, never)) // the client has the answer to this one
	must(t, late.greet(never, never))
	late.conn.cut() // while this one was on its way for long, and nobody is there any more
	_ = p.acknowledge()
	_ = p.hear(4)
	must(t, p.connect(never, never))
	if code := p.refused(); code != "" {
		t.Fatalf("refused: %q", code)
	}
	p.ask("count", "1")
	must(t, p.hear(6))
}

func TestOfTwoResumesTheLaterOneHasTheSession(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	a, b := *p, *p
	a.conn, b.conn = nil, nil
	must(t, a.greet(never, never))
	if err := p.hear(4); err == nil || p.kick != "resumed" {
		t.Errorf("the older connection ends with %v", err)
	}
	must(t, b.greet(never, never))
	if _, err := a.read(); err == nil || a.kick != "resumed" {
		t.Errorf("the first of the two ends with %v", err)
	}
	_ = a.acknowledge() // too late
	must(t, b.acknowledge())
	b.ask("count", "1")
	must(t, b.hear(6))
	if err := a.hear(4); err == nil {
		t.Error("the first of the two hears what is for the second")
	}
}

func TestAnUnacknowledgedResumeLetsTheSessionWaitAgain(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	must(t, p.greet(never, never))
	p.conn.cut()
	until(t, "the session waits", func() bool { return gathered2(t, n.metrics)["skua_gate_sessions_waiting"] == 1 })
	must(t, p.connect(never, never))
	p.ask("count", "1")
	must(t, p.hear(6))
}

func TestAGoodbyeEndsTheSessionAtOnce(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "0")
	must(t, p.hear(3))
	_, _ = p.conn.Write(pack(packet.Kick, nil))
	until(t, "the session has ended", func() bool { return n.gate.Sessions().Count() == 0 })
	must(t, p.connect(never, never))
	if r := p.hello.Sys.Resume; r.Resumed || r.Refused.Code != packet.ResumeUnknown {
		t.Errorf("answered %+v", r)
	}
}
