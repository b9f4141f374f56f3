package rtsp_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/rtsp"
)

// gst runs a pipeline of GStreamer to its end.
func gst(ctx context.Context, tb testing.TB, pipeline string) error {
	tb.Helper()
	_, err := tool(ctx, tb, "gst-launch-1.0", append([]string{"-q", "-e"}, strings.Fields(pipeline)...)...)
	return err
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

// TestGStreamerPublishesAndWatches has another implementation at both ends: pictures and sound go in by one transport and come out by the other.
func TestGStreamerPublishesAndWatches(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	elements(ctx, t, "rtspclientsink", "rtspsrc", "x264enc", "h264parse", "avenc_aac", "aacparse", "avdec_h264")
	for in, out := range map[string]string{"tcp": "udp", "udp": "tcp"} {
		t.Run(in+" to "+out, func(t *testing.T) {
			h := open(t, rtsp.Config{})
			file := filepath.Join(t.TempDir(), "out.mkv")
			// It publishes until it is stopped: rtspclientsink does not always end with its streams.
			publishing, stop := context.WithCancel(ctx)
			var running sync.WaitGroup
			running.Go(func() {
				if err := gst(publishing, t, "rtspclientsink name=s protocols="+in+" location="+h.url()+
					" videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 ! x264enc tune=zerolatency key-int-max=30 ! h264parse ! s."+
					" audiotestsrc is-live=true ! audioconvert ! avenc_aac ! aacparse ! s."); err != nil && publishing.Err() == nil {
					t.Error(err)
				}
				h.stream.Close(nil)
			})
			defer stop()
			h.until("pictures come", func() bool { return h.stream.Counts().Keys > 0 })
			if err := gst(ctx, t, "matroskamux name=m ! filesink location="+file+" rtspsrc name=r protocols="+out+" location="+h.url()+
				" r. ! application/x-rtp,media=video ! rtph264depay ! h264parse ! identity eos-after="+strconv.Itoa(seconds()*30)+" ! queue ! m."+
				" r. ! application/x-rtp,media=audio ! rtpmp4gdepay ! aacparse ! identity eos-after="+strconv.Itoa(seconds()*40)+" ! queue ! m."); err != nil {
				t.Error(err)
			}
			stop()
			running.Wait()
			got := read(ctx, t, "-i", file)
			if pictures, sound := len(got["video"]), len(got["audio"]); pictures < seconds()*27 || sound < seconds()*36 {
				t.Errorf("%d pictures and %d packets of sound, want some %d and %d", pictures, sound, seconds()*30, seconds()*40)
			}
			for i, u := range got["video"] {
				if i > 0 && (u.at-got["video"][i-1].at > 0.1 || u.at <= got["video"][i-1].at) {
					t.Errorf("picture %d is shown at %.3f s, the one before at %.3f s", i, u.at, got["video"][i-1].at)
				}
			}
		})
	}
}
