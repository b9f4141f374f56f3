package rtc_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/net/rtc"
)

// track is the next that a viewer is sent, whose packets are read with a deadline.
func (p *peer) track() *pion.TrackRemote {
	p.t.Helper()
	select {
	case tr := <-p.incoming:
		return tr
	case <-time.After(time.Minute):
		p.t.Fatal("no track after a minute")
		return nil
	}
}

func read(t testing.TB, tr *pion.TrackRemote) *rtp.Packet {
	t.Helper()
	if err := tr.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	p, _, err := tr.ReadRTP()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// until reads packets until one has this payload.
func until(t testing.TB, tr *pion.TrackRemote, payload []byte) *rtp.Packet {
	t.Helper()
	for {
		if p := read(t, tr); bytes.Equal(p.Payload, payload) {
			return p
		}
	}
}

// film sends key frame 0 and a delta frame alternately, 90 kHz apart by 40 ms, until the test ends or stop is called.
func film(t testing.TB, f *feed, n byte) (stop func()) {
	t.Helper()
	key := false
	stop = every(10*time.Millisecond, func() {
		key = !key
		f.ts += 3600
		if key {
			f.send(t, keyFrame(n))
		} else {
			f.send(t, deltaFrame(n))
		}
	})
	t.Cleanup(stop)
	return stop
}

func (d *door) count(t testing.TB, name string) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(d.metrics)
	return metrictest.Value(t, r, name)
}

func TestViewerBeginsWithAKeyFrameAndMissesNothing(t *testing.T) {
	d := open(t, nil)
	p, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	film(t, feeds[0], 7)
	v := watch(t, d, "/whep/stage", 0, 1)
	tr := v.track()
	first := read(t, tr)
	if !bytes.Equal(first.Payload, keyFrame(7)) {
		t.Errorf("the first packet is %x, expected a key frame", first.Payload)
	}
	for i := uint16(1); i < 50; i++ {
		if next := read(t, tr); next.SequenceNumber != first.SequenceNumber+i || next.Timestamp != first.Timestamp+uint32(i)*3600 {
			t.Fatalf("packet %d has number %d and timestamp %d, the first had %d and %d", i, next.SequenceNumber, next.Timestamp, first.SequenceNumber, first.Timestamp)
		}
	}
	d.await(t, "both have joined", func() bool { return len(d.joined) == 2 })
	if got := d.Members("stage"); len(got) != 2 {
		t.Errorf("members: %+v", got)
	}
	resp, _ := ask(t, "DELETE", p.url, "", "")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %s", resp.Status)
	}
	d.await(t, "the publisher has left", func() bool { return d.left["anna"] == rtc.ReasonLeft })
}

func TestLostPacketComesFromTheNodesCache(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	stop := film(t, feeds[0], 1)
	v := watch(t, d, "/whep/stage", 0, 1)
	tr := v.track()
	read(t, tr)
	missed := read(t, tr)
	stop()
	time.AfterFunc(50*time.Millisecond, func() {
		_ = v.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: uint32(tr.SSRC()), Nacks: []rtcp.NackPair{{PacketID: missed.SequenceNumber}}}})
	})
	// The library's replay protection would drop the same packet again: that it was sent again is what the node counts.
	deadline := time.Now().Add(time.Minute)
	for d.count(t, "skua_webrtc_packets_resent_total") != 1 {
		if time.Now().After(deadline) {
			t.Fatal("the packet was not sent again")
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestKeyFramesAreAskedOncePerInterval(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.KeyInterval = time.Hour })
	p, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	asked := make(chan struct{}, 100)
	go func() {
		for {
			packets, _, err := feeds[0].sender.ReadRTCP()
			if err != nil {
				close(asked)
				return
			}
			for _, p := range packets {
				if _, ok := p.(*rtcp.PictureLossIndication); ok {
					asked <- struct{}{}
				}
			}
		}
	}()
	stop := every(5*time.Millisecond, func() { feeds[0].ts += 900; feeds[0].send(t, deltaFrame(1)) })
	t.Cleanup(stop)
	viewers := make([]*peer, 10)
	for i := range viewers {
		viewers[i] = watch(t, d, "/whep/stage", 0, 1)
	}
	<-asked
	stop()
	// Again and again: a viewer that is connected may not have its line yet.
	stop = every(10*time.Millisecond, func() { feeds[0].ts += 900; feeds[0].send(t, keyFrame(9)) })
	t.Cleanup(stop)
	for _, v := range viewers {
		until(t, v.track(), keyFrame(9))
	}
	stop()
	p.vanish()
	n := 0
	for range asked {
		n++
	}
	if n > 0 {
		t.Errorf("the publisher was asked for %d key frames more, expected one in all", n)
	}
}

