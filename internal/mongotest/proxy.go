package mongotest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between the driver and the server, hears what the driver asks, and makes the way bad on demand. Its methods may be called at any time.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup
	done     chan struct{}

	mu      sync.Mutex
	heard   []byte // what clients sent
	deaf    bool   // it does not keep that
	cutOn   []byte // the answer to the next request with this in it is never delivered
	cuts    int
	conns   map[net.Conn]bool
	delay   time.Duration // of each piece, in each direction
	rate    int           // bytes a second of a connection in each direction, 0: all
	stalled chan struct{} // not nil: nothing passes until it is closed
}

// NewProxy starts one, which ends with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target, conns: map[net.Conn]bool{}, done: make(chan struct{})}
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		_ = listener.Close() // ends accept
		close(p.done)
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URI is for a client with one connection.
func (p *Proxy) URI() string { return "mongodb://" + p.Addr() + "/?maxPoolSize=1" }

// CutAfter arms the proxy: the next request with this field name in front reaches the server, its answer reaches nobody.
func (p *Proxy) CutAfter(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOn = []byte("\x02" + command + "\x00") // the first element of a command: a string
}

// Cuts is how many answers CutAfter has kept back.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Said tells whether a client has sent this.
func (p *Proxy) Said(text []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.heard, text)
}

// Hear begins anew with what Said knows.
func (p *Proxy) Hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.deaf = nil, false
}

// Forget has the proxy keep nothing of what clients send any more, until Hear.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.deaf = nil, true
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close() // ends its pair of goroutines
	}
	clear(p.conns)
}

// Slow delays each piece of data, and lets so many bytes a second of a connection pass in each direction; 0 is no delay and no limit.
func (p *Proxy) Slow(delay time.Duration, rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.rate = delay, rate
}

// Stall has connections stay open and nothing pass, until Flow.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Flow ends what Stall has begun.
func (p *Proxy) Flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// hold keeps n bytes back for as long as the way is bad; false when the proxy ends.
func (p *Proxy) hold(n int) bool {
	for {
		p.mu.Lock()
		pause, stalled := p.delay, p.stalled
		if p.rate > 0 {
			pause += time.Duration(n) * time.Second / time.Duration(p.rate)
		}
		p.mu.Unlock()
		if stalled == nil {
			return p.pause(pause)
		}
		select {
		case <-stalled:
		case <-p.done:
			return false
		}
	}
}

func (p *Proxy) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.done:
		return false
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			_ = client.Close() // the driver sees a server that is not there
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		doomed := make(chan struct{})
		p.wg.Go(func() { p.forward(client, server, doomed) })
		p.wg.Go(func() { p.back(server, client, doomed) })
	}
}

func (p *Proxy) end(a, b net.Conn) {
	_ = errors.Join(a.Close(), b.Close()) // whatever they say, they are closed
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, a)
	delete(p.conns, b)
}

func (p *Proxy) forward(client, server net.Conn, doomed chan struct{}) {
	defer p.end(client, server)
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		if !p.deaf {
			p.heard = append(p.heard, buf[:n]...)
		}
		if p.cutOn != nil && bytes.Contains(buf[:n], p.cutOn) {
			p.cutOn = nil
			p.cuts++
			close(doomed) // before the request goes on, so before there is an answer
		}
		p.mu.Unlock()
		if !p.hold(n) {
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) back(server, client net.Conn, doomed chan struct{}) {
	defer p.end(server, client)
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-doomed: // the server has done it: here is its answer
			return
		default:
		}
		if !p.hold(n) {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
