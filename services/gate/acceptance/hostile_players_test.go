package acceptance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// player is an honest one.
type player struct {
	conn net.Conn
	in   *bufio.Reader
	id   uint64
	// answered is when the newest request was due that has been answered, in ns of Unix time.
	answered atomic.Int64
}

// enter connects and logs in under a name that is new.
func (d dialer) enter(ctx context.Context, transport, name string) (*player, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := d.dial(ctx, transport)
	if err != nil {
		return nil, fmt.Errorf("over %s: %w", transport, err)
	}
	p := &player{conn: conn, in: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := greet(conn, p.in, nil); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("over %s: %w", transport, err)
	}
	_, err = conn.Write(pack(typeHandshakeAck, nil))
	if err == nil {
		err = p.ask("login", fmt.Appendf(nil, `{"name":%q,"password":"pw of %s"}`, name, name), "")
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("over %s: login: %w", transport, err)
	}
	return p, nil
}

// ask asks and waits for the answer, which has to be want, unless that is empty.
func (p *player) ask(route string, body []byte, want string) error {
	p.id++
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := p.conn.Write(ask(p.id, route, body)); err != nil {
		return err
	}
	m, err := hear(p.in)
	switch {
	case err != nil:
		return err
	case m.kind != messageResponse || m.error || m.id != p.id || (want != "" && string(m.body) != want):
		return fmt.Errorf("asked %d, %s: %s; answered %d: %s", p.id, route, body, m.id, m.body)
	}
	return nil
}

// hear reads the next message; a kick is an error.
func hear(in *bufio.Reader) (message, error) {
	for {
		typ, body, err := unpack(in)
		switch {
		case err != nil:
			return message{}, err
		case typ == typeData:
			return parse(body)
		case typ == typeKick:
			k := &kicked{}
			_ = json.Unmarshal(body, &k.reason)
			return message{}, k
		}
	}
}

// sample is a request of a player: when it was due (ns of Unix time), and how long its answer took from then on (ns).
type sample struct{ Due, Took int64 }

// report is what players tell now and then.
type report struct {
	Samples []sample
	// Settled: what was due before that has been answered (ns of Unix time).
	Settled int64
	Trouble string // why a player has stopped
}

// askEvery is how often each player asks.
const askEvery = 20 * time.Millisecond

// play asks until ctx ends; nobody may disturb it. A request that has to wait for the answer to the one before waits as well: what stalls a player for long is seen
// by all the requests that it would have made.
func (p *player) play(ctx context.Context, tell func(sample)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for i := 0; ; i++ {
		now := time.Now()
		switch early := due.Sub(now); {
		case early > 0:
			timer.Reset(early)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
			due = time.Now() // that a timer is late is nobody's fault here
		case early < -time.Second:
			due = now.Add(-time.Second) // it is bad enough
		}
		if ctx.Err() != nil {
			return nil
		}
		text := fmt.Sprintf(`"round %d"`, i)
		if err := p.ask("echo", []byte(text), text); err != nil {
			return err
		}
		tell(sample{due.UnixNano(), int64(time.Since(due))})
		p.answered.Store(due.UnixNano())
		due = due.Add(askEvery)
	}
}

// servePlayers plays until its standard input ends, and returns the exit code. It is told how many are to play over each transport, and where.
func servePlayers() int {
	told := wire()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var at places
	err := json.Unmarshal([]byte(os.Getenv(placesVariable)), &at)
	if err == nil {
		err = runPlayers(ctx, cancel, at, told)
	}
	if err != nil {
		_ = told.Encode(report{Trouble: err.Error()})
		return 1
	}
	return 0
}

// places is what players and attackers are told of the node.
type places struct {
	Addrs   map[string]string
	Players int // on each transport
}

func runPlayers(ctx context.Context, cancel func(), at places, told *json.Encoder) error {
	var all []*player
	for _, transport := range honestTransports {
		for i := range at.Players {
			p, err := dialer{addrs: at.Addrs}.enter(ctx, transport, fmt.Sprint("player-", transport, i))
			if err != nil {
				return err
			}
			all = append(all, p)
		}
	}
	var mu sync.Mutex
	var r report
	var playing sync.WaitGroup
	for i, p := range all {
		playing.Go(func() {
			defer p.conn.Close()
			err := p.play(ctx, func(s sample) {
				mu.Lock()
				defer mu.Unlock()
				r.Samples = append(r.Samples, s)
			})
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				r.Trouble = fmt.Sprintf("player %d: %v", i, err)
				cancel()
			}
		})
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends, or has died
		cancel()
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			playing.Wait()
			going = false
		}
		settled := time.Now().UnixNano()
		for _, p := range all {
			settled = min(settled, p.answered.Load())
		}
		mu.Lock()
		say := r
		say.Settled, r = settled, report{}
		mu.Unlock()
		if err := told.Encode(say); err != nil {
			return err
		}
	}
	return nil
}
