package acceptance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is a node in a process of its own, players who play, and what can be seen of both.
type world struct {
	dialer
	t       *testing.T
	admin   string
	players []*player
	playing sync.WaitGroup
	stop    context.CancelFunc

	phase atomic.Pointer[phase]
	names atomic.Int64
}

// phase is a part of the test, and what players and operators see in it.
type phase struct {
	name string
	mu   sync.Mutex
	took []time.Duration // of players' requests
	told map[string]int  // what attackers were told, by code

	goroutines, heap, resident float64 // peaks
}

func (p *phase) tell(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[code]++
}

func (p *phase) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := slices.Sorted(slices.Values(p.took))
	at := func(share float64) time.Duration {
		if len(took) == 0 {
			return 0
		}
		return took[int(share*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%-34s players: %5d requests, p50 %8v, p99 %8v, max %8v; node's peaks: %5.0f goroutines, %4.0f MB heap, %4.0f MB resident; told: %v",
		p.name, len(took), at(0.5), at(0.99), at(1), p.goroutines, p.heap/1e6, p.resident/1e6, p.told)
}

// startWorld starts the node, and this many players on each transport.
func startWorld(t *testing.T, players int) *world {
	t.Helper()
	w := &world{t: t}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), nodeVariable+"="+t.TempDir())
	var log syncBuffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the node: %v", err)
		}
		if text := log.String(); strings.Contains(text, "panic") || t.Failed() {
			t.Errorf("the node's log:\n%s", text[max(0, len(text)-8<<10):])
		}
	})
	must(t, json.NewDecoder(out).Decode(&w.addrs))
	w.admin = w.addrs["admin"]
	ctx, cancel := context.WithCancel(t.Context())
	w.stop = cancel
	w.phase.Store(&phase{name: "beginning", told: map[string]int{}})
	for _, transport := range []string{overTCP, overKCP, overWS} {
		for range players {
			p, err := w.enter(transport)
			must(t, err)
			w.players = append(w.players, p)
			w.playing.Go(func() { p.play(ctx) })
		}
	}
	return w
}

type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// player is an honest one.
type player struct {
	conn net.Conn
	in   *bufio.Reader
	w    *world
	id   uint64
}

// enter connects and logs in under a new name.
func (w *world) enter(transport string) (*player, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	conn, err := w.dial(ctx, transport)
	if err != nil {
		return nil, fmt.Errorf("over %s: %w", transport, err)
	}
	p := &player{conn: conn, in: bufio.NewReader(conn), w: w}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := greet(conn, p.in, nil); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("over %s: %w", transport, err)
	}
	name := fmt.Sprintf("player%d", w.names.Add(1))
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

// play asks until ctx ends; nobody may disturb it.
func (p *player) play(ctx context.Context) {
	defer p.conn.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begin := time.Now()
		text := fmt.Sprintf(`"round %d"`, i)
		if err := p.ask("echo", []byte(text), text); err != nil {
			p.w.t.Errorf("%s: a player was disturbed: %v", p.w.phase.Load().name, err)
			return
		}
		ph := p.w.phase.Load()
		ph.mu.Lock()
		ph.took = append(ph.took, time.Since(begin))
		ph.mu.Unlock()
	}
}

// metrics is what the operator sees.
func (w *world) metrics() map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(w.see("/metrics")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if f, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			all[name] = f
		}
	}
	return all
}

// see reads a page of the admin listener.
func (w *world) see(path string) string {
	resp, err := http.Get("http://" + w.admin + path)
	if err != nil {
		w.t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Error(err)
	}
	return string(body)
}

// look notes the peaks of the present phase until ctx ends.
func (w *world) look(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		m := w.metrics()
		p := w.phase.Load()
		p.mu.Lock()
		p.goroutines = max(p.goroutines, m["go_goroutines"])
		p.heap = max(p.heap, m["go_memstats_heap_inuse_bytes"])
		p.resident = max(p.resident, m["process_resident_memory_bytes"])
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// during runs something as a phase of its own, in which a newcomer on each transport gets in.
func (w *world) during(name string, do func(p *phase)) *phase {
	w.t.Helper()
	p := &phase{name: name, told: map[string]int{}}
	w.phase.Store(p)
	var looking sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	looking.Go(func() { w.look(ctx) })
	do(p)
	until(w.t, "each player has had an answer", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.took) >= len(w.players) || w.t.Failed()
	})
	for _, transport := range []string{overTCP, overKCP, overWS} {
		newcomer, err := w.enter(transport)
		if err != nil {
			w.t.Errorf("%s: a newcomer: %v", name, err)
			continue
		}
		_ = newcomer.conn.Close()
	}
	cancel()
	looking.Wait()
	return p
}

// from is an attacker's address: each number up to 62,500 has its own, on the loopback device, and 250 numbers in a row are of as many networks.
func from(i int) net.IP { return net.IPv4(127, 10, byte(1+i%250), byte(1+i/250%250)) }

// neighbour is an address of the one network that belongs to an attacker.
func neighbour(i int) net.IP { return net.IPv4(127, 11, 0, byte(1+i%250)) }

// attacker is a connection over TCP from such an address.
func (w *world) attacker(ip net.IP) (net.Conn, *bufio.Reader, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: patience}
	c, err := d.DialContext(w.t.Context(), "tcp", w.addrs[overTCP])
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, bufio.NewReader(c), nil
}

// shaken is one that has shaken hands.
func (w *world) shaken(i int, resume any) (net.Conn, *bufio.Reader, welcome, error) {
	c, in, err := w.attacker(from(i))
	if err != nil {
		return nil, nil, welcome{}, err
	}
	hello, err := greet(c, in, resume)
	if err == nil {
		_, err = c.Write(pack(typeHandshakeAck, nil))
	}
	if err != nil {
		_ = c.Close()
		return nil, nil, hello, err
	}
	return c, in, hello, nil
}

// fateOf reads until the connection ends, and tells what the attacker has been told: the code of a kick, or "nothing".
func fateOf(in *bufio.Reader) string {
	for {
		_, err := hear(in)
		if k, ok := errors.AsType[*kicked](err); ok {
			return k.Code
		}
		if err != nil {
			return "nothing"
		}
	}
}

// many runs attackers, fifty at a time, and notes what they are told.
func (w *world) many(p *phase, n int, attack func(i int) (string, error)) {
	w.t.Helper()
	w.crowd(p, n, 50, attack)
}

// crowd runs attackers, so many at a time.
func (w *world) crowd(p *phase, n, atOnce int, attack func(i int) (string, error)) {
	w.t.Helper()
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			code, err := attack(i)
			if err != nil {
				w.t.Errorf("%s: attacker %d: %v", p.name, i, err)
				return
			}
			p.tell(code)
		})
	}
	all.Wait()
}
