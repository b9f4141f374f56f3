package acceptance_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
)

// coded is a picture or a packet of sound as an encoder has made it, in the form of Matroska, which is that of streams.
type coded struct {
	at    time.Duration
	sound bool
	key   bool
	data  []byte
}

// reel is what is published: pictures with their numbers in them, and a tone.
type reel struct {
	video, audio media.Codec
	videoConfig  []byte // the codec's record, empty if Matroska has none
	audioConfig  []byte
	frames       []coded
	pictures     int
	numbers      map[uint32]int // of pictures, by the sums of what is coded in them
	sounds       map[uint32]time.Duration
}

const (
	reelRate = 15 // pictures a second, and between two key frames
	reelSize = "160x96"
)

// encoders are ffmpeg's options for a codec: no reordering, which WebRTC can't carry.
func encoders() map[media.Codec][]string {
	vpx := []string{"-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-b:v", "400k", "-keyint_min", "15"}
	return map[media.Codec][]string{
		media.H264: {"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-sc_threshold", "0"},
		media.H265: {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=15:min-keyint=15:scenecut=0:bframes=0"},
		media.AV1:  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-keyint_min", "15", "-b:v", "400k"},
		media.VP8:  append([]string{"-c:v", "libvpx"}, vpx...),
		media.VP9:  append([]string{"-c:v", "libvpx-vp9"}, vpx...),
		media.AAC:  {"-c:a", "aac"},
		media.Opus: {"-c:a", "libopus"},
	}
}

// encode has ffmpeg make a track.
func encode(ctx context.Context, t *testing.T, codec media.Codec, seconds int) (config []byte, frames []coded) {
	t.Helper()
	source := []string{"-f", "lavfi", "-i", "sine=sample_rate=48000"}
	if codec.Kind() == media.Video {
		// The bars are the number's last 8 bits. The colour is another one for what has the same.
		bars := fmt.Sprintf("nullsrc=size=%s:rate=%d,geq=lum='255*mod(floor(N/pow(2,floor(8*X/W))),2)':cb=128:cr='16+mod(3*N*N,211)'", reelSize, reelRate)
		source = []string{"-f", "lavfi", "-i", bars, "-pix_fmt", "yuv420p", "-g", strconv.Itoa(reelRate)}
	}
	file := filepath.Join(t.TempDir(), codec.String()+".mkv")
	args := slices.Concat([]string{"-nostdin"}, source, []string{"-t", strconv.Itoa(seconds)}, encoders()[codec], []string{file})
	if _, err := tool(ctx, t, "ffmpeg", args...); err != nil {
		t.Fatalf("%s: %v", codec, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	box := matroska{sound: codec.Kind() == media.Audio}
	if err := box.read(raw, 0); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if codec == media.VP8 || codec == media.VP9 {
		box.config = nil // what ffmpeg writes there is for Matroska only
	}
	return box.config, box.frames
}

// join puts two tracks together.
func join(t *testing.T, video media.Codec, videoConfig []byte, pictures []coded, audio media.Codec, audioConfig []byte, sounds []coded) *reel {
	t.Helper()
	r := &reel{video: video, audio: audio, videoConfig: videoConfig, audioConfig: audioConfig, numbers: map[uint32]int{}, sounds: map[uint32]time.Duration{}}
	for i, p := range pictures {
		sum := content(video, p.data)
		if _, twice := r.numbers[sum]; twice {
			t.Fatalf("%s: two pictures are the same", video)
		}
		if p.key != (i%reelRate == 0) {
			t.Fatalf("%s: picture %d: key frame %v", video, i, p.key)
		}
		r.numbers[sum] = i
	}
	twice := map[uint32]bool{}
	for _, s := range sounds {
		sum := crc32.ChecksumIEEE(s.data)
		_, there := r.sounds[sum]
		twice[sum] = twice[sum] || there
		r.sounds[sum] = s.at
	}
	for sum, is := range twice {
		if is {
			delete(r.sounds, sum)
		}
	}
	r.pictures = len(pictures)
	r.frames = append(slices.Clone(pictures), sounds...)
	slices.SortStableFunc(r.frames, func(a, b coded) int { return cmp.Compare(a.at, b.at) })
	return r
}

// content is the sum of what is coded in a picture, without what says how: that stands in its own place in each protocol.
func content(codec media.Codec, data []byte) uint32 {
	var units [][]byte
	switch codec {
	case media.H264, media.H265:
		for u := range media.NALUs(data) {
			if codec == media.H264 && u[0]&0x1f <= 5 || codec == media.H265 && u[0]>>1&0x3f < 32 {
				units = append(units, u)
			}
		}
	case media.AV1:
		all, err := media.OBUs(data)
		if err != nil {
			return 0
		}
		for _, u := range all {
			if kind := u[0] >> 3 & 0xf; kind >= 3 && kind <= 7 {
				units = append(units, u)
			}
		}
	default:
		units = [][]byte{data}
	}
	var sum uint32
	for _, u := range units {
		sum = crc32.Update(sum, crc32.IEEETable, u)
	}
	return sum
}

// play sends the reel at its own pace.
func (r *reel) play(ctx context.Context, send func(coded) error) error {
	begun := time.Now()
	for _, f := range r.frames {
		select {
		case <-time.After(time.Until(begun.Add(f.at))):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := send(f); err != nil {
			return err
		}
	}
	return nil
}

// matroska reads files of one track as ffmpeg writes them (RFC 9559).
type matroska struct {
	sound   bool
	config  []byte
	frames  []coded
	cluster uint64 // its time, in ms
}

var errMatroska = errors.New("no Matroska")

// Elements that are looked at or into.
const (
	mkvSegment  = 0x18538067
	mkvTracks   = 0x1654AE6B
	mkvEntry    = 0xAE
	mkvPrivate  = 0x63A2
	mkvCluster  = 0x1F43B675
	mkvTime     = 0xE7
	mkvSimple   = 0xA3
	mkvGroup    = 0xA0
	mkvBlock    = 0xA1
	mkvMaxDepth = 4
)

func (m *matroska) read(b []byte, depth int) error {
	for len(b) > 0 {
		id, n := vint(b, false)
		if n == 0 {
			return errMatroska
		}
		size, k := vint(b[n:], true)
		if k == 0 || size > uint64(len(b)-n-k) {
			return errMatroska
		}
		body := b[n+k : n+k+int(size)]
		b = b[n+k+int(size):]
		switch id {
		case mkvSegment, mkvTracks, mkvEntry, mkvCluster, mkvGroup:
			if depth == mkvMaxDepth {
				return errMatroska
			}
			if err := m.read(body, depth+1); err != nil {
				return err
			}
		case mkvPrivate:
			m.config = body
		case mkvTime:
			m.cluster = 0
			for _, d := range body {
				m.cluster = m.cluster<<8 | uint64(d)
			}
		case mkvSimple, mkvBlock:
			if len(body) < 5 {
				return errMatroska
			}
			at := time.Duration(int64(m.cluster)+int64(int16(binary.BigEndian.Uint16(body[1:])))) * time.Millisecond
			m.frames = append(m.frames, coded{at: at, sound: m.sound, key: m.sound || body[3]&0x80 != 0, data: body[4:]})
		}
	}
	return nil
}

// vint is a number of EBML, and how many bytes it has; bare leaves out the bit that tells that.
func vint(b []byte, bare bool) (v uint64, n int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	n = 1
	for mask := byte(0x80); b[0]&mask == 0; mask >>= 1 {
		n++
	}
	if n > len(b) {
		return 0, 0
	}
	for _, d := range b[:n] {
		v = v<<8 | uint64(d)
	}
	if bare {
		v &^= 1 << (7 * n)
	}
	return v, n
}
