package rtmp_test

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
)

// ffmpeg runs it to its end and gives what it has written. Without it the test is skipped, but in CI.
func ffmpeg(ctx context.Context, tb testing.TB, args ...string) ([]byte, error) {
	tb.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("ffmpeg is missing: tools/deps.sh installs it")
		}
		tb.Skip("ffmpeg is missing: tools/deps.sh installs it")
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, args...)...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if told.Len() > 0 {
		tb.Logf("ffmpeg %s: %s", strings.Join(args, " "), told.String())
	}
	return out, err
}

// packet is one line of the format framecrc.
type packet struct{ dts, pts, size, sum string }

// packets reads that format, by the kind of their stream.
func packets(text []byte) map[string][]packet {
	kinds, all := map[string]string{}, map[string][]packet{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "#media_type "); ok {
			index, kind, _ := strings.Cut(rest, ": ")
			kinds[index] = kind
			continue
		}
		fields := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(fields) < 6 {
			continue
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		kind := kinds[fields[0]]
		all[kind] = append(all[kind], packet{fields[1], fields[2], fields[4], fields[5]})
	}
	return all
}

// isRunOf fails unless got is what stands together in want, and at least so many.
func isRunOf(t *testing.T, what string, got, want []packet, least int) {
	t.Helper()
	if len(got) < least {
		t.Errorf("%s: %d packets, want %d at least", what, len(got), least)
		return
	}
	for at := range want {
		if want[at].sum != got[0].sum || want[at].size != got[0].size {
			continue
		}
		for i, p := range got {
			if at+i >= len(want) || want[at+i].sum != p.sum || want[at+i].size != p.size {
				t.Errorf("%s: packet %d of %d, after packet %d of the file, is not the one behind it", what, i, len(got), at)
				return
			}
			if p.dts != want[at+i].dts || p.pts != want[at+i].pts {
				t.Errorf("%s: packet %d is decoded at %s and shown at %s, in the file at %s and %s", what, i, p.dts, p.pts, want[at+i].dts, want[at+i].pts)
				return
			}
		}
		return
	}
	t.Errorf("%s: its first packet is not of the file", what)
}

// TestWhatFFmpegPublishesIsWhatItReads publishes a file with B-frames and reads it over each output: each packet, its bytes and its times, is that of the file, without a gap.
func TestWhatFFmpegPublishesIsWhatItReads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in.flv")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// Long enough for readers that take a while to begin, as on a busy machine.
	if _, err := ffmpeg(ctx, t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", "30",
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-c:a", "aac", file); err != nil {
		t.Fatal(err)
	}
	read := func(url string, more ...string) map[string][]packet {
		args := append([]string{"-copyts", "-i", url}, more...)
		// Times in milliseconds, as they are.
		out, err := ffmpeg(ctx, t, append(args, "-c", "copy", "-avoid_negative_ts", "disabled", "-enc_time_base", "1:1000", "-f", "framecrc", "-")...)
		if err != nil {
			t.Errorf("%s: %v", url, err)
		}
		return packets(out)
	}
	want := read(file)
	if len(want["video"]) != 900 {
		t.Fatalf("the file has %d pictures", len(want["video"]))
	}

	h := open(t, rtmp.Config{})
	pages, err := flv.NewHTTP(flv.HTTPConfig{Join: func(*http.Request) (*media.Viewer, error) { return h.stream.Join(media.ViewerConfig{Lag: time.Minute}) }})
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	web := httptest.NewServer(pages)
	served := make(chan error, 1)
	go func() { served <- pages.Serve(serving) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		web.Close()
	}()
	publishing, enough := context.WithCancel(ctx)
	defer enough()
	published := make(chan struct{})
	go func() {
		defer close(published)
		if _, err := ffmpeg(publishing, t, "-re", "-i", file, "-c", "copy", "-f", "flv", "rtmp://"+h.addr+"/live/test"); err != nil && publishing.Err() == nil {
			t.Error(err)
		}
		h.stream.Close(nil) // so that the readers end
	}()
	var running sync.WaitGroup
	h.until("pictures come", func() bool { return h.stream.Counts().Keys > 0 })
	for name, url := range map[string]string{"rtmp": "rtmp://" + h.addr + "/live/test", "http-flv": web.URL + "/live/test.flv"} {
		running.Go(func() {
			got := read(url, "-t", "5")
			isRunOf(t, name+" video", got["video"], want["video"], 100)
			isRunOf(t, name+" audio", got["audio"], want["audio"], 150)
		})
	}
	running.Wait()
	enough()
	<-published
}
