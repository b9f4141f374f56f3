package gate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// ticking is a handler whose sessions are pushed to from everywhere: by the handler, by a goroutine of their own, and each goes on while the client is away.
// What is asked comes back as the answer with how many requests came before it.
type ticking struct {
	all   sync.WaitGroup
	ticks int
}

func (k *ticking) handle(c *actor.Context, r *gate.Request) {
	count, _ := r.Session.Data.(int)
	r.Session.Data = count + 1
	if count == 0 {
		s := r.Session
		k.all.Go(func() {
			for i := range k.ticks {
				_ = s.Push("tick", []byte(strconv.Itoa(i)), gate.Delivery{})
			}
		})
	}
	_ = r.Session.Push("count", []byte(strconv.Itoa(count)), gate.Delivery{})
	body := fmt.Appendf(nil, "[%s,%d]", r.Body, count)
	if count%3 == 1 {
		c.After(0, func() { r.Reply(body) })
		return
	}
	r.Reply(body)
}

// checkModel compares what a client has heard with what it must have: each source in order, each once.
func checkModel(heard []string, asked, ticks int) error {
	next := map[string]int{}
	for i, h := range heard {
		var want string
		switch kind := strings.Fields(h)[1]; {
		case strings.HasPrefix(h, "response"):
			n := next["response"]
			want = fmt.Sprintf("response %d [%d,%d]", n+1, n, n)
			next["response"]++
			if next["count"] < next["response"] {
				return fmt.Errorf("%q overtakes the push before it", h)
			}
		default:
			want = fmt.Sprintf("push %s %d", kind, next[kind])
			next[kind]++
		}
		if h != want {
			return fmt.Errorf("package %d is %q, want %q", i+1, h, want)
		}
	}
	if next["response"] != asked || next["count"] != asked || next["tick"] != ticks {
		return fmt.Errorf("%v came, want %d answers and %d ticks", next, asked, ticks)
	}
	return nil
}

// live has a client ask, lose its connections and come back, as a source of chance has it, until it has heard all.
func (p *peer) live(chance *rand.Rand, asks, total int) error {
	asked := 0
	askSome := func() {
		for range min(chance.IntN(4), asks-asked) {
			p.ask("x", strconv.Itoa(asked))
			asked++
		}
	}
	place := func(most int) int {
		if chance.IntN(4) == 0 {
			return never
		}
		return 1 + chance.IntN(most)
	}
	for tries := 0; len(p.heard) < total; tries++ {
		if tries > 2000 {
			return errors.New("it does not come to an end")
		}
		askSome()
		if chance.IntN(5) == 0 { // a handshake that nobody acknowledges
			before := p.token
			if p.greet(place(300), place(300)) != nil || chance.IntN(2) == 0 {
				p.token = before // the answer was lost, to the client
			}
		}
		if err := p.connect(place(600), place(3000)); err != nil {
			continue
		}
		if r := p.hello.Sys.Resume.Refused; r != nil && len(p.heard) > 0 {
			return fmt.Errorf("refused: %+v", r)
		}
		for part := 0; part < 3 && len(p.heard) < total; part++ {
			askSome()
			due := total - 2*(asks-asked) // what comes even if nothing more is asked
			if asked == 0 {
				due = 0
			}
			if p.hear(min(len(p.heard)+1+chance.IntN(60), due)) != nil {
				break
			}
		}
		if chance.IntN(3) == 0 {
			p.conn.cut()
		}
	}
	return nil
}

func TestRandomCutsFromManySidesLoseNothingAndRepeatNothing(t *testing.T) {
	const clients, asks, ticks = 8, 200, 900
	k := &ticking{ticks: ticks}
	n := startSmall(t, gate.Config{Handle: k.handle, MaxQueue: 1000, RingPackages: 1 << 20, RingBytes: 1 << 24})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			p := n.peer()
			p.stubborn = true
			p.ackEvery = uint64(1 + i)
			if err := p.live(rand.New(rand.NewPCG(seed, uint64(i))), asks, 2*asks+ticks); err != nil {
				t.Errorf("client %d: %v\n%s", i, err, ends(n.log.String()))
			} else if err := checkModel(p.heard, asks, ticks); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			_ = p.conn.Close()
		})
	}
	all.Wait()
	k.all.Wait()
}

// ends are the lines of a log that tell of sessions that ended, but for those that left.
func ends(log string) string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "client gone") && !strings.Contains(line, "has left") || strings.Contains(line, "go on with its session") {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// FuzzResume plays a schedule: two bytes are where the next connection breaks, up and down.
func FuzzResume(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{90, 0, 0, 250, 90, 0, 0, 250})
	f.Add([]byte{200, 100, 140, 120, 130, 110, 120, 240})
	f.Add([]byte{1, 1, 255, 255, 70, 0, 71, 0, 72, 0, 73, 0})
	f.Fuzz(func(t *testing.T, schedule []byte) {
		n := startSmall(t, gate.Config{Handle: counter})
		p := n.peer()
		p.stubborn = true
		want := p.script()
		for ; len(schedule) > 1; schedule = schedule[min(2, len(schedule)):] {
			up, down := int(schedule[0])*2, int(schedule[1])*3
			if up == 0 {
				up = never
			}
			if down == 0 {
				down = never
			}
			if p.connect(up, down) == nil && p.hear(len(want)) == nil {
				break
			}
			if r := p.hello.Sys.Resume; r != nil && r.Refused != nil && r.Refused.Code != packet.ResumeUnknown {
				t.Fatalf("refused: %+v", r.Refused)
			}
		}
		if err := p.connect(never, never); err != nil {
			t.Fatal(err)
		}
		p.checkScript(t, slices.Clone(want))
	})
}
