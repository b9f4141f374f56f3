package gate

import (
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
)

// WireSamples are messages of all types that gates send each other.
func WireSamples(ref func(id uint64) actor.Ref) []any {
	at := stamp{At: 12345, Node: "a", N: 7}
	m := inbound{typ: packet.Request, id: 3, route: "buy", body: []byte("{}"), fast: true, arrived: true}
	push := relay{Frame: []byte("frame"), Route: "pos", Key: "k", Class: Latest, Answer: true}
	return []any{
		take{Token: newToken(), Received: 9, Print: 1 << 60},
		&parcel{
			Claim: 2, Hop: 3, Place: ref(1), Agent: ref(2), Handle: ref(3), Trail: []actor.Ref{ref(4), ref(5)}, UID: "ann", Name: "Ann", Turn: 8, Stamp: at, Inflates: true, Told: true,
			Open: true, Now: m, Known: newToken(), Offered: [offered]token{newToken()}, Received: 5, Sent: 7, Ring: [][]byte{[]byte("one"), []byte("two")},
			Late: []lateFrame{{slot{"pos", "k"}, []byte("late")}}, Queue: []inbound{m, m}, Buckets: []bucket{{3, time.Unix(0, 99)}}, Data: []byte("data"),
		},
		refused{Code: packet.ResumeLost, Node: "b"},
		commit{4},
		push,
		ended{packet.Reason{Code: kickReplaced}, packet.ResumeReplaced},
		nowAt{6},
		flush{},
		rehome{},
		attach{UID: "ann", Name: "Ann", Stamp: at, Old: ref(6), Print: 5, Inflates: true},
		attached{ref(7), ref(8)},
		yield{"ann", at, ref(9)},
		yielded{true},
		toPlayer{"ann", push},
		who{"ann"},
		kick{packet.Reason{Code: kickReplaced, Msg: "m"}},
		detach{"ann", goneLeft},
	}
}

// Known is how many sessions there are, what stands in for those of other nodes among them.
func (s *Sessions) Known() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID)
}

// Queued is how many requests wait for those before them.
func (g *Gate) Queued() (n int) {
	for _, s := range g.cfg.Sessions.of(g) {
		s.mu.Lock()
		for m := s.state.queue.head; m != nil; m = m.next {
			n++
		}
		s.mu.Unlock()
	}
	return n
}
