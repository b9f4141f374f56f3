package live_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/live"
	"github.com/skua-go/skua/services/room"
)

// picture is the n-th of a stream at 50 a second, with a key frame each ten: its size and bytes are its number's.
func picture(n, size int) client.Frame {
	at := time.Duration(n) * 20 * time.Millisecond
	data := bytes.Repeat([]byte{byte(n)}, size)
	copy(data, fmt.Sprintf("%d.", n))
	return client.Frame{DTS: at, PTS: at + 40*time.Millisecond, Key: n%10 == 0, Data: data}
}

func TestFramesComeAsTheyWereOverAllTransports(t *testing.T) {
	r := start(t, options{})
	for _, kind := range []string{"tcp", "kcp", "ws"} {
		t.Run(kind, func(t *testing.T) {
			name := "arena-" + kind
			p := r.publish(r.enter(kind, "ann-"+kind, client.Options{}), name, client.PublishOptions{})
			w := r.watch(r.enter(kind, "bob-"+kind, client.Options{}), name, client.WatchOptions{})
			const frames = 60
			sizes := []int{1, 700, 6_000, 40_000, 16<<10 - 100}
			for n := range frames {
				r.must(p.Write(pictures, picture(n, max(8, sizes[n%len(sizes)]))))
				at := time.Duration(n) * 20 * time.Millisecond
				r.must(p.Write(sound, client.Frame{DTS: at, PTS: at, Data: fmt.Appendf(nil, "sound %d", n)}))
			}
			var began time.Duration
			seen := map[string]int{}
			for seen["vp8"] < frames || seen["opus"] < frames {
				f := r.next(w)
				n := seen[f.Track.Codec]
				seen[f.Track.Codec]++
				want := picture(n, max(8, sizes[n%len(sizes)]))
				if f.Track.Codec == "opus" {
					want.Data, want.Key, want.PTS = fmt.Appendf(nil, "sound %d", n), true, want.DTS
				}
				if n == 0 && f.Track.Codec == "vp8" {
					began = f.DTS
				}
				if !bytes.Equal(f.Data, want.Data) || f.Key != want.Key || f.DTS-began != want.DTS || f.PTS-f.DTS != want.PTS-want.DTS {
					t.Fatalf("%s %d: %d bytes, key %v, at %s and %s, expected %d, %v, %s, %s", f.Track.Codec, n, len(f.Data), f.Key, f.DTS-began, f.PTS-began, len(want.Data), want.Key, want.DTS, want.PTS)
				}
				if f.Track.Codec == "vp8" && (f.Track.Width != 640 || f.Track.Height != 360) || f.Track.Codec == "opus" && f.Track.SampleRate != 48000 {
					t.Fatalf("the track is %+v", *f.Track)
				}
			}
			if n := w.Dropped(); n != 0 {
				t.Errorf("%d frames were dropped", n)
			}
		})
	}
}

func TestAViewerBeginsAtTheNewestKeyFrame(t *testing.T) {
	r := start(t, options{})
	p := r.publish(r.enter("tcp", "ann", client.Options{}), "arena", client.PublishOptions{Tracks: tracks()[:1]})
	for n := range 25 {
		r.must(p.Write(pictures, picture(n, 100)))
	}
	r.until("all has come", func() bool { return r.info("arena").Counts.Frames == 25 })
	w := r.watch(r.enter("tcp", "bob", client.Options{}), "arena", client.WatchOptions{})
	for n := 20; n < 25; n++ {
		if f := r.next(w); !bytes.HasPrefix(f.Data, fmt.Appendf(nil, "%d.", n)) {
			t.Fatalf("%.5q, expected picture %d", f.Data, n)
		}
	}
}

func TestThePlayerIsWhoTheRoomKnows(t *testing.T) {
	r := start(t, options{})
	ann := r.enter("tcp", "ann", client.Options{})
	p := r.publish(ann, "arena", client.PublishOptions{})
	if _, err := r.enter("tcp", "bob", client.Options{}).Publish(r.ctx(), "arena", client.PublishOptions{Tracks: tracks()}); codeOf(err) != "busy" {
		t.Errorf("a second publisher: %v", err)
	}
	for _, m := range r.info("arena").Members {
		if m.Who != "ann" || m.Protocol != "own" || m.Action != room.Publish {
			t.Errorf("%+v", m)
		}
	}
	again := r.publish(ann, "arena", client.PublishOptions{})
	if code := r.end(p.Done(), p.Err); code != "replaced" {
		t.Errorf("the same player again: the first ends with %s", code)
	}
	again.Close()
	r.until("nobody publishes", func() bool { return !r.info("arena").Live })
}

