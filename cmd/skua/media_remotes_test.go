package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

// remotesRules send each room to another server, and have one come from there.
const remotesRules = `
local room = require "skua.room"
local skynet = require "skynet"
local M = {}
function M.on_publish(self, name, who, info)
  room.of(name):forward(%q)
  return true
end
function M.on_join(self, name) return true end
function M.on_remote(self, name, remote)
  skynet.error(("%%s %%s %%s: %%s"):format(remote.kind, remote.url, remote.state, remote.reason or "fine"))
  if remote.state == "up" and remote.kind == "forward" then room.of("mirror"):pull(%q, { who = "tv" }) end
end
return M
`

// TestRoomsGoToAnotherServerAndComeFromThere has two nodes that know nothing of each other: what is published to one is forwarded to the other over RTMP, and pulled from there over HTTP-FLV.
func TestRoomsGoToAnotherServerAndComeFromThere(t *testing.T) {
	other := openDoors(t, t.TempDir(), openGate+"listen.rtmp = \"127.0.0.1:0\"\nmedia.admit = \"open\"\n")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	to, from := "rtmp://"+other.addr["rtmp"]+"/live/copy?who=secret", "http://"+other.addr["http"]+"/live/copy.flv"
	put(t, filepath.Join(dir, "scripts", "live.lua"), fmt.Sprintf(remotesRules, to, from))
	d := openDoors(t, dir, openGate+"listen.rtmp = \"127.0.0.1:0\"\nmedia.admit = \"rules\"\nmedia.rules = \"live\"\n")
	off := onAir(t, tone("3600", "rtmp://"+d.addr["rtmp"]+"/live/arena")...)
	await(t, "the other has it", func() bool { return other.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`) })
	await(t, "it comes back", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="pull"} 1`) })
	if told, err := ffmpeg(t, "-i", "http://"+d.addr["http"]+"/live/mirror.flv", "-t", "1", "-f", "null", "-"); err != nil {
		t.Errorf("%v %s", err, told)
	}
	off()
}

// cameraRules have a room come from a camera when another one begins.
const cameraRules = `
local room = require "skua.room"
local skynet = require "skynet"
local M = {}
function M.on_publish(self, name)
  room.of("mirror"):pull(%q, { who = "cam" })
  return true
end
function M.on_join(self, name) return true end
function M.on_remote(self, name, remote)
  skynet.error(("%%s %%s %%s: %%s"):format(remote.kind, remote.url, remote.state, remote.reason or "fine"))
end
return M
`

