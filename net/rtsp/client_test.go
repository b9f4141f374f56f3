package rtsp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

func parsed(tb testing.TB, text string) *url.URL {
	tb.Helper()
	at, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// pull is a stream that is fetched.
type pull struct {
	testing.TB
	stream *media.Stream
	viewer *media.Viewer
	stop   context.CancelFunc
	ended  chan error
	err    error
}

func fetch(tb testing.TB, d rtsp.Dialer, from *url.URL) *pull {
	tb.Helper()
	p := &pull{TB: tb, stream: media.New(media.Config{}), ended: make(chan error, 1)}
	var err error
	if p.viewer, err = p.stream.Join(media.ViewerConfig{Lag: time.Hour}); err != nil {
		tb.Fatal(err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() {
		p.ended <- d.Pull(ctx, from, func() (*media.Publisher, error) { return p.stream.Publish(nil) })
	}()
	tb.Cleanup(func() {
		p.stop()
		_ = p.end() // tests that care have asked
	})
	return p
}

// end waits for it, and gives why.
func (p *pull) end() error {
	p.Helper()
	if p.err != nil {
		return p.err
	}
	select {
	case p.err = <-p.ended:
	case <-time.After(patience):
		p.Fatal("it does not end")
	}
	if p.err == nil {
		p.Error("it has ended without a reason")
		p.err = errors.New("none")
	}
	return p.err
}

// frames are the next ones.
func (p *pull) frames(count int) []*media.Frame {
	p.Helper()
	late := time.AfterFunc(patience, func() { p.viewer.Close(errors.New("not in time")) })
	defer late.Stop()
	var got []*media.Frame
	for len(got) < count {
		frames := make([]*media.Frame, min(32, count-len(got)))
		n, err := p.viewer.Next(frames)
		if err != nil {
			select {
			case p.err = <-p.ended:
			default:
			}
			p.Fatalf("after %d of %d frames: %v (%v)", len(got), count, err, p.err)
		}
		got = append(got, frames[:n]...)
	}
	return got
}

// TestAStreamThatIsPulledIsTheSame has what ffmpeg publishes at a server come from there, through the connection and over UDP: each frame, at the same distance from all others, those
// of other tracks among them.
func TestAStreamThatIsPulledIsTheSame(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for name, schemes := range map[string][]string{"h264 with B-frames, aac": {"rtsp", "rtspu"}, "h265, opus": {"rtspu"}, "vp8, mp3": {"rtsp"}, "vp9, opus": {"rtsp"}} {
		t.Run(name, func(t *testing.T) {
			file := clip(ctx, t, codecs[name]...)
			h := open(t, rtsp.Config{Farewell: patience})
			h.viewer.Lag = time.Hour
			seen, err := h.stream.Join(media.ViewerConfig{Lag: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			pulls := map[string]*pull{}
			for _, scheme := range schemes {
				pulls[scheme] = fetch(t, rtsp.Dialer{}, parsed(t, scheme+"://"+h.addr+"/live/test?who=ann"))
			}
			h.until("they are there", func() bool { return h.stream.Viewers() == len(pulls)+1 })
			if _, err := ffmpeg(ctx, t, "-re", "-i", file, "-t", "3", "-c", "copy", "-strict", "experimental", "-f", "rtsp", "-rtsp_transport", "tcp", h.url()); err != nil {
				t.Fatal(err)
			}
			source := &pull{TB: t, viewer: seen}
			want := source.frames(int(h.stream.Counts().Frames))
			for scheme, p := range pulls {
				same(t, scheme, p.frames(len(want)), want)
			}
			h.stream.Close(errors.New("put out by a test"))
			for scheme, p := range pulls {
				if err := p.end(); !strings.Contains(err.Error(), "it says goodbye: put out by a test") {
					t.Errorf("%s ended with %v", scheme, err)
				}
			}
			if r := h.asked[0]; r.Query.Get("who") != "ann" || r.Agent != "skua" {
				t.Errorf("the server is asked %+v", r)
			}
		})
	}
}

func same(t *testing.T, what string, pulled, source []*media.Frame) {
	t.Helper()
	got, want := byKind(pulled), byKind(source)
	shift := got[media.Video][0].PTS - want[media.Video][0].PTS
	for kind := range want {
		if len(got[kind]) != len(want[kind]) || len(want[kind]) < 60 {
			t.Errorf("%s: %s: %d frames, want %d", what, kind, len(got[kind]), len(want[kind]))
			return
		}
		for i, f := range got[kind] {
			w := want[kind][i]
			if !bytes.Equal(f.Data, w.Data) || f.Key != w.Key || f.Params.Codec != w.Params.Codec || !bytes.Equal(f.Params.Config, w.Params.Config) {
				t.Errorf("%s: %s: frame %d of %d is another one", what, kind, i, len(want[kind]))
				return
			}
			if off := f.PTS - w.PTS - shift; off.Abs() > time.Millisecond { // RTP counts in steps
				t.Errorf("%s: %s: frame %d is shown %v off", what, kind, i, off)
				return
			}
			if (f.PTS - f.DTS - w.PTS + w.DTS).Abs() > time.Millisecond {
				t.Errorf("%s: %s: frame %d is decoded %v before it is shown, want %v", what, kind, i, f.PTS-f.DTS, w.PTS-w.DTS)
				return
			}
		}
	}
}

func byKind(frames []*media.Frame) map[media.Kind][]*media.Frame {
	all := map[media.Kind][]*media.Frame{}
	for _, f := range frames {
		all[f.Track.Kind] = append(all[f.Track.Kind], f)
	}
	return all
}

func TestAPullThatIsStoppedSaysSoToTheServer(t *testing.T) {
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	p := fetch(t, rtsp.Dialer{}, parsed(t, h.url()))
	p.frames(1)
	p.stop()
	if err := p.end(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	h.until("the server has nobody", func() bool { now, _, _ := h.server.Conns(); return now == 0 })
	if strings.Contains(h.log.String(), "reason") { // a connection that was cut has one
		t.Error("it has not said TEARDOWN")
	}
}

func TestAPullEndsWithItsPublisher(t *testing.T) {
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	p := fetch(t, rtsp.Dialer{}, parsed(t, h.url()))
	p.frames(1)
	why := errors.New("kicked by a test")
	p.stream.Close(why)
	if err := p.end(); !errors.Is(err, why) {
		t.Error(err)
	}
}

func TestWhatAServerRefusesIsAnErrorThatSaysWhy(t *testing.T) {
	h := open(t, rtsp.Config{})
	for at, want := range map[string]string{
		"rtsp://ann:geheim@" + h.addr + "/live/closed?sign=secret": "DESCRIBE: 403 " + errClosed.Error(),
		"rtsp://127.0.0.1:1/live/geheim":                           "refused",
	} {
		err := fetch(t, rtsp.Dialer{}, parsed(t, at)).end()
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// library is another server, that of gortsplib, as MediaMTX is built on it.
type library struct {
	server  *gortsplib.Server
	stream  *gortsplib.ServerStream
	media   *description.Media
	user    string
	mu      sync.Mutex
	asked   []string // the ways in which a password has come
	addr    string
	stopped chan struct{}
}

func (l *library) refused(c *gortsplib.ServerConn, req *base.Request) bool {
	way, _, _ := strings.Cut(strings.Join(req.Header["Authorization"], ""), " ")
	l.mu.Lock()
	l.asked = append(l.asked, way)
	l.mu.Unlock()
	return l.user != "" && !c.VerifyCredentials(req, l.user, "s3cr%t/@")
}

// OnDescribe is part of gortsplib.
func (l *library) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if l.refused(ctx.Conn, ctx.Request) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	return &base.Response{StatusCode: base.StatusOK}, l.stream, nil
}

// OnSetup is part of gortsplib.
func (l *library) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if l.refused(ctx.Conn, ctx.Request) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	return &base.Response{StatusCode: base.StatusOK}, l.stream, nil
}

// OnPlay is part of gortsplib.
func (l *library) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// openLibrary has one with pictures of VP8, a key frame each 20 ms.
func openLibrary(t *testing.T, user string, methods []auth.VerifyMethod, secure *tls.Config) *library {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &library{user: user, addr: ln.Addr().String(), stopped: make(chan struct{}), media: &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.VP8{PayloadTyp: 96}}}}
	l.server = &gortsplib.Server{
		Handler: l, RTSPAddress: l.addr, AuthMethods: methods, TLSConfig: secure, Listen: func(string, string) (net.Listener, error) { return ln, nil },
	}
	if err := l.server.Start(); err != nil {
		t.Fatal(err)
	}
	l.stream = &gortsplib.ServerStream{Server: l.server, Desc: &description.Session{Medias: []*description.Media{l.media}}}
	if err := l.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go l.send(stop)
	t.Cleanup(func() {
		close(stop)
		<-l.stopped
		l.stream.Close()
		l.server.Close()
	})
	return l
}

func (l *library) send(stop <-chan struct{}) {
	defer close(l.stopped)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			_ = l.stream.WritePacketRTP(l.media, &rtp.Packet{
				Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(n), Timestamp: uint32(n) * 1800, Marker: true, SSRC: 7}, Payload: []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0, byte(n)},
			})
		}
	}
}

