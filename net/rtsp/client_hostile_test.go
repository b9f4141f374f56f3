package rtsp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

// at says one thing when it is asked for a method.
func at(method base.Method, answer string) func(net.Conn, *base.Request) string {
	return func(_ net.Conn, req *base.Request) string {
		if req.Method == method {
			return answer
		}
		return ""
	}
}

// two tracks.
const two = vp8 + "a=control:one\r\n" + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:two\r\n"

func TestHostileServersAreLeftWithAReason(t *testing.T) {
	for name, c := range map[string]struct {
		told string
		say  func(net.Conn, *base.Request) string
		want string
	}{
		"nothing":                {say: func(net.Conn, *base.Request) string { return "\r\n" }, want: "has not come to the point within 500ms"},
		"another protocol":       {say: at(base.Options, "HTTP/1.1 200 ok\r\n\r\n"), want: "has not come to the point within 500ms"},
		"no protocol":            {say: at(base.Options, strings.Repeat("x", 1<<20)), want: "an answer of more than 196608 bytes"},
		"headers without an end": {say: at(base.Describe, "\r\nRTSP/1.0 200 OK\r\n"+strings.Repeat("X: "+strings.Repeat("x", 1500)+"\r\n", 200)), want: "an answer of more than 196608 bytes"},
		"10,000 headers":         {say: at(base.Describe, "\r\nRTSP/1.0 200 OK\r\n"+strings.Repeat("X: y\r\n", 10_000)), want: "headers count exceeds 255"},
		"a header of 10 KB":      {say: at(base.Describe, "\r\nRTSP/1.0 200 OK\r\nX: "+strings.Repeat("x", 10_000)+"\r\n\r\n"), want: "buffer length exceeds 2048"},
		"SDP of 1 MB":            {told: sdp + strings.Repeat("a=x\r\n", 200_000), want: "Content-Length exceeds 131072"},
		"no SDP":                 {told: "hello", want: "SDP: "},
		"no codec that we know":  {told: sdp + "m=video 0 RTP/AVP 26\r\n", want: "no track of H.264"},
		"1,000 tracks":           {told: sdp + strings.Repeat(vp8, 1000), want: "1000 tracks, at most 8"},
		"a track without a URL":  {told: sdp + vp8 + "a=control:rtsp://[\r\n", want: "track 0 has no URL"},
		"UDP that nobody wants":  {say: at(base.Setup, fine+"\r\nTransport: RTP/AVP;unicast;server_port=5000-5001"), want: `wants to send by "RTP/AVP;unicast;server_port=5000-5001", expected "RTP/AVP/TCP;unicast;interleaved=0-1"`},
		"all the world":          {say: at(base.Setup, fine+"\r\nTransport: RTP/AVP/TCP;multicast"), want: "wants to send by"},
		"SETUP without a way":    {say: at(base.Setup, fine), want: "Transport: value not provided"},
		"channels beyond 255":    {say: at(base.Setup, fine+"\r\nTransport: RTP/AVP/TCP;interleaved=255-256"), want: "interleaved=255-256, expected"},
		"channels of another":    {told: sdp + two, say: at(base.Setup, fine+"\r\nTransport: RTP/AVP/TCP;interleaved=6-7"), want: "interleaved=6-7, which another track has"},
		"a strange password":     {say: at(base.Options, "RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Negotiate"), want: "expected Basic, or Digest with MD5 or SHA-256"},
		"sent on to the web":     {say: at(base.Describe, "RTSP/1.0 302 Found\r\nLocation: http://127.0.0.1/"), want: "sent on to what is no rtsp:// or rtsps:// URL"},
		"no way at all":          {say: at(base.Setup, "RTSP/1.0 461 Unsupported Transport"), want: "SETUP: 461"},
		"it leaves":              {say: at(base.Play, "TEARDOWN rtsp://h/ RTSP/1.0\r\nCSeq: 9\r\n\r\n"), want: "it says TEARDOWN"},
		"its connection ends":    {say: func(c net.Conn, _ *base.Request) string { _ = c.Close(); return "" }, want: "the server has closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			camera := openCamera(t, c.say)
			if c.told != "" {
				camera.told = c.told
			}
			d := rtsp.Dialer{SetupTimeout: patience, IdleTimeout: patience}
			if strings.Contains(c.want, "500ms") {
				d.SetupTimeout = 500 * time.Millisecond
			}
			err := fetch(t, d, camera.url()).end()
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("it ended with %v, want %s", err, c.want)
			}
		})
	}
}

