package flv_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is a record that NewParams takes.
func config(t *testing.T, c media.Codec) []byte {
	t.Helper()
	switch c {
	case media.H264:
		// Of 1920 by 1080.
		sps := []byte{0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0, 0, 3, 0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x60, 0xc6, 0x58}
		b, err := media.AVCConfig(sps, []byte{0x68, 0xe9, 0x3b, 0x32})
		if err != nil {
			t.Fatal(err)
		}
		return b
	case media.H265:
		record := make([]byte, 23) // without sets, which are in band
		record[0], record[21] = 1, 3
		return record
	case media.AAC:
		return []byte{0x12, 0x10}
	case media.Opus:
		return media.OpusConfig(2)
	case media.AV1:
		return []byte{0x81, 0, 0, 0}
	case media.VP9:
		return []byte{0, 10, 0x82, 1, 1, 1, 0, 0}
	default:
		return nil
	}
}

// relay is a stream whose viewer's tags are fed to the ingest of another.
func relay(t *testing.T, codec media.Codec, samples ...media.Sample) []*media.Frame {
	t.Helper()
	params, _, err := media.NewParams(codec, config(t, codec))
	if err != nil {
		t.Fatal(err)
	}
	from, to := media.New(media.Config{}), media.New(media.Config{})
	defer from.Close(nil)
	defer to.Close(nil)
	p, err := from.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	track, err := p.Track(media.TrackSpec{Kind: codec.Kind()})
	if err != nil {
		t.Fatal(err)
	}
	p.Complete()
	v, err := from.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := to.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := to.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	in := flv.Ingest{To: q}
	frames := make([]*media.Frame, len(samples)+1)
	for _, s := range samples {
		s.Params = params
		if err := p.Write(track, s); err != nil {
			t.Fatal(err)
		}
	}
	n, err := v.Take(frames)
	if err != nil {
		t.Fatal(err)
	}
	mux := flv.Mux{}
	var file []byte
	for _, b := range mux.Append(nil, frames[:n], v.Params) {
		file = append(file, b...)
	}
	each(t, file, func(kind byte, ms uint32, body []byte) {
		if err := in.Feed(kind, ms, body); err != nil {
			t.Errorf("%s: tag of type %d: %v", codec, kind, err)
		}
	})
	q.Complete()
	n, err = w.Take(frames)
	if err != nil {
		t.Fatal(err)
	}
	return frames[:n]
}

// each takes a file apart.
func each(t *testing.T, file []byte, tag func(kind byte, ms uint32, body []byte)) {
	t.Helper()
	if !bytes.HasPrefix(file, []byte("FLV\x01")) {
		t.Fatalf("begins with % x", file[:min(len(file), 13)])
	}
	for b := file[13:]; len(b) > 0; {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		tag(b[0], uint32(b[7])<<24|uint32(b[4])<<16|uint32(b[5])<<8|uint32(b[6]), bytes.Clone(b[11:11+size]))
		if behind := b[11+size:]; int(behind[2])<<8|int(behind[3]) != (11+size)&0xffff {
			t.Fatalf("behind a tag of %d bytes stands % x", 11+size, behind[:4])
		}
		b = b[11+size+4:]
	}
}

