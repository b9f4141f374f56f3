package room_test

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var files embed.FS

// rig is a node with rooms, and with the rules of testdata if they are asked for.
type rig struct {
	*luatest.Node
	rooms   *room.Rooms
	metrics *prometheus.Registry
	rules   actor.Ref
}

func open(t *testing.T, engine vm.Engine, cfg room.Config) *rig {
	t.Helper()
	r := &rig{Node: luatest.New(t, engine), metrics: prometheus.NewRegistry()}
	r.Use(files, lua.Config{})
	r.Spawn(r.Runtime.Launcher())
	cfg.Metrics = room.NewMetrics()
	r.metrics.MustRegister(cfg.Metrics)
	r.rooms = room.New(r.System, cfg)
	r.Spawn(r.rooms.Spec())
	if cfg.Rules != "" {
		launcher, _ := r.System.Lookup(lua.LauncherName)
		v, err := r.System.Ask(t.Context(), launcher, lua.Launch{Script: cfg.Rules, Unique: true})
		if err != nil {
			t.Fatal(err)
		}
		r.rules = v.(actor.Ref)
	}
	return r
}

func entry(name, query string) room.Entry {
	q, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return room.Entry{Room: name, Protocol: "test", Addr: "192.0.2.1:5", Query: q}
}

func (r *rig) publish(name, query string) (*media.Publisher, error) {
	return r.rooms.Publish(context.Background(), entry(name, query), nil)
}

func (r *rig) join(name, query string) (*media.Viewer, error) {
	return r.rooms.Join(context.Background(), entry(name, query), media.ViewerConfig{})
}

// until waits for a condition.
func (r *rig) until(what string, met func() bool) {
	r.Helper()
	for end := time.Now().Add(time.Minute); !met(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("not in time: %s", what)
		}
	}
}

func (r *rig) list() []room.Info {
	r.Helper()
	service, _ := r.System.Lookup(room.ServiceName)
	v, err := r.System.Ask(context.Background(), service, room.List{})
	if err != nil {
		r.Fatal(err)
	}
	return v.([]room.Info)
}

