// Package flvtest feeds streams with what ffmpeg has encoded, and has ffprobe count what comes out, for tests of what is made of streams.
package flvtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// run gives what a program writes, and fails with what it complains of. Without it the test is skipped, but in CI.
func run(tb testing.TB, name string, args ...string) []byte {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("%s is missing: tools/deps.sh installs it", name)
		}
		tb.Skipf("%s is missing: tools/deps.sh installs it", name)
	}
	cmd := exec.CommandContext(tb.Context(), name, args...) //nolint:gosec // the two that the functions below name
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, told.String())
	}
	return out
}

// Clip is what ffmpeg makes of these inputs and codecs, as FLV.
func Clip(tb testing.TB, args ...string) []byte {
	tb.Helper()
	return run(tb, "ffmpeg", append(append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, args...), "-f", "flv", "-")...)
}

// Show is what ffprobe shows of a file or a URL.
func Show(tb testing.TB, args ...string) string {
	tb.Helper()
	return string(run(tb, "ffprobe", append([]string{"-loglevel", "error"}, args...)...))
}

// Decoded counts the pictures, or the packets of sound, that ffprobe decodes of a file's stream, "v:0" or "a:0".
func Decoded(tb testing.TB, stream, file string) string {
	tb.Helper()
	shown := Show(tb, "-count_frames", "-select_streams", stream, "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file)
	return strings.Trim(shown, "\n,")
}

// Stamps are the decoding and presentation times of a stream's packets, in seconds, a line each.
func Stamps(tb testing.TB, stream, file string) []string {
	tb.Helper()
	return strings.Fields(Show(tb, "-select_streams", stream, "-show_entries", "packet=dts_time,pts_time", "-of", "csv=p=0", file))
}

// Feed publishes an FLV file until the publisher is closed: at once, or at its own pace, which is what its timestamps say.
func Feed(tb testing.TB, to *media.Publisher, file []byte, paced bool) {
	tb.Helper()
	begun := time.Now()
	FeedWhen(tb, to, file, func(at time.Duration) bool {
		if paced {
			select {
			case <-time.After(time.Until(begun.Add(at))):
			case <-tb.Context().Done():
				return false
			}
		}
		return true
	})
}

// FeedWhen publishes an FLV file until the publisher is closed, each packet when due, which is told its timestamp, returns; with false it ends.
func FeedWhen(tb testing.TB, to *media.Publisher, file []byte, due func(at time.Duration) bool) {
	tb.Helper()
	in := flv.Ingest{To: to}
	for rest := file[13:]; len(rest) >= 15; {
		size := int(binary.BigEndian.Uint32(rest) & 0xffffff)
		ms := uint32(rest[7])<<24 | binary.BigEndian.Uint32(rest[4:])>>8
		if !due(time.Duration(ms) * time.Millisecond) {
			return
		}
		err := in.Feed(rest[0], ms, bytes.Clone(rest[11:11+size]))
		if errors.Is(err, media.ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, flv.ErrFormat) {
			tb.Error(err)
			return
		}
		rest = rest[11+size+4:]
	}
}
