package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the node's door for WebRTC. Listen makes it, Serve runs it.
type Server struct {
	cfg     Config
	log     *slog.Logger
	metrics *Metrics
	sockets *sockets

	logs     logs // of the libraries
	outboxes sync.Pool
	reporter uint32 // the SSRC of reports to publishers: nothing is sent by it
	identity atomic.Pointer[identity]

	finished time.Duration // see the constant

	began time.Time // on the wall's clock alone, from where relays and taps count

	connecting atomic.Int64 // sessions that have not got through
	wait       sync.WaitGroup

	mu       sync.Mutex
	rooms    map[string]*room
	sessions map[string]*session
	inside   int // sessions, and those that are being made
	relays   map[*relay]struct{}
	closed   bool

	ending sync.Once
	ended  error
}

const (
	beatEvery   = 200 * time.Millisecond
	reportEvery = 2 * time.Second // RTCP for all
	watchEvery  = time.Second     // for sessions that are silent
	// The certificate is the node's own; clients know it by its hash in the SDP. It is good for a month.
	identityLife = 7 * 24 * time.Hour
)

// Listen opens the sockets, so that an address that is taken is told at once. Serve must be called then, which also closes them.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	srv := &Server{cfg: cfg, finished: finished, log: cfg.Log, logs: logs{cfg.Log}, metrics: cfg.Metrics, rooms: map[string]*room{}, sessions: map[string]*session{}, relays: map[*relay]struct{}{}, reporter: mrand.Uint32(), began: time.Now().Round(0)}
	if err := srv.renew(); err != nil {
		return nil, err
	}
	if err := srv.openSockets(ctx); err != nil {
		return nil, err
	}
	return srv, nil
}

// renew makes a new certificate for the sessions to come.
func (srv *Server) renew() error {
	id, err := newIdentity()
	if err != nil {
		return err
	}
	srv.identity.Store(id)
	return nil
}

// UDP is the address that is listened on for media.
func (srv *Server) UDP() netip.AddrPort { return srv.sockets.udpAddr }

// TCP is the one for clients without UDP, or nil.
func (srv *Server) TCP() net.Addr {
	if srv.sockets.ln == nil {
		return nil
	}
	return srv.sockets.ln.Addr()
}

// Serve runs the rooms until ctx ends, then ends all sessions and returns when they are gone. It is called once.
func (srv *Server) Serve(ctx context.Context) error {
	beat, report, identity := time.NewTicker(beatEvery), time.NewTicker(reportEvery), time.NewTicker(identityLife)
	feedback, watch := time.NewTicker(feedbackEvery), time.NewTicker(min(watchEvery, srv.cfg.Silence/4))
	defer feedback.Stop()
	defer watch.Stop()
	defer beat.Stop()
	defer report.Stop()
	defer identity.Stop()
	for {
		select {
		case <-beat.C:
			for _, r := range srv.allRooms() {
				r.beat()
			}
		case <-feedback.C:
			for _, r := range srv.allRooms() {
				r.feedback()
			}
		case now := <-watch.C:
			for _, s := range srv.all() {
				s.watch(now)
			}
		case now := <-report.C:
			for _, r := range srv.allRooms() {
				r.sendReports(now)
			}
		case <-identity.C:
			if err := srv.renew(); err != nil {
				return errors.Join(err, srv.stop())
			}
		case <-ctx.Done():
			return srv.stop()
		}
	}
}

// Close gives up a Server whose Serve is not called. Afterwards it does nothing.
func (srv *Server) Close() error { return srv.stop() }

func (srv *Server) stop() error {
	srv.ending.Do(func() { srv.ended = srv.end() })
	return srv.ended
}

func (srv *Server) end() error {
	srv.mu.Lock()
	srv.closed = true
	all := slices.Collect(maps.Values(srv.sessions))
	for r := range srv.relays {
		r.from.Close(ErrClosed)
	}
	srv.mu.Unlock()
	for _, s := range all {
		s.close(ReasonStopping)
	}
	srv.wait.Wait()
	return srv.sockets.close()
}

func (srv *Server) all() []*session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return slices.Collect(maps.Values(srv.sessions))
}

func (srv *Server) allRooms() []*room {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return slices.Collect(maps.Values(srv.rooms))
}

// errFull is why somebody has no place.
func errFull(of string, most int) error { return &fullError{of, most} }

type fullError struct {
	of   string
	most int
}

func (f *fullError) Error() string { return fmt.Sprintf("rtc: %d %s already", f.most, f.of) }

// enter takes a place in a room, and makes the room for the first.
func (srv *Server) enter(name string) (*room, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return nil, ErrClosed
	}
	if srv.inside >= srv.cfg.MaxSessions {
		return nil, errFull("sessions", srv.cfg.MaxSessions)
	}
	if srv.connecting.Load() >= int64(srv.cfg.MaxConnecting) {
		return nil, errFull("sessions that are about to connect", srv.cfg.MaxConnecting)
	}
	r, err := srv.hold(name)
	if err != nil {
		return nil, err
	}
	srv.inside++
	srv.connecting.Add(1)
	return r, nil
}

// hold gives a room, made if there is none, which stays until it is released as often. Called with the server's lock.
func (srv *Server) hold(name string) (*room, error) {
	r := srv.rooms[name]
	if r == nil {
		if len(srv.rooms) >= srv.cfg.MaxRooms {
			return nil, errFull("rooms", srv.cfg.MaxRooms)
		}
		r = &room{name: name, server: srv}
		srv.rooms[name] = r
	}
	r.inside++
	return r, nil
}

func (srv *Server) release(r *room) {
	r.inside--
	if r.inside == 0 && srv.rooms[r.name] == r {
		delete(srv.rooms, r.name)
	}
}

// leave gives a place back.
func (srv *Server) leave(r *room) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.inside--
	srv.release(r)
}

// remember makes a session known by its id, and waits for its release before it ends. ok is false when the server is closed.
func (srv *Server) remember(s *session) (ok bool) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return false
	}
	srv.sessions[s.ID] = s
	srv.wait.Add(1)
	return true
}

func (srv *Server) forget(s *session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.sessions, s.ID)
}

func (srv *Server) session(id string) *session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.sessions[id]
}

func (srv *Server) room(name string) *room {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.rooms[name]
}

// of lists a room's sessions of somebody; of all, if who is empty.
func (srv *Server) of(room, who string) []*session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var all []*session
	for _, s := range srv.sessions {
		if s.Room == room && (who == "" || s.Who == who) {
			all = append(all, s)
		}
	}
	return all
}
