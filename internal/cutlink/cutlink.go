// Package cutlink is a way through which tests have TCP connections go, to cut it: what is sent then goes nowhere, and nobody is told, as when a cable is pulled.
package cutlink

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Way is one, to one address.
type Way struct {
	// Addr is where it begins.
	Addr string

	to   string
	wait sync.WaitGroup

	mu     sync.Mutex
	cut    bool
	closed bool
	conns  map[net.Conn]struct{}
	dialed int
}

// New opens a way to an address, which need not be there yet. It ends with the test.
func New(tb testing.TB, to string) *Way {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Way{Addr: ln.Addr().String(), to: to, conns: map[net.Conn]struct{}{}}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	w.wait.Go(func() { w.serve(ctx, ln) })
	tb.Cleanup(func() {
		stop()
		_ = ln.Close()
		w.mu.Lock()
		w.closed = true
		for c := range w.conns {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.wait.Wait()
	})
	return w
}

// Cut ends what goes through, or lets it through again.
func (w *Way) Cut(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = on
}

func (w *Way) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// Dialed is how many connections there have been.
func (w *Way) Dialed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialed
}

func (w *Way) serve(ctx context.Context, ln net.Listener) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := new(net.Dialer).DialContext(ctx, "tcp", w.to)
		if err != nil || !w.keep(in, out) {
			_ = in.Close()
			continue
		}
		w.wait.Go(func() { w.pass(in, out) })
		w.wait.Go(func() { w.pass(out, in) })
	}
}

func (w *Way) keep(in, out net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = out.Close()
		return false
	}
	w.dialed++
	w.conns[in], w.conns[out] = struct{}{}, struct{}{}
	return true
}

func (w *Way) pass(from, to net.Conn) {
	defer func() {
		_, _ = from.Close(), to.Close()
		w.mu.Lock()
		delete(w.conns, from)
		w.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if w.isCut() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
