package rtsp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

// push is a stream that is brought to a server.
type push struct {
	testing.TB
	viewer *media.Viewer
	stop   context.CancelFunc
	began  chan struct{}
	ended  chan error
	err    error
}

func bring(tb testing.TB, d rtsp.Dialer, from *media.Stream, to string) *push {
	tb.Helper()
	at := parsed(tb, to)
	p := &push{TB: tb, began: make(chan struct{}), ended: make(chan error, 1)}
	var err error
	if p.viewer, err = from.Join(media.ViewerConfig{Lag: time.Hour}); err != nil {
		tb.Fatal(err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() { p.ended <- d.Push(ctx, at, p.viewer, func() { close(p.began) }) }()
	tb.Cleanup(func() {
		p.stop()
		_ = p.end() // tests that care have asked
		p.viewer.Close(nil)
	})
	return p
}

// goes waits until frames go.
func (p *push) goes() {
	p.Helper()
	select {
	case <-p.began:
	case p.err = <-p.ended:
		p.Fatal(p.err)
	case <-time.After(patience):
		p.Fatal("it does not begin")
	}
}

// end waits for it, and gives why.
func (p *push) end() error {
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

// TestAStreamThatIsPushedIsTheSame has what ffmpeg publishes at one server go on to another: each frame, at the same distance from all others, those of other tracks among them.
func TestAStreamThatIsPushedIsTheSame(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for name := range codecs {
		t.Run(name, func(t *testing.T) {
			file := clip(ctx, t, codecs[name]...)
			h, other := open(t, rtsp.Config{}), open(t, rtsp.Config{})
			var views []*pull
			for _, s := range []*media.Stream{h.stream, other.stream} {
				v, err := s.Join(media.ViewerConfig{Lag: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				views = append(views, &pull{TB: t, viewer: v})
			}
			p := bring(t, rtsp.Dialer{}, h.stream, "rtsp://ann:geheim@"+other.addr+"/live/test?who=ann")
			if _, err := ffmpeg(ctx, t, "-re", "-i", file, "-t", "3", "-c", "copy", "-strict", "experimental", "-f", "rtsp", "-rtsp_transport", "tcp", h.url()); err != nil {
				t.Fatal(err)
			}
			p.goes()
			want := views[0].frames(int(h.stream.Counts().Frames))
			why := errors.New("put out by a test")
			h.stream.Close(why)
			if err := p.end(); !errors.Is(err, why) {
				t.Error(err)
			}
			same(t, "the other", views[1].frames(len(want)), want)
			if r := other.asked[0]; r.Query.Get("who") != "ann" || r.Agent != "skua" || r.Path != "/live/test" {
				t.Errorf("the server is asked %+v", r)
			}
			other.until("the server has nobody", func() bool { now, _, _ := other.server.Conns(); return now == 0 })
			if strings.Contains(other.log.String(), "reason") { // a connection that was cut has one
				t.Error("it has not said TEARDOWN")
			}
		})
	}
}

// TestFFmpegIsPushedTo has another implementation at the far end, which writes a file of what it gets: pictures and sound are those of the file that was published, at their times.
func TestFFmpegIsPushedTo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, name := range []string{"h264 with B-frames, aac", "h265, opus"} {
		t.Run(name, func(t *testing.T) {
			file := clip(ctx, t, codecs[name]...)
			want := read(ctx, t, "-i", file)
			h := open(t, rtsp.Config{})
			at := "rtsp://" + freeport.TCP(t, 1)[0] + "/live/copy"
			var running sync.WaitGroup
			defer running.Wait()
			publishing, enough := context.WithCancel(ctx)
			defer enough()
			heard := make(chan map[string][]unit, 1)
			running.Go(func() {
				heard <- read(ctx, t, "-rtsp_flags", "listen", "-timeout", "60", "-copyts", "-t", strconv.Itoa(seconds()), "-i", at)
			})
			running.Go(func() {
				if _, err := ffmpeg(publishing, t, "-re", "-i", file, "-c", "copy", "-strict", "experimental", "-f", "rtsp", "-rtsp_transport", "tcp", h.url()); err != nil && publishing.Err() == nil {
					t.Error(err)
				}
			})
			h.until("pictures come", func() bool { return h.stream.Counts().Keys > 0 })
			var p *push
			h.until("ffmpeg listens", func() bool {
				p = bring(t, rtsp.Dialer{}, h.stream, at)
				select {
				case <-p.began:
					return true
				case p.err = <-p.ended:
					if !strings.Contains(p.err.Error(), "refused") {
						t.Fatal(p.err)
					}
					return false
				}
			})
			got := <-heard
			if err := p.end(); errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			enough()
			video := shownLater(t, "pictures", got["video"], want["video"], seconds()*30*3/4)
			audio := shownLater(t, "sound", got["audio"], want["audio"], seconds()*38*3/4)
			if math.Abs(video-audio) > 0.002 {
				t.Errorf("pictures are shown %.4f s later than in the file, sound %.4f s", video, audio)
			}
		})
	}
}

// receiver is another server that is published to, that of gortsplib.
type receiver struct {
	library
	paths []string
	conn  *gortsplib.ServerConn
	up    chan struct{}
}

// OnAnnounce is part of gortsplib.
func (r *receiver) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if r.refused(ctx.Conn, ctx.Request) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, liberrors.ErrServerAuth{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths, r.conn = append(r.paths, ctx.Path), ctx.Conn
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnSetup is part of gortsplib.
func (r *receiver) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil, nil
}

// OnRecord is part of gortsplib.
func (r *receiver) OnRecord(*gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	r.up <- struct{}{}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func openReceiver(t *testing.T, user string, methods []auth.VerifyMethod, secure *tls.Config) *receiver {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{library: library{user: user, addr: ln.Addr().String()}, up: make(chan struct{}, 16)}
	r.server = &gortsplib.Server{Handler: r, RTSPAddress: r.addr, AuthMethods: methods, TLSConfig: secure, Listen: func(string, string) (net.Listener, error) { return ln, nil }}
	if err := r.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Close)
	return r
}

func TestPasswordsAreSaidToWhoIsPushedTo(t *testing.T) {
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	for way, methods := range map[string][]auth.VerifyMethod{
		"Basic":  {auth.VerifyMethodBasic},
		"Digest": {auth.VerifyMethodBasic, auth.VerifyMethodDigestMD5, auth.VerifyMethodDigestSHA256},
	} {
		t.Run(way, func(t *testing.T) {
			r := openReceiver(t, "ann", methods, nil)
			at := url.URL{Scheme: "rtsp", User: url.UserPassword("ann", "s3cr%t/@"), Host: r.addr, Path: "/in/1"}
			p := bring(t, rtsp.Dialer{}, h.stream, at.String())
			p.goes()
			p.stop()
			if err := p.end(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if last := r.asked[len(r.asked)-1]; last != way || !slices.Equal(r.paths, []string{"/in/1"}) {
				t.Errorf("%v are published to, the password has come as %q", r.paths, r.asked)
			}
		})
	}
	r := openReceiver(t, "ann", nil, nil)
	for user, want := range map[string]string{"ann:geheim@": "ANNOUNCE: 401", "": "it wants a user"} {
		err := bring(t, rtsp.Dialer{}, h.stream, "rtsp://"+user+r.addr+"/in/1").end()
		if !errors.Is(err, rtsp.ErrServer) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", user, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(slices.DeleteFunc(r.asked, func(way string) bool { return way == "" })); n != 1 { // servers lock out who guesses
		t.Errorf("a wrong password was tried %d times", n)
	}
}

func TestAPushThroughTLSChecksTheCertificate(t *testing.T) {
	ca := testcert.New(t)
	cert, key := ca.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	r := openReceiver(t, "", nil, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	at := "rtsps://" + r.addr + "/in/1"
	if err := bring(t, rtsp.Dialer{}, h.stream, at).end(); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody knows: %v", err)
	}
	bring(t, rtsp.Dialer{TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}}, h.stream, at).goes()
}

func TestWhatIsRefusedToAPushIsAnErrorThatSaysWhy(t *testing.T) {
	h, other := open(t, rtsp.Config{}), open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	for at, want := range map[string]string{
		"rtsp://ann:geheim@" + other.addr + "/live/closed?sign=secret": "ANNOUNCE: 403 " + errClosed.Error(),
		"rtsp://127.0.0.1:1/live/geheim":                               "refused",
		"rtspu://127.0.0.1:1/live/geheim":                              `scheme "rtspu", expected rtsp or rtsps`,
	} {
		err := bring(t, rtsp.Dialer{}, h.stream, at).end()
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// TestACodecThatCantBePushed has one that RTP has no format for here: the server is not bothered, and the error names the track.
func TestACodecThatCantBePushed(t *testing.T) {
	other := open(t, rtsp.Config{})
	for want, config := range map[string][]byte{
		"rtsp: track 0 (audio, aac): AudioSpecificConfig: unsupported object type: 1, expected that of AAC-LC or HE-AAC": {0x0a, 0x10}, // AAC Main
		"rtsp: track 0 (audio, aac): AudioSpecificConfig: not enough bits, expected that of AAC-LC or HE-AAC":            {0x12},
	} {
		s := media.New(media.Config{})
		p, err := s.Publish(nil)
		if err != nil {
			t.Fatal(err)
		}
		track, err := p.Track(media.TrackSpec{Kind: media.Audio})
		if err != nil {
			t.Fatal(err)
		}
		p.Complete()
		pushed := bring(t, rtsp.Dialer{}, s, other.url())
		if err := p.Write(track, media.Sample{Data: []byte("sound"), Params: &media.Params{Codec: media.AAC, Config: config, SampleRate: 44100, Channels: 2}}); err != nil {
			t.Fatal(err)
		}
		if err := pushed.end(); err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if len(other.asked) > 0 {
		t.Errorf("the server was asked %+v", other.asked)
	}
}

// TestAPushIsTriedAnewWhenWhatWasToldIsNoLongerSo has a track begin that was not announced, which RTSP can't say on the way. The next attempt says it.
func TestAPushIsTriedAnewWhenWhatWasToldIsNoLongerSo(t *testing.T) {
	h, other := open(t, rtsp.Config{}), open(t, rtsp.Config{})
	f := h.feed()
	f.picture(true, 10)
	p := bring(t, rtsp.Dialer{}, h.stream, other.url())
	p.goes()
	other.until("it comes", func() bool { return other.stream.Counts().Frames == 1 })
	sound, err := f.to.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.to.Write(sound, media.Sample{Data: []byte("sound"), Params: &media.Params{Codec: media.Opus, Channels: 2}}); err != nil {
		t.Fatal(err)
	}
	if err := p.end(); !errors.Is(err, rtsp.ErrChanged) || !strings.Contains(err.Error(), "a track of opus has begun") {
		t.Error(err)
	}
	other.until("the server has nobody", func() bool { now, _, _ := other.server.Conns(); return now == 0 })
	bring(t, rtsp.Dialer{}, h.stream, other.url()).goes()
	f.picture(true, 10)
	other.until("both come", func() bool { return len(other.stream.Tracks()) == 2 })
}

func TestAPushEndsWithItsServer(t *testing.T) {
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	r := openReceiver(t, "", nil, nil)
	p := bring(t, rtsp.Dialer{}, h.stream, "rtsp://"+r.addr+"/in/1")
	p.goes()
	r.mu.Lock()
	r.conn.Close()
	r.mu.Unlock()
	// What it had not read yet makes its end a reset.
	if err := p.end(); !strings.Contains(err.Error(), "the server has closed the connection") && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
}

// TestAPushToAServerThatTakesNothingEnds has one that agrees to all and then reads nothing. What waits for it is the room's, and bounded there.
func TestAPushToAServerThatTakesNothingEnds(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var serving sync.WaitGroup
	defer serving.Wait()
	defer ln.Close()
	defer close(over)
	serving.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var all []byte
		b := make([]byte, 4<<10)
		for answered := 0; answered < 3; { // ANNOUNCE, SETUP, RECORD
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			all = append(all, b[:n]...)
			for bytes.Count(all, []byte("CSeq: ")) > answered && (answered > 0 || bytes.Contains(all, []byte("trackID="))) {
				answered++
				_, _ = conn.Write([]byte("RTSP/1.0 200 OK\r\nCSeq: " + strconv.Itoa(answered) + "\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"))
			}
		}
		<-over
	})
	h := open(t, rtsp.Config{})
	f := h.feed()
	f.picture(true, 10)
	p := bring(t, rtsp.Dialer{WriteTimeout: 50 * time.Millisecond}, h.stream, "rtsp://"+ln.Addr().String()+"/in/1")
	p.goes()
	for range 16 { // more than the system keeps
		f.picture(true, 1<<20)
	}
	if err := p.end(); !errors.Is(err, media.ErrStalled) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestAPushIsSentOn has a server send on to another, which is not told the password of the first.
func TestAPushIsSentOn(t *testing.T) {
	r, other := openReceiver(t, "ann", nil, nil), open(t, rtsp.Config{})
	h := open(t, rtsp.Config{})
	h.feed().picture(true, 10)
	sendOn := func(to string) string {
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		t.Cleanup(func() {
			_ = ln.Close()
			serving.Wait()
		})
		serving.Go(func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			var all []byte
			for b := make([]byte, 4<<10); !bytes.Contains(all, []byte("trackID=")); { // the end of the announcement
				n, err := conn.Read(b)
				if err != nil {
					return
				}
				all = append(all, b[:n]...)
			}
			_, _ = conn.Write([]byte("RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: " + to + "\r\n\r\n"))
			_, _ = conn.Read(make([]byte, 1)) // until the client has read it
		})
		return "rtsp://ann:geheim@" + ln.Addr().String() + "/in/1"
	}
	bring(t, rtsp.Dialer{}, h.stream, sendOn(other.url())).goes()
	if err := bring(t, rtsp.Dialer{}, h.stream, sendOn("rtsp://"+r.addr+"/in/1")).end(); !strings.Contains(err.Error(), "it wants a user") {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(slices.DeleteFunc(r.asked, func(way string) bool { return way == "" })) > 0 {
		t.Errorf("the password has come as %q", r.asked)
	}
}
