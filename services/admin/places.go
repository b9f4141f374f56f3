package admin

import (
	"crypto/tls"
	"net"
	"sync"
)

// places is a listener of which so many connections are open at a time; more wait to be accepted. Its connections tell of their TLS, if they have it.
type places struct {
	net.Listener
	free chan struct{}
	done chan struct{}
	once sync.Once
}

func newPlaces(ln net.Listener, most int) *places {
	return &places{Listener: ln, free: make(chan struct{}, most), done: make(chan struct{})}
}

// Accept waits for a place, and then for a connection.
func (l *places) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &placed{Conn: nc, leave: sync.OnceFunc(func() { <-l.free })}, nil
}

// Close closes the listener. Connections stay.
func (l *places) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type placed struct {
	net.Conn
	leave func()
}

// Close gives the place to the next.
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}

// ConnectionState is that of its TLS; false if it has none.
func (p *placed) ConnectionState() (tls.ConnectionState, bool) {
	if known, can := p.Conn.(interface{ ConnectionState() tls.ConnectionState }); can {
		return known.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}
