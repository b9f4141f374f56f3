package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	published := make(chan error, 1)
	go func() {
		_, err := ffmpeg(t, tone("6", "rtmp://"+d.addr["rtmp"]+"/live/arena")...)
		published <- err
	}()
	await(t, "the other has it", func() bool { return other.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`) })
	await(t, "it comes back", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="pull"} 1`) })
	if told, err := ffmpeg(t, "-i", "http://"+d.addr["http"]+"/live/mirror.flv", "-t", "1", "-f", "null", "-"); err != nil {
		t.Errorf("%v %s", err, told)
	}
	if err := <-published; err != nil {
		t.Error(err)
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
