package rtc_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/net/rtc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is the Rules of tests: it admits all, unless told otherwise, and keeps what it hears.
type house struct {
	admit func(rtc.Request) (rtc.Permit, error)

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew with each event
	joined   []rtc.Session
	left     map[string]string // who, and why
	speakers []rtc.Speaker
	messages []string
}

func newHouse() *house { return &house{changed: make(chan struct{}), left: map[string]string{}} }

func (h *house) Admit(_ context.Context, r rtc.Request) (rtc.Permit, error) {
	if h.admit != nil {
		return h.admit(r)
	}
	return rtc.Permit{Who: r.Name}, nil
}

func (h *house) note(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *house) Joined(s rtc.Session) { h.note(func() { h.joined = append(h.joined, s) }) }
func (h *house) Left(s rtc.Session, reason string) {
	h.note(func() { h.left[s.Who] = reason })
}
func (h *house) Speaking(_ string, s []rtc.Speaker) { h.note(func() { h.speakers = s }) }
func (h *house) Message(s rtc.Session, text []byte) {
	h.note(func() { h.messages = append(h.messages, s.Who+": "+string(text)) })
}

// await waits until what the house has heard satisfies ok, which is called with its lock held.
func (h *house) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		h.mu.Lock()
		done, changed := ok(), h.changed
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// door is a server that runs, and its address.
type door struct {
	*rtc.Server
	*house
	url     string
	metrics *rtc.Metrics
}

func open(t *testing.T, change func(*rtc.Config)) *door {
	t.Helper()
	d := &door{house: newHouse(), metrics: rtc.NewMetrics()}
	log, _ := logtest.New(t)
	cfg := rtc.Config{Rules: d.house, Metrics: d.metrics, Log: log}
	if change != nil {
		change(&cfg)
	}
	srv, err := rtc.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Server = srv
	web := httptest.NewServer(srv)
	d.url = web.URL
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return d
}

// ask sends a request and returns what the server said.
func ask(t testing.TB, method, url, kind, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// peer is a client in the test's own process.
type peer struct {
	t        testing.TB
	pc       *pion.PeerConnection
	url      string // of the session
	etag     string
	up       chan struct{} // closed when it is connected
	incoming chan *pion.TrackRemote

	rewrite func(answer string) string // or nil

	link *link // over UDP
	mux  ice.UDPMux
	end  sync.Once
}

// link is a client's socket, whose cable may be pulled.
type link struct {
	net.PacketConn
	cut  atomic.Bool
	lose atomic.Pointer[func([]byte) bool] // what comes and is to be lost, or nil
}

func (l *link) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		if lose := l.lose.Load(); err != nil || lose == nil || !(*lose)(b[:n]) {
			return n, from, err
		}
	}
}

func (l *link) WriteTo(b []byte, to net.Addr) (int, error) {
	if l.cut.Load() {
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, to)
}

func newPeer(t testing.TB, tcp bool) *peer {
	t.Helper()
	media := new(pion.MediaEngine)
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"urn:ietf:params:rtp-hdrext:ssrc-audio-level"} {
		if err := media.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: uri}, pion.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	p := &peer{t: t, up: make(chan struct{}), incoming: make(chan *pion.TrackRemote, 64)}
	set := pion.SettingEngine{}
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeTCP4})
	if !tcp {
		set.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.link = &link{PacketConn: conn}
		p.mux = pion.NewICEUDPMux(nil, p.link)
		set.SetICEUDPMux(p.mux)
	}
	api := pion.NewAPI(pion.WithMediaEngine(media), pion.WithSettingEngine(set), pion.WithInterceptorRegistry(new(interceptor.Registry)))
	pc, err := api.NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	p.pc = pc
	var once sync.Once
	pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			once.Do(func() { close(p.up) })
		}
	})
	pc.OnTrack(func(track *pion.TrackRemote, _ *pion.RTPReceiver) { p.incoming <- track })
	t.Cleanup(func() { p.vanish() })
	return p
}

