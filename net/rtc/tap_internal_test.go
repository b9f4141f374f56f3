package rtc

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc/terms"
)

// tapped is the tap of a source of pictures, and who watches its stream.
type tapped struct {
	*testing.T
	*tap
	viewer *media.Viewer
	seq    uint64
}

func newTapped(t *testing.T) *tapped {
	t.Helper()
	srv := newDirect(t).srv
	stream := media.New(media.Config{})
	t.Cleanup(func() { stream.Close(nil) })
	to, err := stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	src := newSource(srv, Video, "ann", "", 0, videoClock, new(senderClock))
	st := &stage{server: srv, to: to, lines: lines{video: 1}, taken: map[media.Kind]bool{}}
	st.tap(src)
	made := src.tap.Load()
	src.close() // from here on the test gives it its packets
	return &tapped{T: t, tap: made, viewer: v}
}

// vp8 are a picture's packets: a key frame, or one that needs others. The last one has its mark, or not.
func (t *tapped) vp8(ts uint32, key, mark bool) (all []*packet) {
	frame := append([]byte{0x10, 0, 0, 0x9d, 1, 0x2a, 160, 0, 96, 0}, make([]byte, 2000)...)
	if !key {
		frame[0] |= 1
	}
	payloads := new(codecs.VP8Payloader).Payload(relayMTU, frame)
	for i, payload := range payloads {
		all = append(all, &packet{ts: ts, marker: mark && i == len(payloads)-1, key: key && i == 0, codec: vp8Codec, payload: payload})
	}
	return all
}

var (
	vp8Codec  = newCodec(terms.Codec{Mime: mimeVP8, Clock: videoClock})
	h264Codec = newCodec(terms.Codec{Mime: mimeH264, Clock: videoClock})
)

// h264 is a key frame.
func (t *tapped) h264(ts uint32) (all []*packet) {
	t.Helper()
	var data []byte
	for _, unit := range []string{"6742c00dda0506c840000003004000000f23c50aa8", "68ce3c80", "65b804" + hex.EncodeToString(slices.Repeat([]byte{0x11}, 2000))} {
		b, err := hex.DecodeString(unit)
		if err != nil {
			t.Fatal(err)
		}
		data = append(append(data, startCode...), b...)
	}
	payloads := new(codecs.H264Payloader).Payload(relayMTU, data)
	for i, payload := range payloads {
		all = append(all, &packet{ts: ts, marker: i == len(payloads)-1, key: h264Codec.key(payload), codec: h264Codec, payload: payload})
	}
	return all
}

// gives has the tap take packets, and gives the codecs of the frames that come of them.
func (t *tapped) gives(packets ...[]*packet) (came []media.Codec) {
	t.Helper()
	for _, p := range slices.Concat(packets...) {
		t.seq++
		p.seq = t.seq
		if err := t.take(p, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	t.stage.to.Complete()
	var frames [16]*media.Frame
	n, err := t.viewer.Take(frames[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames[:n] {
		came = append(came, f.Params.Codec)
	}
	return came
}

func TestStreamsGetPicturesWhole(t *testing.T) {
	vp8, h264 := media.VP8, media.H264
	for name, c := range map[string]struct {
		packets func(*tapped) [][]*packet
		expect  []media.Codec
	}{
		"the first has the timestamp 0": {
			func(t *tapped) [][]*packet { return [][]*packet{t.vp8(0, true, true), t.vp8(3000, false, true)} }, []media.Codec{vp8, vp8},
		},
		"marks are missing": {
			func(t *tapped) [][]*packet {
				return [][]*packet{t.vp8(3000, true, false), t.vp8(6000, false, false), t.vp8(9000, false, true)}
			}, []media.Codec{vp8, vp8, vp8},
		},
		"one without a mark, and then another codec": {
			func(t *tapped) [][]*packet { return [][]*packet{t.vp8(3000, true, false), t.h264(6000)} }, []media.Codec{vp8, h264},
		},
		"one that is none, and then a key frame": {
			func(t *tapped) [][]*packet {
				return [][]*packet{t.vp8(3000, true, true), {{ts: 6000, codec: vp8Codec, payload: []byte{0x80}}}, t.vp8(9000, true, true), t.vp8(12000, false, true)}
			}, []media.Codec{vp8, vp8, vp8},
		},
		"padding": {
			func(t *tapped) [][]*packet {
				all := t.vp8(3000, true, true)
				return [][]*packet{all[:1], {{ts: 3000, codec: vp8Codec}}, all[1:]}
			}, []media.Codec{vp8},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tap := newTapped(t)
			if came := tap.gives(c.packets(tap)...); !slices.Equal(came, c.expect) {
				t.Errorf("frames of %v came, expected of %v", came, c.expect)
			}
		})
	}
}
