package transcode_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/transcode"
)

// fake has the tests' own program be an ffmpeg that does not do what it should.
const fake = "FAKE_FFMPEG"

func TestMain(m *testing.M) {
	if way := os.Getenv(fake); way != "" {
		misbehave(way)
		return
	}
	goleak.VerifyTestMain(m)
}

func misbehave(way string) {
	switch way {
	case "garbage": // for ever, and takes nothing
		for {
			if _, err := os.Stdout.WriteString("this is neither FLV nor Ogg "); err != nil {
				return
			}
		}
	case "cut": // a beginning, and then what does not go on from there
		_, _ = os.Stdout.WriteString("FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00\x63\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "nothing":
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "ends":
		_, _ = os.Stderr.WriteString("no such encoder: \xff\n")
		os.Exit(3)
	case "closes":
		_, _ = os.Stdout.Close(), os.Stderr.Close()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// patience bounds what has to happen soon, on a busy machine.
const patience = 2 * time.Minute

// rig is a transcoder that serves, and streams that it looks after.
type rig struct {
	*testing.T
	made *transcode.Transcoder
	log  *logtest.Buffer
}

func open(t *testing.T, cfg transcode.Config) *rig {
	t.Helper()
	r := &rig{T: t}
	cfg.Log, r.log = logtest.New(t)
	r.made = transcode.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.made.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := r.made.Counts().Running; n != 0 {
			t.Errorf("%d processes are left", n)
		}
	})
	return r
}

// needed is for tests with ffmpeg. Without it they are skipped, but in CI.
func needed(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is missing: tools/deps.sh installs it")
		}
		t.Skip("ffmpeg is missing: tools/deps.sh installs it")
	}
}

// ffmpeg gives what it makes of some input.
func ffmpeg(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	needed(t)
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
	var told bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &told
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v: %s", strings.Join(args, " "), err, told.String())
	}
	return out
}

