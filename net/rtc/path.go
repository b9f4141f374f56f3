package rtc

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// path is a session's short way between the network and the room. A packet that goes through the library is handed from goroutine to goroutine five times and is written by a system
// call of its own: that costs more than the system does for it. On the short way sound is decrypted by the goroutine that reads the socket, which encrypts it for
// the viewers, too, and writes many packets at once.
//
// ICE, DTLS, RTCP and data channels are the library's, and so is all that the short way can't take: clients over TCP, those whose keys are not known, and pictures on their way
// in, of which it asks for what is lost. So that packets may change from one way to the other at any time, the library sees one of them now and then (see shows).
type path struct {
	keys   handshakeKeys
	lane   atomic.Pointer[lane]
	claims atomic.Pointer[[]*claim]
	mu     sync.Mutex // of changes of claims

	// The lock of paths guards these.
	at    netip.AddrPort // where the client is
	heard *lane          // by which its newest check has come
	name  string         // the node's credentials in ICE
	key   string
	over  bool // the session has ended
}

// lane is where a client is, and the socket that hears it.
type lane struct {
	socket *socket
	at     netip.AddrPort
	to     *net.UDPAddr // the same, as the system wants it
}

// claim is a track whose packets come on the short way.
type claim struct {
	ssrc uint32
	into *intake

	mu     sync.Mutex
	open   *srtp.Context
	header rtp.Header
	shown  time.Time
}

// shows is how often the library is given one of a track's packets: it believes that a client is gone that it does not hear, and has to count along.
const shows = time.Second

// claim takes over a track whose packet of this number has come through the library, unless it must go on there for now.
func (p *path) claim(ssrc uint32, number uint64, into *intake) {
	if p.lane.Load() == nil || p.claimed(into) || uint16(number) >= 0xf000 { // the keys change with the turn of the numbers: it is easier known when that is far
		return
	}
	open := p.keys.open()
	if open == nil {
		return
	}
	open.SetROC(ssrc, turns(number))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lane.Load() == nil { // still: it ends before claims are given up
		return
	}
	var all []*claim
	if old := p.claims.Load(); old != nil {
		all = slices.Clone(*old)
	}
	p.claims.Store(new(append(all, &claim{ssrc: ssrc, into: into, open: open, shown: time.Now()})))
}

func (p *path) claimed(into *intake) bool {
	all := p.claims.Load()
	return all != nil && slices.ContainsFunc(*all, func(c *claim) bool { return c.into == into })
}

// disclaim gives all tracks back to the library: what comes meanwhile is not seen here, and with it may go turns of the numbers.
func (p *path) disclaim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims.Store(nil)
}

// release ends that.
func (p *path) release(into *intake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.claims.Load(); old != nil {
		p.claims.Store(new(slices.DeleteFunc(slices.Clone(*old), func(c *claim) bool { return c.into == into })))
	}
}

// take takes a datagram of the client in. done is false if the library is to have it.
func (p *path) take(b []byte, now time.Time, room []byte, out *outbox) (done bool) {
	all := p.claims.Load()
	if all == nil || !isRTP(b) {
		return false
	}
	ssrc := binary.BigEndian.Uint32(b[8:12])
	for _, c := range *all {
		if c.ssrc == ssrc {
			return c.take(b, now, room, out)
		}
	}
	return false
}

func (c *claim) take(b []byte, now time.Time, room []byte, out *outbox) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = rtp.Header{Extensions: c.header.Extensions[:0]}
	plain, err := c.open.DecryptRTP(room[:0], b, &c.header)
	if err != nil {
		c.into.server.metrics.invalid.Inc()
		return true
	}
	c.into.take(plain, now, out)
	if now.Sub(c.shown) < shows {
		return true
	}
	c.shown = now
	return false
}

// isRTP tells RTP from all else that comes to one port (RFC 7983 and 5761).
func isRTP(b []byte) bool {
	return len(b) >= 12 && b[0]>>6 == 2 && (b[1] < 192 || b[1] > 223)
}
