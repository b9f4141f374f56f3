package rtsp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

func TestHostilePeersAreClosedWithAReason(t *testing.T) {
	many := strings.Repeat("X-Header: "+strings.Repeat("x", 1000)+"\r\n", 200)
	announce := func(body string) string {
		return fmt.Sprintf("ANNOUNCE rtsp://h/live/test RTSP/1.0\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for name, c := range map[string]struct{ say, want string }{
		"another protocol":         {"GET / HTTP/1.1\r\n\r\n", "invalid URL"},
		"no protocol":              {strings.Repeat("x", 5000), "buffer length exceeds 64"},
		"a URL without an end":     {"DESCRIBE rtsp://h/" + strings.Repeat("x", 5000), "buffer length exceeds 2048"},
		"headers without an end":   {"OPTIONS rtsp://h/ RTSP/1.0\r\n" + many, "a request of more than 65536 bytes"},
		"a body of 1 GB":           {"ANNOUNCE rtsp://h/live/test RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1000000000\r\n\r\n", "Content-Length exceeds"},
		"a body that is too large": {"ANNOUNCE rtsp://h/live/test RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), "a request of more than 65536 bytes"},
		"no SDP":                   {announce("hello"), "SDP: "},
		"an SDP without tracks":    {announce(sdp), "no media streams"},
		"a codec that rooms lack":  {announce(sdp + "m=audio 0 RTP/AVP 0\r\n"), "no track of H.264"},
		"1,000 tracks":             {announce(sdp + strings.Repeat(vp8, 1000)), "1000 tracks, at most 8"},
		"AAC of no rate":           {announce(sdp + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/0/2\r\na=fmtp:97 sizelength=99;config=00\r\n"), "SDP: "},
		"AAC with huge headers":    {announce(sdp + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/44100/2\r\na=fmtp:97 sizelength=99;config=1210\r\n"), "headers of 99, 0 and 0 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, rtsp.Config{})
			p := h.dial()
			go p.say([]byte(c.say))
			p.ended()
			h.until("the log tells why: "+c.want, func() bool { return strings.Contains(h.log.String(), c.want) })
			q := h.dial() // the server is as before
			q.publish(vp8)
		})
	}
}

func TestPeersThatDoNotComeToThePointAreClosed(t *testing.T) {
	for name, say := range map[string]func(p *peer){
		"nothing":       func(*peer) {},
		"half a line":   func(p *peer) { p.say([]byte("DESC")) },
		"options only":  func(p *peer) { p.must(base.Options, p.url(), "", "") },
		"packets only":  func(p *peer) { p.say([]byte{'$', 0, 0, 1, 0}) },
		"half a packet": func(p *peer) { p.say([]byte{'$', 0, 0xff, 0xff}) },
		"an announcement": func(p *peer) {
			p.must(base.Announce, p.url(), "", sdp+vp8)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, rtsp.Config{SetupTimeout: 3 * time.Second}) // in which a peer has come as far as it wants, also on a busy machine
			p := h.dial()
			say(p)
			p.ended()
			h.until("the connection is gone", func() bool { now, _, _ := h.server.Conns(); return now == 0 })
			if h.stream.Live() {
				t.Error("it still has the room")
			}
		})
	}
}

func TestPublisherThatGoesSilentIsClosed(t *testing.T) {
	h := open(t, rtsp.Config{IdleTimeout: 200 * time.Millisecond})
	p := h.dial()
	p.publish(vp8)
	p.ended()
	h.until("the log tells", func() bool { return strings.Contains(h.log.String(), "nothing came for 200ms") })
}

func TestConnectionsBeyondTheBoundAreClosed(t *testing.T) {
	h := open(t, rtsp.Config{MaxConns: 1})
	p := h.dial()
	p.must(base.Options, p.url(), "", "")
	h.dial().ended()
	if now, _, refused := h.server.Conns(); now != 1 || refused != 1 {
		t.Errorf("%d connections, %d refused", now, refused)
	}
}

// TestFramesWithoutAnEndAreBounded sends the first piece of a unit and then pieces that have nothing in them, which the library keeps all.
func TestFramesWithoutAnEndAreBounded(t *testing.T) {
	const most = 64 << 10
	s := media.New(media.Config{})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := rtsp.ReadSDP([]byte(sdp+"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"), most, p, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1_000_000 {
		one := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(i)}, Payload: []byte{0x7c, 0x05}}
		if i%2000 == 0 {
			one.Payload[1] |= 0x80
		}
		b, err := one.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Packet(0, false, b, time.Now()); err != nil {
			if !errors.Is(err, rtsp.ErrProtocol) || !strings.Contains(err.Error(), "a frame of more than 65536 bytes") {
				t.Errorf("it ends with %v", err)
			}
			return
		}
		if held := in.Held(); held > most {
			t.Fatalf("%d bytes are held", held)
		}
	}
	t.Error("it goes on for ever")
}

