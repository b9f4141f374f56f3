package room_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/services/room"
)

// withWebRTC has a node of a cluster be reached by WebRTC as well.
func (b *branch) withWebRTC() (url string) {
	b.Helper()
	rules := new(room.WebRTC)
	server, err := rtc.Listen(b.Context(), rtc.Config{Rules: rules})
	if err != nil {
		b.Fatal(err)
	}
	b.rooms.Use(rules, server)
	web := httptest.NewServer(server)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return web.URL
}

// TestAWHEPViewerOfAnotherNodeGetsFrames: they are made packets of where the viewer is, and what members say goes by home.
func TestAWHEPViewerOfAnotherNodeGetsFrames(t *testing.T) {
	_, at := branches(t, 2, room.Config{Rules: "rules"})
	home, other := at[0], at[1]
	url := other.withWebRTC()
	p := home.published("arena", "who=ann&let=in")
	track, err := p.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		t.Fatal(err)
	}
	p.Complete()
	other.knows("arena")
	bob := connect(t, url, "/whep/arena?who=bob&let=in")
	var packets atomic.Int32
	bob.pc.OnTrack(func(track *pion.TrackRemote, _ *pion.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			packets.Add(1)
		}
	})
	n := 0
	other.until("packets come", func() bool {
		sample := media.Sample{DTS: time.Duration(n) * 20 * time.Millisecond, PTS: time.Duration(n) * 20 * time.Millisecond, Data: []byte{0xfc, 1, 2}, Params: &media.Params{Codec: media.Opus, SampleRate: 48000, Channels: 2}}
		if err := p.Write(track, sample); err != nil {
			t.Fatal(err)
		}
		n++
		return packets.Load() > 10
	})
	if got := home.script("info", "arena"); got != "live true, viewers 1: ann/publish bob/play" {
		t.Error(got)
	}
	other.until("bob listens", bob.opened)
	if err := bob.room.SendText("shout"); err != nil {
		t.Fatal(err)
	}
	other.until("bob hears what the rules of home make of it", func() bool { return bob.hears(`"bob whispers by whep"`) })
	home.script("tell", "arena", "from home", "bob")
	other.until("bob is told", func() bool { return bob.hears("from home") })
	home.script("kick", "arena", "bob", "enough")
	other.until("bob is told why he is out", func() bool { return bob.hears("enough") })
	home.until("home knows", func() bool { return home.script("info", "arena") == "live true, viewers 0: ann/publish" })
}

// TestAGuestGivesWayWhereTheRoomHasCome: one that published by WebRTC for a home that has died is replaced, at once, when it comes by another protocol.
func TestAGuestGivesWayWhereTheRoomHasCome(t *testing.T) {
	c, at := branches(t, 2, room.Config{Rules: "rules", Reconnect: 20 * time.Second})
	home, other := at[0], at[1]
	url := other.withWebRTC()
	home.published("arena", "who=ann&let=in").Close()
	other.knows("arena")
	connect(t, url, "/whip/arena?who=ann&let=in")
	other.until("ann is in", func() bool { return home.script("info", "arena") == "live true, viewers 0: ann/publish" })
	home.wire.Cut(true)
	c.Nodes[0].Kill()
	other.until("the room is here", func() bool { return other.script("info", "arena") == "live true, viewers 0: ann/publish" })
	p, err := other.publish("arena", "who=ann&let=in")
	if err != nil {
		t.Fatal(err)
	}
	other.until("only the new one is left", func() bool { return other.script("info", "arena") == "live true, viewers 0: ann/publish" })
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}
