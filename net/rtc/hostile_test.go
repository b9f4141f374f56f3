package rtc_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtc"
)

// What nobody's client sends is dropped, whatever it is, and those who are there play on.
func TestStrangersDatagramsHarmNobody(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeOpus)
	viewer := watch(t, d, "/whep/stage", 1, 0)
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(d.UDP()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for first := range 256 {
		for _, size := range []int{1, 2, 8, 19, 20, 28, 200, 1500, 1600, 9000} {
			if _, err := conn.Write(append([]byte{byte(first)}, bytes.Repeat([]byte{0x21}, size-1)...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop := every(20*time.Millisecond, func() { feeds[0].send(t, []byte("hello")) })
	defer stop()
	until(t, viewer.track(), []byte("hello"))
}

// Over TCP each datagram stands behind its length. A connection that is nobody's in time, or that says more than a datagram has, is closed.
func TestConnectionsOfStrangersEnd(t *testing.T) {
	d := open(t, func(c *rtc.Config) {
		c.TCP, c.ConnectTimeout, c.MaxConnecting = "127.0.0.1:0", time.Second, 4
	})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", d.TCP().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	ends := func(what string, conn net.Conn) {
		t.Helper()
		if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %d bytes and %v, expected the end", what, n, err)
		}
	}
	for what, said := range map[string][]byte{
		"nothing": nil, "half a length": {0}, "too much": {0xff, 0xff, 1, 2}, "a datagram of nobody": append([]byte{0, 30}, make([]byte, 30)...), "an empty one": {0, 0}, "not all of it": {0, 30, 1},
	} {
		conn := dial()
		if _, err := conn.Write(said); err != nil {
			t.Fatal(err)
		}
		ends(what, conn)
	}
	var all []net.Conn
	for range 12 { // of which 4 may be nobody's at a time
		all = append(all, dial())
	}
	for _, conn := range all {
		ends("one of many", conn)
	}
	p := newPeer(t, true)
	f := p.addFeed(pion.MimeTypeOpus)
	p.connect(d, "/whip/stage?who=anna")
	viewer := watch(t, d, "/whep/stage", 1, 0)
	stop := every(20*time.Millisecond, func() { f.send(t, []byte("hello")) })
	defer stop()
	until(t, viewer.track(), []byte("hello"))
}

// Who answers the handshake with another certificate than the offer has named does not get through.
func TestAnImpostorDoesNotGetThrough(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.ConnectTimeout = 30 * time.Second })
	p := newPeer(t, false)
	p.addFeed(pion.MimeTypeOpus)
	offer := p.offer()
	at := strings.Index(offer, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
	other := "00"
	if strings.HasPrefix(offer[at:], other) {
		other = "11"
	}
	offer = strings.ReplaceAll(offer, offer[at:at+95], other+offer[at+2:at+95])
	resp, answer := ask(t, http.MethodPost, d.url+"/whip/stage?who=anna", "application/sdp", offer)
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status, answer)
	}
	if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	d.await(t, "the session ends", func() bool { return d.left["anna"] == rtc.ReasonNever })
	if len(d.joined) != 0 {
		t.Error("it has joined")
	}
}

func TestAnotherLiteAgentIsRefused(t *testing.T) {
	d := open(t, nil)
	p := newPeer(t, false)
	p.addFeed(pion.MimeTypeOpus)
	offer := strings.Replace(p.offer(), "t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1)
	resp, text := ask(t, http.MethodPost, d.url+"/whip/stage", "application/sdp", offer)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "ICE-lite") {
		t.Error(resp.Status, text)
	}
}
