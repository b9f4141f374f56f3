package room_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/services/room"
)

// withWebRTC opens rooms that are reached by WebRTC as well.
func withWebRTC(t *testing.T, engine vm.Engine, cfg room.Config) (r *rig, rules *room.WebRTC, url string) {
	t.Helper()
	r = open(t, engine, cfg)
	rules = new(room.WebRTC)
	server, err := rtc.Listen(t.Context(), rtc.Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	r.rooms.Use(rules, server)
	web := httptest.NewServer(server)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return r, rules, web.URL
}

// call asks the script of the rules.
func (r *rig) call(cmd string, args ...any) string {
	r.Helper()
	return strings.Trim(r.Call(r.rules, cmd, args...), `"`)
}

// caller is a client with the two data channels, and what it has heard on them.
type caller struct {
	pc    *pion.PeerConnection
	room  *pion.DataChannel
	track *pion.TrackLocalStaticRTP

	mu    sync.Mutex
	heard []string
	ready int
}

func (c *caller) hears(part string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.heard, func(s string) bool { return strings.Contains(s, part) })
}

func (c *caller) opened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready == 2
}

// connect brings an offer to a path: Opus is sent, or received.
func connect(t *testing.T, url, path string) *caller {
	t.Helper()
	pc, err := pion.NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{pc: pc}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	for _, label := range []string{"room", "events"} {
		dc, err := pc.CreateDataChannel(label, nil)
		if err != nil {
			t.Fatal(err)
		}
		if label == "room" {
			c.room = dc
		}
		dc.OnOpen(func() { c.mu.Lock(); c.ready++; c.mu.Unlock() })
		dc.OnMessage(func(m pion.DataChannelMessage) { c.mu.Lock(); c.heard = append(c.heard, string(m.Data)); c.mu.Unlock() })
	}
	if strings.HasPrefix(path, "/whip/") {
		if c.track, err = pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "a", "s"); err != nil {
			t.Fatal(err)
		}
		_, err = pc.AddTransceiverFromTrack(c.track, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	} else {
		_, err = pc.AddTransceiverFromKind(pion.RTPCodecTypeAudio, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly})
	}
	if err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	resp, err := http.Post(url+path, "application/sdp", strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s: %s, %v", path, resp.Status, answer, err)
	}
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoComesByWebRTCIsAMemberLikeAny(t *testing.T) {
	r, _, url := withWebRTC(t, first(t), room.Config{Rules: "rules"})
	ann := connect(t, url, "/whip/arena?who=ann&let=in")
	bob := connect(t, url, "/whep/arena?who=bob&let=in")
	r.until("both are connected", func() bool { return ann.opened() && bob.opened() })
	if got := r.call("info", "arena"); got != "live true, viewers 1: ann/publish bob/play" {
		t.Error(got)
	}

	// Viewers by other protocols get its frames.
	v, err := r.join("arena", "who=carl&let=in")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close(nil)
	frames, got := make([]*media.Frame, 8), 0
	packet := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: []byte{0xfc, 1, 2}}
	r.until("frames", func() bool {
		packet.SequenceNumber++
		packet.Timestamp += 960
		if err := ann.track.WriteRTP(packet); err != nil {
			t.Fatal(err)
		}
		n, err := v.Take(frames)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames[:n] {
			got++
			if f.Params.Codec != media.Opus || string(f.Data) != "\xfc\x01\x02" {
				t.Fatalf("%s: % x", f.Params.Codec, f.Data)
			}
		}
		return got > 20
	})

	// The room's messages go by the rules.
	for _, text := range []string{"rude", "hello", "shout"} {
		if err := bob.room.SendText(text); err != nil {
			t.Fatal(err)
		}
	}
	r.until("ann hears bob", func() bool { return ann.hears(`"bob whispers by whep"`) })
	if !ann.hears(`"text":"hello"`) || ann.hears("rude") {
		t.Error("ann has heard something else")
	}
	if n := r.call("tell", "arena", "from the game", "ann"); n != "1" {
		t.Errorf("%s were told", n)
	}
	r.until("ann hears the game", func() bool { return ann.hears("from the game") })

	if n := r.call("kick", "arena", "bob", "enough"); n != "1" {
		t.Errorf("%s were put out", n)
	}
	r.until("bob has left", func() bool { return strings.Contains(r.call("heard"), "leave arena bob play room: put out: enough") })
	r.until("bob is told", func() bool { return bob.hears("enough") })
}

// admitted has somebody come in who has not got through yet.
func admitted(w *room.WebRTC, d rtc.Direction, query string) (rtc.Session, rtc.Permit, error) {
	p, err := w.Admit(context.Background(), rtc.Request{Direction: d, Room: "arena", Query: query, Remote: netip.MustParseAddr("192.0.2.1")})
	return rtc.Session{ID: "id", Room: "arena", Who: p.Who, Direction: d, Tag: p.Tag}, p, err
}

func TestRulesOfWebRTC(t *testing.T) {
	r, w, _ := withWebRTC(t, first(t), room.Config{Rules: "rules", Stream: media.Config{MaxViewers: 2}})
	refused := func(d rtc.Direction, query string, status int, says string) {
		t.Helper()
		_, _, err := admitted(w, d, query)
		if no, ok := errors.AsType[*rtc.RefusalError](err); !ok || no.Status != status || !strings.Contains(no.Reason, says) {
			t.Errorf("%s %s: %v", d, query, err)
		}
	}
	refused(rtc.Play, "let=in", 404, "nobody publishes")
	refused(rtc.Publish, "who=ann", 403, "not you, ann")
	refused(rtc.Publish, "%zz", 400, "query")
	refused(rtc.Publish, "fail=1", 503, "nobody can decide")
	ann, _, err := admitted(w, rtc.Publish, "who=ann&let=in")
	if err != nil {
		t.Fatal(err)
	}
	ben, _, err := admitted(w, rtc.Publish, "who=ben&let=in")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.publish("arena", "who=carl&let=in"); !errors.Is(err, media.ErrBusy) {
		t.Errorf("a second publisher by another protocol: %v", err)
	}
	r.call("mute", "arena", "audio", true)
	if _, p, err := admitted(w, rtc.Publish, "who=dora&let=in"); err != nil || !p.MuteAudio || p.MuteVideo {
		t.Errorf("who comes to a muted room: %+v, %v", p, err)
	}
	for range 2 {
		if _, _, err := admitted(w, rtc.Play, "let=in"); err != nil {
			t.Fatal(err)
		}
	}
	refused(rtc.Play, "let=in", 503, "full")
	w.Speaking("arena", []rtc.Speaker{{Who: "ann", Level: 20}})
	r.until("the rules hear who speaks", func() bool { return strings.Contains(r.call("heard"), "speaking arena ann 20") })

	// The stage goes to the next when its publisher leaves, and viewers wait for one only after the last.
	w.Left(ann, rtc.ReasonLeft)
	w.Left(ben, rtc.ReasonSilent)
	r.until("both have left", func() bool { return strings.Contains(r.call("heard"), "leave arena ben publish connection lost") })
	if got := r.call("info", "arena"); !strings.HasPrefix(got, "live true, viewers 2: dora/publish") {
		t.Error(got)
	}
}
