package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRoomsOverRTSPHaveTheSameRulesAndViewers publishes over one of the two protocols and watches over the others; who may is the script's business.
func TestRoomsOverRTSPHaveTheSameRulesAndViewers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scripts", "live.lua"), []byte(`
local M = {}
function M.on_publish(self, name, who, info) return info.query.token == "abc" and (info.protocol == "rtsp" or name == "rtmp"), "the token is wrong" end
function M.on_join(self, name, who, info) return who == "bob", "who are you?" end
return M
`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDoors(t, dir, openGate+`
listen.rtmp = "127.0.0.1:0"
listen.rtsp = "127.0.0.1:0"
listen.rtsp_udp = "127.0.0.1:0"
media.admit = "rules"
media.rules = "live"
`)
	rtsp := "rtsp://" + d.addr["rtsp"] + "/live/"
	publish := func(url string) []string {
		args := []string{
			"-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=20", "-f", "lavfi", "-i", "sine=sample_rate=44100",
			"-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-c:a", "aac",
		}
		if strings.HasPrefix(url, "rtsp") {
			return append(args, "-f", "rtsp", "-rtsp_transport", "tcp", url)
		}
		return append(args, "-f", "flv", url)
	}
	for url, want := range map[string]string{
		rtsp + "arena?token=no":                               "403 room: denied: room arena: the token is wrong",
		rtsp + "-x?token=abc":                                 "400 Bad Request",
		"rtsp://" + d.addr["rtsp"] + "/other/arena?token=abc": "404 media: no such page",
	} {
		if told, err := ffmpeg(t, publish(url)...); err == nil || !strings.Contains(told, want) {
			t.Errorf("%s: %v %s, want %s", url, err, told, want)
		}
	}
	overRTSP, overRTMP := onAir(t, publish(rtsp+"rtsp?token=abc")...), onAir(t, publish("rtmp://"+d.addr["rtmp"]+"/live/rtmp?token=abc")...)
	await(t, "both publish", func() bool {
		return d.scraped(`skua_media_members{action="publish",protocol="rtsp"} 1`) && d.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`)
	})
	if told, err := ffmpeg(t, "-i", rtsp+"rtmp?who=eve", "-t", "1", "-f", "null", "-"); err == nil || !strings.Contains(told, "who are you?") {
		t.Errorf("who is not let in: %v %s", err, told)
	}
	page := "http://" + d.addr["http"] + "/live/"
	for _, watch := range [][]string{
		{"-rtsp_transport", "tcp", "-i", rtsp + "rtmp?who=bob"},
		{"-rtsp_transport", "udp", "-i", rtsp + "rtmp?who=bob"},
		{"-i", "rtmp://" + d.addr["rtmp"] + "/live/rtsp?who=bob"},
		{"-i", page + "rtsp.flv?who=bob"},
		{"-i", page + "rtsp/index.m3u8?who=bob"},
	} {
		if told, err := ffmpeg(t, append(watch, "-map", "0:v", "-map", "0:a", "-frames:v", "10", "-frames:a", "10", "-f", "null", "-")...); err != nil {
			t.Errorf("%v: %v %s", watch, err, told)
		}
	}
	if !d.scraped(`skua_media_entries_total{action="play",protocol="rtsp"} 2`) || !d.scraped("skua_media_rtsp_refused_total 0") {
		t.Error("the metrics do not tell")
	}
	overRTSP()
	overRTMP()
}
