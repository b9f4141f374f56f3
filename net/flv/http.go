package flv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/skua-go/skua/net/media"
)

// Why a viewer ends, beside what its stream says.
var (
	// ErrStopping: the server stops.
	ErrStopping = errors.New("flv: the server stops")
	// errGone: the viewer has closed its connection.
	errGone = errors.New("flv: the viewer has gone")
)

// HTTPConfig bounds an HTTP. Join is needed; else the zero value works.
type HTTPConfig struct {
	// Join lets a viewer in, or says why not.
	Join func(r *http.Request) (*media.Viewer, error)
	// Status is the HTTP status for an error of Join. Default: 403 for all.
	Status func(err error) int
	// WriteTimeout is how long a viewer may take nothing. Default 10 s.
	WriteTimeout time.Duration
	// WriteBuffer is what the system keeps for a viewer, bytes: more hides longer that a viewer is slow. Default 256 KiB.
	WriteBuffer int
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

// HTTP serves viewers over HTTP and, to who asks for an upgrade, over WebSocket (binary messages of whole tags): the two forms that mpegts.js and flv.js take. It is a
// http.Handler; HTTP/1.1 only.
type HTTP struct {
	cfg     HTTPConfig
	running sync.WaitGroup

	mu       sync.Mutex
	viewers  map[*watcher]struct{}
	stopping bool
}

// NewHTTP makes the handler.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	if cfg.Join == nil {
		return nil, errors.New("flv: HTTPConfig.Join is needed")
	}
	if cfg.Status == nil {
		cfg.Status = func(error) int { return http.StatusForbidden }
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.WriteBuffer <= 0 {
		cfg.WriteBuffer = 256 << 10
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &HTTP{cfg: cfg, viewers: map[*watcher]struct{}{}}, nil
}

// Serve waits for the end of ctx, ends all viewers and returns when they are gone. Viewers' connections are no longer the HTTP server's, so its shutdown does not see them.
func (h *HTTP) Serve(ctx context.Context) error {
	<-ctx.Done()
	h.each(func(o *watcher) { o.viewer.Close(ErrStopping) })
	// One that takes nothing is not waited for.
	late := time.AfterFunc(farewellTime, func() { h.each(func(o *watcher) { _ = o.conn.Close() }) })
	defer late.Stop()
	h.running.Wait()
	return nil
}

// each ends the admission of viewers and calls f for those that are in.
func (h *HTTP) each(f func(o *watcher)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
	for o := range h.viewers {
		f(o)
	}
}

// ServeHTTP answers one viewer. Pages of all origins may watch: who may is the business of Join.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a stream is asked for by GET", http.StatusMethodNotAllowed)
		return
	}
	v, err := h.cfg.Join(r)
	if err != nil {
		http.Error(w, err.Error(), h.cfg.Status(err))
		return
	}
	if h.ends() {
		v.Close(ErrStopping)
		http.Error(w, ErrStopping.Error(), http.StatusServiceUnavailable)
		return
	}
	one, err := h.take(w, r)
	if err != nil {
		v.Close(err)
		return
	}
	one.h, one.viewer = h, v
	one.out = media.Batch{Conn: one.conn, Timeout: h.cfg.WriteTimeout}
	if !h.start(one) {
		v.Close(ErrStopping)
		_ = one.conn.Close()
	}
}

func (h *HTTP) ends() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopping
}

// start gives a viewer goroutines of its own: the HTTP server's would keep all that a request needs for as long as the viewer watches. False: the server has ended meanwhile.
func (h *HTTP) start(one *watcher) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false
	}
	h.viewers[one] = struct{}{}
	h.running.Go(one.listen)
	h.running.Go(one.send)
	return true
}

func (h *HTTP) remove(one *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, one)
}

// farewellTime is how long viewers have to hear why they end.
const farewellTime = time.Second

// watcher is one viewer's connection.
type watcher struct {
	h      *HTTP
	conn   net.Conn
	viewer *media.Viewer
	socket bool // it is a WebSocket

	mux   Mux
	head  [ws.MaxHeaderSize]byte
	out   media.Batch
	write sync.Mutex // a WebSocket's pongs come between
}

