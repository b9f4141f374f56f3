// Package rooms measures what media costs a node: the server is in a process of its own, publishers and viewers are in this one.
package rooms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/tools/bench/measure"
)

// WebRTCServer is the name of the server's process.
const WebRTCServer = "webrtc"

// ServeWebRTC runs rooms that admit everybody.
func ServeWebRTC(ctx context.Context, ready func(addr string)) error {
	srv, err := rtc.Listen(ctx, rtc.Config{Rules: everybody{}, MaxConnecting: 5000})
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	web := &http.Server{Handler: srv, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	go func() { _ = web.Serve(ln) }()
	ready(ln.Addr().String())
	return srv.Serve(ctx)
}

type everybody struct{}

func (everybody) Admit(_ context.Context, r rtc.Request) (rtc.Permit, error) {
	return rtc.Permit{Who: r.Name}, nil
}
func (everybody) Joined(rtc.Session)             {}
func (everybody) Left(rtc.Session, string)       {}
func (everybody) Speaking(string, []rtc.Speaker) {}
func (everybody) Message(rtc.Session, []byte)    {}

// crowd is the clients of one run. Each has a socket of its own, by whose address the server knows it.
type crowd struct {
	addr  string
	bytes atomic.Int64 // of media, that viewers have had

	mu    sync.Mutex
	peers []*pion.PeerConnection
	muxes []io.Closer
}

// newPeer makes a client.
func (c *crowd) newPeer(ctx context.Context) (*pion.PeerConnection, error) {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		_ = udp.SetReadBuffer(1 << 20) // the system grants what it will
	}
	mux := pion.NewICEUDPMux(nil, conn)
	media := new(pion.MediaEngine)
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	set := pion.SettingEngine{}
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
	set.SetICEUDPMux(mux)
	api := pion.NewAPI(pion.WithMediaEngine(media), pion.WithSettingEngine(set), pion.WithInterceptorRegistry(new(interceptor.Registry)))
	pc, err := api.NewPeerConnection(pion.Configuration{})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers, c.muxes = append(c.peers, pc), append(c.muxes, mux, conn)
	return pc, nil
}

func (c *crowd) close() {
	for _, pc := range c.peers {
		_ = pc.Close()
	}
	for _, m := range c.muxes {
		_ = m.Close()
	}
}

// connect brings one client to a path, with what prepare gives it.
func (c *crowd) connect(ctx context.Context, path string, prepare func(*pion.PeerConnection) error) error {
	pc, err := c.newPeer(ctx)
	if err != nil {
		return err
	}
	up := make(chan struct{})
	var once sync.Once
	pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			once.Do(func() { close(up) })
		}
	})
	pc.OnTrack(func(t *pion.TrackRemote, _ *pion.RTPReceiver) { c.receive(t) })
	if err := prepare(pc); err != nil {
		return err
	}
	if err := c.terms(ctx, pc, path); err != nil {
		return err
	}
	select {
	case <-up:
		return pc.WriteRTCP([]rtcp.Packet{new(rtcp.ReceiverReport)}) // as browsers do
	case <-time.After(30 * time.Second):
		return fmt.Errorf("rooms: %s: not connected after 30 s", path)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *crowd) receive(t *pion.TrackRemote) {
	buf := make([]byte, 1500)
	for {
		n, _, err := t.Read(buf)
		if err != nil {
			return
		}
		c.bytes.Add(int64(n))
	}
}

func (c *crowd) terms(ctx context.Context, pc *pion.PeerConnection, path string) error {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	body, in := io.Pipe()
	go func() { _, err := io.WriteString(in, pc.LocalDescription().SDP); in.CloseWithError(err) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("rooms: %s: %s: %s", path, resp.Status, answer)
	}
	return pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: string(answer)})
}

// publish connects a publisher and returns what it writes to.
func (c *crowd) publish(ctx context.Context, path, mime string) (*pion.TrackLocalStaticRTP, error) {
	track, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: mime}, "t", "s")
	if err != nil {
		return nil, err
	}
	return track, c.connect(ctx, path, func(pc *pion.PeerConnection) error {
		_, err := pc.AddTransceiverFromTrack(track, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
		return err
	})
}

// watch connects a viewer with so many lines of one kind.
func (c *crowd) watch(ctx context.Context, path string, kind pion.RTPCodecType, lines int) error {
	return c.connect(ctx, path, func(pc *pion.PeerConnection) error {
		for range lines {
			if _, err := pc.AddTransceiverFromKind(kind, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
				return err
			}
		}
		return nil
	})
}

// stream writes a packet of this size each interval until ctx ends. Each is a key frame of VP8, so that who comes begins at once.
func stream(ctx context.Context, interval time.Duration, size int, tracks ...*pion.TrackLocalStaticRTP) {
	payload := make([]byte, size)
	copy(payload, []byte{0x10, 0x00})
	tick := time.NewTicker(interval)
	defer tick.Stop()
	p := rtp.Packet{Header: rtp.Header{Version: 2}, Payload: payload}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.Timestamp += uint32(interval.Milliseconds() * 90)
		p.SequenceNumber++
		for _, t := range tracks {
			_ = t.WriteRTP(&p) // it ends with the run
		}
	}
}

// window is how long costs are measured, once everything flows.
const window = 5 * time.Second

// cost is what the server spends while media flows: its CPU time and the bytes that viewers have had of it.
func (c *crowd) cost(ctx context.Context, p *measure.Process) (cpu time.Duration, bytes int64, err error) {
	for at, from := time.Now(), c.bytes.Load(); c.bytes.Load() == from; { // the first media has come
		if time.Since(at) > 10*time.Second {
			return 0, 0, errors.New("rooms: no media comes")
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	before, err := p.CPU()
	if err != nil {
		return 0, 0, err
	}
	from := c.bytes.Load()
	if err := pause(ctx, window); err != nil {
		return 0, 0, err
	}
	after, err := p.CPU()
	return after - before, c.bytes.Load() - from, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
