package rtc

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/pion/stun/v3"
	pion "github.com/pion/webrtc/v4"
)

// paths finds the short way of who has sent a packet. ICE chooses where a client is. Which socket hears it, of a machine with many addresses, is where its checks of the
// connection come (STUN with the node's key in ICE, RFC 8445 section 7.3): other packets may say of themselves that they come from anywhere, and move nothing.
type paths struct {
	mu    sync.RWMutex
	by    map[netip.AddrPort]*path
	named map[string]*path // by the node's name in ICE
}

func newPaths() paths {
	return paths{by: map[netip.AddrPort]*path{}, named: map[string]*path{}}
}

// hear finds it, and heeds a check of the client.
func (ps *paths) hear(from netip.AddrPort, s *socket, b []byte) *path {
	ps.mu.RLock()
	p := ps.by[from]
	ps.mu.RUnlock()
	if stun.IsMessage(b) {
		if p != nil {
			if l := p.lane.Load(); l != nil && l.socket == s {
				return p // where it is known to be
			}
		}
		ps.check(from, s, b)
	}
	return p
}

// check notes by which socket a client is heard, if it is the client.
func (ps *paths) check(from netip.AddrPort, s *socket, b []byte) {
	m := new(stun.Message)
	var name stun.Username
	if stun.Decode(b, m) != nil || m.Type != stun.BindingRequest || name.GetFrom(m) != nil {
		return
	}
	own, _, _ := strings.Cut(name.String(), ":")
	ps.mu.RLock()
	p, key := ps.named[own], ""
	if p != nil {
		key = p.key
	}
	ps.mu.RUnlock()
	if p == nil || stun.NewShortTermIntegrity(key).Check(m) != nil {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.over {
		return
	}
	p.heard = &lane{socket: s, at: from, to: net.UDPAddrFromAddrPort(from)}
	if p.at == from {
		ps.open(p)
	}
}

// name has a path known by the node's credentials in ICE: those of now.
func (ps *paths) name(p *path, name, key string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.over || name == "" {
		return
	}
	delete(ps.named, p.name)
	p.name, p.key = name, key
	ps.named[name] = p
}

// move puts a path to where its client is now; to the zero address, when that can't be reached in a short way.
func (ps *paths) move(p *path, to netip.AddrPort) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.at == to || p.over {
		return
	}
	ps.put(p, to)
}

// end forgets a path.
func (ps *paths) end(p *path) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.put(p, netip.AddrPort{})
	delete(ps.named, p.name)
	p.over = true // ICE may choose once more
}

func (ps *paths) put(p *path, to netip.AddrPort) {
	if ps.by[p.at] == p {
		delete(ps.by, p.at)
	}
	p.lane.Store(nil) // until the client is heard
	p.disclaim()
	if p.at = to; to.IsValid() && p.heard != nil && p.heard.at == to {
		ps.open(p)
	}
}

// open has a path's client heard and written to, unless there is another at its address: who gives that out as its own takes nothing from it.
func (ps *paths) open(p *path) {
	if other := ps.by[p.at]; other != nil && other != p {
		return
	}
	ps.by[p.at] = p
	p.lane.Store(p.heard)
}

// follow takes the pair of addresses that ICE has chosen.
func (ps *paths) follow(p *path, pair *pion.ICECandidatePair) {
	if pair == nil || pair.Remote == nil {
		return
	}
	var to netip.AddrPort
	if ip, err := netip.ParseAddr(pair.Remote.Address); err == nil && pair.Remote.Protocol == pion.ICEProtocolUDP {
		to = netip.AddrPortFrom(ip.Unmap(), pair.Remote.Port)
	}
	ps.move(p, to)
}