func TestLineGoesOnWhenThePublisherComesBack(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	stop := film(t, feeds[0], 1)
	v := watch(t, d, "/whep/stage", 0, 1)
	tr := v.track()
	until(t, tr, keyFrame(1))
	bad := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\na=sendonly\r\n"
	if resp, text := ask(t, "POST", d.url+"/whip/stage?who=anna", "application/sdp", bad); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an offer that can't be taken: %s: %s", resp.Status, text)
	}
	last := until(t, tr, deltaFrame(1)) // it is still her
	_, again := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	stop()
	d.await(t, "the first one is replaced", func() bool { return d.left["anna"] == rtc.ReasonReplaced })
	film(t, again[0], 2)
	for {
		p := read(t, tr)
		if p.SequenceNumber != last.SequenceNumber+1 {
			t.Fatalf("number %d follows %d", p.SequenceNumber, last.SequenceNumber)
		}
		if ahead := int32(p.Timestamp - last.Timestamp); ahead <= 0 || ahead > 20*90_000 {
			t.Fatalf("timestamp %d follows %d", p.Timestamp, last.Timestamp)
		}
		last = p
		if bytes.Equal(p.Payload, deltaFrame(2)) {
			return
		}
	}
}

func TestThoseWhoSpeakGetTheLines(t *testing.T) {
	d := open(t, nil)
	const members, lines = 50, 2
	var feeds []*feed
	for i := range members {
		_, f := publish(t, d, "talk", fmt.Sprintf("m%d", i), pion.MimeTypeOpus)
		feeds = append(feeds, f[0])
	}
	speaking := make(chan int, 1)
	now := 0
	t.Cleanup(every(20*time.Millisecond, func() {
		select {
		case now = <-speaking:
		default:
		}
		for i, f := range feeds {
			level := byte(127)
			if i == now {
				level = 0x80 | 20
			}
			f.ts += 960
			f.send(t, []byte{byte(i)}, level)
		}
	}))
	v := watch(t, d, "/whep/talk", lines, 0)
	tracks := []*pion.TrackRemote{v.track(), v.track()}
	heard := make(chan byte, 1000)
	for _, tr := range tracks {
		go func() {
			for {
				p, _, err := tr.ReadRTP()
				if err != nil {
					return
				}
				if len(p.Payload) > 0 {
					select {
					case heard <- p.Payload[0]:
					default:
					}
				}
			}
		}()
	}
	for _, who := range []int{40, 30, 0} {
		speaking <- who
		d.await(t, fmt.Sprintf("m%d speaks", who), func() bool {
			return len(d.speakers) == 1 && d.speakers[0].Who == fmt.Sprintf("m%d", who) && d.speakers[0].Level < 60
		})
		late := time.After(time.Minute)
		for got := byte(255); got != byte(who); {
			select {
			case got = <-heard:
			case <-late:
				t.Fatalf("m%d is not heard", who)
			}
		}
	}
}

func TestMutedPublisherIsNotHeard(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	stop := film(t, feeds[0], 1)
	v := watch(t, d, "/whep/stage", 0, 1)
	tr := v.track()
	last := read(t, tr)
	stop()
	if err := d.Mute("stage", "anna", rtc.Video, true); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		feeds[0].ts += 3600
		feeds[0].send(t, keyFrame(2))
	}
	feeds[0].ts += 3600
	feeds[0].send(t, deltaFrame(3)) // one that nobody begins with: when it has come, those before it are dealt with
	for d.count(t, "skua_webrtc_packets_received_total") < float64(feeds[0].seq) {
		<-time.After(10 * time.Millisecond)
	}
	if err := d.Mute("stage", "anna", rtc.Video, false); err != nil {
		t.Fatal(err)
	}
	film(t, feeds[0], 3)
	for seen := 0; seen < 20; {
		p := read(t, tr)
		if p.SequenceNumber != last.SequenceNumber+1 {
			t.Fatalf("number %d follows %d", p.SequenceNumber, last.SequenceNumber)
		}
		last = p
		switch n := p.Payload[2]; n {
		case 2:
			t.Fatal("a picture has come that was sent while it was muted")
		case 3:
			seen++
		}
	}
	if err := d.Mute("stage", "bert", rtc.Video, true); !errors.Is(err, rtc.ErrNoMember) {
		t.Errorf("muting nobody: %v", err)
	}
	if err := d.Mute("attic", "anna", rtc.Video, true); !errors.Is(err, rtc.ErrNoRoom) {
		t.Errorf("muting nowhere: %v", err)
	}
}

