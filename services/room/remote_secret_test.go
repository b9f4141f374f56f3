package room_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

// TestWhatServersSayHasNoSecrets: they repeat what they were asked for.
func TestWhatServersSayHasNoSecrets(t *testing.T) {
	push := func(_ context.Context, to *url.URL, _ *media.Viewer, _ func()) error {
		password, _ := to.User.Password()
		return fmt.Errorf("%w: %s (%s, %s, %s, %s) is taken %s", room.ErrReach, to, to.User.Username(), password, to.Query().Get("key"), to.Path, strings.Repeat("ä", 500))
	}
	r := open(t, first(t), room.Config{Rules: "rules", Remotes: &room.Remotes{Push: map[string]func(context.Context, *url.URL, *media.Viewer, func()) error{"rtmp": push}}})
	if _, err := r.publish("arena", "who=ann&let=in"); err != nil {
		t.Fatal(err)
	}
	r.Call(r.rules, "forward", "arena", "rtmp://operator:password@tv/live/stream%20key?key=hidden%2b")
	r.until("the rules hear of it", func() bool { return strings.Contains(r.Call(r.rules, "heard"), "ended") })
	got := r.Call(r.rules, "heard")
	for _, secret := range []string{"operator", "password", "hidden", "stream"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is told: %s", secret, got)
		}
	}
	if !strings.Contains(got, "is taken ää") || !strings.Contains(got, "tv") {
		t.Error(got)
	}
}

// TestAPullWhoseAnswerWasLost: what it was given goes when it asks again, or is ended.
func TestAPullWhoseAnswerWasLost(t *testing.T) {
	var second atomic.Pointer[media.Publisher]
	pull := func(ctx context.Context, _ *url.URL, begin func() (*media.Publisher, error)) error {
		if _, err := begin(); err != nil {
			return err
		}
		p, err := begin()
		if err != nil {
			return err
		}
		second.Store(p)
		<-ctx.Done()
		return ctx.Err()
	}
	r := open(t, first(t), room.Config{Rules: "rules", Reconnect: time.Millisecond, Remotes: &room.Remotes{Pull: map[string]func(context.Context, *url.URL, func() (*media.Publisher, error)) error{"rtmp": pull}}})
	if got := r.Call(r.rules, "pull", "arena", "rtmp://tv/live/x"); got != "1" {
		t.Fatal(got)
	}
	r.until("it publishes", func() bool {
		return second.Load() != nil && r.Call(r.rules, "info", "arena") == `"live true, viewers 0: /publish"`
	})
	if err := second.Load().Err(); err != nil {
		t.Error(err)
	}
	r.Call(r.rules, "pull_stop", "arena", 1)
	r.until("there is no room", func() bool { return len(r.list()) == 0 })
}
