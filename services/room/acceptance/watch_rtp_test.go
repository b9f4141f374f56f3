package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpsimpleaudio"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
)

// stamped is a frame of RTP, whose moment is known with a report.
type stamped struct {
	data []byte
	ts   uint32
	rate int64
}

// reported is what the server has said of a track's clock.
type reported struct {
	ntp uint64
	rtp uint32
}

func (r reported) at(f stamped) time.Duration {
	seconds, part := time.Duration(r.ntp>>32&0xffffff)*time.Second, time.Duration(r.ntp&0xffffffff*uint64(time.Second)>>32)
	return seconds + part + media.FromTicks(int64(int32(f.ts-r.rtp)), f.rate)
}

// rtpViewer collects what comes by RTP, and gives it when it is complete.
type rtpViewer struct {
	w      *watched
	mu     sync.Mutex
	frames map[media.Kind][]stamped
	clocks map[media.Kind]reported
	last   chan struct{}
}

func newRTPViewer(w *watched) *rtpViewer {
	return &rtpViewer{w: w, frames: map[media.Kind][]stamped{}, clocks: map[media.Kind]reported{}, last: make(chan struct{})}
}

func (v *rtpViewer) add(k media.Kind, f stamped) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.frames[k] = append(v.frames[k], f)
	if n, ok := v.w.reel.numbers[content(v.w.reel.video, f.data)]; k == media.Video && ok && n == v.w.reel.pictures-1 {
		select {
		case <-v.last:
		default:
			close(v.last)
		}
	}
}

func (v *rtpViewer) report(k media.Kind, p rtcp.Packet) {
	if r, ok := p.(*rtcp.SenderReport); ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.clocks[k] = reported{r.NTPTime, r.RTPTime}
	}
}

// give hands over what has come.
func (v *rtpViewer) give() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for k, frames := range v.frames {
		clock, ok := v.clocks[k]
		if !ok {
			return fmt.Errorf("%d frames of %s, and no report of when they are", len(frames), k)
		}
		for _, f := range frames {
			if k == media.Video {
				v.w.picture(f.data, clock.at(f))
			} else {
				v.w.sound(f.data, clock.at(f))
			}
		}
	}
	return nil
}

// viewRTSP is gortsplib.
func viewRTSP(ctx context.Context, n *node, room string, w *watched) error {
	u, err := base.ParseURL("rtsp://" + n.Addr["rtsp"] + "/live/" + room)
	if err != nil {
		return err
	}
	protocol := gortsplib.ProtocolTCP
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &protocol, ReadTimeout: patience}
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Close()
	told, _, err := c.Describe(u)
	if err != nil {
		return err
	}
	if err := c.SetupAll(told.BaseURL, told.Medias); err != nil {
		return err
	}
	v := newRTPViewer(w)
	for _, m := range told.Medias {
		kind, unpack, err := unpacker(m.Formats[0])
		if err != nil {
			return err
		}
		c.OnPacketRTP(m, m.Formats[0], func(p *rtp.Packet) {
			if data, err := unpack(p); err == nil && data != nil {
				v.add(kind, stamped{data, p.Timestamp, int64(m.Formats[0].ClockRate())})
			}
		})
		c.OnPacketRTCP(m, func(p rtcp.Packet) { v.report(kind, p) })
	}
	if _, err := c.Play(nil); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended: // the room has
	case <-ctx.Done():
		return ctx.Err()
	}
	return v.give()
}

// unpacker makes frames of packets in the order in which they come.
func unpacker(f format.Format) (kind media.Kind, _ func(p *rtp.Packet) ([]byte, error), err error) {
	joined := func(units [][]byte, err error) ([]byte, error) { return media.JoinNALUs(units...), err }
	switch f := f.(type) {
	case *format.H264:
		d, err := f.CreateDecoder()
		return media.Video, func(p *rtp.Packet) ([]byte, error) { return joined(d.Decode(p)) }, err
	case *format.H265:
		d, err := f.CreateDecoder()
		return media.Video, func(p *rtp.Packet) ([]byte, error) { return joined(d.Decode(p)) }, err
	case *format.AV1:
		d, err := f.CreateDecoder()
		return media.Video, func(p *rtp.Packet) ([]byte, error) {
			units, err := d.Decode(p)
			if err != nil {
				return nil, err
			}
			return media.JoinOBUs(units...)
		}, err
	case *format.VP8:
		d, err := f.CreateDecoder()
		return media.Video, d.Decode, err
	case *format.VP9:
		d, err := f.CreateDecoder()
		return media.Video, d.Decode, err
	case *format.MPEG4Audio:
		d, err := f.CreateDecoder()
		return media.Audio, func(p *rtp.Packet) ([]byte, error) {
			units, err := d.Decode(p)
			return bytes.Join(units, nil), err // one a packet, as the server sends them
		}, err
	case *format.Opus:
		d := new(rtpsimpleaudio.Decoder)
		return media.Audio, d.Decode, d.Init()
	default:
		return 0, nil, fmt.Errorf("a format %T", f)
	}
}