// vanish ends the client without a word to the server's HTTP.
func (p *peer) vanish() {
	p.end.Do(func() {
		if err := p.pc.GracefulClose(); err != nil {
			p.t.Error(err)
		}
		if p.link != nil {
			_ = p.mux.Close()
			_ = p.link.Close()
		}
	})
}

// offer makes the SDP with all candidates.
func (p *peer) offer() string {
	p.t.Helper()
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		p.t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

// connect brings the offer to a path and waits until media can flow.
func (p *peer) connect(d *door, path string) *peer {
	p.t.Helper()
	resp, answer := ask(p.t, http.MethodPost, d.url+path, "application/sdp", p.offer())
	if resp.StatusCode != http.StatusCreated {
		p.t.Fatalf("POST %s: %s: %s", path, resp.Status, answer)
	}
	p.url, p.etag = d.url+resp.Header.Get("Location"), resp.Header.Get("ETag")
	if p.rewrite != nil {
		answer = p.rewrite(answer)
	}
	if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
		p.t.Fatal(err)
	}
	p.connected()
	return p
}

func (p *peer) connected() {
	p.t.Helper()
	select {
	case <-p.up:
	case <-time.After(time.Minute):
		p.t.Fatalf("not connected after a minute: %s", p.pc.ConnectionState())
	}
}

// publish connects a publisher with a track for each codec.
func publish(t testing.TB, d *door, room, name string, mimes ...string) (*peer, []*feed) {
	t.Helper()
	p := newPeer(t, false)
	feeds := make([]*feed, len(mimes))
	for i, mime := range mimes {
		feeds[i] = p.addFeed(mime)
	}
	p.connect(d, "/whip/"+room+"?who="+name)
	return p, feeds
}

// feed is a track that the test writes.
type feed struct {
	track  *pion.TrackLocalStaticRTP
	sender *pion.RTPSender
	seq    uint16
	ts     uint32
}

func (p *peer) addFeed(mime string) *feed {
	p.t.Helper()
	track, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: mime}, mime, "test")
	if err != nil {
		p.t.Fatal(err)
	}
	tr, err := p.pc.AddTransceiverFromTrack(track, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		p.t.Fatal(err)
	}
	return &feed{track: track, sender: tr.Sender()}
}

// send writes one packet; ext, if it is not nil, is its level of sound.
func (f *feed) send(t testing.TB, payload []byte, level ...byte) {
	t.Helper()
	f.seq++
	h := rtp.Header{Version: 2, SequenceNumber: f.seq, Timestamp: f.ts, Marker: true}
	if len(level) > 0 {
		id := uint8(0)
		for _, e := range f.sender.GetParameters().HeaderExtensions {
			if strings.HasSuffix(e.URI, "ssrc-audio-level") {
				id = uint8(e.ID)
			}
		}
		if id == 0 {
			t.Fatal("the level of sound was not negotiated")
		}
		if err := h.SetExtension(id, level[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.track.WriteRTP(&rtp.Packet{Header: h, Payload: payload}); err != nil {
		t.Fatal(err)
	}
}

// Payloads of VP8: the first packet of a key frame, and of one that needs others.
func keyFrame(n byte) []byte   { return []byte{0x10, 0x00, n, 0x00, 0x9d, 0x01, 0x2a} }
func deltaFrame(n byte) []byte { return []byte{0x10, 0x01, n} }

// watch connects a viewer with lines for so many tracks of audio and video.
func watch(t testing.TB, d *door, path string, audio, video int) *peer {
	t.Helper()
	p := newPeer(t, false)
	p.receive(audio, video)
	return p.connect(d, path)
}

func (p *peer) receive(audio, video int) {
	p.t.Helper()
	for kind, n := range map[pion.RTPCodecType]int{pion.RTPCodecTypeAudio: audio, pion.RTPCodecTypeVideo: video} {
		for range n {
			if _, err := p.pc.AddTransceiverFromKind(kind, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// every calls f each interval until stop is called, which waits for it.
func every(interval time.Duration, f func()) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f()
			case <-end:
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(end); <-ended })
}
