package acceptance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
)

// input is a way into a room.
type input struct {
	name    string
	publish func(ctx context.Context, n *node, room string, r *reel) (*source, error)
	tapes   string        // what its rooms are recorded as
	aac     bool          // it carries AAC
	late    bool          // what it has is known with its first packets only, so players of RTSP and HLS, who are told once what there is, come after them
	drift   time.Duration // how far frames may be moved when its first report tells when they were
}

func inputs() []input {
	return []input{
		{name: "rtmp", publish: publishRTMP, tapes: "mp4", aac: true},
		{name: "rtsp", publish: publishRTSP, tapes: "flv", aac: true, drift: time.Second / reelRate / 8},
		{name: "whip", publish: publishWHIP, tapes: "mp4", late: true, drift: 100 * time.Millisecond},
		{name: "own", publish: publishOwn, tapes: "flv", aac: true},
	}
}

// viewers are the ways out, but for WHEP, HLS, which ffmpeg reads, and files.
func viewers() map[string]viewer {
	return map[string]viewer{"flv": viewFLV, "rtmp": viewRTMP, "rtsp": viewRTSP, "own": viewOwn}
}

// TestEachCodecGoesThroughEachProtocol publishes each codec over each protocol that can carry it, and reads it over each: all pictures come, none twice or out of order, and sound is where it was. docs/media.md has
// the table.
func TestEachCodecGoesThroughEachProtocol(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), sized(3*time.Minute, 10*time.Minute))
	defer cancel()
	n := launch(t, `
name = "codecs"
login.method = "none"
gate.agent = "main"
listen.rtmp = "127.0.0.1:0"
listen.rtsp = "127.0.0.1:0"
media.admit = "rules"
media.rules = "tape"
media.record_dir = "tapes"
media.reconnect = "1s"
media.webrtc.udp = "127.0.0.1:0"
`)
	type track struct {
		config []byte
		frames []coded
	}
	tracks := map[media.Codec]track{}
	for codec := range encoders() {
		config, frames := encode(ctx, t, codec, sized(3, 20))
		tracks[codec] = track{config, frames}
	}
	for _, in := range inputs() {
		t.Run(in.name, func(t *testing.T) {
			var shows []*show
			for _, video := range []media.Codec{media.H264, media.H265, media.AV1, media.VP8, media.VP9} {
				audio := media.Opus
				if in.aac && (video == media.H264 || video == media.H265) {
					audio = media.AAC
				}
				v, a := tracks[video], tracks[audio]
				shows = append(shows, &show{in: in, n: n, room: in.name + "-" + video.String(), reel: join(t, video, v.config, v.frames, audio, a.config, a.frames)})
			}
			together(ctx, t, n, in, shows)
			for _, s := range shows {
				s.check(ctx, t)
			}
		})
	}
}

// show is one room.
type show struct {
	in   input
	n    *node
	room string
	reel *reel
	src  *source
	had  map[string]*watched
	hls  string // a file
}

