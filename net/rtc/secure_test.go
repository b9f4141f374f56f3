package rtc_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtc"
)

// awaitPutAway waits until so many sessions have their connections put away.
func (d *door) awaitPutAway(t *testing.T, n int) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for d.PutAway() != n {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d connections are put away, expected %d", d.PutAway(), n)
		}
	}
}

// A connection that has been put away is taken up for the end of the session, whoever ends it, and for nothing else.
func TestSessionsEndThoughTheirConnectionsArePutAway(t *testing.T) {
	d := open(t, nil)
	d.PutAwaySoon()
	publisher, feeds := publish(t, d, "stage", "anna", pion.MimeTypeOpus)
	viewer := watch(t, d, "/whep/stage?who=bob", 1, 0)
	kicked := watch(t, d, "/whep/stage?who=carl", 1, 0)
	d.awaitPutAway(t, 3)
	stop := every(20*time.Millisecond, func() { feeds[0].send(t, []byte("hello")) })
	defer stop()
	until(t, viewer.track(), []byte("hello"))

	closed := make(chan struct{})
	kicked.pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateClosed {
			close(closed)
		}
	})
	if err := d.Kick("stage", "carl", "enough"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("the client is not told that it is kicked")
	}
	viewer.vanish() // which says goodbye
	d.await(t, "bob has left", func() bool { return d.left["bob"] == "left" })

	// What looks like an end and is none harms nobody.
	to := net.UDPAddrFromAddrPort(d.UDP())
	if _, err := publisher.link.WriteTo([]byte{21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4}, to); err != nil {
		t.Fatal(err)
	}
	d.awaitPutAway(t, 1)
	publisher.vanish()
	d.await(t, "anna has left", func() bool { return d.left["anna"] == "left" })
}

// Whoever knows where a client is can send datagrams in its place, but not under its keys. None of them ends its session, or is kept.
func TestNothingWithoutKeysHarmsASession(t *testing.T) {
	record := func(kind, epoch byte, number int, text ...byte) []byte {
		b := []byte{kind, 254, 253, 0, epoch, 0, 0, 0, 0, byte(number >> 8), byte(number), 0, 0}
		binary.BigEndian.PutUint16(b[11:], uint16(len(text)))
		return append(b, text...)
	}
	hostile := [][]byte{
		record(21, 0, 99, 2, 40), record(21, 0, 100, 1, 0), record(23, 0, 101, []byte("hello")...), record(99, 0, 102, 1, 2, 3), record(20, 0, 103, 1), record(21, 1, 9, 1, 2, 3, 4),
		{21},
		{21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 255, 255},
		append(record(22, 1, 8, 1, 2, 3), record(21, 0, 104, 2, 40)...),
	}
	for number := range 500 { // complete messages of a handshake, which begin anew
		hostile = append(hostile, record(22, 0, 200+number, append([]byte{11, 0, 4, 0, byte(number >> 8), byte(number), 0, 0, 0, 0, 4, 0}, make([]byte, 1024)...)...))
	}
	for name, talks := range map[string]bool{"put away": false, "with a data channel": true} {
		t.Run(name, func(t *testing.T) {
			d := open(t, nil)
			d.PutAwaySoon()
			p := newPeer(t, false)
			feed := p.addFeed(pion.MimeTypeOpus)
			var room *pion.DataChannel
			if talks {
				var err error
				if room, err = p.pc.CreateDataChannel("room", nil); err != nil {
					t.Fatal(err)
				}
			}
			opened := make(chan struct{})
			if talks {
				room.OnOpen(func() { close(opened) })
			}
			p.connect(d, "/whip/stage?who=anna")
			if talks {
				<-opened
			} else {
				d.awaitPutAway(t, 1)
			}
			for _, b := range hostile {
				if _, err := p.link.WriteTo(b, net.UDPAddrFromAddrPort(d.UDP())); err != nil {
					t.Fatal(err)
				}
			}
			if talks {
				if err := room.SendText("still here"); err != nil {
					t.Fatal(err)
				}
				d.await(t, "anna is heard", func() bool { return len(d.messages) == 1 })
			}
			viewer := watch(t, d, "/whep/stage?who=bob", 1, 0)
			stop := every(20*time.Millisecond, func() { feed.send(t, []byte("hello")) })
			defer stop()
			until(t, viewer.track(), []byte("hello"))
			if !talks {
				d.awaitPutAway(t, 2)
			}
			if err := d.Kick("stage", "anna", "enough"); err != nil {
				t.Error(err)
			}
			var why string
			d.await(t, "anna has left", func() bool {
				why = d.left["anna"]
				return why != ""
			})
			if why != "enough" {
				t.Errorf("anna has left: %s", why)
			}
		})
	}
}

// A client that has not heard of the end of the handshake repeats its own, and is told again, though what comes without keys is left out by then.
func TestTheEndOfTheHandshakeIsSaidAgain(t *testing.T) {
	d := open(t, nil)
	p := newPeer(t, false)
	p.addFeed(pion.MimeTypeOpus)
	lost := make(chan struct{})
	lose := func(b []byte) bool {
		if len(b) == 0 || b[0] < 20 || b[0] > 63 {
			return false
		}
		for rest := b; len(rest) >= 13; rest = rest[min(len(rest), 13+int(binary.BigEndian.Uint16(rest[11:]))):] {
			if rest[0] == 22 && rest[4] == 1 { // the node's end of it
				select {
				case <-lost:
					return false
				default:
					close(lost)
					return true
				}
			}
		}
		return false
	}
	p.link.lose.Store(&lose)
	p.connect(d, "/whip/stage?who=anna")
	<-lost
}

// A client may open so many data channels in the life of its session.
func TestAClientWhoOpensChannelAfterChannelIsPutOut(t *testing.T) {
	d := open(t, nil)
	p := newPeer(t, false)
	p.addFeed(pion.MimeTypeOpus)
	if _, err := p.pc.CreateDataChannel("room", nil); err != nil {
		t.Fatal(err)
	}
	p.connect(d, "/whip/stage?who=anna")
	d.await(t, "anna is there", func() bool { return len(d.joined) == 1 })
	for range 1100 {
		if _, err := p.pc.CreateDataChannel("another", nil); err != nil {
			break // it has been put out
		}
	}
	d.await(t, "anna has left", func() bool { return d.left["anna"] == rtc.ReasonChannels })
}
