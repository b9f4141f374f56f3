package rtc

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// iceCheck is a client's check of the connection. It names the way, or not.
func iceCheck(t *testing.T, name, key string, naming bool) []byte {
	t.Helper()
	setters := []stun.Setter{stun.BindingRequest, stun.TransactionID, stun.NewUsername(name + ":theirs")}
	if naming {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrUseCandidate})
	}
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(key), stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// checked is a node that clients check ways to.
type checked struct {
	*testing.T
	srv           *Server
	first, second *socket // two addresses of it
	now           time.Time
}

func newChecked(t *testing.T) *checked {
	t.Helper()
	d := newDirect(t)
	second := d.srv.newSocket(listenLoopback(t))
	t.Cleanup(func() { _ = second.Close() })
	return &checked{t, d.srv, d.srv.sockets.all[0], second, time.Now()}
}

func (c *checked) session(name, key string) *session {
	s := &session{server: c.srv}
	c.srv.sockets.paths.name(s, credentials{name, key}, credentials{"theirs", "their key"})
	return s
}

// at is who is known at an address, or nil.
func (c *checked) at(a netip.AddrPort) *session {
	if p := c.srv.sockets.paths.at(a); p != nil {
		return p.session
	}
	return nil
}

// answer is what a client says to what it is asked now.
func (c *checked) answer(s *session, key string) []byte {
	c.Helper()
	if s.path.asks.lane == nil {
		c.Fatal("the client is not asked")
	}
	m, err := stun.Build(stun.NewTransactionIDSetter(s.path.asks.id), stun.BindingSuccess, stun.NewShortTermIntegrity(key), stun.Fingerprint)
	if err != nil {
		c.Fatal(err)
	}
	return m.Raw
}

func (c *checked) via(s *session, want *socket, from netip.AddrPort) {
	c.Helper()
	switch l := s.lane.Load(); {
	case l == nil && want == nil:
	case l == nil || want == nil || l.socket != want || l.at != from || l.to.AddrPort() != from:
		c.Fatalf("the lane is %+v, expected one of %p to %s", l, want, from)
	}
}

