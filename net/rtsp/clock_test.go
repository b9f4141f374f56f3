package rtsp_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

// TestSoundStaysAndPicturesGoWhereReportsSay has a publisher's first pictures come late, and its reports after seconds, as GStreamer's do: which of them comes first, sound goes on
// evenly, and pictures are beside it before long, with none shown before the one before.
func TestSoundStaysAndPicturesGoWhereReportsSay(t *testing.T) {
	const (
		late     = 460 * time.Millisecond // the first picture
		sound    = 20 * time.Millisecond
		picture  = 40 * time.Millisecond
		reported = 2 * time.Second
		all      = 10 * time.Second
	)
	for name, pictureFirst := range map[string]bool{"pictures are reported first": true, "sound is reported first": false} {
		t.Run(name, func(t *testing.T) {
			s := media.New(media.Config{RingFrames: 2048})
			to, err := s.Publish(nil)
			if err != nil {
				t.Fatal(err)
			}
			in, err := rtsp.ReadSDP([]byte(sdp+vp8+"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n"), 1<<20, to, false)
			if err != nil {
				t.Fatal(err)
			}
			v, err := s.Join(media.ViewerConfig{})
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			send := func(track int, at time.Duration, stamp uint32, came time.Duration) {
				t.Helper()
				payload := []byte{0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
				step := picture
				if track == 1 {
					step = sound
				}
				one := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: uint8(96 + track), SequenceNumber: uint16(at / step), Timestamp: stamp, Marker: true, SSRC: uint32(track)}, Payload: payload}
				b, err := one.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				if err := in.Packet(track, false, b, begun.Add(came)); err != nil {
					t.Fatal(err)
				}
			}
			report := func(track int, at time.Duration, stamp uint32) {
				t.Helper()
				b, err := (&rtcp.SenderReport{SSRC: uint32(track), NTPTime: media.ToNTP(time.Unix(1e9, 0).Add(at)), RTPTime: stamp}).Marshal()
				if err != nil {
					t.Fatal(err)
				}
				if err := in.Packet(track, true, b, begun.Add(at)); err != nil {
					t.Fatal(err)
				}
			}
			stamps := []func(at time.Duration) uint32{ // each track counts from where it likes
				func(at time.Duration) uint32 { return 1<<32 - 90_000 + uint32(media.Ticks(at, 90_000)) },
				func(at time.Duration) uint32 { return 123_456 + uint32(media.Ticks(at, 48_000)) },
			}
			for at := time.Duration(0); at < all; at += sound {
				for _, due := range []time.Duration{reported, reported + 3*sound} {
					if track := 0; at == due {
						if (due == reported) != pictureFirst {
							track = 1
						}
						report(track, at, stamps[track](at))
					}
				}
				send(1, at, stamps[1](at), at)
				if at%picture == 0 {
					send(0, at, stamps[0](at), max(at, late)) // those of the beginning come at once
				}
			}
			to.Complete()
			s.Close(nil)
			last, frames := map[media.Kind]time.Duration{}, make([]*media.Frame, 64)
			for {
				n, err := v.Next(frames)
				if err != nil {
					break
				}
				for _, f := range frames[:n] {
					before, ok := last[f.Track.Kind]
					step := f.PTS - before
					last[f.Track.Kind] = f.PTS
					switch {
					case !ok:
					case f.Track.Kind == media.Audio && (step-sound).Abs() > time.Microsecond:
						t.Fatalf("sound is %s behind the packet before, want %s", step, sound)
					case f.Track.Kind == media.Video && (step-picture).Abs() > picture/8+time.Microsecond:
						t.Fatalf("a picture is %s behind the one before, want %s, an eighth more or less", step, picture)
					}
				}
			}
			if got, want := last[media.Audio]-last[media.Video], picture-sound; (got - want).Abs() > time.Millisecond {
				t.Errorf("at the end sound is %s behind the pictures, want %s", got, want)
			}
		})
	}
}
