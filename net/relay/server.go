package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/internal/accept"
	"github.com/skua-go/skua/net/media"
)

// Grant is what a request gets: one of the two.
type Grant struct {
	// Viewer: its frames are sent. It is closed with the link.
	Viewer *media.Viewer
	// Into: frames are taken.
	Into Into
	// Done is called when the link has ended, with why; nil calls nobody.
	Done func(reason error)
}

// ServerConfig is what a Server stands on. Open is needed.
type ServerConfig struct {
	Config
	// Open gives what a ticket is for, or says why not.
	Open func(ctx context.Context, r Request) (Grant, error)
	// MaxLinks is how many there may be. Default 10,000.
	MaxLinks int
	// MaxStrangers is how many connections may not have said yet who they are. One more ends the oldest: nodes of the cluster say it at once. Default 1,000.
	MaxStrangers int
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

// warnEvery is how often the log is told of refused links: strangers make as many as they like.
const warnEvery = time.Second

// Server is where other nodes reach this one's streams.
type Server struct {
	cfg ServerConfig

	mu        sync.Mutex
	links     map[net.Conn]struct{}
	strangers []net.Conn // the oldest first
	stopping  bool
	refused   uint64
	told      uint64    // of them, when the log was told last
	warned    time.Time // when that was
}

// NewServer makes one.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Open == nil {
		return nil, errors.New("relay: ServerConfig.Open is needed")
	}
	cfg.Config = cfg.withDefaults()
	if cfg.MaxLinks <= 0 {
		cfg.MaxLinks = 10_000
	}
	if cfg.MaxStrangers <= 0 {
		cfg.MaxStrangers = 1000
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, links: map[net.Conn]struct{}{}}, nil
}

// Links is how many there are, and how many were refused, since there were too many or they were no nodes of the cluster.
func (s *Server) Links() (now int, refused uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links), s.refused
}

// Serve takes links from ln until ctx ends, then ends all of them and returns when they are gone. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		s.stop()
	})
	defer stop()
	err := accept.Loop{Name: "media", Log: s.cfg.Log}.Run(ctx, ln, func(conn net.Conn) {
		if !s.add(conn) {
			_ = conn.Close()
			return
		}
		running.Go(func() {
			defer s.remove(conn)
			s.serve(ctx, conn)
		})
	})
	if err != nil {
		s.stop()
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

func (s *Server) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if len(s.strangers) >= s.cfg.MaxStrangers {
		_ = s.strangers[0].Close() // who serves it counts it as refused
		s.strangers = slices.Delete(s.strangers, 0, 1)
	}
	s.strangers = append(s.strangers, conn)
	return true
}

// known is for a connection of a node of the cluster. Where there are too many it is not answered, so that it is tried again.
func (s *Server) known(conn net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.strangers, conn)
	switch {
	case at < 0:
		return net.ErrClosed
	case len(s.links) >= s.cfg.MaxLinks:
		return fmt.Errorf("relay: there are %d links, as many as there may be", len(s.links))
	}
	s.strangers = slices.Delete(s.strangers, at, at+1)
	s.links[conn] = struct{}{}
	return nil
}

func (s *Server) remove(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, conn)
	if at := slices.Index(s.strangers, conn); at >= 0 {
		s.strangers = slices.Delete(s.strangers, at, at+1)
	}
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for conn := range s.links {
		_ = conn.Close()
	}
	for _, conn := range s.strangers {
		_ = conn.Close()
	}
}

// serve is the whole life of a link.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	log := s.cfg.Log.With("addr", conn.RemoteAddr().String())
	r, g, err := s.open(ctx, conn)
	if err != nil {
		level, more := s.refuse(r.From != "" || errors.Is(err, ErrPeer))
		log.Log(ctx, level, "a link of another node is refused", "member", r.From, "room", r.Room, "error", err, "more", more)
		return
	}
	log = log.With("member", r.From, "room", r.Room)
	log.Debug("link to another node")
	l := s.cfg.link(conn)
	if g.Viewer != nil {
		err = l.send(g.Viewer)
		g.Viewer.Close(err)
	} else {
		err = l.receive(g.Into)
	}
	if ctx.Err() != nil {
		err = ErrStopping
	}
	log.Debug("link to another node ended", "reason", err)
	if g.Done != nil {
		g.Done(err)
	}
}

// refuse counts a link that has not come through, and tells how loud to say so, with how many of which nothing was said.
func (s *Server) refuse(matters bool) (level slog.Level, more uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	now := time.Now()
	if !matters || now.Sub(s.warned) < warnEvery {
		return slog.LevelDebug, 0
	}
	more, s.warned, s.told = s.refused-s.told-1, now, s.refused
	return slog.LevelWarn, more
}

// open does the listener's side of the beginning.
func (s *Server) open(ctx context.Context, conn net.Conn) (r Request, g Grant, err error) {
	if err := conn.SetDeadline(time.Now().Add(setup)); err != nil {
		return r, g, err
	}
	nonce, err := greet(conn)
	if err != nil {
		return r, g, err
	}
	r, proof, err := hear(conn, s.cfg.Key, nonce)
	if err != nil {
		return r, g, err
	}
	if err := s.known(conn); err != nil {
		return r, g, err
	}
	limited, cancel := context.WithTimeout(ctx, setup)
	defer cancel()
	g, err = s.cfg.Open(limited, r)
	if err == nil && g.Viewer == nil && g.Into == nil {
		err = errors.New("relay: nothing was granted")
	}
	if failed := answer(conn, proof, err); err == nil && failed != nil {
		err = failed
		if g.Viewer != nil {
			g.Viewer.Close(err)
		}
		if g.Done != nil {
			g.Done(err)
		}
	}
	return r, g, err
}