// counted is a metric with these values of its labels, in their order.
func (r *rig) counted(name string, values ...string) float64 {
	r.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var found []string
			for _, l := range m.GetLabel() {
				found = append(found, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(found, values) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// no fails unless err is of this kind and says all of that.
func no(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func first(t *testing.T) vm.Engine {
	t.Helper()
	return luatest.Engines(t)[0]
}

func TestRulesDecideWhoComesIn(t *testing.T) {
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		r := open(t, engine, room.Config{Rules: "rules"})
		_, err := r.publish("arena", "who=ann")
		no(t, err, room.ErrDenied, "arena", "not you, ann")
		_, err = r.publish("arena", "fail=1")
		no(t, err, room.ErrRules)
		if strings.Contains(err.Error(), "broken") {
			t.Errorf("a stranger is told what is wrong inside: %v", err)
		}
		_, err = r.join("arena", "let=in")
		no(t, err, room.ErrOffline, "arena")
		p, err := r.publish("arena", "who=ann&let=in")
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.join("arena", "who=bob")
		no(t, err, room.ErrDenied, "watch elsewhere")
		v, err := r.join("arena", "who=bob&let=in")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Call(r.rules, "info", "arena"); got != `"live true, viewers 1: ann/publish bob/play"` {
			t.Error(got)
		}
		if got := r.Call(r.rules, "rooms"); got != `"arena"` {
			t.Error(got)
		}
		if n := r.counted("skua_media_refused_total", "publish", "denied"); n != 1 {
			t.Errorf("%v refusals are counted", n)
		}
		v.Close(errors.New("bored"))
		p.Close()
		r.until("the rules hear of both", func() bool {
			return r.Call(r.rules, "heard") == `"join arena bob test; join arena bob test; leave arena bob play bored; leave arena ann publish nil"`
		})
	})
}

func TestScriptsPutOutAndMute(t *testing.T) {
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		r := open(t, engine, room.Config{Rules: "rules"})
		p, err := r.publish("arena", "who=ann&let=in")
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.join("arena", "who=bob&let=in")
		if err != nil {
			t.Fatal(err)
		}
		track, err := p.Track(media.TrackSpec{Kind: media.Audio})
		if err != nil {
			t.Fatal(err)
		}
		p.Complete()
		write := func(data string) {
			t.Helper()
			if err := p.Write(track, media.Sample{Data: []byte(data), Params: &media.Params{Codec: media.MP3}}); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.Call(r.rules, "mute", "arena", "audio"); got != "true" {
			t.Error(got)
		}
		write("unheard")
		r.Call(r.rules, "mute", "arena", "audio", false)
		write("heard")
		var frames [4]*media.Frame
		if n, err := v.Next(frames[:]); err != nil || n != 1 || string(frames[0].Data) != "heard" {
			t.Errorf("%d frames, %v", n, err)
		}
		if got := r.Call(r.rules, "mute", "arena", "smell"); !strings.Contains(got, `smell, expected audio or video`) {
			t.Error(got)
		}
		if got := r.Call(r.rules, "kick", "arena", "bob", "too loud"); got != "1" {
			t.Error(got)
		}
		_, err = v.Next(frames[:])
		no(t, err, room.ErrKicked, "too loud")
		if got := r.Call(r.rules, "kick", "arena", "nobody"); got != "0" {
			t.Error(got)
		}
		r.until("bob is out", func() bool { return r.Call(r.rules, "close", "arena", "over") == "1" })
		no(t, p.Err(), room.ErrKicked, "over")
		if got := r.Call(r.rules, "kick", "elsewhere", 1); got != "0" {
			t.Error(got)
		}
	})
}

func TestAPublisherThatComesBackKeepsItsViewers(t *testing.T) {
	r := open(t, first(t), room.Config{Reconnect: time.Hour})
	p, err := r.publish("arena", "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.join("arena", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.publish("arena", "")
	no(t, err, media.ErrBusy, "arena")
	p.Close()
	r.until("its place is free", func() bool { return !r.list()[0].Live })
	late, err := r.join("arena", "") // who comes meanwhile waits with the others
	if err != nil {
		t.Fatal(err)
	}
	if p, err = r.publish("arena", "who=ann"); err != nil {
		t.Fatal(err)
	}
	again, err := r.publish("arena", "who=ann") // the first connection is dead, and nobody knows yet
	if err != nil {
		t.Fatal(err)
	}
	no(t, p.Err(), room.ErrReplaced)
	track, err := again.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		t.Fatal(err)
	}
	again.Complete()
	if err := again.Write(track, media.Sample{Data: []byte("x"), Params: &media.Params{Codec: media.Opus}}); err != nil {
		t.Fatal(err)
	}
	var frames [4]*media.Frame
	for _, v := range []*media.Viewer{v, late} {
		if n, err := v.Next(frames[:]); err != nil || n != 1 {
			t.Errorf("%d frames, %v", n, err)
		}
		v.Close(nil)
	}
	again.Close()
}

func TestViewersAndRoomsEndWhenNobodyComesBack(t *testing.T) {
	r := open(t, first(t), room.Config{Reconnect: 10 * time.Millisecond, MaxRooms: 1})
	p, err := r.publish("arena", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.publish("other", "")
	no(t, err, room.ErrCrowded)
	v, err := r.join("arena", "")
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	_, err = v.Next(make([]*media.Frame, 1))
	no(t, err, room.ErrOffline, "arena")
	v.Close(err)
	r.until("there is no room", func() bool { return len(r.list()) == 0 })
	r.until("there is place for another one", func() bool { p, err = r.publish("other", ""); return err == nil })
	p.Close()
	r.until("nobody is counted", func() bool {
		return metrictest.Value(t, r.metrics, "skua_media_rooms") == 0 && r.counted("skua_media_members", "play", "test") == 0 && r.counted("skua_media_members", "publish", "test") == 0
	})
}

// Who gives up before the room has heard of it is told to nobody. A room must not wait for it.
func TestRoomsEndAlsoIfWhoCameHasGivenUpOnTheWay(t *testing.T) {
	r := open(t, first(t), room.Config{Reconnect: time.Millisecond})
	for i := range 50 {
		var coming sync.WaitGroup
		for range 8 {
			coming.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(200*time.Microsecond))
				defer cancel()
				if p, err := r.rooms.Publish(ctx, entry(fmt.Sprint("room", i), ""), nil); err == nil {
					p.Close()
				}
			})
		}
		coming.Wait()
	}
	r.until("there is no room", func() bool { return len(r.list()) == 0 })
}

