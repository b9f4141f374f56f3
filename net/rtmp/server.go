// Package rtmp lets publishers and viewers in that speak RTMP (Adobe's Real Time Messaging Protocol 1.0), with the codecs of Enhanced RTMP: OBS, ffmpeg, GStreamer, players.
//
// It is our own and not a library's, since bytes from anybody go straight into it: the bounds on chunks, messages and AMF stand where they are read, and a frame that 1,000
// viewers get is put into chunks once.
package rtmp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/internal/accept"
	"github.com/skua-go/skua/net/media"
)

// Why a connection ends.
var (
	// ErrTimeout: the peer has not said what it wants in time, or nothing came from a publisher.
	ErrTimeout = errors.New("rtmp: timed out")
	// ErrStopping: the server stops.
	ErrStopping = errors.New("rtmp: the server stops")
)

// Request is what a peer asks for.
type Request struct {
	// App and Stream are the first and the second part of the URL's path: rtmp://host/APP/STREAM.
	App, Stream string
	// Query is what stands behind either of them; the stream's counts.
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
	// MaxConns is how many connections there may be. Default 10,000.
	MaxConns int
	// SetupTimeout is how long a peer may take until it publishes or plays. Default 10 s.
	SetupTimeout time.Duration
	// IdleTimeout is how long nothing may come from a publisher. Default 30 s.
	IdleTimeout time.Duration
	// WriteTimeout is how long a viewer may take nothing. Default 10 s.
	WriteTimeout time.Duration
	// WriteBuffer is what the system keeps for a viewer, bytes: more hides longer that a viewer is slow. Default 256 KiB.
	WriteBuffer int
	// MaxMessage bounds a picture, bytes. Default 8 MiB.
	MaxMessage int
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	for v, d := range map[*int]int{&c.MaxConns: 10_000, &c.WriteBuffer: 256 << 10, &c.MaxMessage: 8 << 20} {
		if *v <= 0 {
			*v = d
		}
	}
	for v, d := range map[*time.Duration]time.Duration{&c.SetupTimeout: 10 * time.Second, &c.IdleTimeout: 30 * time.Second, &c.WriteTimeout: 10 * time.Second} {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is what a node has one of.
type Server struct {
	cfg Config

	mu       sync.Mutex
	sessions map[*session]struct{}
	stopping bool
	accepted atomic.Uint64
	refused  atomic.Uint64
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Rooms == nil {
		return nil, errors.New("rtmp: Config.Rooms is needed")
	}
	return &Server{cfg: cfg.withDefaults(), sessions: map[*session]struct{}{}}, nil
}

// Conns is how many connections there are, have been let in, and were turned away since there were too many.
func (s *Server) Conns() (now int, accepted, refused uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), s.accepted.Load(), s.refused.Load()
}

// Serve lets peers in from ln until ctx ends, then ends all of them and returns when they are gone. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		s.stop()
	})
	defer stop()
	err := accept.Loop{Name: "rtmp", Log: s.cfg.Log}.Run(ctx, ln, func(conn net.Conn) {
		one := newSession(s, conn)
		if !s.add(one) {
			_ = conn.Close()
			return
		}
		running.Go(func() {
			defer s.remove(one)
			one.serve(ctx)
		})
	})
	if err != nil {
		s.stop()
		return fmt.Errorf("rtmp: %w", err)
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
