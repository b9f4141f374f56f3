package rtsp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
)

// tool runs a program to its end and gives what it has written. Without it the test is skipped, but in CI.
func tool(ctx context.Context, tb testing.TB, name string, args ...string) ([]byte, error) {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("%s is missing: tools/deps.sh installs it", name)
		}
		tb.Skipf("%s is missing: tools/deps.sh installs it", name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, told.String())
	}
	return out, err
}

func ffmpeg(ctx context.Context, tb testing.TB, args ...string) ([]byte, error) {
	tb.Helper()
	return tool(ctx, tb, "ffmpeg", append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, args...)...)
}

// unit is a picture, decoded, or a packet of sound.
type unit struct {
	at  float64 // s
	sum string
}

// units reads the format framecrc, by the kind of the stream.
func units(text []byte) map[string][]unit {
	kinds, bases, all := map[string]string{}, map[string]float64{}, map[string][]unit{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "#media_type "); ok {
			index, kind, _ := strings.Cut(rest, ": ")
			kinds[index] = kind
		}
		if rest, ok := strings.CutPrefix(line, "#tb "); ok {
			var num, den float64
			index, base, _ := strings.Cut(rest, ": ")
			_, _ = fmt.Sscanf(base, "%f/%f", &num, &den)
			bases[index] = num / den
		}
		fields := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(fields) < 6 {
			continue
		}
		pts, err := strconv.ParseFloat(strings.TrimSpace(fields[2]), 64)
		if err != nil {
			continue
		}
		kind := kinds[fields[0]]
		all[kind] = append(all[kind], unit{pts * bases[fields[0]], strings.TrimSpace(fields[4]) + strings.TrimSpace(fields[5])})
	}
	return all
}

// guessed is how many pictures ffmpeg may give times of its own at the beginning: RTSP tells no decoding times, and it has to know how many pictures are reordered.
const guessed = 3

// shownLater checks that got is what stands together in want, at least so many and evenly in time, and gives by how much it is shown later.
func shownLater(t *testing.T, what string, got, want []unit, least int) float64 {
	t.Helper()
	if len(got) < least {
		t.Errorf("%s: %d, want %d at least", what, len(got), least)
		return math.NaN()
	}
	for from := range want {
		if want[from].sum != got[0].sum || from+1 < len(want) && want[from+1].sum != got[1].sum {
			continue
		}
		shift := math.NaN()
		for i := len(got) - 1; i >= 0; i-- {
			if from+i >= len(want) || want[from+i].sum != got[i].sum {
				t.Errorf("%s: number %d of %d, after number %d of the file, is not the one behind it", what, i, len(got), from)
				return math.NaN()
			}
			off := got[i].at - want[from+i].at
			if math.IsNaN(shift) {
				shift = off
			}
			if i >= guessed && math.Abs(off-shift) > 0.0015 {
				t.Errorf("%s: number %d is %.4f s off", what, i, off-shift)
				return math.NaN()
			}
		}
		return shift
	}
	t.Errorf("%s: the first is not of the file", what)
	return math.NaN()
}

// seconds is how long is read: 20 s in full.
func seconds() int {
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		return 20
	}
	return 4
}

// clip is a file with pictures that are all different, and so is the sound. It is long enough for readers that take a while to begin, as on a busy machine.
func clip(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in.mkv")
	in := []string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", "anoisesrc=sample_rate=48000:amplitude=0.2:seed=7", "-t", strconv.Itoa(seconds() + 16), "-g", "30"}
	if _, err := ffmpeg(ctx, t, append(append(in, args...), file)...); err != nil {
		t.Fatal(err)
	}
	return file
}

// read decodes pictures and leaves sound as it is.
func read(ctx context.Context, t *testing.T, args ...string) map[string][]unit {
	t.Helper()
	out, err := ffmpeg(ctx, t, append(args, "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-c:v", "rawvideo", "-c:a", "copy", "-f", "framecrc", "-")...)
	if err != nil {
		t.Error(err)
	}
	return units(out)
}

var codecs = map[string][]string{
	"h264 with B-frames, aac": {"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac"},
	"h265, opus":              {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=30:bframes=2", "-c:a", "libopus"},
	"vp8, mp3":                {"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k", "-c:a", "libmp3lame"},
	"vp9, opus":               {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k", "-c:a", "libopus"},
}

// TestWhatFFmpegPublishesIsWhatItReads has each codec go in by one transport and out by both: each picture and each packet of sound is that of the file, in its order, at its time,
// and as far from each other as in the file.
func TestWhatFFmpegPublishesIsWhatItReads(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	for _, c := range []struct {
		codecs, in string
		out        []string
	}{
		{"h264 with B-frames, aac", "tcp", []string{"tcp", "udp"}},
		{"h264 with B-frames, aac", "udp", []string{"udp"}},
		{"h265, opus", "tcp", []string{"udp"}},
		{"vp8, mp3", "udp", []string{"tcp"}},
		{"vp9, opus", "tcp", []string{"tcp"}},
	} {
		t.Run(c.codecs+" over "+c.in, func(t *testing.T) {
			file := clip(ctx, t, codecs[c.codecs]...)
			want := read(ctx, t, "-i", file)
			h := open(t, rtsp.Config{})
			h.viewer = media.ViewerConfig{Lag: time.Minute}
			publishing, enough := context.WithCancel(ctx)
			defer enough()
			published := make(chan struct{})
			go func() {
				defer close(published)
				if _, err := ffmpeg(publishing, t, "-re", "-i", file, "-c", "copy", "-strict", "experimental", "-f", "rtsp", "-rtsp_transport", c.in, h.url()); err != nil && publishing.Err() == nil {
					t.Error(err)
				}
				h.stream.Close(nil) // so that the readers end
			}()
			var running sync.WaitGroup
			h.until("pictures come", func() bool { return h.stream.Counts().Keys > 0 })
			for _, out := range c.out {
				running.Go(func() {
					got := read(ctx, t, "-copyts", "-rtsp_transport", out, "-t", strconv.Itoa(seconds()), "-i", h.url())
					video := shownLater(t, out+" pictures", got["video"], want["video"], seconds()*30*3/4)
					audio := shownLater(t, out+" sound", got["audio"], want["audio"], seconds()*38*3/4)
					if math.Abs(video-audio) > 0.002 {
						t.Errorf("%s: pictures are shown %.4f s later than in the file, sound %.4f s", out, video, audio)
					}
				})
			}
			running.Wait()
			enough()
			<-published
		})
	}
}
