package acceptance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
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
		"-f", "lavfi", "-i", bars, "-f", "lavfi", "-i", fmt.Sprintf("sine=sample_rate=44100:frequency=%d", 440+from), "-t", strconv.Itoa(seconds),
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
	meant     []uint32 // their times, in ms, without what the clock does
	pictures  int
	sound     bool
	sizes     int     // of pictures, one after the other
	gap       float64 // ms that may be between two pictures beside the usual 1/30 s
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
	all["another size"] = &sketch{tags: append(half, later(other, seconds/2*1000)...), pictures: seconds * rate, sound: true, sizes: 2, gap: 100}
	// The publisher's clock jumps by three hours, and back.
	jumped := later(whole, 0)
	for i := range jumped {
		if at := jumped[i].stamp; at >= 2000 && at < 4000 {
			jumped[i].stamp += 3 * 3600 * 1000
		}
	}
	all["jumps"] = &sketch{tags: jumped, pictures: seconds * rate, sound: true, sizes: 1, gap: 100}
	// Its 32 bits wrap after half of the time.
	wrapped := later(whole, 0)
	for i := range wrapped {
		wrapped[i].stamp -= seconds / 2 * 1000
	}
	all["wraps"] = &sketch{tags: wrapped, pictures: seconds * rate, sound: true, sizes: 1}
	for _, s := range all {
		s.meant = times(s.tags)
	}
	all["jumps"].meant, all["wraps"].meant = times(whole), times(whole)
	return all
}

func times(tags []tag) (all []uint32) {
	for _, g := range tags {
		all = append(all, g.stamp)
	}
	return all
}

func only(tags []tag, kind byte) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(g tag) bool { return g.kind != kind })
}

func later(tags []tag, ms uint32) []tag {
	moved := slices.Clone(tags)
	for i := range moved {
		moved[i].stamp += ms
	}
	return moved
}

// head is how much of a stream is sent before its viewers are there: less than what comes before its second key frame.
const head = 900