// A machine has a socket for each of its addresses. By which of them a client is written to, and where, is moved by the client's own checks, and by nothing that only says it comes from there.
func TestOnlyChecksOfTheClientMoveItsLane(t *testing.T) {
	c := newChecked(t)
	s := c.session("ours", "key")
	at, other := netip.MustParseAddrPort("127.0.0.1:5000"), netip.MustParseAddrPort("127.0.0.2:5000")
	bare, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername("ours:theirs"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := stun.Build(stun.BindingSuccess, stun.TransactionID, stun.NewUsername("ours:theirs"), stun.NewShortTermIntegrity("key"))
	if err != nil {
		t.Fatal(err)
	}
	forged := iceCheck(t, "ours", "key", true)
	forged[len(forged)-12] ^= 1 // within what proves it
	spoofed := map[string][]byte{
		"nothing": {}, "RTP": append([]byte{0x80, 111}, make([]byte, 30)...), "no proof": bare.Raw, "an answer": answer.Raw, "forged": forged,
		"another key": iceCheck(t, "ours", "guess", true), "nobody's name": iceCheck(t, "others", "key", true), "no name": iceCheck(t, "", "", true),
	}
	check := func(sock *socket, from netip.AddrPort, b []byte) *session {
		return c.srv.check(overUDP(sock, from), b, c.now)
	}
	spoof := func(want *socket) {
		t.Helper()
		for name, b := range spoofed {
			if check(c.second, at, b) != nil {
				t.Errorf("%s: it is taken for a check", name)
			}
			c.via(s, want, at)
		}
	}
	spoof(nil)
	if check(c.first, at, iceCheck(t, "ours", "key", false)) != s || c.at(at) != s {
		t.Error("the client is not known where it is")
	}
	c.via(s, c.first, at) // as long as it has named no other
	spoof(c.first)
	check(c.second, at, iceCheck(t, "ours", "key", false))
	c.via(s, c.first, at)
	check(c.second, at, iceCheck(t, "ours", "key", true)) // now it sends to another address of the machine
	c.via(s, c.second, at)
	check(c.first, other, iceCheck(t, "ours", "key", false)) // it tries what it may choose later
	c.via(s, c.second, at)
	check(c.first, other, iceCheck(t, "ours", "key", true))
	c.via(s, c.second, at) // until it has shown that it gets there what is sent to it
	if guess := c.answer(s, "a guess"); check(c.first, other, guess) != nil {
		t.Error("an answer of somebody is taken for the client's")
	}
	said := c.answer(s, "their key")
	check(c.first, at, said)
	check(c.second, other, said)
	c.via(s, c.second, at)
	check(c.second, at, iceCheck(t, "ours", "key", true)) // it stays after all
	if check(c.first, other, said) != nil {
		t.Error("an answer to what is not asked any more is taken")
	}
	check(c.first, other, iceCheck(t, "ours", "key", true))
	if check(c.first, other, c.answer(s, "their key")) != s {
		t.Error("the client's answer is not taken")
	}
	c.via(s, c.first, other)
	check(c.second, at, iceCheck(t, "ours", "key", true))
	check(c.first, other, said) // which is no answer to that
	c.via(s, c.first, other)
	check(c.second, at, c.answer(s, "their key"))
	c.via(s, c.second, at)
	check(c.first, other, iceCheck(t, "ours", "key", true)) // where it has answered before
	c.via(s, c.first, other)
	c.srv.sockets.paths.name(s, credentials{"restarted", "new key"}, credentials{"theirs", "their new key"})
	check(c.second, other, iceCheck(t, "ours", "key", true))
	c.via(s, c.first, other)
	check(c.second, other, iceCheck(t, "restarted", "new key", true))
	c.via(s, c.second, other)
}

// What is behind the proof of a check is anybody's: it names no way.
func TestWhatIsBehindTheProofOfACheckIsNotBelieved(t *testing.T) {
	c := newChecked(t)
	s := c.session("ours", "key")
	at := netip.MustParseAddrPort("127.0.0.1:5000")
	c.srv.check(overUDP(c.first, at), iceCheck(t, "ours", "key", true), c.now)
	m := new(stun.Message)
	if err := stun.Decode(iceCheck(t, "ours", "key", false), m); err != nil {
		t.Fatal(err)
	}
	m.Add(stun.AttrUseCandidate, nil)
	if c.srv.check(overUDP(c.second, at), m.Raw, c.now) != s {
		t.Fatal("it is not taken for a check")
	}
	c.via(s, c.first, at)
}

// A client that is silent where it is written to is written to where it is heard, though it names nothing.
func TestAClientIsFollowedToWhereItIsHeard(t *testing.T) {
	c := newChecked(t)
	s := c.session("ours", "key")
	at, other := netip.MustParseAddrPort("127.0.0.1:5000"), netip.MustParseAddrPort("127.0.0.2:5000")
	check := func(from netip.AddrPort, naming bool) {
		c.srv.check(overUDP(c.first, from), iceCheck(t, "ours", "key", naming), c.now)
	}
	check(at, true)
	check(other, false)
	if s.path.asks.lane != nil {
		t.Error("the client is asked where it only tries a way")
	}
	c.now = c.now.Add(c.srv.cfg.Silence / 2)
	check(other, false)
	c.via(s, c.first, at)
	c.srv.check(overUDP(c.first, other), c.answer(s, "their key"), c.now)
	c.via(s, c.first, other)
}

// Who says that another's address is its own takes neither its packets nor its lane, unless nobody is there any more: addresses of a NAT are given out again.
func TestAddressIsTheFirstClients(t *testing.T) {
	c := newChecked(t)
	s, thief := c.session("p", "key of p"), c.session("thief", "key of thief")
	at := netip.MustParseAddrPort("127.0.0.1:5000")
	claim := func(name string) {
		c.srv.check(overUDP(c.first, at), iceCheck(t, name, "key of "+name, true), c.now)
	}
	claim("p")
	claim("thief")
	if c.at(at) != s || s.lane.Load() == nil || thief.lane.Load() != nil {
		t.Error("the address has changed hands")
	}
	c.now = c.now.Add(c.srv.cfg.Silence/2 + time.Second)
	claim("thief")
	if c.at(at) != thief || thief.lane.Load() == nil {
		t.Error("the address is not free where the first is silent")
	}
	claim("p") // it is back
	if c.at(at) != thief {
		t.Error("the address has changed hands again")
	}
	// Its session lives on elsewhere.
	c.srv.check(overUDP(c.first, netip.MustParseAddrPort("127.0.0.1:6000")), iceCheck(t, "p", "key of p", false), c.now)
	c.now = c.now.Add(c.srv.cfg.Silence/2 - time.Second)
	c.srv.check(overUDP(c.first, netip.MustParseAddrPort("127.0.0.1:7000")), iceCheck(t, "thief", "key of thief", false), c.now)
	c.now = c.now.Add(2 * time.Second)
	claim("p")
	if c.at(at) != s {
		t.Error("the address is not free though its client is silent there, since it is heard elsewhere")
	}
	c.now = c.now.Add(c.srv.cfg.Silence/2 + time.Second)
	claim("thief")
	c.srv.sockets.paths.end(thief)
	claim("p")
	if c.at(at) != s {
		t.Error("the address is not free when its client has left")
	}
}

func TestAClientHasSoManyAddresses(t *testing.T) {
	c := newChecked(t)
	s := c.session("ours", "key")
	at := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(5000+n))
	}
	for n := range 3 * maxPlaces {
		c.srv.check(overUDP(c.first, at(n)), iceCheck(t, "ours", "key", n == 0), c.now)
	}
	ps := &c.srv.sockets.paths
	if len(ps.by) != maxPlaces || c.at(at(0)) != s || c.at(at(3*maxPlaces-1)) != s || c.at(at(1)) != nil {
		t.Errorf("%d addresses are known, expected %d: where it is written to, and the newest", len(ps.by), maxPlaces)
	}
	c.via(s, c.first, at(0))
}

// Who has left is not written to, though one of its checks is just being read.
func TestLaneEndsWithItsPath(t *testing.T) {
	c := newChecked(t)
	check := iceCheck(t, "ours", "key", true)
	at := netip.MustParseAddrPort("127.0.0.1:5000")
	ps := &c.srv.sockets.paths
	for range 2000 {
		s := c.session("ours", "key")
		var both sync.WaitGroup
		both.Go(func() { c.srv.check(overUDP(c.first, at), check, c.now) })
		both.Go(func() { ps.end(s) })
		both.Wait()
		if s.lane.Load() != nil || len(ps.by)+len(ps.named) != 0 {
			t.Fatal("it has a lane, or is known")
		}
	}
}