// TestPacketsThatNobodyHasSetUpAreNoSignOfLife: a server that sends them for ever is left.
func TestPacketsThatNobodyHasSetUpAreNoSignOfLife(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	c := openCamera(t, func(c net.Conn, req *base.Request) string {
		if req.Method == base.Play {
			go func() {
				for tick := time.NewTicker(time.Millisecond); ; {
					select {
					case <-stop:
						return
					case <-tick.C:
						if _, err := c.Write(inConn(4, number(1))); err != nil {
							return
						}
					}
				}
			}()
		}
		return ""
	})
	if err := fetch(t, rtsp.Dialer{IdleTimeout: 300 * time.Millisecond}, c.url()).end(); !errors.Is(err, rtsp.ErrTimeout) || !strings.Contains(err.Error(), "nothing came for 300ms") {
		t.Error(err)
	}
	if !c.heard(base.Play) {
		t.Error("it was never played")
	}
}

// TestPasswordsStayWithTheServerTheyAreFor has servers send on: to themselves, to another, and for ever.
func TestPasswordsStayWithTheServerTheyAreFor(t *testing.T) {
	wants := func(_ net.Conn, req *base.Request) string {
		if req.Header["Authorization"] == nil {
			return "RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\""
		}
		return ""
	}
	other := openCamera(t, wants)
	var to atomic.Value
	first := openCamera(t, func(c net.Conn, req *base.Request) string {
		if answer := wants(c, req); answer != "" {
			return answer
		}
		if req.Method == base.Describe && req.URL.Path == "/cam/1" {
			return "RTSP/1.0 302 Found\r\nLocation: " + to.Load().(string)
		}
		return ""
	})
	to.Store("rtsp://" + other.addr + "/cam/2")
	if err := fetch(t, rtsp.Dialer{}, first.url()).end(); !strings.Contains(err.Error(), "it wants a user") {
		t.Error(err)
	}
	other.mu.Lock()
	for _, req := range other.asked {
		if req.Header["Authorization"] != nil {
			t.Error("another server is told the password")
		}
	}
	other.mu.Unlock()
	to.Store("rtsp://" + first.addr + "/cam/2")
	fetch(t, rtsp.Dialer{}, first.url())
	until(t, "it goes on there", func() bool { return first.heard(base.Play) })
	asked := len(first.methods())
	to.Store("rtsp://" + first.addr + "/cam/1")
	if err := fetch(t, rtsp.Dialer{}, first.url()).end(); !strings.Contains(err.Error(), "sent on more than 5 times") {
		t.Error(err)
	}
	if n := len(first.methods()) - asked; n > 6*4 {
		t.Errorf("%d requests", n)
	}
}

// TestWhatComesBeforePlayIsAnsweredIsTaken, and what stands between packets and is none is left out.
func TestWhatComesBeforePlayIsAnsweredIsTaken(t *testing.T) {
	c := openCamera(t, func(c net.Conn, req *base.Request) string {
		if req.Method != base.Play {
			return ""
		}
		for n := range 3 {
			_, _ = c.Write(append(inConn(0, number(n)), 0, 0, 'x')) // the test tells
		}
		_, _ = fmt.Fprintf(c, "%s\r\nCSeq: %s\r\n\r\nGET_PARAMETER rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\nREDIRECT rtsp://h/ RTSP/1.0\r\nCSeq: 2\r\n\r\n", fine, req.Header["CSeq"][0])
		return string(inConn(0, number(3)))
	})
	for i, f := range fetch(t, rtsp.Dialer{}, c.url()).frames(4) {
		if int(f.Data[len(f.Data)-1]) != i {
			t.Errorf("picture %d has come as number %d", f.Data[len(f.Data)-1], i)
		}
	}
}

// A mixer ends all its sources, one after the other: a track has ended with the one that it has, whichever others do.
func TestAStreamEndsWhenAllTracksHaveSaidGoodbye(t *testing.T) {
	bye := func(channel byte, source uint32) []byte {
		b, err := (&rtcp.Goodbye{Sources: []uint32{source}, Reason: "lights out"}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return inConn(channel, b)
	}
	sound, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 97, SSRC: 8}, Payload: []byte{0xfc, 0xff, 0xfe}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	c := openCamera(t, func(_ net.Conn, req *base.Request) string {
		if req.Method != base.Play {
			return ""
		}
		played := fmt.Sprintf("\r\n%s\r\nCSeq: %s\r\n\r\n", fine, req.Header["CSeq"][0])
		return played + string(slices.Concat(inConn(0, number(1)), inConn(2, sound), inConn(0, sound), bye(1, 7), bye(1, 9), bye(3, 8)))
	})
	c.told = sdp + two
	var left atomic.Int64
	if err := fetch(t, rtsp.Dialer{Unagreed: func() { left.Add(1) }}, c.url()).end(); !errors.Is(err, rtsp.ErrServer) || !strings.Contains(err.Error(), "it says goodbye: lights out") {
		t.Error(err)
	}
	if n := left.Load(); n != 1 { // sound among the pictures
		t.Errorf("%d packets of another payload type were counted, there was 1", n)
	}
}

