package gate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// diary is what a Go handler keeps of a session, in it.
type diary struct {
	Asked  []int
	Pushed int
}

// diarists are the handlers of some nodes, which speak as roverAgent does, and what all of them have handled.
type diarists struct {
	mu       sync.Mutex
	handled  []int
	unpacked func(node int) error // called by the new gate between taking a session and saying so
	packed   func(node int) error // and by the old one
}

func (d *diarists) config(i int, cfg *gate.Config) {
	cfg.Agent = ""
	cfg.PackData = func(kept any) ([]byte, error) {
		if d.packed != nil {
			if err := d.packed(i); err != nil {
				return nil, err
			}
		}
		return json.Marshal(kept)
	}
	cfg.UnpackData = func(data []byte) (any, error) {
		kept := &diary{}
		err := json.Unmarshal(data, kept)
		if err == nil && d.unpacked != nil {
			err = d.unpacked(i)
		}
		return kept, err
	}
	cfg.Handle = func(_ *actor.Context, r *gate.Request) {
		var ask struct{ N, Pushes int }
		_ = json.Unmarshal(r.Body, &ask)
		kept, _ := r.Session.Data.(*diary)
		if kept == nil {
			kept = &diary{}
			r.Session.Data = kept
		}
		if r.Route == "asked" {
			body, _ := json.Marshal(map[string]any{"asked": kept.Asked, "node": fmt.Sprint("n", i)})
			r.Reply(body)
			return
		}
		d.mu.Lock()
		d.handled = append(d.handled, ask.N)
		d.mu.Unlock()
		kept.Asked = append(kept.Asked, ask.N)
		for range ask.Pushes {
			kept.Pushed++
			_ = r.Session.Push("news", fmt.Appendf(nil, `{"n":%d}`, kept.Pushed), gate.Delivery{})
		}
		r.Reply(fmt.Appendf(nil, `{"n":%d,"pushed":%d}`, ask.N, kept.Pushed))
	}
}

// once tells what is wrong with what was handled in all.
func (d *diarists) once(want int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.handled, upTo(want)) {
		return fmt.Errorf("handled were %v, expected 1 to %d once each", d.handled, want)
	}
	return nil
}

func TestASessionOfAGoHandlerMovesWithItsData(t *testing.T) {
	t.Parallel()
	var d diarists
	c := meet(t, 3, nil, d.config)
	r := c.rove("ann", 0)
	for i, to := range []int{1, 2, 0, 1} {
		must(t, r.ask(2, 0))
		r.move(c.nodes[to])
		must(t, r.ask(1, 0))
		asked, node, _ := r.asked(t)
		if !slices.Equal(asked, upTo(2*i+2)) || node != c.nodes[to].Name {
			t.Errorf("at %s the session remembers %v, expected %d requests at %s", node, asked, 2*i+2, c.nodes[to].Name)
		}
		c.settledAt(to)
	}
	must(t, r.inOrder())
	must(t, d.once(8))
	if len(r.pushed) != 12 {
		t.Errorf("%d pushes, expected 12", len(r.pushed))
	}
}

func TestASessionWhoseDataCanNotBeReadStaysWhereItWas(t *testing.T) {
	t.Parallel()
	var tried sync.WaitGroup
	tried.Add(1)
	first := sync.OnceFunc(tried.Done)
	d := diarists{unpacked: func(node int) error {
		if node == 1 {
			first()
			return errors.New("written by a version that is not known here")
		}
		return nil
	}}
	stays(t, &d, &tried)
}

