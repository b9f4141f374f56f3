package cluster

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"
)

func TestAWatcherMissesNothingThatHappensBeforeItIsGreeted(t *testing.T) {
	m := &Members{byName: map[string]*known{}, log: slog.New(slog.DiscardHandler)}
	m.reachable.Store(&map[string]uint64{})
	m.metrics = newMembersMetrics(m)
	l := &loop{m: m}
	hear := func(b beat) {
		events, refused := m.heard(&b, time.Now())
		if refused != "" {
			t.Fatal(refused)
		}
		l.happened(events...)
	}
	for _, name := range []string{"stays", "leaves", "returns", "drains"} {
		hear(beat{Name: name, Incarnation: 1})
	}
	var told []string
	cancel := m.Watch(func(e Event) {
		told = append(told, fmt.Sprintf("%s %d %v %v", e.Member.Name, e.Member.Incarnation, e.Member.State, e.Member.Draining))
	})
	defer cancel()
	hear(beat{Name: "leaves", Incarnation: 1, Left: true})
	hear(beat{Name: "returns", Incarnation: 2})
	hear(beat{Name: "drains", Incarnation: 1, Draining: true})
	hear(beat{Name: "comes", Incarnation: 1})
	if len(told) != 0 {
		t.Fatalf("told %v before it was greeted", told)
	}
	l.greet()
	hear(beat{Name: "stays", Incarnation: 1, Left: true})
	for name, want := range map[string][]string{
		"stays":   {"stays 1 alive false", "stays 1 left false"},
		"leaves":  {"leaves 1 alive false", "leaves 1 left false"},
		"returns": {"returns 1 alive false", "returns 1 dead false", "returns 2 alive false"},
		"drains":  {"drains 1 alive false", "drains 1 alive true"},
		"comes":   {"comes 1 alive false"},
	} {
		var got []string
		for _, e := range told {
			if len(e) > len(name) && e[:len(name)] == name {
				got = append(got, e)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, expected %q", got, want)
		}
	}
}
