package hls_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/flv/flvtest"
	"github.com/skua-go/skua/net/hls"
	"github.com/skua-go/skua/net/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hall is a stream and its server.
type hall struct {
	*testing.T
	stream  *media.Stream
	pub     *media.Publisher
	url     string
	fetched atomic.Int64 // segments, the first ones
}

var segmentName = regexp.MustCompile(`-seg(\d+)\.mp4$`)

func open(t *testing.T, cfg hls.Config) *hall {
	t.Helper()
	h := &hall{T: t, stream: media.New(media.Config{})}
	if cfg.Join == nil {
		cfg.Join = func(r *http.Request) (*media.Viewer, error) {
			if r.URL.Query().Get("token") != "abc" {
				return nil, errors.New("the token is wrong")
			}
			return h.stream.Join(media.ViewerConfig{})
		}
	}
	server, err := hls.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if h.pub, err = h.stream.Publish(nil); err != nil {
		t.Fatal(err)
	}
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.ServeHTTP(w, r)
		if m := segmentName.FindStringSubmatch(r.URL.Path); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			h.fetched.Store(max(h.fetched.Load(), n+1))
		}
	}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		pages.Close()
		http.DefaultClient.CloseIdleConnections()
		if n := h.stream.Viewers(); n != 0 {
			t.Errorf("%d viewers are left", n)
		}
	})
	h.url = pages.URL + "/live/arena/"
	return h
}

