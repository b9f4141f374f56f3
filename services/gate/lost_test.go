package gate_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
)

// The connection breaks while a request is handled behind which an acknowledgement is due: that this can't be sent is no news, and says nothing of the client.
func TestAConnectionThatIsLostWhileItsRequestIsHandledIsNoEndOfTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const due = 32 // data packages, after which the server acknowledges
		var p *peer
		broken := false
		n := startSmall(t, gate.Config{Heartbeat: time.Minute, Handle: func(_ *actor.Context, r *gate.Request) {
			if string(r.Body) == strconv.Itoa(due-1) && !broken {
				broken = true
				p.conn.cut()
				_ = r.Session.Push("news", []byte("1"), gate.Delivery{})
				time.Sleep(100 * time.Millisecond) //nolint:forbidigo // fake time, in which the push is written, and fails
			}
			r.Reply(r.Body)
		}})
		p = n.peer()
		must(t, p.connect(never, never))
		for i := range due {
			p.ask("count", strconv.Itoa(i))
			if i < due-1 {
				must(t, p.hear(i+1)) // so that the actor rests, and its next turn is the reader's
			}
		}
		if p.hear(due+1) == nil {
			t.Fatal("the connection holds")
		}
		time.Sleep(time.Second) //nolint:forbidigo // fake time, in which the server finds out
		must(t, p.connect(never, never))
		if r := p.hello.Sys.Resume; !r.Resumed {
			t.Fatalf("the session does not go on: %+v", r.Refused)
		}
		must(t, p.hear(due+1))
		_ = p.conn.Close()
	})
}

func TestAStrangerWhoAcknowledgesNothingFillsNoRing(t *testing.T) {
	n := start(t, world{kinds: []string{"mem"}, gate: gate.Config{MaxQueue: 10_000}})
	p := n.peer()
	p.ackEvery = never
	must(t, p.connect(never, never))
	const asks = 1000
	for range asks {
		p.ask(strings.Repeat("x", 200), "{}")
	}
	must(t, p.hear(asks))
	if got := gathered(t, n)["skua_gate_ring_bytes"]; got > 16<<10 {
		t.Errorf("%v bytes are kept for a client that has not logged in", got)
	}
	_ = p.conn.Close()
}

// anybody lets all in under one name.
type anybody struct{}

func (anybody) Receive(c *actor.Context, _ any) { c.Reply(login.Account{UID: "ann"}, nil) }

func TestWhoDoesNotLogInHasToLeaveAndWhoDoesMayStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patient = 10 * time.Second
		n := startSmall(t, gate.Config{Login: gate.LoginGuest, LoginTimeout: patient, Heartbeat: time.Minute, Handle: counter})
		_, err := n.sys.Spawn(actor.Spec{Name: login.ServiceName, New: func() actor.Actor { return anybody{} }})
		must(t, err)
		player, stranger := n.peer(), n.peer()
		must(t, player.connect(never, never))
		must(t, stranger.connect(never, never))
		begun := time.Now()
		player.ask("login", `{"name":"ann"}`)
		must(t, player.hear(1))
		stranger.ask("count", "0") // which is no login
		if err := stranger.hear(2); err == nil || stranger.kick != "login_timeout" {
			t.Errorf("the stranger is told %v", err)
		}
		if took := time.Since(begun).Round(time.Second); took != patient {
			t.Errorf("after %v", took)
		}
		time.Sleep(patient) //nolint:forbidigo // fake time
		player.ask("count", "0")
		must(t, player.hear(4))
		_, _ = player.conn.Write(pack(packet.Kick, nil))
		_ = player.conn.Close()
	})
}
