// Package rtsp lets publishers and viewers in that speak RTSP 1.0 (RFC 2326): ffmpeg, GStreamer, VLC, cameras and their recorders; RTP goes through the connection (interleaved) or
// over UDP.
//
// A Dialer is the other side: it fetches streams from servers.
//
// Requests, SDP and the payload formats of RTP are read by gortsplib. The sessions are our own: its server queues packets for each viewer and writes them one by one, where here a
// frame is made packets once, and each viewer's goroutine writes all that waits at once, with its own numbers in the headers.
package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/internal/accept"
	"github.com/skua-go/skua/net/media"
)

// Why a connection ends. They come wrapped with what concerned.
var (
	// ErrProtocol: what came is not RTSP, or not what may come now.
	ErrProtocol = errors.New("rtsp: protocol error")
	// ErrLimit: what came is more than is taken.
	ErrLimit = errors.New("rtsp: more than allowed")
	// ErrTimeout: the peer has not said what it wants in time, or nothing comes from it any more.
	ErrTimeout = errors.New("rtsp: timed out")
	// ErrStopping: the server stops.
	ErrStopping = errors.New("rtsp: the server stops")
	// ErrChanged: what a viewer was told of a track is no longer so, which RTSP can't say on the way.
	ErrChanged = errors.New("rtsp: the stream has changed, ask for it again")
)

// Request is what a peer asks for.
type Request struct {
	// Path is that of the URL, without a slash at its end: /live/arena.
	Path string
	// Query is that of the URL.
	Query url.Values
	// Addr is the peer's address.
	Addr net.Addr
	// Agent is what the peer calls itself.
	Agent string
}

// Rooms is where streams are.
type Rooms interface {
	// Publish lets a publisher in, or says why not. It may take its time until ctx ends. ended is media.Stream.Publish's.
	Publish(ctx context.Context, r Request, ended func(reason error)) (*media.Publisher, error)
	// Play lets a viewer in, or says why not.
	Play(ctx context.Context, r Request) (*media.Viewer, error)
}

// Config bounds a Server. Rooms is needed; else the zero value works.
type Config struct {
	Rooms Rooms
	// Status is the status for an error of Rooms. Default: 403 for all.
	Status func(err error) int
	// MaxConns is how many connections there may be. Default 10,000.
	MaxConns int
	// SetupTimeout is how long a peer may take until it publishes or plays. Default 10 s.
	SetupTimeout time.Duration
	// IdleTimeout is how long nothing may come from a publisher. Default 30 s.
	IdleTimeout time.Duration
	// KeepAlive is what viewers are told: those over UDP, and those that pause, say something that often, and are gone when nothing comes for half as long again. Default 60 s.
	KeepAlive time.Duration
	// WriteTimeout is how long a viewer may take nothing. Default 10 s.
	WriteTimeout time.Duration
	// WriteBuffer is what the system keeps for a viewer, bytes: more hides longer that a viewer is slow. Default 256 KiB.
	WriteBuffer int
	// MaxFrame bounds what is kept of a frame that is not complete, bytes. Default 8 MiB.
	MaxFrame int
	// Farewell is how long a viewer over UDP that was told why it is put out may take to leave by itself, before its connection is closed. Default 1 s.
	Farewell time.Duration
	// Unagreed is called for each RTP packet of a publisher that is left out since its payload type is not the one that is taken of its track. It must not wait. Default: nobody is told.
	Unagreed func()
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	for v, d := range map[*int]int{&c.MaxConns: 10_000, &c.WriteBuffer: 256 << 10, &c.MaxFrame: 8 << 20} {
		if *v <= 0 {
			*v = d
		}
	}
	for v, d := range map[*time.Duration]time.Duration{&c.SetupTimeout: 10 * time.Second, &c.IdleTimeout: 30 * time.Second, &c.KeepAlive: time.Minute, &c.WriteTimeout: 10 * time.Second, &c.Farewell: time.Second} {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Status == nil {
		c.Status = func(error) int { return http.StatusForbidden }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is what a node has one of.
type Server struct {
	cfg Config
	udp *UDP // or nil
	// buffers are where packets become a viewer's own: they are taken for as long as a write takes.
	buffers sync.Pool

	mu       sync.Mutex
	sessions map[*session]struct{}
	stopping bool
	accepted atomic.Uint64
	refused  atomic.Uint64
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Rooms == nil {
		return nil, errors.New("rtsp: Config.Rooms is needed")
	}
	return &Server{cfg: cfg.withDefaults(), sessions: map[*session]struct{}{}}, nil
}

// Conns is how many connections there are, have been let in, and were turned away since there were too many.
func (s *Server) Conns() (now int, accepted, refused uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), s.accepted.Load(), s.refused.Load()
}

// Serve lets peers in from ln until ctx ends, then ends all of them and returns when they are gone. It closes ln and udp, by which RTP goes that is not to go through
// connections; nil: none does. It is called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener, udp *UDP) error {
	var running sync.WaitGroup
	defer running.Wait()
	if s.udp = udp; udp != nil {
		running.Go(udp.serve)
		defer udp.Close() // when all sessions have said farewell
	}
	var peers sync.WaitGroup
	defer peers.Wait()
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		s.stop()
	})
	defer stop()
	err := accept.Loop{Name: "rtsp", Log: s.cfg.Log}.Run(ctx, ln, func(conn net.Conn) {
		one := newSession(s, conn)
		if !s.add(one) {
			_ = conn.Close()
			return
		}
		peers.Go(func() {
			defer s.remove(one)
			one.serve(ctx)
		})
	})
	if err != nil {
		s.stop()
		return fmt.Errorf("rtsp: %w", err)
	}
	return nil
}

func (s *Server) add(one *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.sessions) >= s.cfg.MaxConns {
		s.refused.Add(1)
		return false
	}
	s.sessions[one] = struct{}{}
	s.accepted.Add(1)
	return true
}

func (s *Server) remove(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, one)
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for one := range s.sessions {
		one.end(ErrStopping)
	}
}
