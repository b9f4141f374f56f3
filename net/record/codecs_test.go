package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/skua-go/skua/net/flv/flvtest"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/record"
)

// encode has ffmpeg write 50 pictures, without reordering, in a plain container.
func encode(t *testing.T, file string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), file)
	args = append(append([]string{"-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=2", "-pix_fmt", "yuv420p", "-g", "25"}, args...), path)
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Skipf("this ffmpeg does not encode it: %v %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ivf gives the frames of an IVF file.
func ivf(file []byte) (frames [][]byte) {
	for rest := file[32:]; len(rest) >= 12; {
		size := int(binary.LittleEndian.Uint32(rest))
		frames = append(frames, rest[12:12+size])
		rest = rest[12+size:]
	}
	return frames
}

// units gives the access units of an H.265 stream, each of which begins with a delimiter, in the form of frames, and tells which are key frames.
func units(file []byte) (frames [][]byte, keys []bool) {
	for _, unit := range bytes.Split(bytes.ReplaceAll(file, []byte{0, 0, 0, 1}, []byte{0, 0, 1}), []byte{0, 0, 1})[1:] {
		switch kind := unit[0] >> 1 & 0x3f; {
		case kind == 35:
			frames, keys = append(frames, nil), append(keys, false)
		case kind >= 16 && kind <= 21:
			keys[len(keys)-1] = true
			fallthrough
		case kind < 32:
			frames[len(frames)-1] = append(frames[len(frames)-1], media.JoinNALUs(unit)...)
		}
	}
	return frames, keys
}

// What ffmpeg 5 can't put into FLV comes in here as WebRTC, RTSP and Enhanced RTMP bring it.
func TestModernCodecsInMP4(t *testing.T) {
	everyKey := func(n int) []bool {
		keys := make([]bool, n)
		for i := range keys {
			keys[i] = i%25 == 0
		}
		return keys
	}
	for codec, get := range map[media.Codec]func(t *testing.T) (config []byte, frames [][]byte, keys []bool){
		media.VP9: func(t *testing.T) ([]byte, [][]byte, []bool) {
			t.Helper()
			frames := ivf(encode(t, "x.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-keyint_min", "25"))
			return nil, frames, everyKey(len(frames))
		},
		media.AV1: func(t *testing.T) ([]byte, [][]byte, []bool) {
			t.Helper()
			frames := ivf(encode(t, "x.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-keyint_min", "25"))
			for i, f := range frames {
				frames[i] = bytes.TrimPrefix(f, []byte{0x12, 0}) // the temporal delimiter
			}
			return nil, frames, everyKey(len(frames))
		},
		media.H265: func(t *testing.T) ([]byte, [][]byte, []bool) {
			t.Helper()
			options := []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "bframes=0:aud=1:log-level=error:repeat-headers=1"}
			boxed := encode(t, "x.mp4", options...)
			at := bytes.Index(boxed, []byte("hvcC"))
			size := int(binary.BigEndian.Uint32(boxed[at-4:])) - 8
			frames, keys := units(encode(t, "x.hevc", options...))
			return boxed[at+4 : at+4+size], frames, keys
		},
	} {
		t.Run(codec.String(), func(t *testing.T) {
			config, frames, keys := get(t)
			s := open(t, record.Config{})
			s.begin(record.Options{})
			params, _, err := media.NewParams(codec, config)
			if err != nil {
				t.Fatal(err)
			}
			track, err := s.pub.Track(media.TrackSpec{Kind: media.Video})
			if err != nil {
				t.Fatal(err)
			}
			s.pub.Complete()
			for i, f := range frames {
				at := time.Duration(i) * 40 * time.Millisecond
				if err := s.pub.Write(track, media.Sample{DTS: at, PTS: at, Key: keys[i], Data: f, Params: params}); err != nil {
					t.Fatal(err)
				}
			}
			s.over()
			f := s.next()
			if n := flvtest.Decoded(t, "v:0", f.Path); n != "50" || f.Lost != 0 {
				t.Errorf("%s pictures are decoded, %+v", n, f)
			}
		})
	}
}

// VP8 can't be in MP4. Its pictures may come first, from a publisher whose sound is told of with its first packet.
func TestSoundThatComesAfterPicturesThatCannotBeRecordedIs(t *testing.T) {
	s := open(t, record.Config{})
	s.begin(record.Options{})
	write := func(track *media.Track, params *media.Params, at time.Duration, data ...byte) {
		t.Helper()
		if err := s.pub.Write(track, media.Sample{DTS: at, PTS: at, Key: true, Data: data, Params: params}); err != nil {
			t.Fatal(err)
		}
	}
	vp8, opus := params(t, media.VP8), params(t, media.Opus)
	video, audio := s.track(media.Video), s.track(media.Audio)
	s.pub.Complete()
	key := []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 160, 0, 120, 0}
	for at := time.Duration(0); at < 200*time.Millisecond; at += 40 * time.Millisecond {
		write(video, vp8, at, key...)
	}
	for at := 200 * time.Millisecond; at < time.Second; at += 20 * time.Millisecond {
		write(audio, opus, at, 0xfc, 0xff, 0xfe)
	}
	s.over()
	f := s.next()
	if n := flvtest.Decoded(t, "a:0", f.Path); f.Path == "" || f.Frames != 40 || f.Lost != 5 {
		t.Errorf("%s frames of sound in %+v", n, f)
	}
}

func TestARecordingOfWhatItsFormatCannotHaveEndsInTheEnd(t *testing.T) {
	for name, span := range map[string]time.Duration{"with the stream": time.Second, "after the time for sound to come": time.Minute} {
		t.Run(name, func(t *testing.T) {
			s := open(t, record.Config{})
			one := s.begin(record.Options{})
			video, vp8 := s.track(media.Video), params(t, media.VP8)
			s.pub.Complete()
			key := []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 160, 0, 120, 0}
			for at := time.Duration(0); at < span; at += 40 * time.Millisecond {
				if err := s.pub.Write(video, media.Sample{DTS: at, PTS: at, Key: true, Data: key, Params: vp8}); err != nil {
					t.Fatal(err)
				}
			}
			if span < time.Minute {
				s.over()
			}
			<-one.Done()
			if f := s.next(); !f.Last || f.Path != "" || !errors.Is(f.Err, record.ErrTracks) || f.Lost == 0 {
				t.Errorf("%+v", f)
			}
		})
	}
}

func params(t *testing.T, codec media.Codec) *media.Params {
	t.Helper()
	p, _, err := media.NewParams(codec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *studio) track(kind media.Kind) *media.Track {
	s.Helper()
	track, err := s.pub.Track(media.TrackSpec{Kind: kind})
	if err != nil {
		s.Fatal(err)
	}
	return track
}