// send publishes at the stream's pace, the head at once, and the rest when all are there.
func (s *sketch) send(ctx context.Context, addr, room string, all <-chan struct{}) error {
	c, err := rtmptest.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Publish(room); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
	var begun time.Time
	for i, g := range s.tags {
		if s.meant[i] >= head && begun.IsZero() {
			select {
			case <-all:
			case <-ctx.Done():
				return ctx.Err()
			}
			begun = time.Now().Add(-head * time.Millisecond)
		}
		select {
		case <-time.After(time.Until(begun.Add(time.Duration(s.meant[i]) * time.Millisecond))):
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
	n := start(t, "admit = \"rules\"\nrules = \"tape\"\nrecord_dir = \"tapes\"\nreconnect = \"1s\"\nlag = \"1m\"\n") // nobody skips because the machine is busy
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for name, s := range sketches(t) {
		room := strings.ReplaceAll(name, " ", "-")
		var running sync.WaitGroup
		all := make(chan struct{})
		running.Go(func() {
			if err := s.send(ctx, n.Addr["rtmp"], room, all); err != nil {
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
				args = append(args, "-i", url, "-map", "0", "-c", "copy", file)
				if !s.noPicture { // decoded here, as a file would have the parameters of its beginning only
					args = append(append(args, "-map", "0:v"), sketched(file+".bars")...)
				}
				if _, err := tool(ctx, t, "ffmpeg", args...); err != nil {
					t.Errorf("%s by %s: %v", name, way, err)
				}
			})
		}
		n.until("all watch", func() bool {
			m, watching := n.scrape(), 0.0
			for _, protocol := range []string{"rtmp", "flv", "hls"} {
				watching += m[`skua_media_members{action="play",protocol="`+protocol+`"}`]
			}
			return watching == 3
		})
		close(all)
		running.Wait()
		n.until("the recording is finished", func() bool { return n.scrape()["skua_media_recordings"] == 0 })
		tapes, err := filepath.Glob(filepath.Join(n.dir, "tapes", room+"-*.mp4"))
		if err != nil || len(tapes) != max(1, s.sizes) {
			t.Errorf("%s: recorded as %v, %v, expected %d files", name, tapes, err, max(1, s.sizes))
		}
		for way, file := range outputs {
			s.check(ctx, t, name+" by "+way, file)
		}
		s.check(ctx, t, name+" as it was recorded", tapes...)
	}
}

// check looks at what has come out.
func (s *sketch) check(ctx context.Context, t *testing.T, what string, files ...string) {
	t.Helper()
	var numbers []byte
	for _, file := range files {
		if s.noPicture {
			break
		}
		numbered := bars(ctx, t, file)
		if len(numbered) == 0 {
			t.Errorf("%s: no picture", what)
			return
		}
		if s.sound {
			s.inStep(ctx, t, what, file, numbered[0])
		}
		numbers = append(numbers, numbered...)
	}
	if s.noPicture {
		if got := len(stamps(ctx, t, "a:0", files[0])); got < 100 {
			t.Errorf("%s: %d packets of sound", what, got)
		}
		return
	}
	if len(numbers) != s.pictures {
		t.Errorf("%s: %d pictures, expected %d: %v", what, len(numbers), s.pictures, numbers)
		return
	}
	known := s.pictures
	if strings.HasSuffix(what, "by HLS") { // ffmpeg's own keeps the parameters of the beginning: behind a discontinuity pictures are counted only
		known /= s.sizes
	}
	for want, n := range numbers {
		if int(n) != want && want < known {
			t.Errorf("%s: picture %d stands where %d should", what, n, want)
		}
	}
	t.Logf("%s: all %d pictures, none lost, none out of order", what, len(numbers))
}

// sketched has ffmpeg write pictures as 8 bytes each, which are their bars.
func sketched(file string) []string {
	return []string{"-vf", "scale=8:1:flags=area", "-vsync", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", file}
}

// bars are the numbers of the pictures of a file, in the order in which they are shown.
func bars(ctx context.Context, t *testing.T, file string) (numbers []byte) {
	t.Helper()
	if _, err := os.Stat(file + ".bars"); err != nil {
		if _, err := tool(ctx, t, "ffmpeg", append([]string{"-nostdin", "-i", file, "-map", "0:v"}, sketched(file+".bars")...)...); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	raw, err := os.ReadFile(file + ".bars")
	if err != nil {
		t.Fatal(err)
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

// inStep holds sound and pictures of a file against each other: neither has a gap that the encoder did not make, and each packet of sound is as far from the pictures around it as it was meant to be.
func (s *sketch) inStep(ctx context.Context, t *testing.T, what, file string, first byte) {
	t.Helper()
	const usual, rounding = 1000.0 / rate, 3.0
	shown := stamps(ctx, t, "v:0", file)
	for i := range shown[1:] {
		if d := shown[i+1] - shown[i]; d < usual/3 || d > usual+rounding+s.gap {
			t.Errorf("%s: picture %d is %.1f ms behind the one before", what, i+1, d)
		}
	}
	pictures, sounds := s.meantPictures(), s.meantSounds()
	heard, worst := 0, 0.0
	for sum, at := range sums(ctx, t, file) {
		meant, ok := sounds[sum]
		if !ok {
			continue
		}
		// The picture that is shown with it, or the first or last that there is.
		i, _ := slices.BinarySearch(pictures, meant)
		i = min(max(i-int(first), 0), len(shown)-1)
		apart := (at - meant) - (shown[i] - pictures[i+int(first)])
		if worst = max(worst, apart, -apart); max(apart, -apart) > rounding+s.gap {
			t.Errorf("%s: the sound of %.0f ms is %.1f ms from where the pictures have it", what, meant, apart)
			return
		}
		heard++
	}
	if heard < 50 {
		t.Errorf("%s: %d packets of sound are those of the encoder", what, heard)
	}
	t.Logf("%s: %d packets of sound, at most %.1f ms from where the pictures have them", what, heard, worst)
}

// meantPictures are when pictures were meant to be shown, in ms, one after the other.
func (s *sketch) meantPictures() (all []float64) {
	for i, g := range s.tags {
		if g.kind == flv.TypeVideo && g.body[1] == 1 {
			composition := int32(uint32(g.body[2])<<24|uint32(g.body[3])<<16|uint32(g.body[4])<<8) >> 8
			all = append(all, float64(s.meant[i])+float64(composition))
		}
	}
	slices.Sort(all)
	return all
}

// meantSounds are when packets of sound were meant to be heard, by their sums; those that are there twice are left out.
func (s *sketch) meantSounds() map[uint32]float64 {
	all, twice := map[uint32]float64{}, map[uint32]bool{}
	for i, g := range s.tags {
		if g.kind != flv.TypeAudio || g.body[1] != 1 {
			continue
		}
		sum := crc32.ChecksumIEEE(g.body[2:])
		_, there := all[sum]
		twice[sum] = twice[sum] || there
		all[sum] = float64(s.meant[i])
	}
	maps.DeleteFunc(all, func(sum uint32, _ float64) bool { return twice[sum] })
	return all
}

// sums are when the packets of sound of a file are heard, in ms, by their sums.
func sums(ctx context.Context, t *testing.T, file string) map[uint32]float64 {
	t.Helper()
	out, err := tool(ctx, t, "ffprobe", "-select_streams", "a:0", "-show_data_hash", "crc32", "-show_entries", "packet=pts_time,data_hash", "-of", "csv=p=0", file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	all := map[uint32]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		at, hash, _ := strings.Cut(lines.Text(), ",")
		seconds, err := strconv.ParseFloat(at, 64)
		_, hash, _ = strings.Cut(hash, ":")
		sum, err2 := strconv.ParseUint(strings.Trim(hash, ","), 16, 32)
		if err == nil && err2 == nil {
			all[uint32(sum)] = seconds * 1000
		}
	}
	return all
}
