package rtmp_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/net/flv/flvtest"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
)

func parsed(tb testing.TB, text string) *url.URL {
	tb.Helper()
	at, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// clip is a second of pictures with B-frames, and of sound.
func clip(tb testing.TB) []byte {
	tb.Helper()
	return flvtest.Clip(tb, "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-c:a", "aac")
}

// all reads so many frames.
func all(tb testing.TB, v *media.Viewer, count int) []*media.Frame {
	tb.Helper()
	late := time.AfterFunc(patience, func() { v.Close(errors.New("not in time")) })
	defer late.Stop()
	var got []*media.Frame
	for len(got) < count {
		frames := make([]*media.Frame, 32)
		n, err := v.Next(frames)
		if err != nil {
			tb.Fatalf("after %d of %d frames: %v", len(got), count, err)
		}
		got = append(got, frames[:n]...)
	}
	return got
}

// TestAStreamThatIsPushedAndPulledIsTheSame sends a clip to a server and fetches it there: each frame comes, with its times.
func TestAStreamThatIsPushedAndPulledIsTheSame(t *testing.T) {
	h := open(t, rtmp.Config{})
	at := parsed(t, "rtmp://"+h.addr+"/live/test?who=ann&sign=x")
	from, to := media.New(media.Config{}), media.New(media.Config{})
	pushed, err := from.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := to.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pulling, pushing, began := make(chan error, 1), make(chan error, 1), make(chan struct{})
	go func() { pushing <- rtmp.Dialer{}.Push(ctx, at, pushed, func() { close(began) }) }()
	<-began
	go func() {
		pulling <- rtmp.Dialer{}.Pull(ctx, at, func() (*media.Publisher, error) { return to.Publish(nil) })
	}()
	h.until("somebody watches", func() bool { return h.stream.Viewers() == 1 })
	mirror, err := from.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := from.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	flvtest.Feed(t, p, clip(t), false)
	want := all(t, mirror, int(from.Counts().Frames))
	got := all(t, seen, len(want))
	for i, f := range got {
		w := want[i]
		if !bytes.Equal(f.Data, w.Data) || f.PTS-f.DTS != w.PTS-w.DTS || f.DTS-got[0].DTS != w.DTS-want[0].DTS || f.Params.Codec != w.Params.Codec || !bytes.Equal(f.Params.Config, w.Params.Config) {
			t.Fatalf("frame %d of %d is another one", i, len(want))
		}
	}
	if q := h.asked[0].Query; q.Get("who") != "ann" || q.Get("sign") != "x" {
		t.Errorf("the server was asked with %v", q)
	}
	from.Close(nil)
	if err := <-pushing; !errors.Is(err, media.ErrClosed) {
		t.Errorf("pushing ended with %v", err)
	}
	stop()
	if err := <-pulling; !errors.Is(err, context.Canceled) {
		t.Errorf("pulling ended with %v", err)
	}
}

func TestWhatAServerRefusesIsAnErrorThatSaysWhy(t *testing.T) {
	h := open(t, rtmp.Config{})
	stream := media.New(media.Config{})
	v, err := stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	nobody := func() (*media.Publisher, error) { t.Error("it begins"); return nil, errClosed }
	closed := parsed(t, "rtmp://"+h.addr+"/live/closed?sign=secret")
	for name, err := range map[string]error{
		"push": rtmp.Dialer{}.Push(t.Context(), closed, v, func() { t.Error("it begins") }),
		"pull": rtmp.Dialer{}.Pull(t.Context(), closed, nobody),
	} {
		if !errors.Is(err, rtmp.ErrServer) || !strings.Contains(err.Error(), errClosed.Error()) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (rtmp.Dialer{}).Pull(t.Context(), parsed(t, "rtmp://"+h.addr+"/live"), nobody); !errors.Is(err, rtmp.ErrProtocol) {
		t.Errorf("a URL without a stream: %v", err)
	}
}

// TestFFmpegTakesWhatIsPushed: it listens, and what it has written decodes to all pictures.
func TestFFmpegTakesWhatIsPushed(t *testing.T) {
	file, addr := filepath.Join(t.TempDir(), "out.flv"), freeport.TCP(t, 1)[0]
	stream := media.New(media.Config{})
	content := clip(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listening := make(chan error, 1)
	go func() {
		_, err := ffmpeg(ctx, t, "-listen", "1", "-i", "rtmp://"+addr+"/live/test", "-c", "copy", file)
		listening <- err
	}()
	v, err := stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	pushing := make(chan error, 1)
	go func() {
		for { // until it listens
			err := rtmp.Dialer{}.Push(ctx, parsed(t, "rtmp://"+addr+"/live/test"), v, func() { close(began) })
			select {
			case <-began:
			default:
				if ctx.Err() == nil {
					<-time.After(50 * time.Millisecond)
					continue
				}
			}
			pushing <- err
			return
		}
	}()
	select {
	case <-began:
	case <-ctx.Done():
		t.Fatal("ffmpeg does not listen")
	}
	p, err := stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	flvtest.Feed(t, p, content, false)
	stream.Close(nil)
	if err := <-pushing; !errors.Is(err, media.ErrClosed) {
		t.Error(err)
	}
	if err := <-listening; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	if got := flvtest.Decoded(t, "v:0", file); got != "60" {
		t.Errorf("%s pictures", got)
	}
}