func (h *hall) get(path string) (int, string) {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), http.MethodGet, h.url+path, http.NoBody)
	if err != nil {
		h.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (h *hall) must(path string) string {
	h.Helper()
	status, body := h.get(path)
	if status != http.StatusOK {
		h.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

// session begins to watch, and gives the name of the playlist.
func (h *hall) session() string {
	h.Helper()
	return regexp.MustCompile(`stream\.m3u8\S*`).FindString(h.must("index.m3u8?token=abc"))
}

// watch begins a session before the stream sends anything, and then sends a clip at once.
func (h *hall) watch(file []byte) string {
	h.Helper()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for h.stream.Viewers() < 2 { // the session, and what makes segments
			select {
			case <-h.Context().Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
		flvtest.Feed(h, h.pub, file, false)
	}()
	defer func() { <-fed }()
	return h.session()
}

// isDue waits until somebody watches, and has fetched all segments but those of the last seconds before a time: so none is gone from the playlist when a viewer comes to it, however slow that is.
func (h *hall) isDue(at time.Duration) bool {
	const ahead = 4 // a playlist has 7, each of a second, see clip
	for h.stream.Viewers() < 2 || at > time.Duration(h.fetched.Load()+ahead)*time.Second {
		select {
		case <-h.Context().Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

func clip(t *testing.T, seconds int) []byte {
	t.Helper()
	d := strconv.Itoa(seconds)
	return flvtest.Clip(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration="+d, "-f", "lavfi", "-i", "sine=sample_rate=44100:duration="+d,
		"-g", "25", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac")
}

func TestFFprobeReadsALiveStreamToItsEnd(t *testing.T) {
	const seconds = 20
	source := clip(t, seconds)
	h := open(t, hls.Config{})
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		flvtest.FeedWhen(t, h.pub, source, h.isDue)
		h.stream.Close(errors.New("over"))
	}()
	url := h.url + "index.m3u8?token=abc"
	shown := flvtest.Show(t, "-live_start_index", "0", "-count_frames", "-show_entries", "stream=codec_type,nb_read_frames", "-of", "csv=p=0", url)
	<-fed
	if !strings.Contains(shown, "video,"+strconv.Itoa(25*seconds)) {
		t.Errorf("decoded: %s, want %d pictures", shown, 25*seconds)
	}
	counts := h.stream.Counts()
	if want := "audio," + strconv.Itoa(int(counts.Frames)-25*seconds); !strings.Contains(shown, want[:len(want)-1]) {
		t.Errorf("decoded: %s, want about %s", shown, want)
	}
}

func TestPartsComeBeforeTheirSegmentAndMakeIt(t *testing.T) {
	h := open(t, hls.Config{})
	fed := make(chan struct{})
	source := clip(t, 8)
	go func() {
		defer close(fed)
		flvtest.Feed(t, h.pub, source, true)
	}()
	defer func() { h.pub.Close(); <-fed }()
	list := h.session()
	text := h.must(list)
	hint := regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]*part(\d+)\.(\d+)\.mp4[^"]*)"`).FindStringSubmatch(text)
	if hint == nil {
		t.Fatalf("no hint in\n%s", text)
	}
	if part := h.must(hint[1]); !strings.Contains(part, "moof") {
		t.Errorf("the hinted part has %d bytes", len(part))
	}
	next, _ := strconv.Atoi(hint[2])
	blocked := h.must(list + "&_HLS_msn=" + strconv.Itoa(next+1) + "&_HLS_part=0")
	if !strings.Contains(blocked, "part"+strconv.Itoa(next+1)+".0.mp4") {
		t.Errorf("it did not wait for the part:\n%s", blocked)
	}
	segment := regexp.MustCompile(`(?m)^\S*seg` + hint[2] + `\.mp4\S*`).FindString(blocked)
	var parts strings.Builder
	for _, m := range regexp.MustCompile(`URI="([^"]*part`+hint[2]+`\.\d+\.mp4[^"]*)"`).FindAllStringSubmatch(blocked, -1) {
		parts.WriteString(h.must(m[1]))
	}
	if whole := h.must(segment); whole == "" || whole != parts.String() {
		t.Errorf("the segment has %d bytes, its parts %d", len(whole), parts.Len())
	}
	if status, _ := h.get(list + "&_HLS_msn=" + strconv.Itoa(next+50)); status != http.StatusBadRequest {
		t.Errorf("a segment far ahead: %d", status)
	}
	if index := h.must("index.m3u8?token=abc"); !strings.Contains(index, `CODECS="avc1.64000b,mp4a.40.2",RESOLUTION=160x120`) {
		t.Errorf("index:\n%s", index)
	}
}

func TestOnlyWhoWasLetInGetsSegments(t *testing.T) {
	h := open(t, hls.Config{MaxSessions: 1})
	if status, text := h.get("index.m3u8?token=no"); status != http.StatusForbidden || !strings.Contains(text, "the token is wrong") {
		t.Errorf("%d %s", status, text)
	}
	list := h.watch(clip(t, 4))
	text := h.must(list)
	segment := regexp.MustCompile(`(?m)^\S*seg0\.mp4`).FindString(text)
	for _, path := range []string{segment, segment + "?session=guessed", "stream.m3u8", "stream.m3u8?session="} {
		if status, _ := h.get(path); status != http.StatusGone {
			t.Errorf("%s: %d", path, status)
		}
	}
	_, query, _ := strings.Cut(list, "?")
	for _, path := range []string{"..%2f..%2fetc", "seg0.mp4", "x-seg0.mp4", segment + "x", strings.Replace(segment, "seg0", "seg99", 1), strings.Replace(segment, "seg0", "init7", 1)} {
		if status, _ := h.get(path + "?" + query); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, text := h.get("index.m3u8?token=abc"); status != http.StatusServiceUnavailable || !strings.Contains(text, "too many sessions") {
		t.Errorf("a second session: %d %s", status, text)
	}
	if n := h.stream.Viewers(); n != 2 {
		t.Errorf("%d viewers, want the session and what makes segments", n)
	}
}

func TestASessionThatAsksForNothingLeaves(t *testing.T) {
	h := open(t, hls.Config{Idle: 50 * time.Millisecond})
	list := h.watch(clip(t, 3))
	for end := time.Now().Add(time.Minute); h.stream.Viewers() != 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d viewers are left", h.stream.Viewers())
		}
	}
	if status, _ := h.get(list); status != http.StatusGone {
		t.Errorf("its playlist: %d", status)
	}
}

func TestAStreamThatSendsNothingIsNotWaitedForForEver(t *testing.T) {
	h := open(t, hls.Config{})
	begun := time.Now()
	if status, text := h.get("index.m3u8?token=abc"); status != http.StatusServiceUnavailable || !strings.Contains(text, "the publisher sends nothing") {
		t.Errorf("%d %s", status, text)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func TestParametersThatChangeAreADiscontinuity(t *testing.T) {
	h := open(t, hls.Config{})
	list := h.watch(clip(t, 3))
	h.pub.Close()
	again, err := h.stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	flvtest.Feed(t, again, flvtest.Clip(t, "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=3", "-g", "25", "-c:v", "libx264", "-pix_fmt", "yuv420p"), false)
	h.stream.Close(errors.New("over"))
	var text string
	for end := time.Now().Add(time.Minute); !strings.Contains(text, "ENDLIST"); <-time.After(time.Millisecond) {
		if text = h.must(list); time.Now().After(end) {
			t.Fatalf("no end in\n%s", text)
		}
	}
	if strings.Count(text, "#EXT-X-DISCONTINUITY\n") != 1 || strings.Count(text, "#EXT-X-MAP") != 2 {
		t.Errorf("playlist\n%s", text)
	}
}

func TestWhoIsPutOutGetsNoMore(t *testing.T) {
	var h *hall
	joined := make(chan *media.Viewer, 1)
	h = open(t, hls.Config{Join: func(*http.Request) (*media.Viewer, error) {
		v, err := h.stream.Join(media.ViewerConfig{})
		joined <- v
		return v, err
	}})
	list := h.watch(clip(t, 3))
	(<-joined).Close(errors.New("too loud"))
	if status, text := h.get(list); status != http.StatusForbidden || !strings.Contains(text, "too loud") {
		t.Errorf("%d %s", status, text)
	}
}
