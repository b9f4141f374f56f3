package rtsp_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

func TestViewerBeginsAtTheNewestKeyFrameAndGetsAll(t *testing.T) {
	h := open(t, rtsp.Config{})
	f := h.feed()
	for i := range 25 {
		f.picture(i%10 == 0, 4000)
	}
	p := h.dial()
	p.watch()
	for range 10 {
		f.picture(false, 4000)
	}
	h.stream.Close(nil)
	got, keys := p.pictures()
	if len(got) != 15 || got[0] != 20 || !keys[0] || !slices.IsSorted(got) {
		t.Errorf("pictures %v, want 20 to 34", got)
	}
}

func TestReportsComeFirstAndGoodbyeTellsWhy(t *testing.T) {
	h := open(t, rtsp.Config{})
	f := h.feed()
	f.picture(true, 10)
	p := h.dial()
	p.watch()
	channel, b, err := p.packet()
	if err != nil || channel != 1 {
		t.Fatalf("the first packet is on channel %d, %v", channel, err)
	}
	all, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	report, ok := all[0].(*rtcp.SenderReport)
	if !ok || time.Since(media.FromNTP(report.NTPTime)).Abs() > patience {
		t.Errorf("%+v", all[0])
	}
	h.mu.Lock()
	v := h.viewers[0]
	h.mu.Unlock()
	v.Close(errors.New("put out by a test"))
	var told string
	for {
		channel, b, err := p.packet()
		if err != nil {
			break
		}
		if channel != 1 {
			continue
		}
		if all, err = rtcp.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if bye, ok := all[len(all)-1].(*rtcp.Goodbye); ok {
			told = bye.Reason
		}
	}
	if told != "put out by a test" {
		t.Errorf("the viewer is told %q", told)
	}
}

// GStreamer takes no report of a time before a track's first packet, and others want to know before that what belongs together.
func TestEachTrackIsReportedWithTheTimeOfItsFirstPacket(t *testing.T) {
	h := open(t, rtsp.Config{})
	to, err := h.stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	opus, _, err := media.NewParams(media.Opus, media.OpusConfig(2))
	if err != nil {
		t.Fatal(err)
	}
	params := []*media.Params{{Codec: media.VP8, Width: 16, Height: 16}, opus}
	var tracks []*media.Track
	for _, p := range params {
		track, err := to.Track(media.TrackSpec{Kind: p.Codec.Kind()})
		if err != nil {
			t.Fatal(err)
		}
		to.Describe(track, p)
		tracks = append(tracks, track)
	}
	to.Complete()
	write := func(i int, dts, pts time.Duration) {
		t.Helper()
		if err := to.Write(tracks[i], media.Sample{DTS: dts, PTS: pts, Key: true, Data: make([]byte, 10), Params: params[i]}); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 0, 80*time.Millisecond) // it is shown later than decoded
	p := h.dial()
	p.watch()
	write(1, 700*time.Millisecond, 700*time.Millisecond)
	h.stream.Close(nil)
	reports, packets := map[int][]rtcp.SenderReport{}, 0
	for {
		channel, b, err := p.packet()
		if err != nil {
			break
		}
		if channel%2 == 1 {
			all, err := rtcp.Unmarshal(b)
			if err != nil {
				t.Fatal(err)
			}
			r, ok := all[0].(*rtcp.SenderReport)
			if !ok {
				t.Fatalf("%+v", all[0])
			}
			reports[channel/2] = append(reports[channel/2], *r)
			continue
		}
		var one rtp.Packet
		if err := one.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if packets++; len(reports) != 2 {
			t.Errorf("track %d has a packet before all tracks have a report", channel/2)
		}
		if of := reports[channel/2]; len(of) == 0 || of[len(of)-1].RTPTime != one.Timestamp {
			t.Errorf("track %d begins at %d behind the reports %+v", channel/2, one.Timestamp, of)
		}
	}
	if packets != 2 {
		t.Fatalf("%d packets, want 2", packets)
	}
	pictures, sound := reports[0][0], reports[1][len(reports[1])-1]
	if apart := media.FromNTP(sound.NTPTime).Sub(media.FromNTP(pictures.NTPTime)); (apart - 620*time.Millisecond).Abs() > time.Millisecond {
		t.Errorf("sound is reported %s behind the pictures, want 620 ms", apart)
	}
}

func TestPausedViewerGoesOnAtTheNewestKeyFrame(t *testing.T) {
	h := open(t, rtsp.Config{})
	f := h.feed()
	f.picture(true, 10)
	p := h.dial()
	p.watch()
	p.must(base.Pause, p.url(), "", "")
	for i := range 20 {
		f.picture(i == 15, 10)
	}
	p.must(base.Play, p.url(), "", "")
	h.stream.Close(nil)
	if got, _ := p.pictures(); len(got) != 5 || got[0] != 16 {
		t.Errorf("after the pause come %v, want 16 to 20", got)
	}
}