// take makes the connection ours and answers the request.
func (h *HTTP) take(w http.ResponseWriter, r *http.Request) (*watcher, error) {
	one := &watcher{}
	var err error
	if r.Header.Get("Upgrade") != "" {
		one.socket = true
		one.conn, _, _, err = ws.UpgradeHTTP(r, w)
	} else {
		var rw *bufio.ReadWriter
		if one.conn, rw, err = http.NewResponseController(w).Hijack(); err == nil {
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nCache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n")
			err = rw.Flush()
		}
	}
	if err != nil {
		if one.conn != nil {
			_ = one.conn.Close()
		}
		return nil, fmt.Errorf("flv: %w", err)
	}
	if sized, ok := one.conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = sized.SetWriteBuffer(h.cfg.WriteBuffer) // it is a wish
	}
	return one, one.conn.SetDeadline(time.Time{})
}

// send writes frames until the viewer ends.
func (o *watcher) send() {
	defer o.h.remove(o)
	err := o.frames()
	o.viewer.Close(err)
	if o.socket {
		o.farewell(err)
	}
	_ = o.conn.Close()
	counts := o.viewer.Counts()
	o.h.cfg.Log.Debug("flv viewer ended", "addr", o.conn.RemoteAddr().String(), "reason", err, "frames", counts.Frames, "skips", counts.Skips)
}

// batch is how many frames go out in one system call at most.
const batch = 32

func (o *watcher) frames() error {
	var frames [batch]*media.Frame
	for {
		n, err := o.viewer.Next(frames[:])
		if err != nil {
			return err
		}
		bufs := o.out.Begin()
		if o.socket {
			bufs = append(bufs, nil) // the header's place
		}
		bufs = o.mux.Append(bufs, frames[:n], o.viewer.Params)
		clear(frames[:n])
		if err := o.flush(bufs); err != nil {
			return err
		}
	}
}

// flush writes tags, in one message if they go to a WebSocket.
func (o *watcher) flush(bufs net.Buffers) error {
	if o.socket {
		size := 0
		for _, b := range bufs[1:] {
			size += len(b)
		}
		bufs[0] = o.header(ws.OpBinary, size)
	}
	o.write.Lock()
	defer o.write.Unlock()
	return o.out.Write(bufs)
}

// header is that of a WebSocket's message.
func (o *watcher) header(op ws.OpCode, size int) []byte {
	into := sliceWriter{o.head[:0]}
	_ = ws.WriteHeader(&into, ws.Header{Fin: true, OpCode: op, Length: int64(size)}) // a slice takes all
	return into.b
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// farewell closes a WebSocket with the reason.
func (o *watcher) farewell(reason error) {
	code := ws.StatusNormalClosure
	if errors.Is(reason, media.ErrSlow) || errors.Is(reason, media.ErrStalled) {
		code = ws.StatusPolicyViolation
	}
	text := reason.Error()
	body := ws.NewCloseFrameBody(code, text[:min(len(text), ws.MaxControlFramePayloadSize-2)])
	o.write.Lock()
	defer o.write.Unlock()
	_ = o.conn.SetWriteDeadline(time.Now().Add(farewellTime))
	_ = ws.WriteFrame(o.conn, ws.NewCloseFrame(body)) // it may be gone
}

// listen notices that a viewer goes. What it sends beside is not looked at, but for a WebSocket's pings.
func (o *watcher) listen() {
	var buf [512]byte
	for {
		var err error
		if o.socket {
			err = o.frame(buf[:])
		} else {
			_, err = o.conn.Read(buf[:])
		}
		if err != nil {
			o.viewer.Close(errGone)
			return
		}
	}
}

// frame reads one of a WebSocket.
func (o *watcher) frame(buf []byte) error {
	h, err := ws.ReadHeader(o.conn)
	if err != nil {
		return err
	}
	if h.OpCode == ws.OpClose || h.Length > int64(len(buf)) {
		return errGone
	}
	payload := buf[:h.Length]
	if _, err := io.ReadFull(o.conn, payload); err != nil || h.OpCode != ws.OpPing {
		return err
	}
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	o.write.Lock()
	defer o.write.Unlock()
	return ws.WriteFrame(o.conn, ws.NewPongFrame(payload))
}
