package acceptance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/flvtest"
	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// tag is one of FLV.
type tag struct {
	kind  byte
	stamp uint32
	body  []byte
}

// clip is what ffmpeg makes: so many seconds, with the number of each picture in it as bars, and a tone. Each picture has 8 bars across, white ones being the bits of its number, the lowest first.
func clip(t *testing.T, seconds, from int, size string, more ...string) []tag {
	t.Helper()
	bars := fmt.Sprintf("nullsrc=size=%s:rate=30,geq=lum='255*mod(floor((N+%d)/pow(2,floor(8*X/W))),2)':cb=128:cr=128", size, from)
	args := []string{
		"-f", "lavfi", "-i", bars, "-f", "lavfi", "-i", "sine=sample_rate=44100:frequency=440", "-t", strconv.Itoa(seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30", "-bf", "2", "-c:a", "aac",
	}
	file := flvtest.Clip(t, append(args, more...)...)
	var tags []tag
	for rest := file[13:]; len(rest) >= 15; {
		n := int(binary.BigEndian.Uint32(rest) & 0xffffff)
		tags = append(tags, tag{rest[0], uint32(rest[7])<<24 | binary.BigEndian.Uint32(rest[4:])>>8, rest[11 : 11+n]})
		rest = rest[11+n+4:]
	}
	return tags
}

// sketch is a stream as it is published, and what is expected of what comes out.
type sketch struct {
	tags      []tag
	pace      func(i int) time.Duration // when a tag is sent
	pictures  int
	sound     bool
	sizes     int           // of pictures, one after the other
	gap       time.Duration // that may be between two pictures beside the usual 1/30 s
	noPicture bool
}

// sketches are the inputs.
func sketches(t *testing.T) map[string]*sketch {
	t.Helper()
	const seconds = 6
	whole := clip(t, seconds, 0, "160x96")
	all := map[string]*sketch{
		"B-frames":   {tags: whole, pictures: seconds * rate, sound: true, sizes: 1},
		"no sound":   {tags: only(whole, flv.TypeVideo), pictures: seconds * rate, sizes: 1},
		"no picture": {tags: only(whole, flv.TypeAudio), sound: true, noPicture: true},
	}
	// Another encoder goes on where the first has ended, with pictures of another size.
	half := clip(t, seconds/2, 0, "160x96")
	other := clip(t, seconds/2, seconds/2*rate, "320x192")
	all["another size"] = &sketch{tags: append(half, later(other, seconds/2*1000)...), pictures: seconds * rate, sound: true, sizes: 2, gap: 100 * time.Millisecond}
	// The publisher's clock jumps by three hours, and back.
	jumped := later(whole, 0)
	for i := range jumped {
		if at := jumped[i].stamp; at >= 2000 && at < 4000 {
			jumped[i].stamp += 3 * 3600 * 1000
		}
	}
	all["jumps"] = &sketch{tags: jumped, pictures: seconds * rate, sound: true, sizes: 1, gap: 100 * time.Millisecond}
	// Its 32 bits wrap after half of the time.
	wrapped := later(whole, 0)
	for i := range wrapped {
		wrapped[i].stamp -= seconds / 2 * 1000
	}
	all["wraps"] = &sketch{tags: wrapped, pictures: seconds * rate, sound: true, sizes: 1}
	for _, s := range all {
		s.pace = func(i int) time.Duration { // by what the encoder meant
			at := s.tags[i].stamp
			return time.Duration(at) * time.Millisecond
		}
	}
	meant := func(i int) time.Duration { return time.Duration(whole[i].stamp) * time.Millisecond }
	all["jumps"].pace, all["wraps"].pace = meant, meant
	return all
}

func only(tags []tag, kind byte) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(g tag) bool { return g.kind != kind && g.kind != flv.TypeScript || g.kind == flv.TypeScript })
}

func later(tags []tag, ms uint32) []tag {
	moved := slices.Clone(tags)
	for i := range moved {
		moved[i].stamp += ms
	}
	return moved
}