func TestWhoIsRefusedIsToldWhy(t *testing.T) {
	h := open(t, rtsp.Config{Status: func(error) int { return http.StatusNotFound }})
	h.feed().picture(true, 10)
	closed := "rtsp://" + h.addr + "/live/closed?who=ann"
	for method, body := range map[base.Method]string{base.Describe: "", base.Announce: sdp + vp8} {
		p := h.dial()
		if res := p.ask(method, closed, "User-Agent: test\r\n", body); res.StatusCode != base.StatusNotFound || res.StatusMessage != errClosed.Error() {
			t.Errorf("%s: %d %s", method, res.StatusCode, res.StatusMessage)
		}
		p.ended()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.asked[0]; r.Path != "/live/closed" || r.Query.Get("who") != "ann" || r.Agent != "test" || r.Addr == nil {
		t.Errorf("the rooms are asked %+v", r)
	}
}

func TestRequestsOutOfOrderAreRefusedAndTheSessionGoesOn(t *testing.T) {
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	p := h.dial()
	for _, c := range []struct {
		method base.Method
		url    string
		header string
		want   base.StatusCode
	}{
		{base.Play, "", "", 455},
		{base.Record, "", "", 455},
		{base.Pause, "", "", 455},
		{"EXPLODE", "", "", 501},
		{base.Options, "", "Session: other\r\n", 454},
		{base.Describe, "", "", 200},
		{base.Announce, "", "", 455},
		{base.Describe, "/other", "", 455},
		{base.Play, "", "", 455},
		{base.Setup, "/trackID=7", fmt.Sprintf(overConn, 0, 1), 200}, // there is one track only
		{base.Setup, "/trackID=0", "Transport: RTP/AVP;multicast\r\n", 461},
		{base.Setup, "/trackID=0", "Transport: RTP/SAVP/TCP;interleaved=0-1\r\n", 461},
		{base.Setup, "/trackID=0", "Transport: RTP/AVP;unicast;client_port=0-1\r\n", 400},
		{base.Setup, "/trackID=0", "Transport: nonsense\r\n", 400},
		{base.Setup, "/trackID=0", "", 400},
		{base.Setup, "/trackID=0", "Transport: RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=8-9\r\n", 200},
		{base.GetParameter, "", "", 200},
		{base.Play, "", "", 200},
		{base.Setup, "/trackID=0", fmt.Sprintf(overConn, 0, 1), 455},
		{base.Play, "", "", 200},
		{base.Teardown, "", "", 200},
	} {
		if res := p.ask(c.method, p.url()+c.url, c.header, ""); res.StatusCode != c.want {
			t.Errorf("%s %s %s: %d %s, want %d", c.method, c.url, c.header, res.StatusCode, res.StatusMessage, c.want)
		}
	}
	p.ended()
}

func TestViewerThatKnowsTheDescriptionMayBeginWithSetup(t *testing.T) {
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	p := h.dial()
	p.must(base.Setup, p.url()+"/trackID=0?who=ann", fmt.Sprintf(overConn, 0, 1), "")
	p.must(base.Play, p.url(), "", "")
	h.stream.Close(nil)
	if got, _ := p.pictures(); len(got) != 1 {
		t.Errorf("pictures %v", got)
	}
}

// throttle reads some 100 KB a second until it is let go.
type throttle struct {
	net.Conn
	free chan struct{}
}

func (t throttle) Read(b []byte) (int, error) {
	select {
	case <-t.free:
	case <-time.After(10 * time.Millisecond):
		b = b[:min(len(b), 1<<10)]
	}
	return t.Conn.Read(b)
}

func TestRoomWithoutFramesIsNotWaitedForLonger(t *testing.T) {
	h := open(t, rtsp.Config{SetupTimeout: 100 * time.Millisecond})
	p := h.dial()
	ask := fmt.Sprintf("SETUP %s/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n"+overConn+"\r\n", h.url(), 0, 1)
	p.say([]byte(ask + ask))
	told, err := io.ReadAll(p.r)
	if err != nil || strings.Count(string(told), "503 rtsp: nothing is sent in this room yet") != 2 {
		t.Errorf("%s, %v", told, err)
	}
	if n := h.stream.Viewers(); n != 0 {
		t.Errorf("%d viewers are left", n)
	}
}

// TestSlowViewerSkipsAndStalledOneIsClosed has one viewer that reads a quarter of what comes and one that reads nothing, beside one that gets all.
func TestSlowViewerSkipsAndStalledOneIsClosed(t *testing.T) {
	const size, count, gop = 4 << 10, 250, 20
	h := open(t, rtsp.Config{WriteTimeout: 5 * time.Second, WriteBuffer: 8 << 10})
	f := h.feed()
	f.picture(true, size)
	join := func(lag time.Duration) *peer {
		h.viewer = media.ViewerConfig{Lag: lag, Patience: time.Hour}
		p := h.dial()
		_ = p.conn.(*net.TCPConn).SetReadBuffer(8 << 10)
		p.watch()
		return p
	}
	over := make(chan struct{})
	good, slow := join(time.Minute), join(200*time.Millisecond)
	join(time.Minute) // reads nothing
	come, _ := slow.r.Peek(slow.r.Buffered())
	slow.r = bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(come)), throttle{slow.conn, over}))
	var reading sync.WaitGroup
	var all, some []int
	var keys []bool
	reading.Go(func() { all, _ = good.pictures() })
	reading.Go(func() { some, keys = slow.pictures() })
	each := time.NewTicker(10 * time.Millisecond)
	defer each.Stop()
	for i := range count {
		<-each.C
		f.picture(i%gop == gop-1, size)
	}
	h.until("the stalled one is put out", func() bool { return strings.Contains(h.log.String(), media.ErrStalled.Error()) })
	skips := h.counts(1).Skips
	close(over)
	h.stream.Close(nil)
	reading.Wait()
	if len(all) != count+1 {
		t.Errorf("the good one got %d pictures, want %d", len(all), count+1)
	}
	for i := range some {
		if i > 0 && some[i] != some[i-1]+1 && !keys[i] {
			t.Errorf("the slow one goes on from picture %d at %d, which is no key frame", some[i-1], some[i])
		}
	}
	if skips == 0 || len(some) == 0 || len(some) > count-gop {
		t.Errorf("the slow one got %d pictures with %d skips", len(some), skips)
	}
}

