package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// camera is what ffmpeg publishes in real time: pictures at 25 a second, with B-frames, and sound.
func camera(url string) []string {
	return []string{
		"-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=44100",
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", url,
	}
}

// counted is how many frames of pictures ffprobe reads of a stream until it ends.
func counted(ctx context.Context, url string) (frames int, err error) {
	cmd := exec.CommandContext(ctx, "ffprobe", "-hide_banner", "-loglevel", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", url)
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil { // that the stream just ends it complains of as well
		return 0, fmt.Errorf("ffprobe: %w: %s", err, told.String())
	}
	return strconv.Atoi(strings.TrimSpace(strings.Split(string(out), "\n")[0]))
}

// An encoder's stream comes over RTMP to a client of the game, which publishes it to a second room, from where a player takes it over HTTP: frame by frame.
func TestClientsOfTheGameWatchAndPublishWhatOthersDo(t *testing.T) {
	// On a busy machine players take a while to begin: nothing is skipped for it.
	d := openDoors(t, t.TempDir(), openGate+`
listen.rtmp = "127.0.0.1:0"
media.admit = "open"
media.reconnect = "1s"
media.lag = "1m"
`)
	off := onAir(t, camera("rtmp://"+d.addr["rtmp"]+"/live/studio")...)
	await(t, "it publishes", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`) })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := d.plays("tcp://"+d.addr["tcp"], nil)
	w, err := c.Watch(ctx, "studio", client.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var first []client.Frame // until both tracks are known
	tracks, index := []client.Track{}, map[string]int{}
	for len(tracks) < 2 {
		f, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, f)
		if _, known := index[f.Track.Codec]; !known {
			index[f.Track.Codec] = len(tracks)
			tracks = append(tracks, *f.Track)
		}
	}
	p, err := d.plays("ws://"+d.addr["http"]+"/ws", nil).Publish(ctx, "stage", client.PublishOptions{Tracks: tracks})
	if err != nil {
		t.Fatal(err)
	}
	type count struct {
		frames int
		err    error
	}
	probed := make(chan count, 1)
	go func() {
		n, err := counted(ctx, "http://"+d.addr["http"]+"/live/stage.flv")
		probed <- count{n, err}
	}()
	await(t, "a player watches", func() bool { return d.scraped(`skua_media_members{action="play",protocol="flv"} 1`) })
	const enough = 5 * 25
	pictures, reordered := 0, false
	var last time.Duration
	pass := func(f client.Frame) {
		if f.Track.Codec == "h264" {
			if pictures++; pictures > 1 && (f.DTS-last-time.Second/25).Abs() > 2*time.Millisecond {
				t.Errorf("picture %d is at %s, behind one at %s", pictures, f.DTS, last)
			}
			last, reordered = f.DTS, reordered || f.PTS > f.DTS
		}
		if err := p.Write(index[f.Track.Codec], f); err != nil {
			t.Errorf("picture %d: %v", pictures, err)
		}
	}
	for _, f := range first {
		pass(f)
	}
	for {
		f, err := w.Next(ctx)
		if ended, ok := errors.AsType[*client.RoomError](err); ok && ended.Code == "offline" {
			break // the encoder has gone, and its time is over
		}
		if err != nil {
			t.Fatal(err)
		}
		if pass(f); pictures >= enough {
			off()
		}
	}
	p.Close()
	got := <-probed
	if got.err != nil {
		t.Fatal(got.err)
	}
	if pictures < enough || got.frames != pictures || !reordered {
		t.Errorf("%d pictures came to the game (B-frames: %v) and %d to the player", pictures, reordered, got.frames)
	}
	if f := tracks[index["h264"]]; f.Width != 320 || f.Height != 240 || len(f.Config) == 0 {
		t.Errorf("the pictures are %+v", f)
	}
}
