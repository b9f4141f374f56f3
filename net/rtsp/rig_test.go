package rtsp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
	"github.com/skua-go/skua/net/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what has to happen soon, on a busy machine with the race detector.
const patience = time.Minute

// hall is a server with one stream, to which everybody is let in but those who ask for /live/closed.
type hall struct {
	testing.TB
	addr   string
	stream *media.Stream
	server *rtsp.Server
	log    *logtest.Buffer
	viewer media.ViewerConfig

	mu      sync.Mutex
	asked   []rtsp.Request
	viewers []*media.Viewer
}

var errClosed = errors.New("this room is closed")

func (h *hall) note(r rtsp.Request) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, r)
	if r.Path == "/live/closed" {
		return errClosed
	}
	return nil
}

func (h *hall) Publish(_ context.Context, r rtsp.Request, ended func(error)) (*media.Publisher, error) {
	if err := h.note(r); err != nil {
		return nil, err
	}
	return h.stream.Publish(ended)
}

func (h *hall) Play(_ context.Context, r rtsp.Request) (*media.Viewer, error) {
	if err := h.note(r); err != nil {
		return nil, err
	}
	v, err := h.stream.Join(h.viewer)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.viewers = append(h.viewers, v)
	return v, err
}

// counts are those of the viewer that came as this one.
func (h *hall) counts(i int) media.ViewerCounts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.viewers[i].Counts()
}

// watched is how many viewers have come.
func (h *hall) watched() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers)
}

func open(tb testing.TB, cfg rtsp.Config) *hall {
	tb.Helper()
	h := &hall{TB: tb, stream: media.New(media.Config{})}
	cfg.Rooms = h
	cfg.Log, h.log = logtest.New(tb)
	var err error
	if h.server, err = rtsp.New(cfg); err != nil {
		tb.Fatal(err)
	}
	ln, err := tcp.Listen(tb.Context(), "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	udp, err := rtsp.ListenUDP(tb.Context(), "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(ctx, ln, udp) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return h
}

// until waits for a condition.
func (h *hall) until(what string, met func() bool) {
	h.Helper()
	until(h, what, met)
}

func until(tb testing.TB, what string, met func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !met(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not in time: %s", what) // the log is printed, too
		}
	}
}

func (h *hall) url() string { return "rtsp://" + h.addr + "/live/test" }

// peer is a client that says what a test wants.
type peer struct {
	*hall
	conn net.Conn
	r    *bufio.Reader
	seq  int
}

func (h *hall) dial() *peer {
	h.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.Context(), "tcp", h.addr)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		h.Fatal(err)
	}
	return &peer{hall: h, conn: conn, r: bufio.NewReader(conn)}
}

// say writes bytes; that the server does not take all of them is for the test to see.
func (p *peer) say(b []byte) { _, _ = p.conn.Write(b) }

// ask sends a request and gives its answer. Packets that come before it are left out.
func (p *peer) ask(method base.Method, url, header, body string) *base.Response {
	p.Helper()
	p.seq++
	if body != "" {
		header += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	p.say(fmt.Appendf(nil, "%s %s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n%s", method, url, p.seq, header, body))
	for {
		first, err := p.r.Peek(1)
		if err != nil {
			p.Fatalf("%s: no answer: %v", method, err)
		}
		if first[0] == '$' {
			if _, _, err := p.packet(); err != nil {
				p.Fatal(err)
			}
			continue
		}
		res := new(base.Response)
		if err := res.Unmarshal(p.r); err != nil {
			p.Fatalf("%s: %v", method, err)
		}
		if got := strings.Join(res.Header["CSeq"], ","); got != fmt.Sprint(p.seq) {
			p.Errorf("%s: the answer has CSeq %s, want %d", method, got, p.seq)
		}
		return res
	}
}

// must is ask for what is granted.
func (p *peer) must(method base.Method, url, header, body string) *base.Response {
	p.Helper()
	res := p.ask(method, url, header, body)
	if res.StatusCode != base.StatusOK {
		p.Fatalf("%s: %d %s", method, res.StatusCode, res.StatusMessage)
	}
	return res
}

// packet reads one between answers.
func (p *peer) packet() (channel int, body []byte, err error) {
	var f base.InterleavedFrame
	if err := f.Unmarshal(p.r); err != nil {
		return 0, nil, err
	}
	return f.Channel, f.Payload, nil
}

const overConn = "Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n"

// watch asks for all tracks of the stream.
func (p *peer) watch() {
	p.Helper()
	told := p.must(base.Describe, p.url(), "", "")
	for i := range bytes.Count(told.Body, []byte("m=")) {
		p.must(base.Setup, fmt.Sprintf("%s/trackID=%d", p.url(), i), fmt.Sprintf(overConn, 2*i, 2*i+1), "")
	}
	p.must(base.Play, p.url()+"/", "", "")
}

// publish announces one track and begins.
func (p *peer) publish(media string) {
	p.Helper()
	p.must(base.Announce, p.url(), "Content-Type: application/sdp\r\n", sdp+media+"a=control:one\r\n")
	p.must(base.Setup, p.url()+"/one", fmt.Sprintf(overConn, 0, 1), "")
	p.must(base.Record, p.url(), "", "")
}

const (
	sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	vp8 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"
)

// ended waits until the server has closed the connection.
func (p *peer) ended() {
	p.Helper()
	if _, err := io.Copy(io.Discard, p.r); err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			p.Fatal("the server has not closed the connection")
		}
	}
}

// feed is a publisher of numbered pictures of VP8.
type feed struct {
	*hall
	to     *media.Publisher
	track  *media.Track
	params *media.Params
	n      int
}

func (h *hall) feed() *feed {
	h.Helper()
	p, err := h.stream.Publish(nil)
	if err != nil {
		h.Fatal(err)
	}
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		h.Fatal(err)
	}
	f := &feed{hall: h, to: p, track: track, params: &media.Params{Codec: media.VP8, Width: 16, Height: 16}}
	p.Describe(track, f.params)
	p.Complete()
	return f
}

// picture writes one: bit 0 of the first byte says that it is no key frame, its number follows.
func (f *feed) picture(key bool, size int) {
	f.Helper()
	data := make([]byte, max(size, 8))
	copy(data[1:], fmt.Sprintf("%06d", f.n))
	if !key {
		data[0] = 1
	}
	at := time.Duration(f.n) * 40 * time.Millisecond
	if err := f.to.Write(f.track, media.Sample{DTS: at, PTS: at, Key: key, Data: data, Params: f.params}); err != nil {
		f.Fatal(err)
	}
	f.n++
}

// pictures reads the numbers of the pictures that come until the connection ends, with the numbers of the packets without a gap.
func (p *peer) pictures() (numbers []int, keys []bool) {
	p.Helper()
	next := -1
	for {
		channel, b, err := p.packet()
		if err != nil {
			return numbers, keys
		}
		if channel != 0 {
			continue
		}
		var one rtp.Packet
		if err := one.Unmarshal(b); err != nil {
			p.Error(err)
			return numbers, keys
		}
		if next >= 0 && int(one.SequenceNumber) != next&0xffff {
			p.Errorf("packet %d comes after %d", one.SequenceNumber, next-1)
		}
		next = int(one.SequenceNumber) + 1
		if one.Payload[0]&0x10 == 0 { // not the beginning of a picture
			continue
		}
		var n int
		if _, err := fmt.Sscanf(string(one.Payload[2:8]), "%d", &n); err != nil {
			p.Error(err)
		}
		numbers, keys = append(numbers, n), append(keys, one.Payload[1]&1 == 0)
	}
}
