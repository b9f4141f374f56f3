package acceptance_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is a node in a process of its own, as the test and the attackers see it.
type world struct {
	dialer
	t     *testing.T
	who   string       // what those are called who log in
	names atomic.Int64 // and counts them
}

// honestTransports are those that players come over.
var honestTransports = []string{overTCP, overKCP, overWS}

// enter lets somebody new in.
func (w *world) enter(transport string) (*player, error) {
	return w.dialer.enter(w.t.Context(), transport, fmt.Sprint(w.who, w.names.Add(1)))
}

// phase is what attackers are told while an attack lasts, by code.
type phase struct {
	name string
	mu   sync.Mutex
	told map[string]int
}

func (p *phase) tell(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[code]++
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
	q, err := http.NewRequestWithContext(context.WithoutCancel(w.t.Context()), http.MethodGet, "http://"+w.addrs["admin"]+path, http.NoBody)
	must(w.t, err)
	q.Header.Set("Accept-Encoding", "identity") // to look must cost the node little
	resp, err := http.DefaultClient.Do(q)
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