// together publishes to all rooms at once, with all viewers there from the beginning.
func together(ctx context.Context, t *testing.T, n *node, in input, shows []*show) {
	t.Helper()
	var watching sync.WaitGroup
	for _, s := range shows {
		var err error
		if s.src, err = in.publish(ctx, n, s.room, s.reel); err != nil {
			t.Fatalf("%s: %v", s.room, err)
		}
		s.had = map[string]*watched{"whep": newWatched(s.reel)}
		for way := range viewers() {
			s.had[way] = newWatched(s.reel)
		}
	}
	watch := func(way string) {
		for _, s := range shows {
			watching.Go(func() {
				if err := viewers()[way](ctx, n, s.room, s.had[way]); err != nil {
					t.Errorf("%s by %s: %v", s.room, way, err)
				}
			})
		}
	}
	playing := func(way string) float64 {
		return n.scrape()[`skua_media_members{action="play",protocol="`+way+`"}`]
	}
	for way := range viewers() {
		if way == "rtsp" && in.late {
			continue
		}
		watch(way)
		n.until("all watch by "+way, func() bool { return playing(way) == float64(len(shows)) })
	}
	for _, s := range shows { // who is told now what is left out, since the server knows the tracks
		watching.Go(func() {
			if err := viewWHEP(ctx, n, s.room, s.had["whep"]); err != nil {
				t.Errorf("%s by WHEP: %v", s.room, err)
			}
		})
	}
	for _, s := range shows {
		select {
		case <-s.had["whep"].ready:
		case <-time.After(patience):
			t.Fatalf("%s: a viewer by WHEP does not get through", s.room)
		}
	}
	var sending sync.WaitGroup
	if in.late {
		broadcast(ctx, t, shows, &sending)
		watch("rtsp")
	}
	dir := t.TempDir()
	for _, s := range shows {
		s.hls = filepath.Join(dir, s.room+".mkv")
		args := []string{"-nostdin", "-y", "-copyts", "-live_start_index", "0", "-i", "http://" + n.Addr["http"] + "/live/" + s.room + "/index.m3u8", "-map", "0", "-c", "copy", s.hls}
		if s.reel.video != media.VP8 {
			args = append(append(args, "-map", "0:v"), sketched(s.hls+".bars")...)
		}
		watching.Go(func() {
			if _, err := tool(ctx, t, "ffmpeg", args...); err != nil {
				t.Errorf("%s by HLS: %v", s.room, err)
			}
		})
	}
	n.until("all watch by HLS", func() bool { return playing("hls") == float64(len(shows)) })
	if !in.late {
		broadcast(ctx, t, shows, &sending)
	}
	sending.Wait()
	watching.Wait()
	n.until("the recordings are finished", func() bool { return n.scrape()["skua_media_recordings"] == 0 })
}

// broadcast sends all reels. It returns when the first pictures have come.
func broadcast(ctx context.Context, t *testing.T, shows []*show, sending *sync.WaitGroup) {
	t.Helper()
	for _, s := range shows {
		sending.Go(func() {
			if err := s.reel.play(ctx, s.src.send); err != nil {
				t.Errorf("%s: %v", s.room, err)
			}
			select { // what is still on its way would be lost
			case <-s.had["own"].complete:
			case <-time.After(patience):
				t.Errorf("%s: the last picture does not come", s.room)
			}
			s.src.end()
		})
	}
	for _, s := range shows {
		select {
		case <-s.had["own"].begun:
		case <-time.After(patience):
			t.Errorf("%s: the first picture does not come", s.room)
		}
	}
}

// check looks at all that has come.
func (s *show) check(ctx context.Context, t *testing.T) {
	t.Helper()
	for way, w := range s.had {
		silent := way == "whep" && s.reel.audio == media.AAC
		if silent != strings.Contains(w.note, "aac") {
			t.Errorf("%s by %s: the server says %q of what it leaves out", s.room, way, w.note)
		}
		w.check(t, s.room+" by "+way, s.in, true, !silent)
	}
	mp4 := s.reel.video != media.VP8 // which can't be there
	s.read(ctx, t, s.hls, mp4).check(t, s.room+" by HLS", s.in, mp4, true)
	tapes, err := filepath.Glob(filepath.Join(s.n.dir, "tapes", s.room+"-*."+s.in.tapes))
	if in := s.in; in.late && len(tapes) == 2 { // sound was there first
		tapes = tapes[1:]
	}
	if err != nil || len(tapes) != 1 {
		t.Errorf("%s: recorded as %v, %v, expected one file", s.room, tapes, err)
		return
	}
	what := s.room + " as it was recorded, " + s.in.tapes
	if s.in.tapes == "mp4" {
		s.read(ctx, t, tapes[0], mp4).check(t, what, s.in, mp4, true)
		return
	}
	file, err := os.ReadFile(tapes[0])
	if err != nil {
		t.Fatal(err)
	}
	w := newWatched(s.reel)
	if err := w.file(bytes.NewReader(file)); err != io.EOF { //nolint:errorlint // as io.ReadFull gives it where a tag may begin
		t.Errorf("%s: %v", what, err)
	}
	w.check(t, what, s.in, true, true)
}

