package room_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

// errBusyServer is what a server of a test says at first.
var errBusyServer = errors.New("come back later")

// servers are others to which rooms go, and from which they come. The first attempt of each kind fails.
type servers struct {
	pushes, pulls atomic.Int32
	frames        atomic.Int32
}

func (s *servers) remotes() *room.Remotes {
	push := func(ctx context.Context, to *url.URL, v *media.Viewer, began func()) error {
		if to.Host == "forbidden" {
			return fmt.Errorf("%w: %s", room.ErrReach, to.Host)
		}
		if s.pushes.Add(1) == 1 {
			return errBusyServer
		}
		began()
		stop := context.AfterFunc(ctx, func() { v.Close(nil) })
		defer stop()
		for {
			n, err := v.Next(make([]*media.Frame, 4))
			if err != nil {
				return err
			}
			s.frames.Add(int32(n))
		}
	}
	pull := func(ctx context.Context, _ *url.URL, begin func() (*media.Publisher, error)) error {
		if s.pulls.Add(1) == 1 {
			return errBusyServer
		}
		p, err := begin()
		if err != nil {
			return err
		}
		track, err := p.Track(media.TrackSpec{Kind: media.Audio})
		if err != nil {
			return err
		}
		p.Complete()
		params := &media.Params{Codec: media.Opus, Channels: 2}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for at := time.Duration(0); ; at += time.Millisecond {
			if err := p.Write(track, media.Sample{DTS: at, PTS: at, Data: []byte("sound"), Params: params}); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	return &room.Remotes{
		Push: map[string]func(context.Context, *url.URL, *media.Viewer, func()) error{"rtmp": push},
		Pull: map[string]func(context.Context, *url.URL, func() (*media.Publisher, error)) error{"rtmp": pull},
		Max:  2, Pause: time.Millisecond,
	}
}

func TestScriptsSendRoomsToOtherServers(t *testing.T) {
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		var s servers
		r := open(t, engine, room.Config{Rules: "rules", Remotes: s.remotes()})
		if got := r.Call(r.rules, "forward", "arena", "rtmp://tv/live/secret"); got != "false" {
			t.Errorf("a room that is not there: %s", got)
		}
		p, err := r.publish("arena", "who=ann&let=in")
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]string{
			"ftp://tv/live/secret": `scheme "ftp", expected rtmp`, "arena": "a URL is expected", "rtmp:///live/secret": "a URL is expected",
		} {
			if got := r.Call(r.rules, "forward", "arena", at); !strings.Contains(got, want) || strings.Contains(got, "secret") {
				t.Errorf("%s: %s", at, got)
			}
		}
		if got := r.Call(r.rules, "forward", "arena", "rtmp://user:pass@tv/live/secret?key=k"); got != "1" {
			t.Fatal(got)
		}
		r.until("it is up", func() bool { return r.Call(r.rules, "remotes", "arena") == `"1 forward rtmp://tv/live/… up"` })
		r.sound(p)
		r.until("frames go there", func() bool { return s.frames.Load() == 1 })
		if got := r.Call(r.rules, "forward_stop", "arena", 1); got != "true" {
			t.Error(got)
		}
		if got := r.Call(r.rules, "forward_stop", "arena", 1); got != "false" {
			t.Error(got)
		}
		r.until("the rules have heard of it", func() bool {
			return r.Call(r.rules, "heard") == `"arena forward rtmp://tv/live/… down come back later; arena forward rtmp://tv/live/… up nil; arena forward rtmp://tv/live/… ended stopped"`
		})

		// One that the operator forbids is not tried again; there are bounds; and all end with the room's stream.
		r.Call(r.rules, "forward", "arena", "rtmp://forbidden/live/secret")
		r.until("that is told", func() bool {
			return strings.Contains(r.Call(r.rules, "heard"), "arena forward rtmp://forbidden/live/… ended room: a host that scripts may not reach: forbidden")
		})
		for range 2 {
			r.Call(r.rules, "forward", "arena", "rtmp://tv/live/secret")
		}
		if got := r.Call(r.rules, "forward", "arena", "rtmp://tv/live/secret"); !strings.Contains(got, "there are 2 already") {
			t.Error(got)
		}
		r.until("both are up", func() bool { return strings.Count(r.Call(r.rules, "remotes", "arena"), " up") == 2 })
	})
}

func TestAForwardEndsWithItsRoom(t *testing.T) {
	var s servers
	r := open(t, first(t), room.Config{Rules: "rules", Remotes: s.remotes(), Reconnect: time.Millisecond})
	p, err := r.publish("arena", "who=ann&let=in")
	if err != nil {
		t.Fatal(err)
	}
	r.Call(r.rules, "forward", "arena", "rtmp://tv/live/secret")
	r.until("it is up", func() bool { return strings.HasSuffix(r.Call(r.rules, "remotes", "arena"), `up"`) })
	p.Close()
	r.until("the rules hear of its end, and there is no room", func() bool {
		return strings.Contains(r.Call(r.rules, "heard"), "ended room: nobody publishes in arena any more") && len(r.list()) == 0
	})
}

func TestScriptsHaveRoomsComeFromOtherServers(t *testing.T) {
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		var s servers
		r := open(t, engine, room.Config{Rules: "rules", Remotes: s.remotes(), Reconnect: time.Millisecond})
		if got := r.Call(r.rules, "pull", "../x", "rtmp://tv/live/secret"); !strings.Contains(got, "bad name") {
			t.Error(got)
		}
		if got := r.Call(r.rules, "pull", "arena", "rtmp://tv/live/secret", map[string]any{"whom": "x"}); !strings.Contains(got, "expected who") {
			t.Error(got)
		}
		r.until("nothing is left of that", func() bool { return len(r.list()) == 0 })
		if got := r.Call(r.rules, "pull", "arena", "rtmp://tv/live/secret", map[string]any{"who": "tv"}); got != "1" {
			t.Fatal(got)
		}
		r.until("it publishes", func() bool { return r.Call(r.rules, "info", "arena") == `"live true, viewers 0: tv/publish"` })
		v, err := r.join("arena", "let=in")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := v.Next(make([]*media.Frame, 1)); err != nil || n != 1 {
			t.Errorf("%d frames, %v", n, err)
		}
		v.Close(nil)
		if _, err := r.publish("arena", "who=ann&let=in"); !errors.Is(err, media.ErrBusy) {
			t.Errorf("a publisher beside it: %v", err)
		}
		if got := r.Call(r.rules, "pull_stop", "arena", 1); got != "true" {
			t.Error(got)
		}
		r.until("there is no room", func() bool { return len(r.list()) == 0 })

		// Who is put out does not come back by itself.
		r.Call(r.rules, "pull", "arena", "rtmp://tv/live/secret", map[string]any{"who": "tv"})
		r.until("it publishes", func() bool { return r.Call(r.rules, "info", "arena") == `"live true, viewers 0: tv/publish"` })
		r.Call(r.rules, "kick", "arena", "tv", "enough")
		r.until("there is no room any more", func() bool { return len(r.list()) == 0 })
		r.until("the rules hear why", func() bool { return strings.Contains(r.Call(r.rules, "heard"), "ended room: put out: enough") })
	})
}