func TestOnlySignedURLsComeIn(t *testing.T) {
	key, old, foreign := []byte(strings.Repeat("k", 32)), []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("f", 32))
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := open(t, first(t), room.Config{Keys: [][]byte{key, old}, Now: func() time.Time { return now }, Reconnect: time.Hour})
	soon := now.Add(time.Minute)
	for query, want := range map[string]string{
		"": "the URL is not signed",
		room.Sign(foreign, room.Publish, "arena", "ann", soon):                                    "by somebody else",
		room.Sign(key, room.Play, "arena", "ann", soon):                                           "for something else",
		room.Sign(key, room.Publish, "other", "ann", soon):                                        "for something else",
		room.Sign(key, room.Publish, "arena", "ann", now):                                         "has expired at 2030-01-01T00:00:00Z",
		strings.Replace(room.Sign(key, room.Publish, "arena", "ann", soon), "sign=", "sign=z", 1): "is not hexadecimal",
		"expires=99999999999&sign=zz":                                                             "is not hexadecimal",
		"who=bob&" + room.Sign(key, room.Publish, "arena", "", soon):                              "for something else",
		strings.Replace(room.Sign(key, room.Publish, "arena", "", soon), "=1", "=9", 1):           "for something else",
		"who=" + strings.Repeat("x", 65):                                                          "up to 64 are allowed",
	} {
		_, err := r.publish("arena", query)
		no(t, err, room.ErrSignature, want)
	}
	for _, k := range [][]byte{key, old} {
		p, err := r.publish("arena", room.Sign(k, room.Publish, "arena", "ann", soon))
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	v, err := r.join("arena", room.Sign(key, room.Play, "arena", "bob", soon))
	if err != nil {
		t.Fatal(err)
	}
	v.Close(nil)
}

func TestScriptsSignURLs(t *testing.T) {
	key := []byte(strings.Repeat("k", 32))
	r := open(t, first(t), room.Config{Keys: [][]byte{key}, Rules: "rules", Reconnect: time.Hour})
	p, err := r.publish("arena", strings.Trim(r.Call(r.rules, "sign", "arena", "publish", "ann", 60), `"`)+"&let=in")
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	for _, c := range []struct {
		name, action string
		want         string
	}{{"arena", "dance", `action "dance", expected publish or play`}, {"../x", "play", "bad name"}} {
		if got := r.Call(r.rules, "sign", c.name, c.action, "ann", 60); !strings.Contains(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestNamesThatAreTricksAreRefused(t *testing.T) {
	r := open(t, first(t), room.Config{})
	for _, name := range []string{"", "..", "../etc", "a/b", `a\b`, "a b", "a.flv", "-a", "ä", "a\x00", "a%2fb", strings.Repeat("x", 65)} {
		_, err := r.publish(name, "")
		no(t, err, room.ErrName)
	}
	if rooms := r.list(); len(rooms) != 0 {
		t.Errorf("rooms %v", rooms)
	}
}

func TestWhoGivesUpWhileTheRulesThinkLeavesNothingBehind(t *testing.T) {
	r := open(t, first(t), room.Config{Rules: "rules", Reconnect: time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := r.rooms.Publish(ctx, entry("arena", "let=in&wait=300"), nil) // 3 s, or both may have passed when a busy machine looks
	if err == nil {
		t.Fatal("it was let in after it had given up")
	}
	r.until("nobody is in", func() bool { return len(r.list()) == 0 })
}