// TestItSaysThatItIsThere by the method that the server has, with a password when that is wanted anew, and hears when it has been forgotten.
func TestItSaysThatItIsThere(t *testing.T) {
	nonce := 0
	c := openCamera(t, func(_ net.Conn, req *base.Request) string {
		if req.Method != base.GetParameter {
			return ""
		}
		if nonce++; nonce == 1 {
			return "RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"second\", stale=true"
		}
		if auth := strings.Join(req.Header["Authorization"], ""); !strings.Contains(auth, `nonce="second"`) {
			t.Errorf("it says %q", auth)
		}
		return "RTSP/1.0 454 Session Not Found"
	})
	if err := fetch(t, rtsp.Dialer{}, c.url()).end(); !errors.Is(err, rtsp.ErrServer) || !strings.Contains(err.Error(), "GET_PARAMETER: 454") {
		t.Error(err)
	}
}

// TestOverUDPPacketsAreThoseOfTheServersHost: it has no TCP, does not tell its ports, and claims to send from elsewhere.
func TestOverUDPPacketsAreThoseOfTheServersHost(t *testing.T) {
	stop := make(chan struct{})
	c := openCamera(t, func(_ net.Conn, req *base.Request) string {
		if req.Method != base.Setup {
			return ""
		}
		if strings.Contains(req.Header["Transport"][0], "TCP") {
			return "RTSP/1.0 461 Unsupported Transport"
		}
		return fine + "\r\nTransport: RTP/AVP;unicast;source=127.0.0.2"
	})
	p := fetch(t, rtsp.Dialer{}, c.url())
	until(t, "it plays", func() bool { return c.heard(base.Play) })
	c.mu.Lock()
	var port int
	for _, req := range c.asked {
		if i := strings.Index(strings.Join(req.Header["Transport"], ""), "client_port="); i >= 0 {
			_, _ = fmt.Sscanf(req.Header["Transport"][0][i:], "client_port=%d", &port)
		}
	}
	c.mu.Unlock()
	var sending sync.WaitGroup
	defer sending.Wait()
	defer close(stop)
	for host, first := range map[string]int{"127.0.0.2": 128, "127.0.0.1": 0} {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		sending.Go(func() {
			defer conn.Close()
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for n := range 128 {
				select {
				case <-stop:
					return
				case <-tick.C:
					_, _ = conn.Write(number(first + n)) // they may be lost
				}
			}
		})
	}
	for _, f := range p.frames(10) {
		if n := f.Data[len(f.Data)-1]; n >= 128 {
			t.Errorf("picture %d of another host", n)
		}
	}
}

// FuzzServer has a server say what it likes.
func FuzzServer(f *testing.F) {
	one := func(told string) string {
		return fmt.Sprintf("RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(told), told)
	}
	opening := fine + "\r\nPublic: GET_PARAMETER\r\n\r\n" + one(sdp+"a=control:rtsp://h/x/\r\n"+vp8+"a=control:one\r\n")
	f.Add([]byte(opening + fine + "\r\nSession: 1;timeout=1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n" + fine + "\r\n\r\n" + string(inConn(0, number(1))) + "TEARDOWN rtsp://h/ RTSP/1.0\r\n\r\n"))
	f.Add([]byte(opening + "RTSP/1.0 461 No\r\n\r\n" + fine + "\r\nTransport: RTP/AVP;unicast;server_port=1-2;source=h\r\n\r\n" + fine + "\r\n\r\n"))
	f.Add([]byte("RTSP/1.0 401 No\r\nSession: 1\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\", algorithm=SHA-256\r\n\r\nRTSP/1.0 302 Found\r\nLocation: rtsps://h/\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dials := 0
		d := rtsp.Dialer{SetupTimeout: patience, Dial: func(context.Context, string, string) (net.Conn, error) {
			dials++
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			go func() {
				_, _ = theirs.Write(b)
				_ = theirs.Close()
			}()
			return ours, nil
		}}
		from := &url.URL{Scheme: "rtsp", User: url.UserPassword("a", "b"), Host: "h", Path: "/x"}
		if err := d.Pull(t.Context(), from, func() (*media.Publisher, error) { return media.New(media.Config{RingFrames: 64}).Publish(nil) }); err == nil || errors.Is(err, rtsp.ErrTimeout) {
			t.Errorf("it ends with %v", err)
		}
		if dials > 6 {
			t.Errorf("%d connections", dials)
		}
	})
}