func TestEachCodecComesThrough(t *testing.T) {
	for codec := media.H264; codec <= media.MP3; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			data := func(text string) []byte {
				switch codec {
				case media.H264, media.H265:
					return media.JoinNALUs([]byte(text))
				case media.AV1:
					return append([]byte{0x32, byte(len(text))}, text...) // an OBU with a size
				default:
					return []byte(text)
				}
			}
			cts := 80 * time.Millisecond
			if codec != media.H264 && codec != media.H265 {
				cts = 0 // what the others can't say
			}
			// Over three hours in, which needs the timestamp's fourth byte; the second is shown before it is decoded, which the format allows.
			sent := []media.Sample{
				{DTS: 5 * time.Hour, PTS: 5*time.Hour + cts, Key: true, Data: data("key")},
				{DTS: 5*time.Hour + 40*time.Millisecond, PTS: 5*time.Hour + 40*time.Millisecond - cts/2, Data: data("more")},
			}
			got := relay(t, codec, sent...)
			if len(got) != 2 {
				t.Fatalf("%d frames came through", len(got))
			}
			for i, f := range got {
				if !bytes.Equal(f.Data, sent[i].Data) || f.PTS-f.DTS != sent[i].PTS-sent[i].DTS || f.Params.Codec != codec || !bytes.Equal(f.Params.Config, config(t, codec)) {
					t.Errorf("frame %d: %s, %v to show, %+v", i, f.Data, f.PTS-f.DTS, f.Params)
				}
				if f.Key != (i == 0 || codec.Kind() == media.Audio) {
					t.Errorf("frame %d: key is %v", i, f.Key)
				}
			}
			if step := got[1].DTS - got[0].DTS; step != 40*time.Millisecond {
				t.Errorf("a step of %v", step)
			}
		})
	}
}

func TestParametersComeBeforeTheFramesThatNeedThem(t *testing.T) {
	s := media.New(media.Config{})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := flv.Ingest{To: p}
	feed := func(ms uint32, body ...byte) {
		t.Helper()
		if err := in.Feed(flv.TypeAudio, ms, body); err != nil {
			t.Fatal(err)
		}
	}
	feed(0, 0xaf, 0, 0x12, 0x10)
	feed(0, 0xaf, 1, 'a')
	feed(23, 0xaf, 0, 0x12, 0x10) // told again: nothing new
	feed(23, 0xaf, 1, 'b')
	feed(46, 0xaf, 0, 0x11, 0x90) // 48 kHz from here on
	feed(46, 0xaf, 1, 'c')
	p.Complete()
	v, err := s.Join(media.ViewerConfig{Want: func(*media.Track) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	feed(69, 0xaf, 1, 'd')
	late, err := s.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	feed(92, 0xaf, 1, 'e')
	for name, c := range map[string]struct {
		v    *media.Viewer
		want string
	}{"who is there": {v, "C d e"}, "who comes late": {late, "C e"}} {
		var frames [8]*media.Frame
		n, err := c.v.Take(frames[:])
		if err != nil {
			t.Fatal(err)
		}
		var file []byte
		mux := flv.Mux{}
		for _, b := range mux.Append(nil, frames[:n], c.v.Params) {
			file = append(file, b...)
		}
		var got []string
		each(t, file, func(kind byte, _ uint32, body []byte) {
			switch {
			case kind == flv.TypeScript:
			case body[1] == 0 && bytes.Equal(body[2:], []byte{0x11, 0x90}):
				got = append(got, "C")
			default:
				got = append(got, string(body[2:]))
			}
		})
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s gets %v, want %s", name, got, c.want)
		}
	}
}

func TestMetadataTellsWhenAllTracksAreThere(t *testing.T) {
	s := media.New(media.Config{Settle: time.Hour})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := flv.Ingest{To: p}
	v, err := s.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var frames [4]*media.Frame
	feed := func(kind byte, body []byte, want int) {
		t.Helper()
		if err := in.Feed(kind, 0, body); err != nil {
			t.Fatal(err)
		}
		if n, err := v.Take(frames[:]); err != nil || n != want {
			t.Fatalf("%d frames, %v, want %d", n, err, want)
		}
	}
	feed(flv.TypeScript, amf.Append(nil, "@setDataFrame", "onMetaData", amf.Array{{Key: "videocodecid", Value: 7}, {Key: "audiocodecid", Value: 10}}), 0)
	feed(flv.TypeVideo, append([]byte{0x17, 0, 0, 0, 0}, config(t, media.H264)...), 0)
	feed(flv.TypeVideo, append([]byte{0x17, 1, 0, 0, 0}, media.JoinNALUs([]byte("p"))...), 0)
	feed(flv.TypeAudio, []byte{0xaf, 0, 0x12, 0x10}, 1)
	if p := v.Params(); len(p) != 2 || p[0].Width != 1920 || p[0].Height != 1080 || p[1].SampleRate != 44100 {
		t.Errorf("the tracks are %+v", p)
	}
}

func TestSeveralTracksInOneTag(t *testing.T) {
	type part struct {
		codec media.Codec
		track uint8
		data  string
	}
	for name, c := range map[string]struct {
		kind media.Kind
		body string
		want []part
	}{
		"one":           {media.Video, "\x96\x01av01\x02x", []part{{media.AV1, 2, "x"}}},
		"many":          {media.Video, "\x96\x11av01\x00\x00\x00\x02ab\x01\x00\x00\x01c", []part{{media.AV1, 0, "ab"}, {media.AV1, 1, "c"}}},
		"many codecs":   {media.Audio, "\x95\x21Opus\x00\x00\x00\x01amp4a\x01\x00\x00\x01b", []part{{media.Opus, 0, "a"}, {media.AAC, 1, "b"}}},
		"with modifier": {media.Video, "\x97\x02\x00\x00\x01\x01av01z", []part{{media.AV1, 0, "z"}}},
		"colours":       {media.Video, "\x94hvc1whatever", nil},
	} {
		var got []part
		err := flv.Parse(c.kind, []byte(c.body), func(p flv.Part) error {
			got = append(got, part{p.Codec, p.Track, string(p.Data)})
			return nil
		})
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		}
	}
}