func TestAClaimBetweenTheEndHereAndTheBeginningThereIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	var d diarists
	gone, goOn := make(chan struct{}), make(chan struct{})
	c := meet(t, 2, nil, func(i int, cfg *gate.Config) {
		d.config(i, cfg)
		cfg.OnSession = func(_ *actor.Context, _ *gate.Session, e gate.Event) {
			if i == 0 && e.Change == gate.Moved { // the new gate waits to be told that the session is its own
				close(gone)
				<-goOn
			}
		}
	})
	first := hail(t, c.nodes[0], "")
	first.logIn("ann")
	token := first.welcome.Token
	there := make(chan *caller, 1)
	go func() { there <- hail(t, c.nodes[1], token) }()
	<-gone
	early := knock(t, c.nodes[0], token)
	close(goOn)
	if early.refusedCode() != "" || early.kick.Code != "unavailable" {
		t.Errorf("early: %+v, %+v", early.welcome, early.kick)
	}
	l := <-there
	if !l.welcome.Resumed {
		t.Fatalf("%+v", l.welcome)
	}
	l.ask(1, "ask", `{"n":1}`)
	for got := l.answer(); !strings.Contains(got, `"n":1`); got = l.answer() { // behind that of the login
	}
	// The token is used up, which is told once the gate where the session was knows that it has settled.
	until(t, "a used token is refused", func() bool { return knock(t, c.nodes[0], token).refusedCode() == packet.ResumeUnknown })
}

func TestASessionWhoseDataCanNotBePackedStaysWhereItIs(t *testing.T) {
	t.Parallel()
	var tried sync.WaitGroup
	tried.Add(1)
	first := sync.OnceFunc(tried.Done)
	d := diarists{packed: func(int) error { first(); return errors.New("it has something that can't be written") }}
	stays(t, &d, &tried)
}

// stays expects that a session is where it was, with all it had, when its data could not be taken to another gate.
func stays(t *testing.T, d *diarists, tried *sync.WaitGroup) {
	t.Helper()
	c := meet(t, 2, nil, d.config)
	r := c.rove("ann", 0)
	must(t, r.ask(2, 0))
	r.move(c.nodes[1])
	tried.Wait()
	r.move(c.nodes[0])
	must(t, r.ask(1, 0))
	if asked, node, _ := r.asked(t); !slices.Equal(asked, upTo(2)) || node != "n0" {
		t.Errorf("at %s the session remembers %v", node, asked)
	}
	must(t, r.inOrder())
	must(t, d.once(2))
	c.settledAt(0)
}

