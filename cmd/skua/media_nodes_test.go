package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/cutlink"
	"github.com/skua-go/skua/internal/freeport"
)

// recovery is how long viewers may be without pictures after what has happened is over: docs/media.md states it.
const recovery = 10 * time.Second

const nodesRules = `
local room = require "skua.room"
local M = {}
function M.on_publish(self, name, who, info)
  local now = room.of(name)
  local info = now:info()
  if not (info and info.recording) then now:record_start() end
  return who == "ann", "who are you?"
end
function M.on_join(self, name, who, info) return info.query.ticket == "abc", "there is no ticket" end
return M
`

// stage is a node of the story.
type stage struct {
	*program
	name, tapes string
}

// stages starts three nodes of one cluster; the first has the NATS server, and all links go to the second by a way that can be cut.
func stages(t *testing.T, dir string) (hub, home, third *stage, way *cutlink.Way) {
	t.Helper()
	bin, join, link := buildProgram(t), freeport.TCP(t, 1)[0], freeport.TCP(t, 1)[0]
	way = cutlink.New(t, link)
	start := func(name string, env ...string) *stage {
		s := &stage{name: name, tapes: filepath.Join(dir, "tapes-"+name)}
		env = append(env, "SKUA_MEDIA_RECORD_DIR="+s.tapes, "SKUA_LISTEN_RTMP=127.0.0.1:0")
		s.program = startWith(t, env, bin, "run", dir, "--name", name, "--data", filepath.Join(dir, "data-"+name),
			"--listen-tcp", "off", "--listen-kcp", "off", "--listen-http", "127.0.0.1:0", "--admin", "127.0.0.1:0")
		return s
	}
	hub = start("hub", "SKUA_LISTEN_CLUSTER="+join)
	awaitReady(t, hub.program)
	home = start("home", "SKUA_CLUSTER_JOIN="+join, "SKUA_LISTEN_MEDIA="+link, "SKUA_MEDIA_LINK_ADDRESS="+way.Addr)
	third = start("third", "SKUA_CLUSTER_JOIN="+join)
	awaitReady(t, home.program, third.program)
	return hub, home, third, way
}

// publish has ffmpeg publish pictures and sound on a node until what it gives is called.
func (s *stage) publish(t *testing.T) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		told, err := ffmpegFor(ctx, t, "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=44100",
			"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "aac", "-f", "flv", "rtmp://"+s.addrs["rtmp"]+"/live/arena?who=ann")
		if ctx.Err() == nil {
			t.Errorf("the publisher on %s has ended: %v %s", s.name, err, told)
		}
	}()
	kill = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(kill)
	return kill
}

// watcherOf is a viewer over HTTP-FLV that notes when pictures come.
type watcherOf struct {
	mu     sync.Mutex
	count  int
	stamp  uint32
	back   int // times that a timestamp went back
	last   time.Time
	longer time.Duration // the longest time without one since mark
	ended  error
}

// watch has a viewer come to a node, once somebody publishes.
func (s *stage) watch(t *testing.T) *watcherOf {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var resp *http.Response
	await(t, "a viewer is in on "+s.name, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addrs["http"]+"/live/arena.flv?ticket=abc", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err = http.DefaultClient.Do(req); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			_ = resp.Body.Close()
		}
		return resp.StatusCode == http.StatusOK
	})
	w := &watcherOf{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := w.read(bufio.NewReader(resp.Body))
		w.mu.Lock()
		w.ended = err
		w.mu.Unlock()
	}()
	t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
		<-done
	})
	w.until(t, "the first pictures on "+s.name, 5)
	return w
}