// read has ffmpeg decode a file.
func (s *show) read(ctx context.Context, t *testing.T, file string, pictures bool) *watched {
	t.Helper()
	w := newWatched(s.reel)
	if pictures {
		for _, n := range bars(ctx, t, file) {
			w.numbers = append(w.numbers, int(n))
		}
		for _, ms := range stamps(ctx, t, "v:0", file) {
			w.shown = append(w.shown, milliseconds(ms))
		}
	}
	for sum, ms := range sums(ctx, t, file) {
		w.heard[sum] = milliseconds(ms)
		w.sounds++
	}
	return w
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// check holds what has come against the reel.
func (w *watched) check(t *testing.T, what string, in input, pictures, sound bool) {
	t.Helper()
	if w.foreign > 0 {
		t.Errorf("%s: %d frames that were never published", what, w.foreign)
	}
	first, base, from := 0, time.Duration(0), time.Duration(0)
	if pictures {
		if !w.inOrder(t, what, in) {
			return
		}
		first = w.numbers[0]
		last := len(w.shown) - 1
		base = w.shown[last] - w.meant(first+last)
		if in.drift > 0 {
			from = w.meant(first + last*2/3) // by then reports have come
		}
	}
	if !sound {
		if w.sounds > 0 {
			t.Errorf("%s: %d packets of sound, expected none", what, w.sounds)
		}
		t.Logf("%s: pictures %d to %d, no sound", what, first, w.reel.pictures-1)
		return
	}
	heard, worst := 0, time.Duration(0)
	for sum, at := range w.heard {
		meant, ok := w.reel.sounds[sum]
		if !ok {
			continue
		}
		if heard++; pictures && meant >= from {
			worst = max(worst, (at - meant - base).Abs())
		}
	}
	if least := len(w.reel.sounds) * 6 / 10; heard < least && !in.late || heard < least/2 {
		t.Errorf("%s: %d of %d packets of sound", what, heard, len(w.reel.sounds))
	}
	most := 8 * time.Millisecond // ffmpeg's Matroska has Opus 7 ms later, which is what its decoder leaves out
	if in.late {                 // its report may have come late
		most = 100 * time.Millisecond
	}
	if worst > most {
		t.Errorf("%s: sound is up to %s from where the pictures have it, expected %s", what, worst, most)
	}
	if !pictures {
		t.Logf("%s: no pictures, %d packets of sound", what, heard)
		return
	}
	t.Logf("%s: pictures %d to %d, %d packets of sound, at most %s from where the pictures have them", what, first, first+len(w.numbers)-1, heard, worst.Round(100*time.Microsecond))
}

// inOrder tells whether all pictures are there, each when it should be.
func (w *watched) inOrder(t *testing.T, what string, in input) bool {
	t.Helper()
	if len(w.numbers) == 0 || len(w.numbers) != len(w.shown) {
		t.Errorf("%s: %d pictures, %d of which are shown at some time", what, len(w.numbers), len(w.shown))
		return false
	}
	first := w.numbers[0]
	if first != 0 && (!in.late || first%reelRate != 0 || first > 2*reelRate) || len(w.numbers) != w.reel.pictures-first {
		t.Errorf("%s: %d of %d pictures: %v", what, len(w.numbers), w.reel.pictures, w.numbers)
		return false
	}
	for i, n := range w.numbers {
		if n%256 != (first+i)%256 {
			t.Errorf("%s: picture %d stands where %d should", what, n, first+i)
			return false
		}
		if i == 0 {
			continue
		}
		if step, meant := w.shown[i]-w.shown[i-1], w.meant(first+i)-w.meant(first+i-1); (step - meant).Abs() > 2*time.Millisecond+in.drift {
			t.Errorf("%s: picture %d is %s behind the one before, expected %s", what, first+i, step, meant)
			return false
		}
	}
	return true
}

// meant is when a picture was.
func (w *watched) meant(number int) time.Duration {
	for _, f := range w.reel.frames {
		if f.sound {
			continue
		}
		if number == 0 {
			return f.at
		}
		number--
	}
	panic(fmt.Sprintf("there is no picture %d more", number))
}
