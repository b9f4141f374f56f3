package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

// filmed is what ffmpeg publishes over RTSP in real time: pictures in H.265, which begin anew each second, and Opus.
func filmed(url string) []string {
	return []string{
		"-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=20", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-x265-params", "log-level=none:keyint=20:bframes=0", "-pix_fmt", "yuv420p",
		"-c:a", "libopus", "-f", "rtsp", "-rtsp_transport", "tcp", url,
	}
}

const makeRoom = `
local room = require("skua.room")
local M = {}
function M.on_publish(self, name, who, info)
  return name == "arena", "put out: " .. room.of("arena"):kick("bob", who .. " says so")
end
function M.on_join(self, name, who, info) return true end
return M
`

// TestRoomsOverRTSPAreSignedBoundedAndPutOut: what signatures allow, media.max_viewers, and a viewer that is put out.
func TestRoomsOverRTSPAreSignedBoundedAndPutOut(t *testing.T) {
	dir, key := t.TempDir(), strings.Repeat("k", 32)
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scripts", "live.lua"), []byte(makeRoom), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDoors(t, dir, openGate+`
listen.rtsp = "127.0.0.1:0"
media.admit = "rules"
media.rules = "live"
media.keys = "`+key+`"
media.max_viewers = 1
`)
	at := "rtsp://" + d.addr["rtsp"] + "/live/"
	query := func(action room.Action, name, who string) string {
		return "?" + room.Sign([]byte(key), action, name, who, time.Now().Add(time.Minute))
	}
	watch := func(url string) []string { return []string{"-rtsp_transport", "tcp", "-i", url, "-f", "null", "-"} }
	refused := func(want string, args ...string) {
		t.Helper()
		if told, err := ffmpeg(t, args...); err == nil || !strings.Contains(told, want) {
			t.Errorf("%v: %v %s, want %s", args, err, told, want)
		}
	}
	stop := background(t, filmed(at+"arena"+query(room.Publish, "arena", "ann"))...)
	defer stop()
	await(t, "ann publishes", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="rtsp"} 1`) })
	refused("403 room: not allowed: play arena: the URL is not signed", watch(at+"arena?who=bob")...)
	refused("403 room: not allowed", watch(at+"arena"+query(room.Publish, "arena", "bob"))...)
	refused("403 room: not allowed", watch(at+"arena"+query(room.Play, "other", "bob"))...)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	left := make(chan error, 1)
	go func() {
		_, err := ffmpegFor(ctx, t, watch(at+"arena"+query(room.Play, "arena", "bob"))...)
		left <- err
	}()
	await(t, "bob watches", func() bool { return d.scraped(`skua_media_members{action="play",protocol="rtsp"} 1`) })
	refused("503 room arena: media: full: 1 viewers", watch(at+"arena"+query(room.Play, "arena", "dora"))...)
	refused("put out: 1", filmed(at+"other"+query(room.Publish, "other", "carl"))...)
	if <-left; ctx.Err() != nil {
		t.Error("bob still watches")
	}
	await(t, "bob's place is free", func() bool { return d.scraped(`skua_media_members{action="play",protocol="rtsp"} 0`) })
}

// TestPicturesOfRTSPGoToEverybody publishes H.265 and Opus over RTSP; they come over HTTP-FLV, HLS and WHEP.
func TestPicturesOfRTSPGoToEverybody(t *testing.T) {
	d := openDoors(t, t.TempDir(), openGate+`
listen.rtsp = "127.0.0.1:0"
media.admit = "open"
media.webrtc.udp = "127.0.0.1:0"
`)
	stop := background(t, filmed("rtsp://"+d.addr["rtsp"]+"/live/arena?who=ann")...)
	defer stop()
	await(t, "ann publishes", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="rtsp"} 1`) })
	page := "http://" + d.addr["http"]
	hls := make(chan error, 1)
	go func() {
		told, err := ffmpeg(t, "-i", page+"/live/arena/index.m3u8", "-map", "0:v", "-map", "0:a", "-frames:v", "10", "-frames:a", "10", "-f", "null", "-")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, told)
		}
		hls <- err
	}()
	got := recordFLV(t, page+"/live/arena.flv", filepath.Join(t.TempDir(), "arena.flv"), time.Second)
	if pictures, sound := got[media.H265], got[media.Opus]; len(pictures) < 15 || len(sound) < 45 || (pictures[0]-sound[0]).Abs() > time.Second {
		t.Errorf("%d pictures and %d packets of Opus over HTTP-FLV", len(pictures), len(sound))
	}
	for mime, n := range seenByWHEP(t, page+"/whep/arena", 20) {
		if n < 20 {
			t.Errorf("%d packets of %s by WHEP", n, mime)
		}
	}
	if err := <-hls; err != nil {
		t.Errorf("HLS: %v", err)
	}
}

// seenByWHEP reads so many packets of pictures in H.265, and of sound.
func seenByWHEP(t *testing.T, url string, packets int) map[string]int {
	t.Helper()
	pc, err := pion.NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	}()
	type seen struct {
		mime string
		n    int
	}
	tracks := make(chan seen, 2)
	pc.OnTrack(func(track *pion.TrackRemote, _ *pion.RTPReceiver) {
		s := seen{mime: track.Codec().MimeType}
		for ; s.n < packets; s.n++ {
			if _, _, err := track.ReadRTP(); err != nil {
				break
			}
		}
		tracks <- s
	})
	for _, kind := range []pion.RTPCodecType{pion.RTPCodecTypeVideo, pion.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url, "application/sdp", strings.NewReader(offer.SDP))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("WHEP: %s, %v: %s", resp.Status, err, answer)
	}
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
	all := map[string]int{pion.MimeTypeH265: 0, pion.MimeTypeOpus: 0}
	for range 2 {
		select {
		case s := <-tracks:
			all[s.mime] = s.n
		case <-time.After(time.Minute):
			t.Fatalf("not all tracks come: %v", all)
		}
	}
	return all
}
