package rtc

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/pion/stun/v3"
)

// iceCheck is a client's check of the connection.
func iceCheck(t *testing.T, name, key string) []byte {
	t.Helper()
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(name+":theirs"), stun.NewShortTermIntegrity(key), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// A machine has a socket for each of its addresses. By which of them a client is written to is moved by the client's own checks, and by nothing that only says it comes from there.
func TestOnlyChecksOfTheClientMoveItsLane(t *testing.T) {
	ps, p := newPaths(), new(path)
	first, second := new(socket), new(socket)
	at, other := netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("192.0.2.2:5000")
	ps.name(p, "ours", "key")
	via := func(want *socket, from netip.AddrPort) {
		t.Helper()
		switch l := p.lane.Load(); {
		case l == nil && want == nil:
		case l == nil || want == nil || l.socket != want || l.at != from || l.to.AddrPort() != from:
			t.Fatalf("the lane is %+v, expected one of %p to %s", l, want, from)
		}
	}
	bare, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername("ours:theirs"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := stun.Build(stun.BindingSuccess, stun.TransactionID, stun.NewUsername("ours:theirs"), stun.NewShortTermIntegrity("key"))
	if err != nil {
		t.Fatal(err)
	}
	forged := iceCheck(t, "ours", "key")
	forged[len(forged)-12] ^= 1 // within what proves it
	spoofed := map[string][]byte{
		"nothing": {}, "RTP": append([]byte{0x80, 111}, make([]byte, 30)...), "no proof": bare.Raw, "an answer": answer.Raw, "forged": forged,
		"another key": iceCheck(t, "ours", "guess"), "nobody's name": iceCheck(t, "others", "key"), "no name": iceCheck(t, "", ""),
	}
	ps.move(p, at)
	spoof := func(s *socket, want *socket) {
		t.Helper()
		for name, b := range spoofed {
			ps.hear(at, s, b)
			if l := p.lane.Load(); (l == nil) != (want == nil) || l != nil && l.socket != want {
				t.Fatalf("%s: the lane is %+v", name, l)
			}
		}
	}
	spoof(first, nil)
	if ps.hear(at, first, iceCheck(t, "ours", "key")); ps.hear(at, first, nil) != p {
		t.Error("the client is not known where it is")
	}
	via(first, at)
	spoof(second, first)
	ps.hear(at, second, iceCheck(t, "ours", "key")) // now it sends to another address of the machine
	via(second, at)
	ps.hear(other, first, iceCheck(t, "ours", "key")) // it tries what it may choose later
	via(second, at)
	ps.move(p, other)
	via(first, other)
	ps.name(p, "restarted", "new key")
	ps.hear(other, second, iceCheck(t, "ours", "key"))
	via(first, other)
	ps.hear(other, second, iceCheck(t, "restarted", "new key"))
	via(second, other)
}

// Who says that another's address is its own takes neither its packets nor its lane.
func TestAddressIsTheFirstClients(t *testing.T) {
	ps, p, thief := newPaths(), new(path), new(path)
	sock := new(socket)
	at := netip.MustParseAddrPort("192.0.2.1:5000")
	for name, one := range map[string]*path{"p": p, "thief": thief} {
		ps.name(one, name, "key of "+name)
	}
	for _, name := range []string{"p", "thief"} {
		ps.hear(at, sock, iceCheck(t, name, "key of "+name))
		ps.move(ps.named[name], at)
	}
	if ps.hear(at, sock, nil) != p || p.lane.Load() == nil || thief.lane.Load() != nil {
		t.Error("the address has changed hands")
	}
	ps.end(p)
	if ps.hear(at, sock, iceCheck(t, "thief", "key of thief")); thief.lane.Load() == nil {
		t.Error("the address is not free when the first has left")
	}
}

// Who has left is not written to, though one of its packets is just being read.
func TestLaneEndsWithItsPath(t *testing.T) {
	ps, check := newPaths(), iceCheck(t, "ours", "key")
	at := netip.MustParseAddrPort("192.0.2.1:5000")
	for range 10_000 {
		p := new(path)
		ps.name(p, "ours", "key")
		ps.move(p, at)
		var both sync.WaitGroup
		both.Go(func() { ps.hear(at, nil, check) })
		both.Go(func() { ps.end(p) })
		both.Wait()
		if p.lane.Load() != nil || len(ps.by)+len(ps.named) != 0 {
			t.Fatal("it has a lane, or is known")
		}
	}
}