// TestOddPacketsAmongFramesAreLeftOut: a camera that now and then sends something odd is not put out for it, one of which nothing else comes is.
func TestOddPacketsAmongFramesAreLeftOut(t *testing.T) {
	s := media.New(media.Config{})
	to, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := rtsp.ReadSDP([]byte(sdp+vp8), 1<<20, to, false)
	if err != nil {
		t.Fatal(err)
	}
	odd := []byte{0x80} // no header of RTP
	for n := range 1000 {
		one := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3000, Marker: true}, Payload: []byte{0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
		b, err := one.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(in.Packet(0, false, b, time.Now()), in.Packet(0, false, odd, time.Now())); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
	}
	for range 1000 {
		if err = in.Packet(0, false, odd, time.Now()); err != nil {
			break
		}
	}
	if !errors.Is(err, rtsp.ErrProtocol) || !strings.Contains(err.Error(), "100 packets, the last: RTP: ") {
		t.Errorf("nothing but odd packets: %v", err)
	}
}

// TestPacketsOfAnotherPayloadTypeAreLeftOutAndCounted: a track may have formats that rooms lack besides the one that is taken.
func TestPacketsOfAnotherPayloadTypeAreLeftOutAndCounted(t *testing.T) {
	var left atomic.Int64
	h := open(t, rtsp.Config{Unagreed: func() { left.Add(1) }})
	p := h.dial()
	p.publish(vp8)
	for n := range uint16(300) {
		one := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: n, Timestamp: uint32(n) * 3000, SSRC: 1, Marker: true}, Payload: []byte{0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
		if n%3 != 0 {
			one.PayloadType = 97
		}
		b, err := one.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		p.say(append([]byte{'$', 0, byte(len(b) >> 8), byte(len(b))}, b...))
	}
	p.must(base.GetParameter, p.url(), "", "") // all has come
	if n := left.Load(); n != 200 {
		t.Errorf("%d packets were counted, 200 are of another type", n)
	}
}

