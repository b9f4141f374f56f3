package ws_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// listen starts an HTTP server with a listener behind it.
func listen(t *testing.T, cfg ws.Config) (l *ws.Listener, url string) {
	t.Helper()
	l = ws.NewListener(cfg)
	srv := httptest.NewServer(l)
	t.Cleanup(func() {
		_ = l.Close()
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return l, srv.URL
}

func accept(t *testing.T, l *ws.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw does the handshake by hand and returns the bare connection, to send what no library would.
func raw(t *testing.T, url, header string) (net.Conn, *bufio.Reader) {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", host, header); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", resp, err)
	}
	return c, br
}

func masked(f gobwas.Frame) []byte {
	b, err := gobwas.CompileFrame(gobwas.MaskFrame(f))
	if err != nil {
		panic(err)
	}
	return b
}

// readFrame reads one frame of at most 1 MiB.
func readFrame(r io.Reader) (f gobwas.Frame, err error) {
	if f.Header, err = gobwas.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 1<<20 {
		return f, fmt.Errorf("a frame of %d bytes", f.Header.Length)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func closeCode(t *testing.T, r io.Reader) gobwas.StatusCode {
	t.Helper()
	for {
		f, err := readFrame(r)
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		if f.Header.OpCode == gobwas.OpClose {
			code, _ := gobwas.ParseCloseFrameData(f.Payload)
			return code
		}
	}
}

func TestMessagesAreAStreamBothWays(t *testing.T) {
	l, url := listen(t, ws.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.CloseNow() })
	server := accept(t, l)

	var want []byte
	for _, n := range []int{1, 0, 125, 126, 1000, 65535, 65536, 200000} {
		m := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, n/3+1)[:n]
		want = append(want, m...)
		if err := client.Write(ctx, websocket.MessageBinary, m); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, m) {
			t.Fatalf("message of %d bytes: %v", n, err)
		}
	}
	fw := server.(interface{ WriteFrames([][]byte) error })
	if err := fw.WriteFrames([][]byte{[]byte("one"), {}, want[:70000]}); err != nil {
		t.Fatal(err)
	}
	client.SetReadLimit(1 << 20)
	for _, w := range [][]byte{[]byte("one"), {}, want[:70000]} {
		kind, got, err := client.Read(ctx)
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, w) {
			t.Fatalf("got %s of %d bytes, %v, expected binary of %d", kind, len(got), err, len(w))
		}
	}
}

func TestFragmentsAndControlFramesArriveInPieces(t *testing.T) {
	l, url := listen(t, ws.Config{})
	first := gobwas.NewFrame(gobwas.OpBinary, false, []byte("hel"))
	last := gobwas.NewFrame(gobwas.OpContinuation, true, []byte("lo"))
	stream := masked(first)
	stream = append(stream, masked(gobwas.NewPingFrame([]byte("p1")))...)
	stream = append(stream, masked(last)...)
	stream = append(stream, masked(gobwas.NewPongFrame(nil))...)
	stream = append(stream, masked(gobwas.NewBinaryFrame(bytes.Repeat([]byte("x"), 300)))...)
	hasty, rest := stream[:5], stream[5:]
	c, br := raw(t, url, string(hasty)) // in one write with the request
	server := accept(t, l)
	go func() {
		for i := range rest {
			if _, err := c.Write(rest[i : i+1]); err != nil {
				return
			}
		}
	}()
	got := make([]byte, 305)
	for i := range got { // a byte at a time, too
		if _, err := server.Read(got[i : i+1]); err != nil {
			t.Fatalf("after %q: %v", got[:i], err)
		}
	}
	if want := "hello" + strings.Repeat("x", 300); string(got) != want {
		t.Errorf("read %q", got)
	}
	f, err := readFrame(br)
	if err != nil || f.Header.OpCode != gobwas.OpPong || string(f.Payload) != "p1" {
		t.Errorf("answer to the ping: %+v, %v", f, err)
	}
	if _, err := c.Write(masked(gobwas.NewCloseFrame(gobwas.NewCloseFrameBody(gobwas.StatusGoingAway, "bye")))); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("after the close: %v", err)
	}
	if code := closeCode(t, br); code != gobwas.StatusGoingAway {
		t.Errorf("the close was answered with %d", code)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after the close: %v", err)
	}
}

