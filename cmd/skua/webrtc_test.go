package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	pion "github.com/pion/webrtc/v4"
)

// offerToReceive is one as a viewer makes it.
func offerToReceive(t *testing.T) string {
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
	if _, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeVideo, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
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
	offer := offerToReceive(t)
	post := func(query string) (*http.Response, string) {
		resp, err := http.Post("http://"+d.addr["http"]+"/whep/stage"+query, "application/sdp", strings.NewReader(offer))
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
	for _, query := range []string{"", "?token=letmeout"} {
		if resp, text := post(query); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(text, "takes a token") {
			t.Errorf("%q: %s: %s", query, resp.Status, text)
		}
	}
	resp, answer := post("?token=letmein&name=bert")
	_, port, _ := strings.Cut(d.addr["webrtc"], ":")
	if resp.StatusCode != http.StatusCreated || !strings.Contains(answer, " 127.0.0.1 "+port+" typ host") || !strings.Contains(resp.Header.Get("Link"), "stun:stun.example.com") {
		t.Errorf("%s: %v\n%s", resp.Status, resp.Header, answer)
	}
	if !d.scraped(`skua_webrtc_sessions{direction="play"} 1`) || !d.scraped(`skua_webrtc_refused_total{direction="play",status="401"} 2`) {
		t.Error("the metrics don't count them")
	}
}
