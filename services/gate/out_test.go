package gate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
)

func (n *node) operate(msg any) {
	n.t.Helper()
	service, _ := n.sys.Lookup(login.ServiceName)
	_, err := n.sys.Ask(context.Background(), service, msg)
	must(n.t, err)
}

type welcome struct {
	UID, Name, Token string
	New              bool
	Expires          int64
}

func TestABanEndsThePlayersSession(t *testing.T) {
	n := start(t, world{})
	before := n.actors()
	ann, bob := n.dial(client.Options{}), n.enter("bob", client.Options{})
	var who welcome
	must(t, request(ann, "login", map[string]string{"name": "ann", "password": "pw of ann"}, &who))
	n.operate(login.Ban{UID: who.UID, Reason: "cheating"})
	if code := kickOf(t, ann); code != "banned" {
		t.Errorf("kicked with %s", code)
	}
	again := n.dial(client.Options{})
	if err := logIn(again, "ann"); codeOf(err) != "banned" {
		t.Errorf("a second login: %v", err)
	}
	must(t, request(bob, "echo", nil, nil))
	n.operate(login.Unban{UID: who.UID})
	must(t, logIn(again, "ann"))
	must(t, again.Close())
	must(t, bob.Close())
	n.quiet(before)
}

func TestABanEndsASessionWithoutAnAgentToo(t *testing.T) {
	n := start(t, world{first: "first", scripts: map[string]string{"first.lua": `return { client = { echo = function(self, request) return request end } }`}})
	ann := n.dial(client.Options{})
	var who welcome
	must(t, request(ann, "login", map[string]string{"name": "ann", "password": "pw of ann"}, &who))
	must(t, request(ann, "echo", nil, nil))
	n.operate(login.Ban{UID: who.UID})
	if code := kickOf(t, ann); code != "banned" {
		t.Errorf("kicked with %s", code)
	}
}

func TestATokenLetsAClientInAgain(t *testing.T) {
	n := start(t, world{login: login.Config{TokenKeys: [][]byte{[]byte("a key for tokens, 32 bytes or more")}}})
	c := n.dial(client.Options{})
	var who, again welcome
	must(t, request(c, "login", map[string]string{"name": "ann", "password": "pw of ann"}, &who))
	if who.Token == "" || who.Expires <= time.Now().Unix() || !who.New {
		t.Fatalf("%+v", who)
	}
	second := n.dial(client.Options{})
	must(t, request(second, "login", map[string]string{"token": who.Token}, &again))
	if again.UID != who.UID || again.Name != "ann" || again.New || again.Token != "" {
		t.Errorf("%+v", again)
	}
	if code := kickOf(t, c); code != "replaced" {
		t.Errorf("the first is kicked with %s", code)
	}
}

func TestMaintenanceIsForStrangersToo(t *testing.T) {
	n := start(t, world{gate: gate.Config{Login: gate.LoginNone}})
	c := n.dial(client.Options{})
	must(t, request(c, "echo", nil, nil))
	n.operate(login.Maintain{On: true, Msg: "a new season"})
	must(t, request(c, "echo", nil, nil))
	late := n.dial(client.Options{})
	if code := kickOf(t, late); code != "maintenance" {
		t.Errorf("a stranger is kicked with %s", code)
	}
	n.operate(login.Maintain{On: true, Kick: true})
	if code := kickOf(t, c); code != "maintenance" {
		t.Errorf("who is in is kicked with %s", code)
	}
	n.operate(login.Maintain{})
	must(t, request(n.dial(client.Options{}), "echo", nil, nil))
}

// A login is answered, and before the session has told the gate of it, the ban comes.
func TestABanOvertakesALogin(t *testing.T) {
	n := start(t, world{loginActor: actor.Func(func(c *actor.Context, msg any) {
		if _, ok := msg.(login.Request); !ok {
			return
		}
		out := login.Out{UID: "ann", Code: login.Banned, Msg: "banned", Turn: 8}
		c.Publish(login.Topic, out)
		c.Reply(login.Account{UID: "ann", Name: "ann", Turn: 7}, nil)
	})})
	c := n.dial(client.Options{})
	// Whoever finds out first says it: the session as the answer, or the gate with a kick.
	err := logIn(c, "ann")
	var kicked *client.KickError
	if errors.As(err, &kicked) && kicked.Code == "banned" {
		return
	}
	if codeOf(err) != "banned" {
		t.Errorf("the login: %v", err)
	}
	if err := request(c, "echo", nil, nil); codeOf(err) != "not_logged_in" && !errors.As(err, &kicked) {
		t.Errorf("a request: %v", err)
	}
}

func TestBansAndLoginsAtTheSameTimeLeaveNoBannedPlayerIn(t *testing.T) {
	n := start(t, world{login: login.Config{Methods: []login.Method{login.MethodGuest}}})
	var all sync.WaitGroup
	clients := make([]*client.Client, 20)
	for i := range clients {
		clients[i] = n.dial(client.Options{})
		all.Go(func() { _ = request(clients[i], "login", map[string]string{"name": fmt.Sprint("p", i)}, nil) })
		all.Go(func() { n.operate(login.Ban{UID: fmt.Sprint("guest:p", i)}) })
	}
	all.Wait()
	for i, c := range clients {
		until(t, fmt.Sprint(i, " is out"), func() bool { return request(c, "echo", nil, nil) != nil })
	}
}