func (w *watcherOf) read(r *bufio.Reader) error {
	if _, err := r.Discard(13); err != nil {
		return err
	}
	for {
		var h [11]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return err
		}
		size := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
		if _, err := r.Discard(size + 4); err != nil {
			return err
		}
		if h[0] != 9 {
			continue
		}
		stamp := uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6])
		now := time.Now()
		w.mu.Lock()
		if !w.last.IsZero() {
			w.longer = max(w.longer, now.Sub(w.last))
		}
		if stamp < w.stamp {
			w.back++
		}
		w.count, w.last, w.stamp = w.count+1, now, stamp
		w.mu.Unlock()
	}
}

// mark begins to look for the longest time without pictures.
func (w *watcherOf) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longer = 0
}

// until waits for so many more pictures.
func (w *watcherOf) until(t *testing.T, what string, more int) {
	t.Helper()
	w.mu.Lock()
	want := w.count + more
	w.mu.Unlock()
	await(t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.ended != nil {
			t.Fatalf("%s: the viewer has ended: %v", what, w.ended)
		}
		return w.count >= want
	})
}

// back waits until pictures come again and tells how long they did not.
func (w *watcherOf) goesOn(t *testing.T, what string, without time.Duration) {
	t.Helper()
	w.until(t, what, 50)
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%s: %v without pictures", what, w.longer.Round(10*time.Millisecond))
	if w.longer > without+recovery {
		t.Errorf("%s: %v without pictures, at most %v", what, w.longer, without+recovery)
	}
	if w.back > 0 {
		t.Errorf("%s: timestamps went back %d times", what, w.back)
	}
}

// plays fails unless each recording of a node can be decoded, and has a second of pictures.
func (s *stage) plays(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.tapes, "arena-*.mp4"))
	if err != nil || len(files) == 0 {
		t.Fatalf("recordings of %s: %v, %v", s.name, files, err)
	}
	for _, file := range files {
		if told, err := ffmpeg(t, "-i", file, "-f", "null", "-"); err != nil || told != "" {
			t.Errorf("%s: %v %s", file, err, told)
		}
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", file).Output()
		var pictures int
		if _, failed := fmt.Sscan(strings.Trim(string(out), "\n, "), &pictures); err != nil || failed != nil || pictures < 25 {
			t.Errorf("%s: %q, %v, want 25 pictures or more", file, out, err)
		}
		t.Logf("%s: %d pictures", filepath.Base(file), pictures)
	}
}

// TestViewersGoOnWhenNodesAndLinksFail has viewers on three nodes while the link of the room's node is cut, the publisher is killed and comes back on another node, and two of the nodes are killed.
func TestViewersGoOnWhenNodesAndLinksFail(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	crowd, rest := 1, 25
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		crowd, rest = 30, 1500
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "skua.toml"), "[media]\nadmit = \"rules\"\nrules = \"live\"\n")
	put(t, filepath.Join(dir, "scripts", "main.lua"), "require(\"skynet\").start(function() end)\n")
	put(t, filepath.Join(dir, "scripts", "live.lua"), nodesRules)
	hub, home, third, way := stages(t, dir)

	kill := home.publish(t)
	near, lost := hub.watch(t), third.watch(t)
	for range crowd {
		hub.watch(t)
		third.watch(t)
	}
	if now := home.metric("skua_media_links"); now != 2 {
		t.Errorf("%v links to the room's node, want one for each other node", now)
	}
	near.until(t, "some time passes", rest)

	const cut = 5 * time.Second
	near.mark()
	way.Cut(true)
	<-time.After(cut) // what is tested is a cut of this length
	way.Cut(false)
	near.goesOn(t, "the link of the room's node was cut for 5 s", cut)

	near.mark()
	lost.mark()
	kill()
	kill = hub.publish(t)
	near.goesOn(t, "the publisher was killed and is back on another node: on that node", 0)
	lost.goesOn(t, "the publisher was killed and is back on another node: on a third node", 0)

	near.mark()
	third.kill()
	near.goesOn(t, "a node of viewers was killed: on another node", 0)

	near.mark()
	home.kill()
	near.goesOn(t, "the room's node was killed", 0)
	home.plays(t)
	kill()
	hub.stop()
	hub.plays(t)
}
