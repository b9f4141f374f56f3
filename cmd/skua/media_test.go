package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const liveRules = `
local M = {}
function M.on_publish(self, name, who, info) return info.query.token == "abc", "the token is wrong" end
function M.on_join(self, name, who, info) return true end
function M.on_leave(self, name, who, info) end
return M
`

// ffmpeg runs it to its end, and gives what it complains of. Without it the test is skipped, but in CI.
func ffmpeg(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return ffmpegFor(ctx, t, args...)
}

// ffmpegFor is ffmpeg that is killed when ctx ends.
func ffmpegFor(ctx context.Context, t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := ffmpegCommand(ctx, t, append([]string{"-nostdin"}, args...)...)
	var told bytes.Buffer
	cmd.Stderr = &told
	err := cmd.Run()
	return told.String(), err
}

func ffmpegCommand(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is missing: tools/deps.sh installs it")
		}
		t.Skip("ffmpeg is missing: tools/deps.sh installs it")
	}
	return exec.CommandContext(ctx, "ffmpeg", append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
}

// onAir has ffmpeg publish until off is called, which fails the test unless it has gone on until then and ends as it should. So a stream lasts as long as a test needs it, on a machine of any speed.
func onAir(t *testing.T, args ...string) (off func()) {
	t.Helper()
	cmd := ffmpegCommand(t.Context(), t, args...)
	var told bytes.Buffer
	cmd.Stderr = &told
	keys, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	off = sync.OnceFunc(func() {
		_, early := io.WriteString(keys, "q") // the key by which its users end it
		if err := errors.Join(early, cmd.Wait()); err != nil {
			t.Errorf("ffmpeg: %v: %s", err, told.String())
		}
	})
	t.Cleanup(off)
	return off
}

