package rtsp_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/rtsp"
)

// gst runs a pipeline to its end. When ctx ends it is asked to end, and does at once: with -e it would wait for an end of its streams that rtspclientsink does not always tell of.
func gst(ctx context.Context, pipeline string) error {
	cmd := exec.CommandContext(ctx, "gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	told, err := cmd.CombinedOutput()
	if ctx.Err() != nil && cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gst-launch-1.0 %s: %w: %s", pipeline, err, told)
	}
	return nil
}

// elements skips the test where GStreamer lacks one of them, but in CI.
func elements(ctx context.Context, t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := tool(ctx, t, "gst-inspect-1.0", "--exists", name); err == nil {
			continue
		}
		if _, err := exec.LookPath("gst-inspect-1.0"); err == nil && os.Getenv("CI") != "true" {
			t.Skipf("GStreamer has no %s: tools/deps.sh installs it", name)
		}
		t.Fatalf("GStreamer has no %s: tools/deps.sh installs it", name)
	}
}

// TestGStreamerPublishesAndWatches has another implementation at both ends: pictures and sound go in by one transport and come out by the other. The viewer ends as those of a node do:
// when the stream ends it is told goodbye, and the connection is closed.
//
// The encoder is told its format: else x264enc begins with 4:4:4 of 10 bits and goes on with another before a second has passed, which the file that is written can't.
// The viewer does not count for itself (eos-after): rtspsrc ends all tracks of a connection with the first that ends. And its filters are elements of their own: both tracks appear at
// once, on two threads, and where gst-launch has to put a filter before each (r. ! application/x-rtp,media=video ! ...) one of them is now and then not linked, which it does not
// tell: the file never ends then. When it has seen that the stream ends it says PAUSE, and complains where the connection has ended as well: what counts is what it has written.
// https://github.com/GeekAlexis/FastMOT/pull/167 is another's account of the filters.
func TestGStreamerPublishesAndWatches(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	elements(ctx, t, "rtspclientsink", "rtspsrc", "x264enc", "h264parse", "avenc_aac", "aacparse", "avdec_h264")
	for in, out := range map[string]string{"tcp": "udp", "udp": "tcp"} {
		t.Run(in+" to "+out, func(t *testing.T) {
			h := open(t, rtsp.Config{})
			file := filepath.Join(t.TempDir(), "out.mkv")
			publishing, stop := context.WithCancel(ctx)
			var running sync.WaitGroup
			defer running.Wait()
			defer stop()
			published := make(chan struct{})
			running.Go(func() {
				defer close(published)
				if err := gst(publishing, "rtspclientsink name=s protocols="+in+" location="+h.url()+
					" videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 ! x264enc tune=zerolatency key-int-max=30 ! h264parse ! s."+
					" audiotestsrc is-live=true ! audioconvert ! avenc_aac ! aacparse ! s."); err != nil {
					t.Error(err)
				}
			})
			h.until("pictures come", func() bool { return h.stream.Counts().Keys > 1 })
			watched := make(chan error, 1)
			running.Go(func() {
				watched <- gst(ctx, "matroskamux name=m ! filesink location="+file+" rtspsrc name=r protocols="+out+" location="+h.url()+
					" r. ! capsfilter caps=application/x-rtp,media=video ! rtph264depay ! h264parse ! queue ! m."+
					" r. ! capsfilter caps=application/x-rtp,media=audio ! rtpmp4gdepay ! aacparse ! queue ! m.")
			})
			h.until("it watches", func() bool { return h.watched() > 0 })
			end := time.Now().Add(time.Duration(seconds())*time.Second + patience)
			for h.counts(0).Frames < uint64(seconds()*(30+43)) {
				select {
				case err := <-watched:
					t.Fatalf("the viewer ends after %+v: %v", h.counts(0), err)
				case <-time.After(10 * time.Millisecond):
				}
				if time.Now().After(end) {
					t.Fatalf("the viewer has %+v", h.counts(0))
				}
			}
			stop()
			<-published // it says TEARDOWN, and may wait for its answer for ever where the connection has ended
			h.stream.Close(nil)
			if err := <-watched; ctx.Err() != nil {
				t.Errorf("the viewer has not ended by itself: %v", err)
			} else if err != nil {
				t.Log(err)
			}
			got := read(ctx, t, "-i", file)
			if pictures, sound := len(got["video"]), len(got["audio"]); pictures < seconds()*27 || sound < seconds()*39 {
				t.Errorf("%d pictures and %d packets of sound, want some %d and %d", pictures, sound, seconds()*30, seconds()*43)
			}
			for i, u := range got["video"] {
				if i > 0 && (u.at-got["video"][i-1].at > 0.1 || u.at <= got["video"][i-1].at) {
					t.Errorf("picture %d is shown at %.3f s, the one before at %.3f s", i, u.at, got["video"][i-1].at)
				}
			}
		})
	}
}