// TestARoomComesFromAnRTSPServerThatVanishesAndIsBack has a node in the place of a camera, whose stream ends and begins anew.
func TestARoomComesFromAnRTSPServerThatVanishesAndIsBack(t *testing.T) {
	camera := openDoors(t, t.TempDir(), openGate+"listen.rtsp = \"127.0.0.1:0\"\nlisten.rtsp_udp = \"127.0.0.1:0\"\nlisten.rtmp = \"127.0.0.1:0\"\nmedia.admit = \"open\"\nmedia.reconnect = \"1s\"\n")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "scripts", "live.lua"), fmt.Sprintf(cameraRules, "rtspu://operator:geheim@"+camera.addr["rtsp"]+"/live/lobby?key=hidden"))
	d := openDoors(t, dir, openGate+"listen.rtmp = \"127.0.0.1:0\"\nmedia.admit = \"rules\"\nmedia.rules = \"live\"\n")
	pictures := func(seconds string) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := ffmpeg(t, "-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=20", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", seconds,
				"-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac", "-f", "flv", "rtmp://"+camera.addr["rtmp"]+"/live/lobby")
			done <- err
		}()
		return done
	}
	first := pictures("6")
	await(t, "the camera has pictures", func() bool { return camera.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`) })
	if told, err := ffmpeg(t, tone("1", "rtmp://"+d.addr["rtmp"]+"/live/begin")...); err != nil {
		t.Fatalf("%v %s", err, told)
	}
	await(t, "it comes", func() bool { return strings.Count(d.log.text(), " up: fine") == 1 })
	if err := <-first; err != nil {
		t.Error(err)
	}
	await(t, "that is over", func() bool { return strings.Contains(d.log.text(), " down: ") })
	second := pictures("12")
	await(t, "it is back", func() bool { return strings.Count(d.log.text(), " up: fine") == 2 })
	if told, err := ffmpeg(t, "-i", "http://"+d.addr["http"]+"/live/mirror.flv", "-map", "0:v", "-map", "0:a", "-frames:v", "20", "-frames:a", "20", "-f", "null", "-"); err != nil {
		t.Errorf("%v %s", err, told)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
	for _, secret := range []string{"operator", "geheim", "hidden", "lobby"} {
		if log := d.log.text(); strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

// forwardRules send each room to an RTSP server.
const forwardRules = `
local room = require "skua.room"
local skynet = require "skynet"
local M = {}
function M.on_publish(self, name)
  room.of(name):forward(%q)
  return true
end
function M.on_join(self, name) return true end
function M.on_remote(self, name, remote)
  skynet.error(("%%s %%s %%s: %%s"):format(remote.kind, remote.url, remote.state, remote.reason or "fine"))
end
return M
`

// TestARoomGoesToAnRTSPServerThatVanishesAndIsBack has another node as the server, which stops, and one in its place. The sound goes there as it is published, whatever is made of it for others.
func TestARoomGoesToAnRTSPServerThatVanishesAndIsBack(t *testing.T) {
	at := freeport.TCP(t, 1)[0]
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "scripts", "live.lua"), fmt.Sprintf(forwardRules, "rtsp://operator:geheim@"+at+"/live/lobby?key=hidden"))
	d := openDoors(t, dir, openGate+"listen.rtsp = \"127.0.0.1:0\"\nmedia.admit = \"rules\"\nmedia.rules = \"live\"\nmedia.transcode_audio = true\n")
	off := onAir(t, "-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=20", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "3600",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-c:a", "libopus", "-f", "rtsp", "-rtsp_transport", "tcp", "rtsp://"+d.addr["rtsp"]+"/live/arena")
	await(t, "nobody is there yet", func() bool { return strings.Contains(d.log.text(), "forward rtsp://"+at+"/live/… down: ") })
	for round := 1; round <= 2; round++ {
		t.Run(fmt.Sprint("server ", round), func(t *testing.T) {
			other := openDoors(t, t.TempDir(), openGate+"listen.rtsp = \""+at+"\"\nmedia.admit = \"open\"\n")
			await(t, "it comes", func() bool {
				return other.scraped(`skua_media_members{action="publish",protocol="rtsp"} 1`) && strings.Count(d.log.text(), " up: fine") == round
			})
			told, err := ffmpeg(t, "-loglevel", "info", "-rtsp_transport", "tcp", "-i", "rtsp://"+at+"/live/lobby", "-map", "0:v", "-map", "0:a", "-frames:v", "20", "-frames:a", "20", "-f", "null", "-")
			if err != nil || !strings.Contains(told, "Video: h264") || !strings.Contains(told, "Audio: opus") {
				t.Errorf("%v %s", err, told)
			}
		})
		await(t, "that is over", func() bool { return strings.Count(d.log.text(), "/live/… down: ") == round+1 })
	}
	off()
	for _, secret := range []string{"operator", "geheim", "hidden", "lobby"} {
		if log := d.log.text(); strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

func TestHostsThatScriptsMayReach(t *testing.T) {
	r, err := parseReach([]string{"127.0.0.0/8", "live.example.com", "*.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"live.example.com": true, "LIVE.example.com.": true, "example.com": false, "x.live.example.com": false, "a.example.org": true, "example.org": false, "evilexample.org": false,
	} {
		if r.named(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	for _, bad := range []string{"", "*", ".", "a:1", "10.0.0.0/99", "*x.com", "a b", ".example.com"} {
		if _, err := parseReach([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, list := range [][]string{nil, {"10.0.0.0/8"}} {
		r, err := parseReach(list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "not in media.reach") {
			t.Errorf("%v: %v", list, err)
		}
	}
}

// TestAServerThatSendsOn has an HTTP server redirect who pulls: a host that may not be reached is not, in whatever form, and none is told the address that was asked for.
func TestAServerThatSendsOn(t *testing.T) {
	asked := make(chan *http.Request, 16)
	var to string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		if r.URL.Path == "/end.flv" {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer web.Close()
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	all, err := (&MediaConfig{Reach: []string{"127.0.0.1/32"}}).remotes(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pull := func(next string) (int, error) {
		t.Helper()
		to = next
		from, err := url.Parse(web.URL + "/live/arena.flv?key=hidden")
		if err != nil {
			t.Fatal(err)
		}
		err = all.Pull["http"](t.Context(), from, func() (*media.Publisher, error) { return nil, errors.New("nothing is expected") })
		count := len(asked)
		for range count {
			if r := <-asked; r.Referer() != "" {
				t.Errorf("%s: it is told %q", next, r.Referer())
			}
		}
		return count, err
	}
	if count, err := pull("/end.flv"); count != 2 || err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%d requests, %v", count, err)
	}
	for _, host := range []string{"127.0.0.2", "[::ffff:127.0.0.2]", "[::1]", "0.0.0.0", "[::]", "2130706434"} {
		if count, err := pull("http://" + net.JoinHostPort(strings.Trim(host, "[]"), port) + "/end.flv"); count != 1 || err == nil || host != "2130706434" && !errors.Is(err, room.ErrReach) {
			t.Errorf("%s: %d requests, %v", host, count, err)
		}
	}
	if count, err := pull("/live/again.flv"); count != maxRedirects+1 || err == nil || !strings.Contains(err.Error(), "sent on") {
		t.Errorf("%d requests, %v", count, err)
	}
}
