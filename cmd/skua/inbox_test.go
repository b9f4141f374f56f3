package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// correspondent sends letters to a node, as it likes, over the connection of another one.
type correspondent struct {
	t    *testing.T
	conn *nats.Conn
	seal seal
	to   cluster.Member
}

// letter is a good one, but for what is changed.
func (c *correspondent) letter(kind string, body any, change func(l *letter)) []byte {
	c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	l := letter{
		V: letterVersion, From: "x", To: c.to.Name, Incarnation: c.to.Incarnation, Sent: time.Now().UnixMilli(), Nonce: fmt.Sprintf("%026d", time.Now().UnixNano()), Kind: kind, Body: text,
	}
	if change != nil {
		change(&l)
	}
	if text, err = json.Marshal(l); err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *correspondent) send(data []byte) *nats.Msg {
	c.t.Helper()
	m, err := c.conn.Request(inboxSubject(c.to.Name), data, time.Minute)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// correspond is two nodes, and somebody who has heard the secret of one.
func correspond(t *testing.T, secret string) (*correspondent, *running) {
	t.Helper()
	project := shopProject(t)
	a := startNode(t, func(c *Config) { c.Listen.Cluster = "127.0.0.1:0"; c.Name = "a" })
	b := start(t, project, "--join", a.peers.ListensAt().String(), "--name", "b")
	await(t, "both are there", func() bool { return b.member("a") == "alive" })
	c := &correspondent{t: t, conn: a.peers.Conn()}
	c.to, _ = a.members.Find("b")
	if secret != "" {
		key, err := cluster.Key(secret, "orders")
		if err != nil {
			t.Fatal(err)
		}
		c.seal = seal{key}
	}
	return c, b
}

func TestALetterThatIsReplayedAlteredOldOrForeignIsRefused(t *testing.T) {
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	c, b := correspond(t, clusterSecret)
	look := admin.Passed{Method: "GET", Path: "/actors", Who: "ann", Role: "admin"}
	end := admin.DrainOrder{Timeout: 1000}
	foreign := seal{make([]byte, 32)}

	good := c.seal.sign(c.letter(passedKind, look, nil))
	if m := c.send(good); refusal(m) != nil || len(m.Data) == 0 {
		t.Fatalf("a good one: %v %q", refusal(m), m.Data)
	}
	// It is good, and the node would end: it has to be refused for what is wrong with it only.
	altered := c.seal.sign(c.letter(passedKind, look, nil))
	altered[bytes.Index(altered, []byte(`"ann"`))+1] = 'A'
	shift := func(d time.Duration) func(l *letter) { return func(l *letter) { l.Sent += d.Milliseconds() } }
	for _, wrong := range []struct {
		name, reason, want string
		data               []byte
	}{
		{"replayed", "replay", "it has come before", good},
		{"altered", "signature", "it is not signed by this cluster's secret", altered},
		{"of another cluster", "signature", "it is not signed", foreign.sign(c.letter(drainKind, end, nil))},
		{"not signed", "signature", "it is not signed", c.letter(drainKind, end, nil)},
		{"empty", "signature", "it is not signed", nil},
		{"old", "time", "is the time right on both?", c.seal.sign(c.letter(drainKind, end, shift(-letterAge-time.Second)))},
		{"of the future", "time", "expected up to 30s", c.seal.sign(c.letter(drainKind, end, shift(letterAge+10*time.Second)))},
		{"for a former incarnation", "incarnation", "it is for incarnation", c.seal.sign(c.letter(drainKind, end, func(l *letter) { l.Incarnation-- }))},
		{"for another node", "incarnation", `of "a", this is`, c.seal.sign(c.letter(drainKind, end, func(l *letter) { l.To = "a" }))},
		{"of another version", "version", "a letter of version 2", c.seal.sign(c.letter(drainKind, end, func(l *letter) { l.V = 1 }))},
		{"no letter", "version", "a letter of version 2", c.seal.sign([]byte("{"))},
		{"without a nonce", "version", "found a nonce of 0 bytes", c.seal.sign(c.letter(drainKind, end, func(l *letter) { l.Nonce = "" }))},
		{"of another kind", "kind", `of the kind "dance"`, c.seal.sign(c.letter("dance", end, nil))},
		{"without a time to drain", "order", "a time of up to", c.seal.sign(c.letter(drainKind, admin.DrainOrder{}, nil))},
		{"too long", "length", "expected up to", make([]byte, maxLetter+1)},
	} {
		counter := fmt.Sprintf("skua_control_refused_total{reason=%q}", wrong.reason)
		before, _ := scrape(t, b.addrs["admin"], counter)
		if err := refusal(c.send(wrong.data)); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%s: %v, expected %q", wrong.name, err, wrong.want)
		}
		if n, _ := scrape(t, b.addrs["admin"], counter); n != before+1 {
			t.Errorf("%s: %s was %v, and is %v", wrong.name, counter, before, n)
		}
	}
	if b.member("b") != "alive" {
		t.Error("it drains")
	}
	if log := b.log.text(); !strings.Contains(log, "what another node says is refused") || !strings.Contains(log, "reason=replay") || !strings.Contains(log, "from=x") {
		t.Errorf("the log does not tell of the first:\n%s", log)
	}
}

func TestWithoutASecretALetterMayLookAndNoMore(t *testing.T) {
	c, b := correspond(t, "")
	if err := refusal(c.send(c.letter(drainKind, admin.DrainOrder{Timeout: 1000}, nil))); err == nil || !strings.Contains(err.Error(), "cluster.secret") {
		t.Errorf("an order: %v", err)
	}
	var a admin.PassedAnswer
	m := c.send(c.letter(passedKind, admin.Passed{Method: "GET", Path: "/log", Who: "ann", Role: "admin"}, nil))
	if err := unpack(m.Data, &a); err != nil || a.Status != 403 {
		t.Errorf("who says to be an admin is believed: %d %s, %v", a.Status, a.Body, err)
	}
	if b.member("b") != "alive" {
		t.Error("it drains")
	}
}

func TestLettersAreRememberedForAsLongAsTheyCouldComeAgain(t *testing.T) {
	h, now := nonces{}, time.Now()
	nonce := func(i int) string { return fmt.Sprintf("%026d", i) }
	for i := range maxNonces {
		if _, err := h.add(nonce(i), now); err != nil {
			t.Fatal(i, err)
		}
	}
	if reason, err := h.add(nonce(maxNonces), now.Add(time.Second)); reason != "busy" || err == nil {
		t.Errorf("one more: %s %v", reason, err)
	}
	if reason, _ := h.add(nonce(7), now.Add(2*letterAge-time.Millisecond)); reason != "replay" {
		t.Errorf("a replay, just in time: %q", reason)
	}
	if reason, err := h.add(nonce(maxNonces), now.Add(2*letterAge)); err != nil || len(h) != 1 {
		t.Errorf("when the others are too old: %s %v, %d are remembered", reason, err, len(h))
	}
}