func TestWhoIsNotLetInIsToldWhy(t *testing.T) {
	r := start(t, options{rooms: room.Config{Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}}})
	c := r.enter("tcp", "ann", client.Options{})
	for name, want := range map[string]string{"arena": "denied", "../x": "bad_name", "": "bad_name"} {
		if _, err := c.Publish(r.ctx(), name, client.PublishOptions{Tracks: tracks()}); codeOf(err) != want {
			t.Errorf("publish to %q: %v, expected %s", name, err, want)
		}
	}
	if _, err := c.Publish(r.ctx(), "arena", client.PublishOptions{}); codeOf(err) != "bad_request" {
		t.Errorf("no tracks: %v", err)
	}
	if _, err := c.Publish(r.ctx(), "arena", client.PublishOptions{Tracks: []client.Track{{Codec: "h264", Config: []byte("x")}}}); codeOf(err) != "bad_request" {
		t.Errorf("a broken avcC: %v", err)
	}
	open := start(t, options{})
	if _, err := open.enter("tcp", "ann", client.Options{}).Watch(open.ctx(), "arena", client.WatchOptions{}); codeOf(err) != "offline" {
		t.Errorf("nobody publishes: %v", err)
	}
}

func TestKickMuteAndThePublishersEndComeAsEvents(t *testing.T) {
	r := start(t, options{rooms: room.Config{Reconnect: time.Minute}})
	var ann, bob events
	publisher := r.enter("tcp", "ann", client.Options{})
	p := r.publish(publisher, "arena", client.PublishOptions{OnEvent: ann.on})
	viewer := r.enter("ws", "bob", client.Options{})
	w := r.watch(viewer, "arena", client.WatchOptions{OnEvent: bob.on})
	muted := func(on bool) func(client.RoomEvent) bool {
		return func(e client.RoomEvent) bool { return e.Kind == client.RoomMuted && e.Media == "audio" && e.On == on }
	}
	r.command("mute", "arena", "audio", true)
	r.until("the viewer hears of the mute", bob.has(muted(true)))
	r.until("the publisher hears of the mute", ann.has(muted(true)))
	r.command("mute", "arena", "audio", false)
	r.until("the viewer hears of its end", bob.has(muted(false)))
	r.must(p.Write(pictures, picture(0, 10)))
	r.next(w)
	p.Close()
	r.until("the viewer hears that the publisher has gone", bob.has(kind(client.RoomWaiting)))
	p = r.publish(publisher, "arena", client.PublishOptions{})
	r.until("the viewer hears that it is back", bob.has(kind(client.RoomLive)))
	r.must(p.Write(pictures, picture(10, 10)))
	if f := r.next(w); !bytes.HasPrefix(f.Data, []byte("10.")) {
		t.Errorf("%q", f.Data)
	}
	r.command("kick", "arena", "bob", "enough")
	if code := r.end(w.Done(), w.Err); code != "kicked" {
		t.Errorf("the viewer ends with %s", code)
	}
	r.command("kick", "arena", "ann", "enough")
	if code := r.end(p.Done(), p.Err); code != "kicked" {
		t.Errorf("the publisher ends with %s", code)
	}
	if err := p.Write(pictures, picture(11, 10)); codeOf(err) != "kicked" {
		t.Errorf("a frame behind the end: %v", err)
	}
	if err := viewer.Request(r.ctx(), "echo", "1", nil); err != nil {
		t.Errorf("the session is not what was ended: %v", err)
	}
}

func TestNewParametersComeBeforeTheFramesThatNeedThem(t *testing.T) {
	r := start(t, options{})
	p := r.publish(r.enter("tcp", "ann", client.Options{}), "arena", client.PublishOptions{Tracks: tracks()[:1]})
	w := r.watch(r.enter("tcp", "bob", client.Options{}), "arena", client.WatchOptions{})
	for n := range 30 {
		if n%10 == 0 && n > 0 {
			r.must(p.Configure(pictures, client.Track{Codec: "vp8", Width: 640 + n, Height: 360}))
		}
		r.must(p.Write(pictures, picture(n, 20_000)))
	}
	for n := range 30 {
		want := 640
		if n >= 10 {
			want += n / 10 * 10
		}
		if f := r.next(w); f.Track.Width != want {
			t.Fatalf("picture %d is %d wide, expected %d", n, f.Track.Width, want)
		}
	}
	if err := p.Configure(3, client.Track{Codec: "vp8"}); err == nil {
		t.Error("a track that there is not")
	}
	r.must(p.Configure(pictures, client.Track{Codec: "opus"}))
	if code := r.end(p.Done(), p.Err); code != "bad_request" {
		t.Errorf("pictures that become sound: %s", code)
	}
}

