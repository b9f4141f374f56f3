package login_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
)

// outs subscribes to who has to go.
func (n *node) outs() <-chan login.Out {
	n.t.Helper()
	got := make(chan login.Out, 1000)
	ref, err := n.sys.Spawn(actor.Spec{New: func() actor.Actor { return &listener{got} }})
	must(n.t, err)
	_, err = n.sys.Ask(context.Background(), ref, "are you there?")
	must(n.t, err)
	return got
}

type listener struct{ got chan<- login.Out }

func (l *listener) Start(c *actor.Context) error {
	c.Subscribe(login.Topic)
	return nil
}

func (l *listener) Receive(c *actor.Context, msg any) {
	if out, ok := msg.(login.Out); ok {
		l.got <- out
		return
	}
	c.Reply(nil, nil)
}

func next(t *testing.T, outs <-chan login.Out) login.Out {
	t.Helper()
	select {
	case out := <-outs:
		return out
	case <-time.After(patience):
		t.Fatal("nobody was put out")
		return login.Out{}
	}
}

// until waits for something to come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came true that %s", what)
		}
	}
}

func TestABanShutsAPlayerOutOfEveryWayIn(t *testing.T) {
	now := newClock()
	n := start(t, tokens(now))
	outs := n.outs()
	ann := n.token("ann")
	v, err := n.ask(login.Ban{UID: ann.UID, Reason: "cheating", Until: now.now().Add(time.Hour)})
	if err != nil || v != true {
		t.Fatalf("%v, %v", v, err)
	}
	out := next(t, outs)
	if !out.Concerns(ann.UID, ann.Turn) || out.Concerns("bob", ann.Turn) || out.Code != login.Banned || out.Msg != "banned until 2030-01-01T01:00:00Z: cheating" {
		t.Errorf("%+v", out)
	}
	n.want(login.Banned, "ann", "pw")
	n.refused(login.Banned, "token", ann.Token)
	_, err = n.login("ann", "pw")
	if !strings.Contains(fmt.Sprint(err), "banned until 2030-01-01T01:00:00Z: cheating") {
		t.Errorf("the player hears %v", err)
	}
	n.want(login.Denied, "ann", "wrong") // who does not know the password hears of no ban
	n.want("", "bob", "pw")

	now.pass(time.Hour)
	again := n.token("ann")
	if out.Concerns(again.UID, again.Turn) {
		t.Error("the end of the session concerns a later login")
	}
}

func TestAnUnbannedPlayerIsLetIn(t *testing.T) {
	n := start(t, tokens(newClock()))
	ann := n.token("ann")
	for range 2 {
		_, err := n.ask(login.Ban{UID: ann.UID})
		must(t, err)
	}
	n.want(login.Banned, "ann", "pw")
	for _, want := range []bool{true, false} {
		if v, err := n.ask(login.Unban{UID: ann.UID}); err != nil || v != want {
			t.Errorf("%v, %v, want %v", v, err, want)
		}
	}
	n.want("", "ann", "pw")
}

func TestABanThatCannotBeIsRefused(t *testing.T) {
	now := newClock()
	n := start(t, tokens(now))
	for _, m := range []login.Ban{{}, {UID: "a\x00"}, {UID: strings.Repeat("x", 129)}, {UID: "x", Reason: strings.Repeat("r", 513)}, {UID: "x", Until: now.now()}} {
		if _, err := n.ask(m); err == nil {
			t.Errorf("%+v was taken", m)
		}
	}
}

func TestBansAreKeptOverARestart(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	n := startIn(t, tokens(now), dir)
	ann, bob, eve := n.token("ann"), n.token("bob"), n.token("eve")
	for _, m := range []any{login.Ban{UID: ann.UID}, login.Ban{UID: bob.UID, Until: now.now().Add(time.Minute)}, login.Ban{UID: eve.UID}, login.Unban{UID: eve.UID}} {
		_, err := n.ask(m)
		must(t, err)
	}
	n.stop()
	n = startIn(t, tokens(now), dir)
	n.want(login.Banned, "ann", "pw")
	n.refused(login.Banned, "token", bob.Token)
	n.want("", "eve", "pw")
	now.pass(time.Minute)
	n.want("", "bob", "pw")
}

func TestABanDuringAnOutageHoldsAtOnceAndIsWrittenLater(t *testing.T) {
	dir := t.TempDir()
	now := newClock()
	n := startIn(t, tokens(now), dir)
	ann := n.token("ann")
	outs := n.outs()
	n.db.away.Store(true)
	if _, err := n.ask(login.Ban{UID: ann.UID}); err == nil {
		t.Error("the ban is said to be durable")
	}
	if out := next(t, outs); out.UID != ann.UID {
		t.Errorf("%+v", out)
	}
	n.refused(login.Banned, "token", ann.Token)
	n.db.away.Store(false)
	until(t, "the ban is written", func() bool { return strings.Contains(n.kept(), ann.UID) })
	n.stop()
	n = startIn(t, tokens(now), dir)
	n.want(login.Banned, "ann", "pw")
}

// kept is all that the database has of bans.
func (n *node) kept() string {
	var all strings.Builder
	for i := range 64 {
		if doc, err := n.db.Backend.Load(context.Background(), "login", fmt.Sprintf("players-%02d", i)); err == nil {
			all.WriteString(doc.Body.String())
		}
	}
	return all.String()
}