// send publishes at the stream's pace.
func (s *sketch) send(ctx context.Context, addr, room string) error {
	c, err := rtmptest.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Publish(room); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
	begun := time.Now()
	for i, g := range s.tags {
		select {
		case <-time.After(time.Until(begun.Add(s.pace(i)))):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.Send(g.kind, g.stamp, g.body); err != nil {
			return err
		}
	}
	return nil
}

// TestTimesAreRightBehindEachConversion publishes, over RTMP, streams with all that makes times difficult, and reads them over RTMP, HTTP-FLV and HLS, and as they were recorded: no picture is lost or out of order,
// and sound and pictures are as far apart as the encoder had them.
func TestTimesAreRightBehindEachConversion(t *testing.T) {
	n := start(t, "admit = \"rules\"\nrules = \"tape\"\nrecord_dir = \"tapes\"\nreconnect = \"1s\"\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for name, s := range sketches(t) {
		room := strings.ReplaceAll(name, " ", "-")
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.send(ctx, n.Addr["rtmp"], room); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		playing := `skua_media_members{action="publish",protocol="rtmp"}`
		n.until("it publishes", func() bool { return n.scrape()[playing] == 1 })
		web := "http://" + n.Addr["http"] + "/live/" + room
		outputs := map[string]string{}
		for way, url := range map[string]string{"RTMP": "rtmp://" + n.Addr["rtmp"] + "/live/" + room, "HTTP-FLV": web + ".flv", "HLS": web + "/index.m3u8"} {
			file := filepath.Join(dir, room+"-"+way+".mkv")
			outputs[way] = file
			running.Go(func() {
				// Live, from the newest key frame on, until the room ends. Copied as it is, with its times.
				args := []string{"-nostdin", "-y", "-copyts"}
				if way == "HLS" {
					args = append(args, "-live_start_index", "0")
				}
				if _, err := tool(ctx, t, "ffmpeg", append(args, "-i", url, "-map", "0", "-c", "copy", file)...); err != nil {
					t.Errorf("%s by %s: %v", name, way, err)
				}
			})
		}
		running.Wait()
		n.until("the recording is finished", func() bool { return n.scrape()["skua_media_recordings"] == 0 })
		tapes, err := filepath.Glob(filepath.Join(n.dir, "tapes", room+"-*.mp4"))
		if err != nil || len(tapes) != max(1, s.sizes) {
			t.Errorf("%s: recorded as %v, %v, expected %d files", name, tapes, err, max(1, s.sizes))
		}
		for way, file := range outputs {
			s.check(ctx, t, name+" by "+way, s.sizes, file)
		}
		s.check(ctx, t, name+" as it was recorded", s.sizes, tapes...)
	}
}

// check looks at what has come out.
func (s *sketch) check(ctx context.Context, t *testing.T, what string, sizes int, files ...string) {
	t.Helper()
	var numbers []byte
	for _, file := range files {
		if !s.noPicture {
			numbers = append(numbers, bars(ctx, t, file)...)
		}
		if s.sound && !s.noPicture {
			s.inStep(ctx, t, what, file)
		}
	}
	if s.noPicture {
		if got := len(stamps(ctx, t, "a:0", files[0])); got < 100 {
			t.Errorf("%s: %d packets of sound", what, got)
		}
		return
	}
	if len(numbers) < s.pictures*2/3 || int(numbers[len(numbers)-1]) != s.pictures-1 || int(numbers[0])%rate != 0 {
		t.Errorf("%s: %d pictures, expected those up to %d from a key frame on: %v", what, len(numbers), s.pictures-1, numbers)
		return
	}
	for i := range numbers[1:] {
		if numbers[i+1] != numbers[i]+1 {
			t.Errorf("%s: picture %d stands behind %d", what, numbers[i+1], numbers[i])
		}
	}
	t.Logf("%s: pictures %d to %d, none lost, none out of order", what, numbers[0], numbers[len(numbers)-1])
}

// bars are the numbers of the pictures of a file, in the order in which they are shown.
func bars(ctx context.Context, t *testing.T, file string) (numbers []byte) {
	t.Helper()
	raw, err := tool(ctx, t, "ffmpeg", "-nostdin", "-i", file, "-map", "0:v", "-vf", "scale=8:1:flags=area", "-vsync", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-")
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for ; len(raw) >= 8; raw = raw[8:] {
		n := byte(0)
		for bit, lum := range raw[:8] {
			if lum >= 128 {
				n |= 1 << bit
			}
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// stamps are when the packets of a stream are shown, in ms.
func stamps(ctx context.Context, t *testing.T, stream, file string) (all []float64) {
	t.Helper()
	out, err := tool(ctx, t, "ffprobe", "-select_streams", stream, "-show_entries", "packet=pts_time", "-of", "csv=p=0", file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if v, err := strconv.ParseFloat(strings.Trim(lines.Text(), ","), 64); err == nil {
			all = append(all, v*1000)
		}
	}
	slices.Sort(all)
	return all
}

// inStep compares how sound and pictures go: both without a gap but those that are expected, and as long as each other.
func (s *sketch) inStep(ctx context.Context, t *testing.T, what, file string) {
	t.Helper()
	v, a := stamps(ctx, t, "v:0", file), stamps(ctx, t, "a:0", file)
	if len(v) < 30 || len(a) < 40 {
		t.Errorf("%s: %d pictures and %d packets of sound", what, len(v), len(a))
		return
	}
	const usual, sound = 1000.0 / rate, 1024 / 44.1
	for kind, all := range map[string][]float64{"picture": v, "packet of sound": a} {
		step := map[string]float64{"picture": usual, "packet of sound": sound}[kind]
		for i := range all[1:] {
			if d := all[i+1] - all[i]; d < step/3 || d > step+2+float64(s.gap.Milliseconds()) {
				t.Errorf("%s: %s %d is %.1f ms behind the one before", what, kind, i+1, d)
			}
		}
	}
	t.Logf("%s: pictures from %.0f to %.0f ms, sound from %.0f to %.0f ms", what, v[0], v[len(v)-1], a[0], a[len(a)-1])
	if begin, end := a[0]-v[0], a[len(a)-1]-v[len(v)-1]; max(begin-end, end-begin) > 2*usual+2*sound+float64(s.gap.Milliseconds()) {
		t.Errorf("%s: sound begins %.1f ms behind the pictures and ends %.1f ms behind them", what, begin, end)
	}
}
