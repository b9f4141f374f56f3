package rtc_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
)

// Parameter sets of H.264 as ffmpeg makes them, of 320x180.
var (
	sps = []byte{0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x06, 0xc8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x23, 0xc5, 0x0a, 0xa8}
	pps = []byte{0x68, 0xce, 0x0f, 0xc8}
)

// Types of NAL units with nal_ref_idc: of a key frame, of one that others need, and of a B-frame that nobody does.
const (
	idr       = 0x65
	reference = 0x41
	disposal  = 0x01
)

// unit is one of these with its number in it.
func unit(kind byte, n uint32, size int) []byte {
	return append([]byte{kind, 0xff, 0x80 | byte(n>>21), 0x80 | byte(n>>14), 0x80 | byte(n>>7), 0x80 | byte(n)}, bytes.Repeat([]byte{0xff}, size)...)
}

func number(unit []byte) (n uint32) {
	for _, b := range unit[2:6] {
		n = n<<7 | uint32(b&0x7f)
	}
	return n
}

func h264(t testing.TB) *media.Params {
	t.Helper()
	config, err := media.AVCConfig(sps, pps)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := media.NewParams(media.H264, config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestStreamIsSeenByWHEP relays pictures with B-frames, and Opus: the pictures come in the order in which they are shown, and the reports say which sound goes with them.
func TestStreamIsSeenByWHEP(t *testing.T) {
	d := open(t, nil)
	stream := media.New(media.Config{})
	p, err := stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	video, _ := p.Track(media.TrackSpec{Kind: media.Video})
	audio, _ := p.Track(media.TrackSpec{Kind: media.Audio})
	opus, _, _ := media.NewParams(media.Opus, media.OpusConfig(2))
	pictures := h264(t)
	from, err := stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Relay("stage", "ann", from); err != nil {
		t.Fatal(err)
	}
	v := watch(t, d, "/whep/stage", 1, 1)

	// I P b P b ...: each b is shown before the P that comes in front of it.
	n := uint32(0)
	stop := every(20*time.Millisecond, func() {
		at := time.Duration(n) * 20 * time.Millisecond
		sample := media.Sample{DTS: at, PTS: at + 20*time.Millisecond, Params: pictures, Data: media.JoinNALUs(unit(reference, n, 2000))}
		switch {
		case n%10 == 0:
			sample.Key, sample.Data = true, media.JoinNALUs(unit(idr, n, 4000))
		case n%2 == 1:
			sample.PTS = at + 40*time.Millisecond
		default:
			sample.PTS, sample.Data = at, media.JoinNALUs(unit(disposal, n, 500))
		}
		_ = p.Write(video, sample)
		_ = p.Write(audio, media.Sample{DTS: at, PTS: at, Params: opus, Data: binary.BigEndian.AppendUint32([]byte{0xfc}, n)})
		n++
	})
	defer stop()
	seen := map[string]*pion.TrackRemote{}
	for range 2 {
		track := <-v.incoming
		seen[track.Kind().String()] = track
	}
	if got := seen["video"].Codec().MimeType; got != pion.MimeTypeH264 {
		t.Fatal(got)
	}
	var h264 codecs.H264Packet
	var last, key uint32 // timestamps: of the last packet, and of the first picture
	var shown time.Duration
	for count := range 100 {
		packet, _, err := seen["video"].ReadRTP()
		if err != nil {
			t.Fatal(err)
		}
		if count > 0 && int32(packet.Timestamp-last) < 0 {
			t.Fatalf("a picture comes too late: %d after %d", packet.Timestamp, last)
		}
		last = packet.Timestamp
		data, err := h264.Unmarshal(packet.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if count == 0 && (len(data) < 5 || data[4] != sps[0]) {
			t.Errorf("it begins with % x", data[:min(len(data), 8)])
		}
		if len(data) > 10 && data[4] == disposal {
			t.Error("a B-frame has come")
		}
		if len(data) > 10 && data[4] == idr && key == 0 {
			key, shown = packet.Timestamp, time.Duration(number(data[4:])+1)*20*time.Millisecond
		}
	}
	if n := d.count(t, "skua_webrtc_b_frames_left_out_total"); n < 10 {
		t.Errorf("%v B-frames were left out", n)
	}
	packet, _, err := seen["audio"].ReadRTP()
	if err != nil {
		t.Fatal(err)
	}
	heard := time.Duration(binary.BigEndian.Uint32(packet.Payload[1:])) * 20 * time.Millisecond
	pictures0, sound0 := moment(t, v, seen["video"], key).Add(-shown), moment(t, v, seen["audio"], packet.Timestamp).Add(-heard)
	if apart := pictures0.Sub(sound0); apart.Abs() > 5*time.Millisecond {
		t.Errorf("by the reports pictures are %s behind the sound", apart)
	}
}

// moment is when a timestamp was, by the next report of the track's sender.
func moment(t *testing.T, v *peer, track *pion.TrackRemote, ts uint32) time.Time {
	t.Helper()
	for _, r := range v.pc.GetReceivers() {
		if r.Track() != track {
			continue
		}
		for {
			packets, _, err := r.ReadRTCP()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range packets {
				if sr, ok := p.(*rtcp.SenderReport); ok && sr.SSRC == uint32(track.SSRC()) {
					at := time.Unix(int64(sr.NTPTime>>32), int64(sr.NTPTime&0xffffffff*uint64(time.Second)>>32))
					return at.Add(-media.FromTicks(int64(int32(sr.RTPTime-ts)), int64(track.Codec().ClockRate)))
				}
			}
		}
	}
	t.Fatal("no receiver of the track")
	return time.Time{}
}

// TestFramesOfALossyPublisherAreWhole publishes H.264 by WHIP of which packets get lost for good, of key frames, too: all frames of the stream are whole, and go on at a key frame.
func TestFramesOfALossyPublisherAreWhole(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.KeyInterval = 20 * time.Millisecond })
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeH264)
	stream := media.New(media.Config{})
	to, err := stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	d.await(t, "anna is there", func() bool { return len(d.joined) == 1 })
	if err := d.Feed(d.Members("stage")[0].ID, to); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1)
	go func() {
		for {
			packets, _, err := feeds[0].sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if _, ok := p.(*rtcp.PictureLossIndication); ok {
					select {
					case asked <- struct{}{}:
					default:
					}
				}
			}
		}
	}()
	var pack codecs.H264Payloader
	f, n, sent := feeds[0], uint32(0), 0
	send := func(annexb []byte, lose bool) {
		payloads := pack.Payload(1200, annexb)
		for i, payload := range payloads {
			f.seq++
			if lose && i == 1 {
				continue
			}
			h := rtp.Header{Version: 2, SequenceNumber: f.seq, Timestamp: f.ts, Marker: i == len(payloads)-1}
			_ = f.track.WriteRTP(&rtp.Packet{Header: h, Payload: payload})
		}
	}
	start := []byte{0, 0, 0, 1}
	stop := every(10*time.Millisecond, func() {
		f.ts += 3000
		n++
		key := n == 1
		select {
		case <-asked:
			key = true
		default:
		}
		sent++
		if key {
			var all []byte
			for _, u := range [][]byte{sps, pps, unit(idr, n, 5000)} {
				all = append(append(all, start...), u...)
			}
			send(all, n%4 == 0)
			return
		}
		send(append(append([]byte(nil), start...), unit(reference, n, 3000)...), n%40 == 0)
	})
	defer stop()
	frames := make([]*media.Frame, 1)
	var last uint32
	gaps := 0
	for range 200 {
		if _, err := v.Next(frames); err != nil {
			t.Fatal(err)
		}
		fr := frames[0]
		var units [][]byte
		for u := range media.NALUs(fr.Data) {
			units = append(units, u)
		}
		want := map[bool]int{true: 5006, false: 3006}[fr.Key]
		if len(units) != 1 || len(units[0]) != want || fr.Params.Width != 320 {
			t.Fatalf("a frame of %d units, %d bytes", len(units), len(fr.Data))
		}
		n := number(units[0])
		if last != 0 && n != last+1 {
			gaps++
			if !fr.Key {
				t.Fatalf("after a loss pictures go on with %d, which is no key frame", n)
			}
		}
		last = n
	}
	if gaps == 0 {
		t.Error("nothing was lost")
	}
	to.Close()
}
