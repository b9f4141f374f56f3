package transport

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"
)

// enter counts a connection against the limits.
func (s *server) enter(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.cfg.MaxConns; limit > 0 && len(s.conns) >= limit {
		return fmt.Errorf("%w: %d are open", ErrTooManyConns, limit)
	}
	host, network := hostOf(c.addr), networkOf(c.addr)
	if limit := s.cfg.MaxConnsPerAddr; limit > 0 && s.hosts[host] >= limit {
		return fmt.Errorf("%w: %d are open from %s", ErrTooManyFromAddr, limit, host)
	}
	if limit := s.cfg.MaxHalfOpen; limit > 0 && s.halfOpen >= limit {
		return fmt.Errorf("%w: %d", ErrHalfOpen, limit)
	}
	if limit := s.cfg.MaxHalfOpenPerPrefix; limit > 0 && s.networks[network] >= limit {
		return fmt.Errorf("%w: %d from %s", ErrHalfOpenPrefix, limit, network)
	}
	if s.closed {
		return ErrShutdown
	}
	s.conns[c] = struct{}{}
	if s.cfg.MaxConnsPerAddr > 0 {
		s.hosts[host]++
	}
	s.halfOpen++
	if s.cfg.MaxHalfOpenPerPrefix > 0 {
		s.networks[network]++
	}
	return nil
}

// shaken takes a connection out of those that are half open, once.
func (s *server) shaken(c *Conn) {
	if c.counted.CompareAndSwap(false, true) {
		s.mu.Lock()
		s.uncountHalfOpen(c)
		s.mu.Unlock()
	}
}

// uncountHalfOpen is the part of it under the lock.
func (s *server) uncountHalfOpen(c *Conn) {
	s.halfOpen--
	if s.cfg.MaxHalfOpenPerPrefix > 0 {
		uncount(s.networks, networkOf(c.addr))
	}
}

// leave is the opposite of enter. What the connection has counted is the server's from now on.
func (s *server) leave(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.cfg.MaxConnsPerAddr > 0 {
		uncount(s.hosts, hostOf(c.addr))
	}
	if c.counted.CompareAndSwap(false, true) {
		s.uncountHalfOpen(c)
	}
	s.ended.add(&c.traffic)
}

func uncount(counts map[netip.Prefix]int, of netip.Prefix) {
	if counts[of]--; counts[of] <= 0 {
		delete(counts, of)
	}
}

// addrOf is the client's IP address; the zero Addr for one that has none, such as a pipe's.
func addrOf(addr net.Addr) netip.Addr {
	var ip netip.Addr
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	case *net.UDPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	default:
		if addr != nil {
			if ap, err := netip.ParseAddrPort(addr.String()); err == nil {
				ip = ap.Addr()
			}
		}
	}
	return ip.Unmap().WithZone("")
}

// hostOf is what MaxConnsPerAddr counts by: hosts get whole /64s in IPv6 (RFC 6177), so a single address there limits nobody.
func hostOf(ip netip.Addr) netip.Prefix { return prefixOf(ip, 32, 64) }

// networkOf is what MaxHalfOpenPerPrefix counts by: a /48 is what a site gets in IPv6 (RFC 6177).
func networkOf(ip netip.Addr) netip.Prefix { return prefixOf(ip, 24, 48) }

// prefixOf is the zero Prefix for what is no IP address: all of them count as one.
func prefixOf(ip netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits4
	if ip.Is6() {
		bits = bits6
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// bucket is a token bucket, kept as the time at which it is full again (the generic cell rate algorithm, ITU-T I.371): it needs neither a timer nor more than
// one word.
type bucket struct{ full int64 }

// rate is what a bucket is asked against.
type rate struct {
	cost float64 // ns that one token takes to come back; 0: no limit
	room int64   // ns that all tokens take
}

func newRate(perSecond float64, burst float64) rate {
	if perSecond <= 0 {
		return rate{}
	}
	cost := float64(time.Second) / perSecond
	return rate{cost, int64(min(cost*max(burst, 1), math.MaxInt64/4))}
}

// take takes n tokens at a time in ns, and tells whether there were so many.
func (b *bucket) take(r *rate, now int64, n int) bool {
	if r.cost == 0 {
		return true
	}
	full := max(b.full, now) + int64(min(r.cost*float64(n), math.MaxInt64/4))
	if full-now > r.room {
		return false
	}
	b.full = full
	return true
}

// burstTime is how long a rate must have been left unused for its default burst.
const burstTime = 2 // s

func (c *Config) checkRates() error {
	for _, f := range []struct {
		name  string
		value float64
	}{{"PacketRate", c.PacketRate}, {"ByteRate", c.ByteRate}} {
		if f.value < 0 || math.IsNaN(f.value) || math.IsInf(f.value, 0) {
			return fmt.Errorf("transport: Config.%s is %v, expected 0 (no limit) or a number a second", f.name, f.value)
		}
	}
	return nil
}

func (c *Config) rates() (packets, bytes rate) {
	burst := float64(c.PacketBurst)
	if burst == 0 {
		burst = burstTime * c.PacketRate
	}
	packets = newRate(c.PacketRate, burst)
	if burst = float64(c.ByteBurst); burst == 0 {
		burst = max(burstTime*c.ByteRate, float64(c.MaxFrame))
	}
	return packets, newRate(c.ByteRate, burst)
}
