package acceptance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// order is what attackers are told to do.
type order struct {
	Attack string        // "" : an honest crowd instead
	For    time.Duration // an attack is repeated, as a whole, until that has passed
	Crowd  crowd
}

// crowd is honest clients, who ask so often, together, for what takes the node some time; whatever else their process does to use so much of the cores.
type crowd struct {
	PerSecond float64
	CPU       time.Duration
}

// A request of the crowd has an agent count so far, which takes some 100 µs.
const thinking = 4000

// crowdSize is how many they are, each on a connection of its own.
func crowdSize() int { return sized(10, 60) }

// most is how often a crowd may ask: each of them below what the node allows.
func (c crowd) most() crowd {
	c.PerSecond = min(c.PerSecond, 0.8*packetsASecond*float64(crowdSize()))
	return c
}

// outcome is what has come of an order.
type outcome struct {
	Told     map[string]int
	Requests int64 // of the crowd
	Failed   bool
}

// TestTheAttackersProcess is the attackers, in a process of the test under attack; see there.
func TestTheAttackersProcess(t *testing.T) {
	if os.Getenv(roleVariable) != roleAttackers {
		t.Skip("this is a part of another test")
	}
	defer http.DefaultClient.CloseIdleConnections()
	if full() { // a small run has nothing to measure, and must get on where others want all the cores
		must(t, yieldCores())
	}
	var at places
	must(t, json.Unmarshal([]byte(os.Getenv(placesVariable)), &at))
	w := &world{dialer: dialer{addrs: at.Addrs}, t: t, who: "bystander"}
	honest := w.assemble(crowdSize())
	defer honest.leave()
	told := wire()
	must(t, told.Encode(outcome{}))
	for in := json.NewDecoder(os.Stdin); ; {
		var o order
		err := in.Decode(&o)
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		p := &phase{name: o.Attack, told: map[string]int{}}
		result := outcome{Told: p.told}
		if o.Attack == "" {
			result.Requests = honest.ask(o.For, o.Crowd)
		} else {
			w.attack(p, o.For)
		}
		result.Failed = t.Failed()
		must(t, told.Encode(result))
	}
}

// attack runs one again and again for a while.
func (w *world) attack(p *phase, lasting time.Duration) {
	for _, a := range attacks {
		if a.name != p.name {
			continue
		}
		for begun := time.Now(); ; {
			a.run(w, p)
			if time.Since(begun) >= lasting || w.t.Failed() {
				return
			}
		}
	}
	w.t.Errorf("no attack %q", p.name)
}

// assembly is the honest clients of a crowd.
type assembly struct {
	t       *testing.T
	members []*member
}

// member is one of them: it asks without waiting for each answer.
type member struct {
	*player
	waits chan struct{} // a place for each request that is not answered yet
	deaf  chan struct{} // closed when nothing more is heard,
	why   error         // for this reason
}

const (
	// ahead is how many requests a member has under way, at most: fewer than the node allows.
	ahead = mostUnanswered / 2
	// askTogether is for how long a member puts off what it has to ask.
	askTogether = 5 * time.Millisecond
)

func (w *world) assemble(n int) *assembly {
	a := &assembly{t: w.t}
	for i := range n {
		p, err := w.dialer.enter(w.t.Context(), overTCP, fmt.Sprint("member", i))
		must(w.t, err)
		m := &member{player: p, waits: make(chan struct{}, ahead), deaf: make(chan struct{})}
		_ = p.conn.SetDeadline(time.Time{})
		go m.listen()
		a.members = append(a.members, m)
	}
	return a
}

func (m *member) listen() {
	defer close(m.deaf)
	for {
		if _, err := hear(m.in); err != nil {
			m.why = err
			return
		}
		<-m.waits
	}
}

// ask has all of them ask so often together, and returns how often they have.
func (a *assembly) ask(lasting time.Duration, c crowd) int64 {
	c = c.most()
	var asked atomic.Int64
	var asking sync.WaitGroup
	ctx, cancel := context.WithTimeout(a.t.Context(), lasting)
	defer cancel()
	for i, m := range a.members {
		asking.Go(func() {
			select { // each at a time of its own, for a crowd that asks all at once is no model of anything
			case <-time.After(askTogether * time.Duration(i) / time.Duration(len(a.members))):
			case <-ctx.Done():
			}
			n, err := m.askOften(ctx, c.PerSecond/float64(len(a.members)))
			asked.Add(n)
			if err != nil {
				a.t.Errorf("member %d of the crowd: %v", i, err)
			}
		})
	}
	for range 2 {
		asking.Go(func() { burn(ctx, lasting, c.CPU) })
	}
	asking.Wait()
	return asked.Load()
}

// askOften asks at a rate until ctx ends. Beyond ahead it waits for answers.
func (m *member) askOften(ctx context.Context, perSecond float64) (n int64, err error) {
	tick := time.NewTicker(askTogether)
	defer tick.Stop()
	for begun := time.Now(); ctx.Err() == nil; {
		var out []byte
		for range int64(time.Since(begun).Seconds()*perSecond) - n {
			select {
			case m.waits <- struct{}{}:
				m.id++
				n++
				out = append(out, ask(m.id, "think", strconv.AppendInt(nil, thinking, 10))...)
				continue
			default:
			}
			break
		}
		if _, err := m.conn.Write(out); err != nil {
			return n, err
		}
		select {
		case <-tick.C:
		case <-m.deaf:
			return n, m.why
		case <-ctx.Done():
		}
	}
	return n, nil
}

func (a *assembly) leave() {
	for _, m := range a.members {
		_ = m.conn.Close()
		<-m.deaf
	}
}

// burn has this process use so much of the cores, all in all and evenly.
func burn(ctx context.Context, lasting, most time.Duration) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, had := time.Now(), ownCPU()
	for ctx.Err() == nil {
		due := time.Duration(float64(most) * float64(time.Since(began)) / float64(lasting))
		if ownCPU()-had < due {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