func TestAConnectionThatComesBackGoesOnAtTheNewestKeyFrame(t *testing.T) {
	for _, kinds := range [][2]string{{"tcp", "tcp"}, {"kcp", "ws"}} {
		t.Run(kinds[0]+" to "+kinds[1], func(t *testing.T) {
			r := start(t, options{rooms: room.Config{Reconnect: time.Minute}})
			var ann, bob events
			options := client.Options{Also: []string{r.urls[kinds[1]]}}
			publisher, viewer := r.enter(kinds[0], "ann", options), r.enter(kinds[0], "bob", options)
			p := r.publish(publisher, "arena", client.PublishOptions{Tracks: tracks()[:1], OnEvent: ann.on})
			w := r.watch(viewer, "arena", client.WatchOptions{OnEvent: bob.on})
			write := func(n int) { r.must(p.Write(pictures, picture(n, 5000))) }
			for n := range 12 {
				write(n)
			}
			for range 12 {
				r.next(w)
			}
			r.must(viewer.Reconnect(r.urls[kinds[1]]))
			r.until("the viewer is back", bob.has(kind(client.RoomBack)))
			if f := r.next(w); !bytes.HasPrefix(f.Data, []byte("10.")) || !f.Key {
				t.Errorf("it goes on with %.4q, expected the newest key frame", f.Data)
			}
			r.next(w)
			if n := viewer.Stats().Resumes; n != 1 {
				t.Errorf("%d resumes: the session was to go on", n)
			}
			r.must(publisher.Reconnect(r.urls[kinds[1]]))
			r.until("the publisher is back", ann.has(kind(client.RoomBack)))
			if err := p.Write(pictures, picture(12, 10)); !errors.Is(err, client.ErrNeedsKey) {
				t.Errorf("a picture that needs those before it goes over the new connection: %v", err)
			}
			write(20)
			if f := r.next(w); !bytes.HasPrefix(f.Data, []byte("20.")) {
				t.Errorf("it goes on with %.4q, expected the publisher's key frame", f.Data)
			}
		})
	}
}

func TestAPublishersClockMayCountFromAnywhere(t *testing.T) {
	r := start(t, options{})
	p := r.publish(r.enter("tcp", "ann", client.Options{}), "arena", client.PublishOptions{Tracks: tracks()[:1]})
	w := r.watch(r.enter("ws", "bob", client.Options{}), "arena", client.WatchOptions{})
	const step, end = 20 * time.Millisecond, packet.MaxMediaTime * time.Microsecond
	last := time.Duration(-1)
	for _, begin := range []time.Duration{time.Duration(time.Now().UnixNano()).Truncate(time.Microsecond), 1 - end + time.Microsecond, end - 5*step, 1 - end + time.Microsecond} {
		for n := range 4 {
			at := begin + time.Duration(n)*step
			r.must(p.Write(pictures, client.Frame{DTS: at, PTS: at + time.Millisecond, Key: n == 0, Data: []byte("x")}))
			f := r.next(w)
			if f.PTS-f.DTS != time.Millisecond || f.DTS <= last || f.DTS > time.Minute || n > 0 && (f.DTS-last).Round(time.Microsecond) != step {
				t.Errorf("what is decoded at %s and shown 1 ms later comes at %s and %s, behind one at %s", at, f.DTS, f.PTS, last)
			}
			last = f.DTS
		}
	}
	for _, f := range []client.Frame{{DTS: end}, {DTS: -end}, {PTS: time.Hour}, {PTS: -time.Hour}} {
		f.Key, f.Data = true, []byte("x")
		if err := p.Write(pictures, f); err == nil || !strings.Contains(err.Error(), "arena: a frame that is decoded at") {
			t.Errorf("%s and %s: %v", f.DTS, f.PTS, err)
		}
	}
	r.must(p.Write(pictures, client.Frame{Key: true, Data: []byte("y")}))
	if f := r.next(w); string(f.Data) != "y" {
		t.Errorf("%q comes", f.Data)
	}
}

func TestAPictureThatIsShownTooLateForAPackageIsShownAsLateAsThatTells(t *testing.T) {
	r := start(t, options{})
	p, err := r.rooms.Publish(r.ctx(), room.Entry{Room: "arena", Protocol: "rtmp", Player: "ann", Addr: "127.0.0.1:1935"}, func(error) {})
	r.must(err)
	defer p.Close()
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	r.must(err)
	params, _, err := media.NewParams(media.VP8, nil)
	r.must(err)
	p.Describe(track, params)
	p.Complete()
	w := r.watch(r.enter("tcp", "bob", client.Options{}), "arena", client.WatchOptions{})
	r.must(p.Write(track, media.Sample{PTS: 2 * time.Hour, Key: true, Data: []byte("x"), Params: params}))
	if f := r.next(w); f.PTS-f.DTS != math.MaxInt32*time.Microsecond {
		t.Errorf("it is shown %s later", f.PTS-f.DTS)
	}
}

func TestARoomIsClosedAndWatchedAgain(t *testing.T) {
	r := start(t, options{live: live.Config{OpenRate: 100}})
	p := r.publish(r.enter("tcp", "ann", client.Options{}), "arena", client.PublishOptions{Tracks: tracks()[:1]})
	r.must(p.Write(pictures, picture(0, 60_000)))
	viewer := r.enter("tcp", "bob", client.Options{})
	for range 20 {
		w := r.watch(viewer, "arena", client.WatchOptions{})
		if f := r.next(w); len(f.Data) != 60_000 {
			t.Fatalf("%d bytes", len(f.Data))
		}
		if _, err := viewer.Watch(r.ctx(), "arena", client.WatchOptions{}); codeOf(err) != "busy" {
			t.Fatalf("watched twice: %v", err)
		}
		w.Close()
		if _, err := w.Next(r.ctx()); !errors.Is(err, client.ErrRoomClosed) {
			t.Fatal(err)
		}
	}
	r.until("nobody watches", func() bool { return len(r.info("arena").Members) == 1 })
}
