package flv_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// hall serves one stream of sound over HTTP.
type hall struct {
	*testing.T
	stream *media.Stream
	p      *media.Publisher
	track  *media.Track
	params *media.Params
	url    string
	stop   func()
	n      int
}

var errNotIn = errors.New("not in here")

func open(t *testing.T, cfg flv.HTTPConfig) *hall {
	t.Helper()
	h := &hall{T: t, stream: media.New(media.Config{}), params: &media.Params{Codec: media.AAC, Config: []byte{0x12, 0x10}}}
	var err error
	if h.p, err = h.stream.Publish(nil); err != nil {
		t.Fatal(err)
	}
	if h.track, err = h.p.Track(media.TrackSpec{Kind: media.Audio}); err != nil {
		t.Fatal(err)
	}
	h.p.Complete()
	cfg.Join = func(r *http.Request) (*media.Viewer, error) {
		if r.URL.Path == "/closed" {
			return nil, errNotIn
		}
		return h.stream.Join(media.ViewerConfig{})
	}
	cfg.Status = func(error) int { return http.StatusTeapot }
	pages, err := flv.NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(pages)
	h.url = web.URL
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pages.Serve(ctx) }()
	ended := false
	h.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		h.stop()
		web.Close()
	})
	return h
}

// write publishes some sound.
func (h *hall) write(data string) {
	h.Helper()
	at := time.Duration(h.n) * 23 * time.Millisecond
	h.n++
	if err := h.p.Write(h.track, media.Sample{DTS: at, PTS: at, Data: []byte(data), Params: h.params}); err != nil {
		h.Fatal(err)
	}
}

func (h *hall) viewers(n int) {
	h.Helper()
	for end := time.Now().Add(time.Minute); h.stream.Viewers() != n; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("%d viewers, want %d", h.stream.Viewers(), n)
		}
	}
}

// heap is what a viewer has had so far.
type heap struct {
	all  bytes.Buffer
	size atomic.Int64
}

func (h *heap) Write(p []byte) (int, error) {
	n, err := h.all.Write(p)
	h.size.Add(int64(n))
	return n, err
}

// await waits until there are so many bytes, so that a viewer that reads gets all, however slow the machine is.
func (h *heap) await(t *testing.T, size int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); h.size.Load() < int64(size); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a viewer has had %d bytes, want %d", h.size.Load(), size)
		}
	}
}

func (h *hall) get(path string) *http.Response {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), http.MethodGet, h.url+path, http.NoBody)
	if err != nil {
		h.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// sound is the data of the packets in a file.
func sound(t *testing.T, file []byte) string {
	t.Helper()
	var all []string
	each(t, file, func(kind byte, _ uint32, body []byte) {
		if kind == flv.TypeAudio && body[1] == 1 {
			all = append(all, string(body[2:]))
		}
	})
	return strings.Join(all, " ")
}

func TestViewersGetTheStreamOverHTTPAndWebSocket(t *testing.T) {
	h := open(t, flv.HTTPConfig{})
	resp := h.get("/live")
	if resp.Header.Get("Content-Type") != "video/x-flv" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", resp.Header)
	}
	socket, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.viewers(2)
	for _, data := range []string{"a", "b", strings.Repeat("c", 70_000)} {
		h.write(data)
	}
	h.stream.Close(errors.New("the show is over"))
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := "a b " + strings.Repeat("c", 70_000)
	if got := sound(t, body); got != want {
		t.Errorf("over HTTP: %.40q", got)
	}
	socket.SetReadLimit(-1)
	var file []byte
	for {
		kind, msg, err := socket.Read(t.Context())
		if err != nil {
			var told websocket.CloseError
			if !errors.As(err, &told) || told.Code != websocket.StatusNormalClosure || told.Reason != "the show is over" {
				t.Errorf("closed by %v", err)
			}
			break
		}
		if kind != websocket.MessageBinary {
			t.Errorf("a message of type %v", kind)
		}
		file = append(file, msg...)
	}
	if got := sound(t, file); got != want {
		t.Errorf("over WebSocket: %.40q", got)
	}
	h.viewers(0)
}

func TestWhoIsNotLetInGetsTheReason(t *testing.T) {
	h := open(t, flv.HTTPConfig{})
	resp := h.get("/closed")
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusTeapot || string(body) != "not in here\n" {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
}

func TestAViewerThatGoesIsNoticedWithoutFrames(t *testing.T) {
	h := open(t, flv.HTTPConfig{})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET /live HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	h.viewers(1)
	_ = conn.Close()
	h.viewers(0)
}

func TestAStalledViewerIsClosedAndDelaysNobody(t *testing.T) {
	h := open(t, flv.HTTPConfig{WriteTimeout: 5 * time.Second, WriteBuffer: 64 << 10})
	stalled, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	if _, err := stalled.Write([]byte("GET /live HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	good := h.get("/live")
	h.viewers(2)
	var got heap
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&got, good.Body) // sound fails if anything is missing
	}()
	// More than any socket keeps by itself, no faster than the good one reads.
	const packets, size = 400, 64 << 10
	for n := range packets {
		got.await(t, (n-40)*size)
		h.write(strings.Repeat("x", size))
	}
	h.viewers(1)
	h.stream.Close(nil)
	<-read
	if got := sound(t, got.all.Bytes()); len(got) != packets*(size+1)-1 {
		t.Errorf("the good one got %d bytes of sound, want %d", len(got), packets*(size+1)-1)
	}
}

func TestTheEndOfTheServerEndsItsViewers(t *testing.T) {
	h := open(t, flv.HTTPConfig{})
	resp := h.get("/live")
	h.viewers(1)
	h.stop()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	if late := h.get("/live"); late.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("who comes then gets %d", late.StatusCode)
	}
}
