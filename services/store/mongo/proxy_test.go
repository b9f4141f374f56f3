package mongo_test

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"
)

// proxy stands between the driver and the server, hears what the driver asks, and cuts a connection on demand.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	heard []byte // what clients sent
	cutOn []byte // the answer to the next request with this in it is never delivered
	cuts  int
	conns map[net.Conn]bool
}

func startProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		_ = listener.Close() // ends accept
		p.mu.Lock()
		for conn := range p.conns {
			_ = conn.Close() // ends its pair of goroutines
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) uri() string { return "mongodb://" + p.listener.Addr().String() + "/?maxPoolSize=1" }

// cut arms the proxy: the next request with this field name in it reaches the server, its answer reaches nobody.
func (p *proxy) cut(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOn = []byte("\x02" + command + "\x00") // the first element of a command: a string
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *proxy) said(text []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.heard, text)
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
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

func (p *proxy) forward(client, server net.Conn, doomed chan struct{}) {
	defer func() { _ = errors.Join(client.Close(), server.Close()) }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.heard = append(p.heard, buf[:n]...)
		if p.cutOn != nil && bytes.Contains(buf[:n], p.cutOn) {
			p.cutOn = nil
			p.cuts++
			close(doomed) // before the request goes on, so before there is an answer
		}
		p.mu.Unlock()
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) back(server, client net.Conn, doomed chan struct{}) {
	defer func() { _ = errors.Join(client.Close(), server.Close()) }()
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
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