func TestViewerIsClosedWhenItsCodecChanges(t *testing.T) {
	h := open(t, rtsp.Config{})
	f := h.feed()
	f.picture(true, 10)
	p := h.dial()
	p.watch()
	f.params = &media.Params{Codec: media.VP8, Width: 32, Height: 32}
	f.picture(true, 10) // another size is said in the picture
	f.params = &media.Params{Codec: media.VP9}
	f.picture(true, 10)
	if got, _ := p.pictures(); len(got) != 2 {
		t.Errorf("pictures %v", got)
	}
	h.until("the log tells why", func() bool { return strings.Contains(h.log.String(), rtsp.ErrChanged.Error()) })
}

func TestUDPIsForThePeersOwnPortsAndEndsWithItsSilence(t *testing.T) {
	h := open(t, rtsp.Config{KeepAlive: 2 * time.Second}) // in which a peer says the next thing, also on a busy machine
	f := h.feed()
	f.picture(true, 10)
	sock, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	port := sock.LocalAddr().(*net.UDPAddr).Port
	transport := fmt.Sprintf("Transport: RTP/AVP;unicast;destination=127.0.0.2;client_port=%d-%d\r\n", port, port+1)
	p, q := h.dial(), h.dial()
	for _, one := range []*peer{p, q} {
		one.must(base.Describe, one.url(), "", "")
	}
	p.must(base.Setup, p.url()+"/trackID=0", transport, "")
	if res := q.ask(base.Setup, q.url()+"/trackID=0", transport, ""); res.StatusCode != base.StatusUnsupportedTransport || !strings.Contains(res.StatusMessage, "another session has UDP port") {
		t.Errorf("the same port for another: %d %s", res.StatusCode, res.StatusMessage)
	}
	p.must(base.Play, p.url(), "", "")
	if err := sock.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, _, err := sock.ReadFrom(buf)
	var one rtp.Packet
	if err != nil || one.Unmarshal(buf[:n]) != nil || string(one.Payload[2:8]) != "000000" {
		t.Errorf("over UDP come % x, %v", buf[:n], err)
	}
	p.ended()
	h.until("the log tells why", func() bool { return strings.Contains(h.log.String(), "nothing came for 3s") })
}

