package room_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/record"
	"github.com/skua-go/skua/services/room"
)

// recorder is one in a directory of the test's.
func recorder(t *testing.T) (*record.Recorder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tapes")
	r, err := record.New(record.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return r, dir
}

func (r *rig) sound(p *media.Publisher) {
	r.Helper()
	track, err := p.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		r.Fatal(err)
	}
	p.Complete()
	if err := p.Write(track, media.Sample{Data: []byte("sound"), Params: &media.Params{Codec: media.Opus, Channels: 2}}); err != nil {
		r.Fatal(err)
	}
}

func TestScriptsRecordRooms(t *testing.T) {
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		tapes, dir := recorder(t)
		r := open(t, engine, room.Config{Rules: "rules", Recorder: tapes})
		if got := r.Call(r.rules, "record", "arena"); got != "false" {
			t.Errorf("a room that is not there: %s", got)
		}
		p, err := r.publish("arena", "who=ann&let=in&record=flv")
		if err != nil {
			t.Fatal(err)
		}
		info := r.Call(r.rules, "info", "arena")
		if info != `"live true, viewers 0: ann/publish"` {
			t.Errorf("the recording is a viewer: %s", info)
		}
		for options, want := range map[string]string{"flv": "it is recorded already"} {
			if got := r.Call(r.rules, "record", "arena", map[string]any{"format": options}); !strings.Contains(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		r.sound(p)
		r.until("it is on the disk", func() bool { found, _ := filepath.Glob(filepath.Join(dir, "arena-*.flv")); return len(found) == 1 })
		if got := r.Call(r.rules, "unrecord", "arena"); got != "true" {
			t.Error(got)
		}
		r.until("the rules hear of the file", func() bool {
			return r.Call(r.rules, "heard") == `"record arena true false record: stopped"`
		})
		if got := r.Call(r.rules, "unrecord", "arena"); got != "false" {
			t.Error(got)
		}
		for _, c := range []struct {
			options any
			want    string
		}{
			{map[string]any{"format": "avi"}, `format "avi", expected mp4 or flv`},
			{map[string]any{"seconds": -1}, `expected format, seconds and bytes`},
			{map[string]any{"path": "../x"}, `expected format, seconds and bytes`},
			{"mp4", `expected a table`},
		} {
			if got := r.Call(r.rules, "record", "arena", c.options); !strings.Contains(got, c.want) {
				t.Errorf("%v: got %s, want %s", c.options, got, c.want)
			}
		}
		if got := r.Call(r.rules, "record", "arena"); got != "true" {
			t.Error(got)
		}
		p.Close()
	})
}

func TestARecordingEndsWithItsRoomAndTheRulesAreTold(t *testing.T) {
	tapes, dir := recorder(t)
	r := open(t, first(t), room.Config{Rules: "rules", Recorder: tapes, Reconnect: 1})
	p, err := r.publish("arena", "who=ann&let=in&record=mp4")
	if err != nil {
		t.Fatal(err)
	}
	r.sound(p)
	p.Close()
	r.until("the rules hear of the file", func() bool {
		return strings.Contains(r.Call(r.rules, "heard"), "record arena true false room: nobody publishes in arena any more")
	})
	r.until("there is no room", func() bool { return len(r.list()) == 0 })
	found, _ := filepath.Glob(filepath.Join(dir, "arena-*.mp4"))
	if len(found) != 1 {
		t.Fatalf("files %v", found)
	}
	if b, err := os.ReadFile(found[0]); err != nil || !strings.Contains(string(b), "moof") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestARoomIsNotRecordedWithoutADirectory(t *testing.T) {
	r := open(t, first(t), room.Config{Rules: "rules"})
	p, err := r.publish("arena", "let=in")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := r.Call(r.rules, "record", "arena"); !strings.Contains(got, "the node has no media.record_dir") {
		t.Error(got)
	}
}