func TestNobodyIsLetInBeforeTheBansAreKnown(t *testing.T) {
	dir := t.TempDir()
	n := startIn(t, tokens(newClock()), dir)
	ann := n.token("ann")
	_, err := n.ask(login.Ban{UID: ann.UID})
	must(t, err)
	n.stop()

	n = startAway(t, tokens(newClock()), dir)
	n.refused(login.Unavailable, "token", ann.Token)
	n.db.away.Store(false)
	until(t, "the bans are known", func() bool {
		_, err := n.enter("token", ann.Token)
		if err == nil {
			t.Fatal("a banned player was let in")
		}
		return code(err) == login.Banned
	})
}

func TestABanOfAnotherNodeIsLearnt(t *testing.T) {
	cfg := tokens(newClock())
	cfg.Refresh = 200 * time.Millisecond
	one := start(t, cfg)
	ann := one.token("ann")
	outs := one.outs()
	two := shareWith(t, cfg, one)
	_, err := two.ask(login.Ban{UID: ann.UID, Reason: "over there"})
	must(t, err)
	if out := next(t, outs); out.UID != ann.UID || out.Msg != "banned: over there" {
		t.Errorf("%+v", out)
	}
	one.refused(login.Banned, "token", ann.Token)
	_, err = two.ask(login.Unban{UID: ann.UID})
	must(t, err)
	until(t, "the end of the ban is learnt", func() bool { _, err := one.enter("token", ann.Token); return err == nil })
}

func TestBansOfTwoNodesAtOnceAreAllKept(t *testing.T) {
	cfg := tokens(newClock())
	one := start(t, cfg)
	two := shareWith(t, cfg, one)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			// One that lost the document to the other node is written again a moment later.
			_, _ = []*node{one, two}[i%2].ask(login.Ban{UID: fmt.Sprintf("player-%d-", i%20)})
		})
	}
	all.Wait()
	until(t, "all are written", func() bool {
		kept := one.kept()
		for i := range 20 {
			if !strings.Contains(kept, fmt.Sprintf("player-%d-", i)) {
				return false
			}
		}
		return true
	})
}

func TestTheBookIsBounded(t *testing.T) {
	cfg := tokens(newClock())
	cfg.MaxStandings = 3
	n := start(t, cfg)
	for i := range 3 {
		_, err := n.ask(login.Ban{UID: fmt.Sprint(i)})
		must(t, err)
	}
	if _, err := n.ask(login.Ban{UID: "one more"}); err == nil || !strings.Contains(err.Error(), "3 players") {
		t.Errorf("%v", err)
	}
	_, err := n.ask(login.Unban{UID: "1"})
	must(t, err)
	_, err = n.ask(login.Ban{UID: "one more"})
	must(t, err)
}

func TestManyBansAtOnceAreAllKept(t *testing.T) {
	dir := t.TempDir()
	n := startIn(t, tokens(newClock()), dir)
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			if _, err := n.ask(login.Ban{UID: fmt.Sprintf("many-%d-", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	kept := n.kept()
	for i := range 300 {
		if !strings.Contains(kept, fmt.Sprintf("many-%d-", i)) {
			t.Errorf("the ban of %d is not in the database", i)
		}
	}
}

func TestMaintenanceLetsNobodyNewIn(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	n := startIn(t, tokens(now), dir)
	outs := n.outs()
	ann, bob := n.token("ann"), n.token("bob")
	order := login.Maintain{On: true, Msg: "a new season", Until: now.now().Add(time.Hour), Except: []string{bob.UID}}
	_, err := n.ask(order)
	must(t, err)
	n.want(login.Maintenance, "ann", "pw")
	n.refused(login.Maintenance, "token", ann.Token)
	n.want("", "bob", "pw")
	if _, err := n.enter("token", bob.Token); err != nil {
		t.Errorf("the exception: %v", err)
	}
	if _, err := n.ask(login.Request{Method: login.MethodNone}); code(err) != login.Maintenance {
		t.Errorf("a stranger: %v", err)
	}
	if len(outs) != 0 {
		t.Error("who is in was put out")
	}
	order.Kick = true
	_, err = n.ask(order)
	must(t, err)
	if out := next(t, outs); !out.Concerns(ann.UID, ann.Turn) || out.Concerns(bob.UID, bob.Turn) || out.Msg != "maintenance until 2030-01-01T01:00:00Z: a new season" {
		t.Errorf("%+v", out)
	}
	n.stop()

	n = startIn(t, tokens(now), dir)
	n.refused(login.Maintenance, "token", ann.Token)
	now.pass(time.Hour)
	n.want("", "ann", "pw")
	_, err = n.ask(login.Maintain{On: true})
	must(t, err)
	n.want(login.Maintenance, "ann", "pw")
	_, err = n.ask(login.Maintain{})
	must(t, err)
	n.want("", "ann", "pw")
}

func TestAMaintenanceDuringAnOutageHoldsAtOnceAndIsWrittenLater(t *testing.T) {
	dir := t.TempDir()
	n := startIn(t, tokens(newClock()), dir)
	ann := n.token("ann")
	n.db.away.Store(true)
	if _, err := n.ask(login.Maintain{On: true, Msg: "wait"}); err == nil {
		t.Error("it is said to be durable")
	}
	n.refused(login.Maintenance, "token", ann.Token)
	n.db.away.Store(false)
	until(t, "it is written", func() bool {
		doc, err := n.db.Load(context.Background(), "login", "maintenance")
		return err == nil && strings.Contains(doc.Body.String(), "wait")
	})
}

var _ store.Backend = (*database)(nil)