// The answer to what was being handled when the session went comes before the old gate's word that it has gone.
func TestASessionThatComesHandlesNothingBeforeItIsThere(t *testing.T) {
	t.Parallel()
	var answer func([]byte, error)
	var there atomic.Bool
	begun, early := make(chan struct{}), make(chan bool, 1)
	c := meet(t, 2, nil, func(i int, cfg *gate.Config) {
		cfg.Agent = ""
		cfg.PackData = func(any) ([]byte, error) { return []byte("it has data"), nil }
		cfg.UnpackData = func([]byte) (any, error) {
			answer([]byte(`{"n":1}`), nil) // while it is nowhere
			return struct{}{}, nil
		}
		cfg.OnSession = func(_ *actor.Context, _ *gate.Session, e gate.Event) {
			if i == 1 && e.Change == gate.Arrived {
				there.Store(true)
			}
		}
		cfg.Handle = func(_ *actor.Context, r *gate.Request) {
			r.Session.Data = struct{}{}
			later := r.Later()
			if r.Route == "first" {
				answer = later
				close(begun)
				return
			}
			early <- !there.Load()
			go later([]byte(`{"n":2}`), nil)
		}
	})
	r := c.rove("ann", 0)
	answers := make(chan string, 2)
	for _, route := range []string{"first", "second"} {
		must(t, r.RequestFunc(route, nil, 0, func(body []byte, err error) { answers <- fmt.Sprint(string(body), err) }))
	}
	<-begun
	until(t, "the second request waits at the gate", func() bool { return c.nodes[0].gate.Queued() == 1 })
	r.move(c.nodes[1])
	for n := 1; n <= 2; n++ {
		select {
		case got := <-answers:
			if want := fmt.Sprintf(`{"n":%d}<nil>`, n); got != want {
				t.Errorf("answered %s, expected %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("request %d is not answered", n)
		}
	}
	if <-early {
		t.Error("a request was handled before the session was there")
	}
}

// die has a node be as one whose process was killed: nobody hears of it any more, neither clients nor other nodes.
func (n *gated) die() {
	n.door.kill()
	n.Node.Node.Conn().Close()
	n.Members.Close()
}

// While a session is on its way, at the moment when the new gate has all of it and the old one has not been told, the nodes end, or are late.
func TestASessionWhoseMoveIsCutShortIsAtOnePlaceOrLost(t *testing.T) {
	t.Parallel()
	t.Run("the new gate dies", func(t *testing.T) {
		t.Parallel()
		var c *crowd
		var died atomic.Bool
		d := diarists{unpacked: func(node int) error {
			if node == 1 {
				died.Store(true)
				c.nodes[1].die()
			}
			return nil
		}}
		c = meet(t, 3, nil, d.config)
		r := c.rove("ann", 0)
		must(t, r.ask(3, 0))
		r.mu.Lock()
		r.to = "" // as addresses of others are, when one does not answer
		r.mu.Unlock()
		must(t, r.Reconnect(c.nodes[1].url))
		must(t, r.ask(2, 0))
		if n := c.nodes[1].gate.Sessions().Count(); n != 0 || !died.Load() {
			t.Errorf("%d sessions at a node that is dead: %v", n, died.Load())
		}
		must(t, r.inOrder())
		must(t, d.once(2))
		if asked, _, _ := r.asked(t); !slices.Equal(asked, upTo(2)) {
			t.Errorf("the session remembers %v", asked)
		}
		c.nodes[1].stop()
		c.nodes[1].Kill()
	})
	t.Run("the old gate dies", func(t *testing.T) {
		t.Parallel()
		var c *crowd
		var died atomic.Bool
		d := diarists{unpacked: func(int) error { died.Store(true); c.nodes[0].die(); return nil }}
		c = meet(t, 2, nil, d.config)
		r := c.rove("ann", 0)
		must(t, r.ask(3, 0))
		r.move(c.nodes[1])
		if err := r.ask(1, 0); !errors.Is(err, client.ErrSessionLost) {
			t.Errorf("the request whose session is lost: %v", err)
		}
		if n := c.nodes[1].gate.Sessions().Count() + c.nodes[1].gate.Sessions().Known(); n != 0 || !died.Load() {
			t.Errorf("%d sessions at the gate to which it has not come; the other one is dead: %v", n, died.Load())
		}
		must(t, r.inOrder())
		must(t, d.once(1))
		again := c.rove("ann", 1)
		must(t, again.ask(1, 0))
		c.nodes[0].stop()
		c.nodes[0].Kill()
	})
	t.Run("the new gate is late", func(t *testing.T) {
		t.Parallel()
		taken, back := make(chan struct{}), make(chan struct{})
		var once sync.Once
		d := diarists{unpacked: func(node int) error {
			if node == 1 {
				once.Do(func() { close(taken) })
				select {
				case <-back:
				case <-time.After(patience):
				}
			}
			return nil
		}}
		c := meet(t, 2, nil, d.config)
		r := c.rove("ann", 0)
		must(t, r.ask(3, 0))
		r.move(c.nodes[1])
		<-taken
		r.move(c.nodes[0])
		must(t, r.ask(2, 0))
		close(back) // now it says that it has the session, which is not true any more
		c.settledAt(0)
		must(t, r.ask(1, 0))
		must(t, r.inOrder())
		must(t, d.once(3))
		if asked, node, _ := r.asked(t); node != "n0" || !slices.Equal(asked, upTo(3)) {
			t.Errorf("at %s the session remembers %v", node, asked)
		}
		c.settledAt(0)
	})
}