// viewWHEP is pion.
func viewWHEP(ctx context.Context, n *node, room string, w *watched) error {
	p, err := newPeer()
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	v := newRTPViewer(w)
	p.pc.OnTrack(func(track *pion.TrackRemote, receiver *pion.RTPReceiver) {
		kind := media.Video
		if track.Kind() == pion.RTPCodecTypeAudio {
			kind = media.Audio
		}
		p.running.Go(func() { v.reports(kind, track, receiver) })
		v.track(kind, track)
	})
	for _, kind := range []pion.RTPCodecType{pion.RTPCodecTypeVideo, pion.RTPCodecTypeAudio} {
		if _, err := p.pc.AddTransceiverFromKind(kind, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	if w.note, err = p.connect(ctx, "http://"+n.Addr["http"]+"/whep/"+room); err != nil {
		return err
	}
	close(w.ready)
	select {
	case <-v.last:
	case <-ctx.Done():
		return ctx.Err()
	}
	return v.give()
}

func (v *rtpViewer) reports(kind media.Kind, track *pion.TrackRemote, receiver *pion.RTPReceiver) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == uint32(track.SSRC()) {
				v.report(kind, r)
			}
		}
	}
}

// track puts packets together, which come in order here: each frame ends with a mark.
func (v *rtpViewer) track(kind media.Kind, track *pion.TrackRemote) {
	var d rtp.Depacketizer
	switch strings.ToLower(track.Codec().MimeType) {
	case strings.ToLower(pion.MimeTypeH264):
		d = &codecs.H264Packet{IsAVC: true}
	case strings.ToLower(pion.MimeTypeH265):
		d = new(codecs.H265Depacketizer)
	case strings.ToLower(pion.MimeTypeAV1):
		d = new(codecs.AV1Depacketizer)
	case strings.ToLower(pion.MimeTypeVP8):
		d = new(codecs.VP8Packet)
	case strings.ToLower(pion.MimeTypeVP9):
		d = new(codecs.VP9Packet)
	default:
		d = new(codecs.OpusPacket)
	}
	var frame []byte
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		part, err := d.Unmarshal(p.Payload)
		if err != nil {
			continue
		}
		if frame = append(frame, part...); !p.Marker && kind == media.Video {
			continue
		}
		if v.w.reel.video == media.H265 && kind == media.Video {
			frame = media.JoinNALUs(slices.DeleteFunc(bytes.Split(frame, []byte{0, 0, 0, 1}), func(u []byte) bool { return len(u) == 0 })...)
		}
		v.add(kind, stamped{frame, p.Timestamp, int64(track.Codec().ClockRate)})
		frame = nil
	}
}

// peer is a client of WebRTC.
type peer struct {
	pc      *pion.PeerConnection
	running sync.WaitGroup
	up      chan struct{}
	socket  net.PacketConn
	mux     io.Closer
	once    sync.Once
}

func newPeer() (*peer, error) {
	p := &peer{up: make(chan struct{})}
	set := pion.SettingEngine{}
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
	var err error
	if p.socket, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp4", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	mux := pion.NewICEUDPMux(nil, p.socket)
	p.mux = mux
	set.SetICEUDPMux(mux)
	var codecs pion.MediaEngine
	var chain interceptor.Registry // without the one that reports when packets were sent: a publisher here says when they were meant to be
	if err := errors.Join(codecs.RegisterDefaultCodecs(), pion.ConfigureNack(&codecs, &chain)); err != nil {
		return nil, errors.Join(err, mux.Close(), p.socket.Close())
	}
	api := pion.NewAPI(pion.WithSettingEngine(set), pion.WithMediaEngine(&codecs), pion.WithInterceptorRegistry(&chain))
	if p.pc, err = api.NewPeerConnection(pion.Configuration{}); err != nil {
		return nil, errors.Join(err, mux.Close(), p.socket.Close())
	}
	p.pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			p.once.Do(func() { close(p.up) })
		}
	})
	return p, nil
}

// connect gives what the server has to say of what does not come.
func (p *peer) connect(ctx context.Context, url string) (note string, err error) {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := pion.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return "", err
	}
	<-gathered
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(p.pc.LocalDescription().SDP))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("%s: %s, %w", resp.Status, answer, err)
	}
	if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		return "", err
	}
	select {
	case <-p.up:
		return strings.Join(resp.Header.Values("Skua-Note"), "; "), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *peer) close() error {
	err := p.pc.GracefulClose()
	p.running.Wait()
	err = errors.Join(err, p.mux.Close())
	_ = p.socket.Close() // the mux may have done so
	return err
}