// TestLossOverUDPIsLeftOutUpToTheNextKeyFrame takes packets away and puts others out of order.
func TestLossOverUDPIsLeftOutUpToTheNextKeyFrame(t *testing.T) {
	s := media.New(media.Config{})
	to, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := rtsp.ReadSDP([]byte(sdp+vp8), 1<<20, to, true)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	packet := func(n int) []byte { // picture n is packets 2n and 2n+1, each tenth a key frame
		b := []byte{0x10, 1, byte(n / 2), 0, 0, 0, 0, 0, 0, 0, 0, 0}
		if b[0] = 0x10; n%2 == 1 {
			b[0] = 0
		} else if n/2%10 == 0 {
			b[1] = 0
		}
		one := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(65_500 + n), Timestamp: uint32(n/2) * 3000, Marker: n%2 == 1}, Payload: b}
		raw, err := one.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	order := make([]int, 0, 100)
	for n := range 100 {
		order = append(order, n)
	}
	order[5], order[9] = order[9], order[5] // late by four
	order = append(order[:50], order[51:]...)
	now := time.Now()
	for _, n := range order {
		now = now.Add(15 * time.Millisecond)
		for range 1 + n%2 { // some come twice
			if err := in.Packet(0, false, packet(n), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	to.Complete()
	s.Close(nil)
	var got []int
	frames := make([]*media.Frame, 64)
	for {
		n, err := v.Next(frames)
		if err != nil {
			break
		}
		for _, f := range frames[:n] {
			if len(f.Data) != 22 {
				t.Errorf("a picture of %d bytes", len(f.Data))
			}
			got = append(got, int(f.Data[1]))
		}
	}
	var want []int
	for n := range 50 {
		if n < 25 || n >= 30 {
			want = append(want, n)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("pictures %v, want %v", got, want)
	}
}

// begun is a session of requests, for what fuzzing makes of it.
var begun = []string{
	"OPTIONS rtsp://h/live/test RTSP/1.0\r\nCSeq: 1\r\n\r\n",
	"DESCRIBE rtsp://h/live/test?who=a RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\nSETUP rtsp://h/live/test/trackID=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=0-1\r\n\r\nPLAY rtsp://h/live/test RTSP/1.0\r\nCSeq: 3\r\n\r\n$\x01\x00\x00PAUSE * RTSP/1.0\r\n\r\nPLAY rtsp://h/ RTSP/1.0\r\n\r\nTEARDOWN rtsp://h/ RTSP/1.0\r\n\r\n",
	fmt.Sprintf("ANNOUNCE rtsp://h/live/test RTSP/1.0\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n%sSETUP rtsp://h/live/test RTSP/1.0\r\nTransport: RTP/AVP/TCP;interleaved=0-1;mode=record\r\n\r\nRECORD rtsp://h/ RTSP/1.0\r\n\r\n$\x00\x00\x0d\x80\x60\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10", len(sdp+vp8), sdp+vp8),
}

func FuzzSession(f *testing.F) {
	for _, s := range begun {
		f.Add([]byte(s))
	}
	h := open(f, rtsp.Config{SetupTimeout: time.Second, IdleTimeout: time.Second})
	f.Fuzz(func(t *testing.T, b []byte) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(b) // it may have been closed before the end
		_ = conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the server does not end it")
		}
	})
}

func FuzzPublisher(f *testing.F) {
	const tracks = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 %s/90000\r\na=control:0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 %s\r\na=fmtp:97 sizelength=13;indexlength=3;indexdeltalength=3;config=1210;cpresent=0\r\na=control:1\r\n"
	for i, pair := range [][2]string{{"H264", "mpeg4-generic/44100/2"}, {"H265", "opus/48000/2"}, {"AV1", "opus/48000/2"}, {"VP8", "mpeg4-generic/44100/2"}, {"VP9", "mp4a-latm/44100"}} {
		seed := []byte{byte(i), 40, 0x80, 0x60 | byte(i&1), 0, 1, 0, 0, 0, 1, 1, 2, 3, 4}
		f.Add([]byte(sdp+fmt.Sprintf(tracks, pair[0], pair[1])), append(seed, bytes.Repeat([]byte{0x7c, 0x85, 0, 1}, 10)...))
	}
	f.Fuzz(func(t *testing.T, told, packets []byte) {
		const most = 16 << 10
		s := media.New(media.Config{RingFrames: 64})
		p, err := s.Publish(nil)
		if err != nil {
			t.Fatal(err)
		}
		in, err := rtsp.ReadSDP(told, most, p, len(packets)%2 == 0)
		if err != nil {
			if err.Error() == "" {
				t.Error("no reason")
			}
			return
		}
		for b := packets; len(b) > 2; { // a byte that says where it goes, one that says how long it is, and the packet
			n := min(int(b[1]), len(b)-2)
			one := bytes.Clone(b[2 : 2+n])
			if len(one) > 4 && b[0]&0x40 != 0 { // so that not all are lost
				binary.BigEndian.PutUint16(one[2:], uint16(len(packets)-len(b)))
			}
			if err := in.Packet(int(b[0]&7), b[0]&0x80 != 0, one, time.Now()); err != nil {
				return
			}
			if held := in.Held(); held > 8*(most+1<<9) {
				t.Fatalf("%d bytes are held", held)
			}
			b = b[2+n:]
		}
	})
}
