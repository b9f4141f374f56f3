package secure

import (
	"bufio"
	"fmt"
	"net"

	"github.com/pires/go-proxyproto"
)

// headerBuffer is what a header is read through. One of version 2 may be longer, up to the 4 KiB that the library admits.
const headerBuffer = 512

// proxied is a connection that a balancer has passed on, with the addresses of the client and of where the client has connected to.
type proxied struct {
	net.Conn
	remote, local net.Addr
	early         []byte // read behind the header
}

// NetConn is the connection of the balancer.
func (p *proxied) NetConn() net.Conn { return p.Conn }

// RemoteAddr is the client's address.
func (p *proxied) RemoteAddr() net.Addr { return p.remote }

// LocalAddr is the address that the client has connected to.
func (p *proxied) LocalAddr() net.Addr { return p.local }

// Read reads what is behind the header.
func (p *proxied) Read(b []byte) (int, error) {
	if len(p.early) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.early)
	if p.early = p.early[n:]; len(p.early) == 0 {
		p.early = nil
	}
	return n, nil
}

// CloseWrite ends the half of the connection below.
func (p *proxied) CloseWrite() error { return closeWrite(p.Conn) }

// teller is a connection that is read without a goroutine of its own, see package transport.
type teller interface {
	ReadNow(p []byte) (n int, err error)
	Notify(f func())
}

// toldProxied is a proxied connection that is a teller, because the one below is.
type toldProxied struct {
	proxied
	below teller
}

// ReadNow is Read that never waits: 0 and no error mean that there is nothing now.
func (p *toldProxied) ReadNow(b []byte) (int, error) {
	if len(p.early) > 0 {
		return p.Read(b)
	}
	return p.below.ReadNow(b)
}

// Notify sets what is called when ReadNow may have something to say. It is called before the first read, or with nil behind the last.
func (p *toldProxied) Notify(f func()) {
	more := f != nil && len(p.early) > 0 // looked at before a reader may begin
	p.below.Notify(f)
	if more {
		f()
	}
}

// readHeader takes the header from the beginning of a connection. A connection that the balancer has opened for itself, to see whether the server is there, keeps its addresses.
func readHeader(nc net.Conn) (net.Conn, error) {
	r := bufio.NewReaderSize(nc, headerBuffer)
	if _, err := r.Peek(1); err != nil {
		return nil, err // a balancer may only look whether the port is open
	}
	header, err := proxyproto.Read(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	p := proxied{Conn: nc, remote: nc.RemoteAddr(), local: nc.LocalAddr()}
	if header.Command == proxyproto.PROXY {
		source, sourceOK := header.SourceAddr.(*net.TCPAddr)
		destination, destinationOK := header.DestinationAddr.(*net.TCPAddr)
		if !sourceOK || !destinationOK {
			return nil, fmt.Errorf("%w: it is for a connection of type %#x, expected TCP over IPv4 or IPv6", ErrHeader, byte(header.TransportProtocol))
		}
		p.remote, p.local = source, destination
	}
	if n := r.Buffered(); n > 0 {
		unread, _ := r.Peek(n)
		p.early = append([]byte(nil), unread...)
	}
	if below, tells := nc.(teller); tells {
		return &toldProxied{proxied: p, below: below}, nil
	}
	return &p, nil
}