func TestPasswordsAreSaidAsTheServerWantsThem(t *testing.T) {
	for way, methods := range map[string][]auth.VerifyMethod{
		"Basic":  {auth.VerifyMethodBasic},
		"Digest": {auth.VerifyMethodBasic, auth.VerifyMethodDigestMD5, auth.VerifyMethodDigestSHA256},
	} {
		t.Run(way, func(t *testing.T) {
			l := openLibrary(t, "ann", methods, nil)
			at := url.URL{Scheme: "rtsp", User: url.UserPassword("ann", "s3cr%t/@"), Host: l.addr, Path: "/cam/1"}
			frames := fetch(t, rtsp.Dialer{}, &at).frames(20)
			for i, f := range frames[1:] {
				if f.PTS-frames[i].PTS != 20*time.Millisecond || f.Data[11-1] != frames[i].Data[11-1]+1 {
					t.Errorf("picture %d is shown %v after the one before, %d after %d", i+1, f.PTS-frames[i].PTS, f.Data[10], frames[i].Data[10])
				}
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if last := l.asked[len(l.asked)-1]; last != way {
				t.Errorf("the password has come as %q", l.asked)
			}
		})
	}
}

func TestAWrongPasswordIsSaidOnceAndToldNobody(t *testing.T) {
	l := openLibrary(t, "ann", nil, nil)
	for user, want := range map[*url.Userinfo]string{url.UserPassword("ann", "geheim"): "401", nil: "it wants a user"} {
		at := url.URL{Scheme: "rtsp", User: user, Host: l.addr, Path: "/cam/1"}
		err := fetch(t, rtsp.Dialer{}, &at).end()
		if !errors.Is(err, rtsp.ErrServer) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v: %v", user, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(slices.DeleteFunc(l.asked, func(way string) bool { return way == "" })); n != 1 { // cameras lock out who guesses
		t.Errorf("it was tried %d times", n)
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	ca := testcert.New(t)
	cert, key := ca.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l := openLibrary(t, "ann", nil, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	at := url.URL{Scheme: "rtsps", User: url.UserPassword("ann", "s3cr%t/@"), Host: l.addr, Path: "/cam/1"}
	if err := fetch(t, rtsp.Dialer{}, &at).end(); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody knows: %v", err)
	}
	fetch(t, rtsp.Dialer{TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}}, &at).frames(3)
	_, port, err := net.SplitHostPort(l.addr)
	if err != nil {
		t.Fatal(err)
	}
	at.Host = net.JoinHostPort("localhost", port)
	if err := fetch(t, rtsp.Dialer{TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}}, &at).end(); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate for another name: %v", err)
	}
}
