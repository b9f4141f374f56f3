package rtc_test

import (
	"net"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"
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