// sound is some seconds of AAC at 44.1 kHz, or of Opus: silence, and a tone from a moment on.
func sound(t *testing.T, codec media.Codec, tone string) []media.Sample {
	t.Helper()
	source := "aevalsrc=if(gte(t\\," + tone + ")\\,0.5*sin(2*PI*1000*t)\\,0):s=44100:d=5"
	if codec == media.Opus {
		return opusOf(t, ffmpeg(t, nil, "-f", "lavfi", "-i", source, "-ar", "48000", "-ac", "2", "-c:a", "libopus", "-f", "ogg", "-page_duration", "1", "-"))
	}
	file := ffmpeg(t, nil, "-f", "lavfi", "-i", source, "-ac", "2", "-c:a", "aac", "-f", "flv", "-")
	s := media.New(media.Config{RingFrames: 4096, MaxGOP: time.Hour, Keep: time.Hour})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Join(media.ViewerConfig{Lag: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	in := flv.Ingest{To: p}
	for rest := file[13:]; len(rest) > 15; {
		size := int(binary.BigEndian.Uint32(rest) & 0xffffff)
		if err := in.Feed(rest[0], uint32(rest[7])<<24|binary.BigEndian.Uint32(rest[4:])>>8, bytes.Clone(rest[11:11+size])); err != nil {
			t.Fatal(err)
		}
		rest = rest[11+size+4:]
	}
	s.Close(nil)
	var all []media.Sample
	for _, f := range drain(v) {
		all = append(all, media.Sample{DTS: f.DTS, PTS: f.PTS, Data: f.Data, Params: f.Params})
	}
	return all
}

func opusOf(t *testing.T, file []byte) (all []media.Sample) {
	t.Helper()
	pages, _, err := oggreader.NewWith(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	params := &media.Params{Codec: media.Opus, Config: media.OpusConfig(2), SampleRate: 48000, Channels: 2}
	for {
		packet, page, err := pages.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, is := page.HeaderType(packet); is {
			continue
		}
		at := time.Duration(len(all)) * 20 * time.Millisecond
		all = append(all, media.Sample{DTS: at, PTS: at, Data: packet, Params: params})
	}
}

// drain gives all that a viewer gets.
func drain(v *media.Viewer) (all []*media.Frame) {
	var frames [32]*media.Frame
	for {
		n, err := v.Next(frames[:])
		if err != nil {
			return all
		}
		all = append(all, frames[:n]...)
	}
}

// origin is where a publisher's times begin: encoders put something before the first sound.
const origin = time.Second

// stage is a stream with somebody who sends sound and pictures at their own pace, and who watches it.
type stage struct {
	*rig
	stream *media.Stream
	wait   sync.WaitGroup
}

func (r *rig) stage(room string) *stage {
	r.Helper()
	st := &stage{rig: r, stream: media.New(media.Config{RingFrames: 8192, MaxGOP: time.Hour, Keep: time.Hour, Convert: func(s *media.Stream) { r.made.Convert(room, s) }})}
	r.Cleanup(func() {
		st.stream.Close(nil)
		st.wait.Wait()
	})
	return st
}

// publish sends samples at their own pace, again and again if they are to go on, and a picture each 40 ms.
func (st *stage) publish(samples []media.Sample, again bool) (done <-chan struct{}) {
	st.Helper()
	p, err := st.stream.Publish(nil)
	if err != nil {
		st.Fatal(err)
	}
	audio, err := p.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		st.Fatal(err)
	}
	video, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		st.Fatal(err)
	}
	pictures := &media.Params{Codec: media.VP8}
	p.Describe(video, pictures)
	p.Describe(audio, samples[0].Params)
	p.Complete()
	ended := make(chan struct{})
	st.wait.Go(func() {
		defer close(ended)
		defer p.Close()
		begun, shown := time.Now(), origin
		long := samples[len(samples)-1].DTS - samples[0].DTS + 20*time.Millisecond
		for round := time.Duration(0); ; round += long {
			for _, s := range samples {
				s.DTS, s.PTS = origin+s.DTS+round, origin+s.PTS+round
				<-time.After(time.Until(begun.Add(s.DTS - origin - samples[0].DTS)))
				for ; shown <= s.DTS; shown += 40 * time.Millisecond {
					if p.Write(video, media.Sample{DTS: shown, PTS: shown, Key: true, Data: []byte("picture"), Params: pictures}) != nil {
						return
					}
				}
				if p.Write(audio, s) != nil {
					return
				}
			}
			if !again {
				return
			}
		}
	})
	return ended
}

// viewer is somebody who watches, and what was got.
type viewer struct {
	*media.Viewer
	mu     sync.Mutex
	frames []*media.Frame
	ended  chan struct{}
}

func (st *stage) watch(codecs ...media.Codec) *viewer {
	st.Helper()
	joined, err := st.stream.Join(media.ViewerConfig{Sound: codecs, Lag: time.Hour})
	if err != nil {
		st.Fatal(err)
	}
	v := &viewer{Viewer: joined, ended: make(chan struct{})}
	st.wait.Go(func() {
		defer close(v.ended)
		var frames [32]*media.Frame
		for {
			n, err := joined.Next(frames[:])
			if err != nil {
				return
			}
			v.mu.Lock()
			v.frames = append(v.frames, frames[:n]...)
			v.mu.Unlock()
		}
	})
	return v
}

// leave ends a viewer.
func (v *viewer) leave() {
	v.Close(nil)
	<-v.ended
}

// got are the frames of a codec so far.
func (v *viewer) got(codec media.Codec) (some []*media.Frame) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.frames {
		if f.Params.Codec == codec {
			some = append(some, f)
		}
	}
	return some
}

// until waits for a condition.
func (r *rig) until(what string, met func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !met(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("not in time: %s", what)
		}
	}
}

// onset is when the tone begins in some frames without a gap, on the stream's timeline, as ffmpeg decodes them.
func onset(t *testing.T, frames []*media.Frame) time.Duration {
	t.Helper()
	if len(frames) == 0 {
		t.Fatal("no frames")
	}
	const skipped = 3840 // samples that oggwriter has players leave out
	var file bytes.Buffer
	first := frames[0].DTS
	if frames[0].Params.Codec == media.Opus {
		first += media.FromTicks(skipped, 48000)
		w, err := oggwriter.NewWith(&file, 48000, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if err := w.WriteRTP(&rtp.Packet{Payload: f.Data}); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		var mux flv.Mux
		for _, b := range mux.Append(nil, frames, func() []*media.Params { return []*media.Params{frames[0].Params} }) {
			file.Write(b)
		}
	}
	path := filepath.Join(t.TempDir(), "sound")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	pcm := ffmpeg(t, nil, "-i", path, "-f", "s16le", "-ac", "1", "-ar", "48000", "-")
	for i := 0; i+1 < len(pcm); i += 2 {
		if v := int16(binary.LittleEndian.Uint16(pcm[i:])); v > 3000 || v < -3000 {
			return first + media.FromTicks(int64(i/2), 48000)
		}
	}
	t.Fatalf("no tone in %d samples", len(pcm)/2)
	return 0
}