func TestKickedMemberIsToldWhy(t *testing.T) {
	d := open(t, nil)
	v := newPeer(t, false)
	v.receive(1, 0)
	events, err := v.pc.CreateDataChannel("events", nil)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	events.OnMessage(func(m pion.DataChannelMessage) { said <- string(m.Data) })
	room, err := v.pc.CreateDataChannel("room", nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	room.OnOpen(func() { close(opened) })
	v.connect(d, "/whep/stage?who=bert")
	<-opened
	if err := room.SendText("hello"); err != nil {
		t.Fatal(err)
	}
	d.await(t, "the node has both channels", func() bool { return len(d.messages) > 0 })
	if err := d.Kick("stage", "carl", "no"); !errors.Is(err, rtc.ErrNoMember) {
		t.Errorf("kicking nobody: %v", err)
	}
	if err := d.Kick("stage", "bert", "he swore"); err != nil {
		t.Fatal(err)
	}
	d.await(t, "he has left", func() bool { return d.left["bert"] == "he swore" })
	text := hear(t, said)
	for !strings.Contains(text, `"closed"`) {
		text = hear(t, said)
	}
	if !strings.Contains(text, "he swore") {
		t.Errorf("he was told %s", text)
	}
}

// hear waits for the next that is said on a channel.
func hear(t *testing.T, said <-chan string) string {
	t.Helper()
	select {
	case text := <-said:
		return text
	case <-time.After(time.Minute):
		t.Fatal("nothing is said")
		return ""
	}
}

func TestMembersTalkOverTheDataChannel(t *testing.T) {
	d := open(t, nil)
	join := func(name string) (*peer, *pion.DataChannel, chan string) {
		p := newPeer(t, false)
		p.receive(1, 0)
		c, err := p.pc.CreateDataChannel("room", nil)
		if err != nil {
			t.Fatal(err)
		}
		said, opened := make(chan string, 10), make(chan struct{})
		c.OnMessage(func(m pion.DataChannelMessage) { said <- string(m.Data) })
		c.OnOpen(func() { close(opened) })
		p.connect(d, "/whep/talk?who="+name)
		<-opened
		return p, c, said
	}
	_, anna, _ := join("anna")
	_, b, bert := join("bert")
	for i, c := range []*pion.DataChannel{anna, b} { // by which the node has both channels as well
		if err := c.SendText("hello"); err != nil {
			t.Fatal(err)
		}
		d.await(t, "the member is heard", func() bool { return slices.Equal(d.messages, []string{"anna: hello", "bert: hello"}[:i+1]) })
	}
	if n := d.Tell("talk", "", []byte("welcome")); n != 2 {
		t.Errorf("%d were told, expected 2", n)
	}
	if n := d.Tell("talk", "carl", []byte("welcome")); n != 0 {
		t.Errorf("%d were told, expected 0", n)
	}
	if got := hear(t, bert); got != "welcome" {
		t.Errorf("bert heard %q", got)
	}
}

func TestVanishedViewerIsForgotten(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.Silence = 500 * time.Millisecond })
	v := watch(t, d, "/whep/stage?who=bert", 1, 0)
	v.link.cut.Store(true)
	d.await(t, "bert is forgotten", func() bool { return d.left["bert"] == rtc.ReasonSilent })
	if got := d.Members("stage"); len(got) != 0 {
		t.Errorf("members: %+v", got)
	}
}

func TestOneWhoNeverConnectsIsForgotten(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.ConnectTimeout = 100 * time.Millisecond })
	p := newPeer(t, false)
	p.receive(1, 1)
	resp, text := ask(t, "POST", d.url+"/whep/stage?who=bert", "application/sdp", p.offer())
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	d.await(t, "bert is forgotten", func() bool { return d.left["bert"] == rtc.ReasonNever })
}

func TestViewerOverTCPWhereUDPDoesNotGetThrough(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.TCP = "127.0.0.1:0" })
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	film(t, feeds[0], 3)
	v := newPeer(t, true)
	v.receive(0, 1)
	v.connect(d, "/whep/stage")
	tr := v.track()
	for range 20 {
		read(t, tr)
	}
}