func TestReadsSurviveTheirDeadlinesAtEveryByte(t *testing.T) {
	l, url := listen(t, ws.Config{})
	c, _ := raw(t, url, "")
	server := accept(t, l)
	var got []byte
	buf := make([]byte, 64)
	for _, b := range masked(gobwas.NewBinaryFrame([]byte("whole"))) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		_ = server.SetReadDeadline(time.Now().Add(3 * time.Millisecond)) // strikes in the middle of the frame
		n, err := server.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	_ = server.SetReadDeadline(time.Now().Add(patience))
	for len(got) < 5 {
		n, err := server.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != "whole" {
		t.Errorf("read %q", got)
	}
}

func TestBrokenFramesEndTheConnectionWithTheirCode(t *testing.T) {
	unmasked, _ := gobwas.CompileFrame(gobwas.NewBinaryFrame([]byte("x")))
	huge := []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	for name, c := range map[string]struct {
		bytes []byte
		err   error
		code  gobwas.StatusCode
	}{
		"text":               {masked(gobwas.NewTextFrame([]byte("{}"))), ws.ErrText, gobwas.StatusUnsupportedData},
		"unmasked":           {unmasked, ws.ErrProtocol, gobwas.StatusProtocolError},
		"reserved opcode":    {[]byte{0x83, 0x80, 0, 0, 0, 0}, ws.ErrProtocol, gobwas.StatusProtocolError},
		"reserved bit":       {[]byte{0xc2, 0x80, 0, 0, 0, 0}, ws.ErrProtocol, gobwas.StatusProtocolError},
		"lone continuation":  {masked(gobwas.NewFrame(gobwas.OpContinuation, true, nil)), ws.ErrProtocol, gobwas.StatusProtocolError},
		"fragmented ping":    {[]byte{0x09, 0x80, 0, 0, 0, 0}, ws.ErrProtocol, gobwas.StatusProtocolError},
		"length of 64 bits":  {huge, ws.ErrProtocol, gobwas.StatusProtocolError},
		"oversize":           {masked(gobwas.NewBinaryFrame(make([]byte, 1001))), ws.ErrTooLong, gobwas.StatusMessageTooBig},
		"close with code 99": {masked(gobwas.NewCloseFrame([]byte{0, 99})), ws.ErrProtocol, gobwas.StatusProtocolError},
		"oversize in fragments": {append(masked(gobwas.NewFrame(gobwas.OpBinary, false, make([]byte, 600))),
			masked(gobwas.NewFrame(gobwas.OpContinuation, true, make([]byte, 600)))...), ws.ErrTooLong, gobwas.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			l, url := listen(t, ws.Config{MaxMessage: 1000})
			conn, br := raw(t, url, "")
			server := accept(t, l)
			if _, err := conn.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, server); !errors.Is(err, c.err) {
				t.Errorf("read ends with %v, expected %v", err, c.err)
			}
			if code := closeCode(t, br); code != c.code {
				t.Errorf("close code %d, expected %d", code, c.code)
			}
		})
	}
}

func TestForeignPagesAndPlainRequestsAreRefused(t *testing.T) {
	l, url := listen(t, ws.Config{Pending: 1})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dial := func(origin string) (*websocket.Conn, int) {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		c, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: h})
		if resp == nil {
			t.Fatal(err)
		}
		if c != nil {
			t.Cleanup(func() { _ = c.CloseNow() })
		}
		return c, resp.StatusCode
	}
	for _, origin := range []string{"http://evil.example", "null", "::"} {
		if _, code := dial(origin); code != http.StatusForbidden {
			t.Errorf("origin %q got %d", origin, code)
		}
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain request got %d", resp.StatusCode)
	}
	if _, code := dial(url); code != http.StatusSwitchingProtocols {
		t.Errorf("the page's own host got %d", code)
	}
	if _, code := dial(""); code != http.StatusServiceUnavailable {
		t.Errorf("one more than may wait got %d", code)
	}
	_ = accept(t, l)
	if _, code := dial(""); code != http.StatusSwitchingProtocols {
		t.Errorf("with a free place, got %d", code)
	}
	_ = l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, code := dial(""); code != http.StatusServiceUnavailable {
		t.Errorf("after Close, got %d", code)
	}
}

func TestAFloodOfPingsIsAnsweredWithoutAQueue(t *testing.T) {
	const pings = 2000
	l, url := listen(t, ws.Config{ControlRate: pings})
	c, br := raw(t, url, "")
	server := accept(t, l)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range pings {
			if _, err := c.Write(masked(gobwas.NewPingFrame(fmt.Appendf(nil, "%d", i)))); err != nil {
				t.Error(err)
				return
			}
		}
		_, _ = c.Write(masked(gobwas.NewBinaryFrame([]byte("end"))))
	})
	wg.Go(func() { // while messages go out
		for range 500 {
			if _, err := server.Write([]byte("tick")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		buf := make([]byte, 3)
		if _, err := io.ReadFull(server, buf); err != nil || string(buf) != "end" {
			t.Errorf("%q, %v", buf, err)
		}
	})
	last, ticks := -1, 0
	for last < pings-1 || ticks < 500 {
		f, err := readFrame(br)
		if err != nil {
			t.Fatalf("after pong %d and %d messages: %v", last, ticks, err)
		}
		switch f.Header.OpCode {
		case gobwas.OpPong:
			var n int
			if _, err := fmt.Sscan(string(f.Payload), &n); err != nil || n <= last {
				t.Fatalf("pong %q after %d", f.Payload, last)
			}
			last = n
		case gobwas.OpBinary:
			ticks++
		}
	}
	wg.Wait()
}

func TestIdleConnectionHoldsLittle(t *testing.T) {
	l, url := listen(t, ws.Config{})
	const conns = 200
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var servers []net.Conn
	for range conns {
		_, _ = raw(t, url, "")
		servers = append(servers, accept(t, l))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / conns
	t.Logf("%d bytes of heap a connection, the test's client (with a 4 KiB reader) included", each)
	if each > 16<<10 {
		t.Errorf("%d bytes of heap an idle connection", each)
	}
	runtime.KeepAlive(servers)
}
