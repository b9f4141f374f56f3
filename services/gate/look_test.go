package gate_test

import (
	"strings"
	"testing"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/gate"
)

func TestWhoLooksSeesEachSessionWithItsConnection(t *testing.T) {
	n := start(t, world{kinds: []string{"tcp", "kcp", "ws"}})
	for _, kind := range []string{"tcp", "kcp", "ws"} {
		c := n.dialOn(kind, client.Options{})
		must(t, logIn(c, "player"+kind))
		for range 3 {
			must(t, request(c, "echo", map[string]int{"n": 1}, nil))
		}
	}
	all := n.gate.Sessions()
	var seen []gate.Sight
	var total int
	until(t, "the way to each client is known", func() bool {
		seen, total = all.Look("", 0, 10)
		known := 0
		for _, s := range seen {
			if s.Way.Sent >= 3 || strings.HasPrefix(s.Transport, "ws") {
				known++
			}
		}
		return known == 3
	})
	if total != 3 || len(seen) != 3 {
		t.Fatalf("%d of %d: %+v", len(seen), total, seen)
	}
	for i, s := range seen {
		switch {
		case s.State != "present" || s.UID == "" || s.Opened.IsZero() || s.BytesIn == 0 || s.BytesOut == 0 || !strings.HasPrefix(s.Address, "127.0.0.1:"):
			t.Errorf("%+v", s)
		case i > 0 && s.ID <= seen[i-1].ID:
			t.Errorf("%d comes behind %d", s.ID, seen[i-1].ID)
		case s.Way.Resent > s.Way.Sent || s.Transport == "tcp" && s.Way.RTT == 0:
			t.Errorf("the way of %s: %+v", s.Transport, s.Way)
		}
	}
	one, total := all.Look(seen[1].UID, 0, 10)
	if total != 1 || len(one) != 1 || one[0].ID != seen[1].ID {
		t.Errorf("of one user: %d %+v", total, one)
	}
	if first, total := all.Look("", 0, 1); total != 3 || len(first) != 1 || first[0].ID != seen[0].ID {
		t.Errorf("the first page: %d %+v", total, first)
	}
	if rest, _ := all.Look("", seen[0].ID, 10); len(rest) != 2 || rest[0].ID != seen[1].ID {
		t.Errorf("the second page: %+v", rest)
	}
	s := all.Find(seen[0].ID)
	s.Kick("kicked", "cheats")
	until(t, "the session has ended", func() bool { _, total := all.Look("", 0, 10); return total == 2 })
}