func TestBadTagsAreErrorsWithWhatIsWrong(t *testing.T) {
	s := media.New(media.Config{})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := flv.Ingest{To: p}
	for _, c := range []struct {
		kind byte
		body string
		want string
	}{
		{flv.TypeVideo, "\x12abc", "video codec 2"},
		{flv.TypeVideo, "\x17\x01\x00", "h264 of 3 bytes"},
		{flv.TypeVideo, "\x17\x01\x00\x00\x00\x00\x00\x00\x01x", "without parameters"},
		{flv.TypeVideo, "\x17\x00\x00\x00\x00\x01\x02", "cut off"},
		{flv.TypeVideo, "\x90what", `video codec "what"`},
		{flv.TypeVideo, "\x91hvc1\x00", "composition time is cut off"},
		{flv.TypeVideo, "\x90mp4a", `video codec "mp4a"`},
		{flv.TypeAudio, "\x32a", "audio format 3"},
		{flv.TypeAudio, "\xaf", "aac of 1 byte"},
		{flv.TypeAudio, "\xaf\x00\x00", "AudioSpecificConfig"},
		{flv.TypeScript, "\x11", "AMF"},
	} {
		err := in.Feed(c.kind, 0, []byte(c.body))
		if !errors.Is(err, flv.ErrFormat) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%q: %v, want %q", c.body, err, c.want)
		}
	}
}

func FuzzFeed(f *testing.F) {
	for _, body := range []string{
		"\x17\x00\x00\x00\x00\x01\x4d\x40\x1e\xff\xe1\x00\x04\x67\x4d\x40\x1e\x01\x00\x01\x68", "\x17\x01\x00\x00\x28\x00\x00\x00\x01x", "\x90hvc1", "\x96\x11av01\x00\x00\x00\x02ab",
		"\x97\xff\x00\x01xx\x01av01z", "\x95\x21Opus\x00\x00\x00\x01a", "\xaf\x00\x12\x10", "\xaf\x01abc", "\x2fmp3",
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, video bool) {
		s := media.New(media.Config{RingBytes: 1 << 20})
		p, err := s.Publish(nil)
		if err != nil {
			t.Fatal(err)
		}
		kind := byte(flv.TypeAudio)
		if video {
			kind = flv.TypeVideo
		}
		in := flv.Ingest{To: p}
		for range 2 {
			if err := in.Feed(kind, 0, bytes.Clone(body)); err != nil && !errors.Is(err, flv.ErrFormat) {
				t.Errorf("an error of another kind: %v", err)
			}
		}
		p.Complete()
		v, err := s.Join(media.ViewerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var frames [4]*media.Frame
		if n, err := v.Take(frames[:]); err != nil || n > len(frames) {
			t.Fatal(n, err)
		}
	})
}