// TestAViewerOverUDPHearsWhyItIsPutOutAndLeavesByItself: the end of its connection would overtake what goes over UDP.
func TestAViewerOverUDPHearsWhyItIsPutOutAndLeavesByItself(t *testing.T) {
	h := open(t, rtsp.Config{Farewell: patience})
	h.feed().picture(true, 10)
	sock, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	port := sock.LocalAddr().(*net.UDPAddr).Port
	p := h.dial()
	p.must(base.Describe, p.url(), "", "")
	p.must(base.Setup, p.url()+"/trackID=0", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d\r\n", port, port), "") // both on one port, so that the test has one to find
	p.must(base.Play, p.url(), "", "")
	if err := sock.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	put := errors.New("put out by a test")
	told := false
	for buf := make([]byte, 2000); !told; {
		n, _, err := sock.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n > 1 && buf[1]&0x7f == 96 { // RTP: it plays
			h.mu.Lock()
			v := h.viewers[0]
			h.mu.Unlock()
			v.Close(put)
			continue
		}
		all, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		if bye, ok := all[len(all)-1].(*rtcp.Goodbye); ok {
			if told = true; bye.Reason != put.Error() {
				t.Errorf("it is told %q", bye.Reason)
			}
		}
	}
	p.must(base.GetParameter, p.url(), "", "") // it has not heard yet
	p.must(base.Teardown, p.url(), "", "")
	p.ended()
	h.until("the server has forgotten it", func() bool { now, _, _ := h.server.Conns(); return now == 0 })

	q := h.dial() // one that does not understand: what it asks for is refused
	q.must(base.Describe, q.url(), "", "")
	q.must(base.Setup, q.url()+"/trackID=0", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d\r\n", port, port), "")
	q.must(base.Play, q.url(), "", "")
	h.stream.Close(put)
	for buf := make([]byte, 2000); ; {
		n, _, err := sock.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := rtcp.Unmarshal(buf[:n]); err == nil {
			if _, ok := all[len(all)-1].(*rtcp.Goodbye); ok {
				break
			}
		}
	}
	if res := q.ask(base.Play, q.url(), "", ""); res.StatusCode != base.StatusSessionNotFound {
		t.Errorf("PLAY of what has ended: %d %s", res.StatusCode, res.StatusMessage)
	}
	q.ended()
}

// TestUDPIsBelievedFromTheAnnouncedPortsOnly: packets have no proof of who sends them, so a publisher's are those from the host that the connection is with and the ports of its SETUP.
func TestUDPIsBelievedFromTheAnnouncedPortsOnly(t *testing.T) {
	h := open(t, rtsp.Config{})
	socket := func(at string) net.PacketConn {
		t.Helper()
		sock, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sock.Close() })
		return sock
	}
	own := socket("127.0.0.1:0")
	port := own.LocalAddr().(*net.UDPAddr).Port
	p := h.dial()
	p.must(base.Announce, p.url(), "Content-Type: application/sdp\r\n", sdp+vp8+"a=control:one\r\n")
	res := p.must(base.Setup, p.url()+"/one", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d;mode=record\r\n", port, port+1), "")
	var told headers.Transport
	if err := told.Unmarshal(res.Header["Transport"]); err != nil {
		t.Fatal(err)
	}
	p.must(base.Record, p.url(), "", "")
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: told.ServerPorts[0]}
	v, err := h.stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	from := map[net.PacketConn]byte{own: 0}
	if runtime.GOOS == "linux" { // all of 127/8 is there
		from[socket(fmt.Sprintf("127.0.0.2:%d", port))] = 2 // another address of the machine, the same port
	}
	from[socket("127.0.0.1:0")] = 1
	n := 0
	h.until("the pictures come", func() bool {
		for sock, mark := range from { // each is the first to come some time
			one := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3000, SSRC: uint32(mark), Marker: true}, Payload: []byte{0x10, 0, mark, byte(n), 0, 0, 0, 0, 0, 0, 0, 0}}
			b, err := one.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sock.WriteTo(b, to); err != nil {
				t.Fatal(err)
			}
		}
		n++
		return h.stream.Counts().Frames >= 20
	})
	h.stream.Close(nil)
	frames := make([]*media.Frame, 64)
	for {
		n, err := v.Next(frames)
		if err != nil {
			break
		}
		for _, f := range frames[:n] {
			if f.Data[1] != 0 {
				t.Errorf("picture %d is of another source, %d", f.Data[2], f.Data[1])
			}
		}
	}
}

// TestPausedViewerThatGoesSilentIsClosed: nothing is written to it, by which its end would be seen. Who plays goes on.
func TestPausedViewerThatGoesSilentIsClosed(t *testing.T) {
	h := open(t, rtsp.Config{KeepAlive: 2 * time.Second}) // in which a peer says the next thing, also on a busy machine
	h.feed().picture(true, 10)
	p, q := h.dial(), h.dial()
	q.watch()
	p.watch()
	p.must(base.Pause, p.url(), "", "")
	p.ended()
	h.until("the log tells", func() bool { return strings.Contains(h.log.String(), "nothing came for 3s") })
	q.must(base.GetParameter, q.url(), "", "")
}
