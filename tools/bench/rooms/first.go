package rooms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/tools/bench/measure"
)

// RelayServer is the name of a server whose room shows a stream that did not come by WebRTC.
const RelayServer = "webrtc-relay"

// ServeRelay runs it: 30 pictures a second of H.264 as an encoder sends them, with a key frame each second.
func ServeRelay(ctx context.Context, ready func(addr string)) error {
	srv, err := rtc.Listen(ctx, rtc.Config{Rules: everybody{}})
	if err != nil {
		return err
	}
	stream := media.New(media.Config{})
	from, err := stream.Join(media.ViewerConfig{})
	if err == nil {
		err = srv.Relay("stage", "encoder", from)
	}
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	web := &http.Server{Handler: srv, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	go func() { _ = web.Serve(ln) }()
	go func() { _ = encode(ctx, stream) }() // ends with the server
	ready(ln.Addr().String())
	return srv.Serve(ctx)
}

// encode publishes pictures of H.264 until ctx ends.
func encode(ctx context.Context, s *media.Stream) error {
	const pictures, size, keySize = 30, 5_800, 23_000
	p, err := s.Publish(nil)
	if err != nil {
		return err
	}
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		return err
	}
	p.Complete()
	config, err := media.AVCConfig(
		[]byte{0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x06, 0xc8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x23, 0xc5, 0x0a, 0xa8}, []byte{0x68, 0xce, 0x0f, 0xc8})
	if err != nil {
		return err
	}
	params, _, err := media.NewParams(media.H264, config)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second / pictures)
	defer tick.Stop()
	for n := 0; ; n++ {
		unit := make([]byte, size)
		unit[0] = 0x41
		if n%pictures == 0 {
			unit = make([]byte, keySize)
			unit[0] = 0x65
		}
		at := time.Duration(n) * time.Second / pictures
		if err := p.Write(track, media.Sample{DTS: at, PTS: at, Key: n%pictures == 0, Params: params, Data: media.JoinNALUs(unit)}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// FirstFrameP95 is what passes between the moment at which a viewer by WHEP has got through by ICE and that at which it has its first picture, of 95 in 100: ms.
func FirstFrameP95(viewers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, RelayServer, func(p *measure.Process) (float64, error) {
			if err := pause(ctx, 1500*time.Millisecond); err != nil {
				return 0, err
			}
			all := make([]time.Duration, viewers)
			for i := range all {
				var err error
				if all[i], err = firstFrame(ctx, p.Addr); err != nil {
					return 0, err
				}
				if err := pause(ctx, 17*time.Millisecond); err != nil { // at all places between two key frames
					return 0, err
				}
			}
			slices.Sort(all)
			return float64(all[len(all)*95/100].Microseconds()) / 1000, nil
		})
	}
}

// firstFrame is one viewer, that leaves when it has seen something.
func firstFrame(ctx context.Context, addr string) (time.Duration, error) {
	c := &crowd{addr: addr}
	defer c.close()
	through, seen := make(chan time.Time, 1), make(chan error, 1)
	err := c.connect(ctx, "/whep/stage", func(pc *pion.PeerConnection) error {
		pc.OnICEConnectionStateChange(func(s pion.ICEConnectionState) {
			if s == pion.ICEConnectionStateConnected {
				through <- time.Now()
			}
		})
		pc.OnTrack(func(t *pion.TrackRemote, _ *pion.RTPReceiver) { seen <- picture(t) })
		_, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeVideo, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly})
		return err
	})
	if err != nil {
		return 0, err
	}
	begun := <-through
	select {
	case err := <-seen:
		return time.Since(begun), err
	case <-time.After(20 * time.Second):
		return 0, errors.New("rooms: no picture in 20 s")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// picture reads the first one, which has to be a key frame.
func picture(t *pion.TrackRemote) error {
	var h264 codecs.H264Packet
	var data []byte
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return err
		}
		part, err := h264.Unmarshal(p.Payload)
		if err != nil {
			return fmt.Errorf("rooms: %w", err)
		}
		data = append(data, part...)
		if p.Marker {
			break
		}
	}
	if len(data) < 5 || data[4]&0x1f != 7 {
		return fmt.Errorf("rooms: the first picture begins with % x, expected parameters and a key frame", data[:min(len(data), 8)])
	}
	return nil
}
