package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/internal/rtctest"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// offers makes an offer as a client does that sends, or receives, pictures.
func offers(t *testing.T, way pion.RTPTransceiverDirection) string {
	t.Helper()
	pc, err := pion.NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	if _, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeVideo, pion.RTPTransceiverInit{Direction: way}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

const webRTCRules = `
local M = {}
function M.on_publish(self, name, who, info) return info.query.token == "letmein", "the token is wrong" end
function M.on_join(self, name, who, info) return info.query.token == "letmein", "the token is wrong" end
return M
`

func TestRoomsOfWebRTCAreAtTheHTTPListener(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scripts", "live.lua"), []byte(webRTCRules), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDoors(t, dir, openGate+`
[media]
admit = "rules"
rules = "live"

[media.webrtc]
udp = "127.0.0.1:0"
tcp = "127.0.0.1:0"
ice_servers = ["stun:stun.example.com"]
`)
	for _, name := range []string{"webrtc", "webrtc.tcp"} {
		if !strings.HasPrefix(d.addr[name], "127.0.0.1:") {
			t.Errorf("the ready line has no %s: %v", name, d.addr)
		}
	}
	publish, play := offers(t, pion.RTPTransceiverDirectionSendonly), offers(t, pion.RTPTransceiverDirectionRecvonly)
	post := func(path, offer string) (*http.Response, string) {
		resp, err := http.Post("http://"+d.addr["http"]+path, "application/sdp", strings.NewReader(offer))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}
	for _, c := range []struct {
		path, offer string
		status      int
		says        string
	}{
		{"/whep/stage?token=letmein", play, 404, "nobody publishes in stage"},
		{"/whip/stage", publish, 403, "the token is wrong"},
		{"/whip/-stage?token=letmein", publish, 404, "expected /whip/ROOM"},
		{"/whip/stage?token=letmein&who=anna", publish, 201, ""},
		{"/whep/stage?token=letmeout", play, 403, "the token is wrong"},
	} {
		if resp, text := post(c.path, c.offer); resp.StatusCode != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %s: %s", c.path, resp.Status, text)
		}
	}
	resp, answer := post("/whep/stage?token=letmein&who=bert", play)
	_, port, _ := strings.Cut(d.addr["webrtc"], ":")
	if resp.StatusCode != http.StatusCreated || !strings.Contains(answer, " 127.0.0.1 "+port+" typ host") || !strings.Contains(resp.Header.Get("Link"), "stun:stun.example.com") {
		t.Errorf("%s: %v\n%s", resp.Status, resp.Header, answer)
	}
	for _, metric := range []string{
		`skua_webrtc_sessions{direction="play"} 1`, `skua_webrtc_refused_total{direction="play",status="403"} 1`,
		`skua_media_members{action="publish",protocol="whip"} 1`, `skua_media_members{action="play",protocol="whep"} 1`,
	} {
		if !d.scraped(metric) {
			t.Error("the metrics don't have " + metric)
		}
	}
}

// live opens a node whose rooms are reached by all protocols, with this besides in its configuration, and a browser's page that may come in.
func live(t *testing.T, more ...string) (d *doors, tab func() context.Context) {
	t.Helper()
	chrome := rtctest.Browser(t)
	d = openDoors(t, t.TempDir(), openGate+`
listen.rtmp = "127.0.0.1:0"
media.admit = "open"
media.webrtc.udp = "127.0.0.1:0"
media.webrtc.origins = ["*"]
`+strings.Join(more, "\n"))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(rtctest.Page)) }))
	t.Cleanup(web.Close)
	return d, func() context.Context { return rtctest.Tab(chrome, t, web.URL) }
}

// TestBrowserWatchesByWHEPWhatFFmpegPublishesOverRTMP: the pictures; that there is no sound it is told.
func TestBrowserWatchesByWHEPWhatFFmpegPublishesOverRTMP(t *testing.T) {
	d, tab := live(t)
	stop := background(t, "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=44100",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-c:a", "aac", "-f", "flv", "rtmp://"+d.addr["rtmp"]+"/live/arena?who=ann")
	defer stop()
	resp := &http.Response{}
	await(t, "pictures and sound come", func() bool {
		offer := strings.NewReader(offers(t, pion.RTPTransceiverDirectionRecvonly))
		var err error
		if resp, err = http.Post("http://"+d.addr["http"]+"/whep/arena", "application/sdp", offer); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Header.Get("Skua-Note") != ""
	})
	if got := resp.Header.Get("Skua-Note"); got != "no audio: it is aac, which WebRTC can't carry, and nothing is transcoded" {
		t.Errorf("the answer says %q", got)
	}
	viewer := tab()
	rtctest.Do(viewer, t, `watch('http://`+d.addr["http"]+`/whep/arena?who=bert')`)
	s := rtctest.Look(viewer, t, func(s rtctest.Seen) bool { return s.Frames >= 90 && len(s.Slots.Slots) == 2 })
	if s.Codec != "video/H264" || s.Width != 640 || s.Slots.Slots[1].Who != "ann" || s.Slots.Slots[0].Who != "" {
		t.Errorf("the page sees %+v", s)
	}
	t.Logf("%+v", s)
}

// background runs ffmpeg until stop is called.
func background(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if told, err := ffmpegFor(ctx, t, args...); err != nil && ctx.Err() == nil {
			t.Errorf("ffmpeg: %v: %s", err, told)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// TestFFprobeReadsOverHTTPWhatABrowserPublishesByWHIP: H.264 and Opus, in step.
func TestFFprobeReadsOverHTTPWhatABrowserPublishesByWHIP(t *testing.T) {
	d, tab := live(t)
	publisher := tab()
	rtctest.Do(publisher, t, `publish('http://`+d.addr["http"]+`/whip/cam?who=anna', 'video/H264')`)
	if rtctest.Look(publisher, t, func(s rtctest.Seen) bool { return s.Missing || s.Session != "" }).Missing {
		t.Skip("this browser can't encode H.264")
	}
	file := filepath.Join(t.TempDir(), "cam.flv")
	got := recordFLV(t, "http://"+d.addr["http"]+"/live/cam.flv", file, 6*time.Second)
	pictures, sound := got[media.H264], got[media.Opus]
	if len(pictures) < 60 || len(sound) < 200 {
		t.Fatalf("%d pictures and %d packets of Opus in 6 s", len(pictures), len(sound))
	}
	for codec, times := range got {
		if !slices.IsSorted(times) {
			t.Errorf("%s: times go back", codec)
		}
	}
	if apart := pictures[0] - sound[0]; apart.Abs() > time.Second {
		t.Errorf("sound and pictures begin %s apart", apart)
	}
	if span := sound[len(sound)-1] - sound[0]; span < time.Duration(len(sound)-20)*20*time.Millisecond || span > time.Duration(len(sound)+20)*20*time.Millisecond {
		t.Errorf("%d packets of 20 ms last %s", len(sound), span)
	}
	if told, err := ffmpeg(t, "-i", file, "-map", "0:v", "-f", "null", "-"); err != nil || strings.Contains(told, "h264") { // decodes all
		t.Errorf("decoding: %v: %s", err, told)
	}
	video := probe(t, file)
	if video.Codec != "h264" || video.Width != 640 || len(video.times) != len(pictures) {
		t.Errorf("ffprobe sees %+v, expected %d pictures", video, len(pictures))
	}
	t.Logf("%d pictures of %dx%d, %d packets of sound, begin at %s and %s", len(pictures), video.Width, video.Height, len(sound), pictures[0], sound[0])
}

// recordFLV writes so long a piece of a stream over HTTP-FLV into a file, and gives the times of its frames.
func recordFLV(t *testing.T, url, file string, long time.Duration) map[media.Codec][]time.Duration {
	t.Helper()
	var resp *http.Response
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all bytes.Buffer
	in := io.TeeReader(resp.Body, &all)
	times := map[media.Codec][]time.Duration{}
	head := make([]byte, 13) // with the size of no tag before it
	if _, err := io.ReadFull(in, head); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := io.ReadFull(in, head[:11]); err != nil {
			t.Fatalf("%v, after %v", err, times)
		}
		body := make([]byte, 4+(int(head[1])<<16|int(head[2])<<8|int(head[3])))
		at := time.Duration(int(head[7])<<24|int(head[4])<<16|int(head[5])<<8|int(head[6])) * time.Millisecond
		if _, err := io.ReadFull(in, body); err != nil {
			t.Fatal(err)
		}
		kind, ok := map[byte]media.Kind{flv.TypeVideo: media.Video, flv.TypeAudio: media.Audio}[head[0]]
		if !ok {
			continue
		}
		if err := flv.Parse(kind, body[:len(body)-4], func(p flv.Part) error {
			if !p.Config {
				times[p.Codec] = append(times[p.Codec], at)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if seen := times[media.Opus]; len(seen) > 0 && at-seen[0] > long {
			break
		}
	}
	if err := os.WriteFile(file, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return times
}

// probed is the pictures of a file as ffprobe sees them.
type probed struct {
	Codec         string `json:"codec_name"`
	Width, Height int
	times         []string
}

func probe(t *testing.T, file string) probed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-loglevel", "quiet", "-select_streams", "v", "-show_streams", "-show_packets", "-of", "json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Streams []probed
		Packets []struct {
			Time string `json:"dts_time"`
		}
	}
	if err := json.Unmarshal(out, &found); err != nil || len(found.Streams) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, p := range found.Packets {
		found.Streams[0].times = append(found.Streams[0].times, p.Time)
	}
	return found.Streams[0]
}