// tone is what ffmpeg publishes: some seconds of sound, in real time.
func tone(seconds, url string) []string {
	return []string{"-re", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", seconds, "-c:a", "aac", "-f", "flv", url}
}

func TestANodeHasRoomsWithRules(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scripts", "live.lua"), []byte(liveRules), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDoors(t, dir, openGate+`
listen.rtmp = "127.0.0.1:0"
media.admit = "rules"
media.rules = "live"
`)
	rtmp, page := "rtmp://"+d.addr["rtmp"]+"/live/arena", "http://"+d.addr["http"]+"/live/"
	if told, err := ffmpeg(t, tone("1", rtmp+"?token=no")...); err == nil || !strings.Contains(told, "the token is wrong") {
		t.Errorf("a wrong token: %v %s", err, told)
	}
	if told, err := ffmpeg(t, tone("1", "rtmp://"+d.addr["rtmp"]+"/other/arena?token=abc")...); err == nil || !strings.Contains(told, "expected rtmp://HOST/live/NAME") {
		t.Errorf("another app: %v %s", err, told)
	}
	for path, want := range map[string]string{"arena.flv": "404 room: nobody publishes in arena", "arena": "404 media: no such page", "..%2fx.flv": "400 room: bad name"} {
		if got := d.get(page+path, nil); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	off := onAir(t, tone("3600", rtmp+"?token=abc")...)
	await(t, "it publishes", func() bool {
		return d.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page+"arena.flv", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head := make([]byte, 9)
	if _, err := io.ReadFull(resp.Body, head); err != nil || string(head) != "FLV\x01\x04\x00\x00\x00\x09" {
		t.Errorf("begins with % x, %v", head, err)
	}
	off()
	if !d.scraped(`skua_media_entries_total{action="play",protocol="flv"} 1`) || !d.scraped(`skua_media_refused_total{action="publish",reason="denied"} 1`) {
		t.Error("the metrics do not tell")
	}
}

func TestANodeHasRoomsForSignedURLsOnly(t *testing.T) {
	d := openDoors(t, t.TempDir(), openGate+`
media.admit = "signed"
media.keys = "`+strings.Repeat("k", 32)+`"
`)
	if got := d.get("http://"+d.addr["http"]+"/live/arena.flv", nil); !strings.HasPrefix(got, "403 room: not allowed: play arena: the URL is not signed") {
		t.Error(got)
	}
}

func TestMediaConfigurationIsChecked(t *testing.T) {
	reachable := "listen.media = \"0.0.0.0:7020\"\ncluster.secret = \"" + strings.Repeat("s", 32) + "\""
	for text, want := range map[string]string{
		`media.admit = "all"`:                              `media.admit (SKUA_MEDIA_ADMIT): found "all", expected one of off, open, signed, rules`,
		`media.admit = "rules"`:                            `media.rules`,
		"media.admit = \"open\"\nmedia.rules = \"live\"":   `nothing, as media.admit is not "rules"`,
		`media.admit = "signed"`:                           `at least one key`,
		"media.admit = \"signed\"\nmedia.keys = \"short\"": `keys of 32 characters or more`,
		"media.admit = \"open\"\nmedia.record_quota = 1":   `media.record_quota`,
		`listen.rtmp = "127.0.0.1:1935"`:                   `"off", as media.admit is "off"`,
		`listen.rtsp = "127.0.0.1:8554"`:                   `"off", as media.admit is "off"`,
		`listen.rtsp_udp = "127.0.0.1:8000"`:               `"off", as listen.rtsp is "off"`,
		"media.admit = \"open\"\nmedia.lag = \"1ms\"":      `media.lag`,
		"media.admit = \"open\"\nmedia.ring_bytes = 1":     `media.ring_bytes`,
		`listen.media = "10.0.0.5:7020"`:                   `a loopback address such as 127.0.0.1:7020, or cluster.secret`,
		`media.link_address = "10.0.0.5:0"`:                `an address such as 10.0.0.5:7020, or nothing`,
		`media.reach = ["10.0.0.0/99"]`:                    `networks such as 10.0.0.0/8, and names`,
		`media.max_links = 0`:                              `media.max_links`,
		reachable:                                          `media.link_address`,
	} {
		_, err := makeConfig("", configFile, []byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestANodeServesHLSAndRecords(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scripts", "live.lua"), []byte(`
local room = require "skua.room"
local M = {}
function M.on_publish(self, name) room.of(name):record_start() return true end
function M.on_join(self, name, who) return who == "bob", "who are you?" end
return M
`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDoors(t, dir, openGate+`
listen.rtmp = "127.0.0.1:0"
media.admit = "rules"
media.rules = "live"
media.record_dir = "tapes"
media.reconnect = "1s"
`)
	page := "http://" + d.addr["http"] + "/live/arena/index.m3u8"
	if got := d.get(page+"?who=bob", nil); !strings.HasPrefix(got, "404 room: nobody publishes in arena") {
		t.Error(got)
	}
	off := onAir(t, tone("3600", "rtmp://"+d.addr["rtmp"]+"/live/arena")...)
	await(t, "it publishes", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`) })
	if got := d.get(page+"?who=eve", nil); !strings.HasPrefix(got, "403 room: denied: room arena: who are you?") {
		t.Error(got)
	}
	index := d.get(page+"?who=bob", nil)
	if !strings.Contains(index, `CODECS="mp4a.40.2"`) || !strings.Contains(index, "stream.m3u8?session=") {
		t.Error(index)
	}
	if !d.scraped(`skua_media_members{action="play",protocol="hls"} 1`) || !d.scraped("skua_media_recordings 1") {
		t.Error("the metrics do not tell")
	}
	if told, err := ffmpeg(t, "-i", page+"?who=bob", "-t", "2", "-f", "null", "-"); err != nil {
		t.Errorf("%v %s", err, told)
	}
	off()
	await(t, "the file is finished", func() bool { return d.scraped("skua_media_record_files_total 1") })
	files, err := filepath.Glob(filepath.Join(dir, "tapes", "arena-*.mp4"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	if told, err := ffmpeg(t, "-i", files[0], "-f", "null", "-"); err != nil || told != "" {
		t.Errorf("%v %s", err, told)
	}
}
