package rtc_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/net/rtc"
)

// Nothing is lost or comes twice where the numbers of a track begin anew.
func TestSoundGoesOnWhereItsNumbersBeginAnew(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeOpus)
	viewer := watch(t, d, "/whep/stage", 1, 0)
	f := feeds[0]
	f.seq = 0xefff - 200 // a track is taken over before 0xf000
	stop := every(20*time.Millisecond, func() { f.send(t, []byte("hello")) })
	tr := viewer.track()
	until(t, tr, []byte("hello"))
	stop()
	const packets = 4400 // from there to behind the last number
	var last uint16
	for n := range packets {
		text := fmt.Appendf(nil, "sound %d", n)
		f.ts += 960
		f.send(t, text)
		for {
			p := read(t, tr)
			if n == 0 && bytes.Equal(p.Payload, []byte("hello")) {
				continue // of the beginning
			}
			if !bytes.Equal(p.Payload, text) || n > 0 && p.SequenceNumber != last+1 {
				t.Fatalf("packet %d is %q with number %d behind %d", n, p.Payload, p.SequenceNumber, last)
			}
			last = p.SequenceNumber
			break
		}
	}
	if n := d.count(t, "skua_webrtc_invalid_packets_total"); n != 0 {
		t.Errorf("%v packets could not be read", n)
	}
	for {
		reports, _, err := f.sender.ReadRTCP()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reports {
			if r, ok := r.(*rtcp.ReceiverReport); ok && len(r.Reports) == 1 && r.Reports[0].LastSequenceNumber&0xffff == uint32(f.seq) {
				if r.Reports[0].TotalLost != 0 {
					t.Errorf("the publisher is told that %d packets are lost", r.Reports[0].TotalLost)
				}
				return
			}
		}
	}
}

// A node that listens on all addresses of a machine has a socket for each.
func TestAllAddressesAreListenedOn(t *testing.T) {
	_, port, _ := strings.Cut(freeport.TCP(t, 1)[0], ":") // one that no other test takes
	d := open(t, func(c *rtc.Config) { c.UDP = "0.0.0.0:" + port })
	if !d.UDP().Addr().IsUnspecified() {
		t.Errorf("the address is %s", d.UDP())
	}
}
