// Package hls serves streams as HTTP Live Streaming (RFC 8216bis) with its low-latency extension: fragmented MP4 in segments, which are cut at key frames, and in parts of 0.2 s. Players
// that know parts are some 1 s behind live, others three segments.
//
// One that watches has a session, which its first playlist begins and which is in the query of all that this names. It is a viewer of the stream for as long as it asks for more.
// The segments of a stream are made once, and only while somebody watches.
package hls

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/net/fmp4"
	"github.com/skua-go/skua/net/media"
)

// Why somebody gets nothing, or a session ends.
var (
	// ErrStopping: the server stops.
	ErrStopping = errors.New("hls: the server stops")
	// ErrFull: there are as many sessions as there may be.
	ErrFull = errors.New("hls: too many sessions")
	// errGone: a session has asked for nothing any more.
	errGone = errors.New("hls: the viewer has gone")
	errIdle = errors.New("hls: nobody watches")
)

// Config bounds a Server. Join is needed; else the zero value works.
type Config struct {
	// Join lets a viewer in, or says why not.
	Join func(r *http.Request) (*media.Viewer, error)
	// Status is the HTTP status for an error of Join. Default: 403 for all.
	Status func(err error) int
	// Idle is how long a session may ask for nothing. Default 15 s.
	Idle time.Duration
	// MaxSessions is how many there may be. Default 10,000.
	MaxSessions int
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

// Server is a http.Handler of index.m3u8 and what it names, which are told apart by the last element of a path.
type Server struct {
	cfg     Config
	running sync.WaitGroup
	stop    chan struct{}

	mu       sync.Mutex
	sessions map[string]*session
	streams  map[*media.Stream]*shared
	stopping bool
}

// session is one that watches.
type session struct {
	stream *media.Stream
	viewer *media.Viewer
	from   *packager
	last   time.Time
	busy   int // requests that wait
}

// shared is a stream that is watched by so many.
type shared struct {
	packager *packager
	sessions int
}

// New makes the handler.
func New(cfg Config) (*Server, error) {
	if cfg.Join == nil {
		return nil, errors.New("hls: Config.Join is needed")
	}
	if cfg.Status == nil {
		cfg.Status = func(error) int { return http.StatusForbidden }
	}
	if cfg.Idle <= 0 {
		cfg.Idle = 15 * time.Second
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = 10_000
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, stop: make(chan struct{}), sessions: map[string]*session{}, streams: map[*media.Stream]*shared{}}, nil
}

// Serve ends sessions that ask for nothing until ctx ends, then all, and returns when their streams' goroutines are gone.
func (s *Server) Serve(ctx context.Context) error {
	look := time.NewTicker(s.cfg.Idle / 4)
	defer look.Stop()
	for {
		select {
		case now := <-look.C:
			s.sweep(now)
			continue
		case <-ctx.Done():
		}
		break
	}
	s.mu.Lock()
	s.stopping = true
	close(s.stop)
	for id := range s.sessions {
		s.end(id, ErrStopping)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

func (s *Server) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.sessions {
		if one.busy == 0 && now.Sub(one.last) >= s.cfg.Idle {
			s.end(id, errGone)
		}
	}
}

// end takes a session out. Called with s.mu.
func (s *Server) end(id string, reason error) {
	one := s.sessions[id]
	delete(s.sessions, id)
	one.viewer.Close(reason)
	at := s.streams[one.stream]
	if at == nil || at.packager != one.from {
		return
	}
	if at.sessions--; at.sessions == 0 {
		delete(s.streams, one.stream)
		at.packager.viewer.Close(errIdle)
	}
}

// begin makes a session of a viewer that was let in.
func (s *Server) begin(v *media.Viewer) (id string, one *session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return "", nil, ErrStopping
	case len(s.sessions) >= s.cfg.MaxSessions:
		return "", nil, fmt.Errorf("%w: %d", ErrFull, len(s.sessions))
	}
	at := s.streams[v.Stream()]
	if at == nil {
		// It is patient: what it makes is for all.
		read, err := v.Stream().Join(media.ViewerConfig{Sound: media.UsualSound(), Lag: 10 * time.Second, Patience: time.Hour})
		if err != nil {
			return "", nil, err
		}
		at = &shared{packager: newPackager(read)}
		s.streams[v.Stream()] = at
		s.running.Go(func() { s.pack(v.Stream(), at) })
	}
	at.sessions++
	id = rand.Text()
	one = &session{stream: v.Stream(), viewer: v, from: at.packager, last: time.Now()}
	s.sessions[id] = one
	return id, one, nil
}

// pack makes the segments of a stream. When that ends of itself its sessions leave the room, and may still read what there is.
func (s *Server) pack(stream *media.Stream, at *shared) {
	at.packager.run()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[stream] == at {
		delete(s.streams, stream)
	}
	for _, one := range s.sessions {
		if one.from == at.packager {
			one.viewer.Close(at.packager.ended)
		}
	}
	s.cfg.Log.Debug("hls segments ended", "reason", at.packager.ended)
}

// use finds the session of a request, and keeps it until the release.
func (s *Server) use(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sessions[id]
	if one != nil {
		one.busy++
	}
	return one
}

func (s *Server) release(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.busy--
	one.last = time.Now()
}

const (
	paramSession = "session"
	typeList     = "application/vnd.apple.mpegurl"
	typeMP4      = "video/mp4"
	noteHeader   = "Skua-Note" // what a player does not get, and why
)

// ServeHTTP answers one request. Pages of all origins may watch: who may is the business of Join.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", noteHeader)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a stream is asked for by GET", http.StatusMethodNotAllowed)
		return
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	id := r.URL.Query().Get(paramSession)
	if name == "index.m3u8" {
		v, err := s.cfg.Join(r)
		if err != nil {
			http.Error(w, err.Error(), s.cfg.Status(err))
			return
		}
		if id, _, err = s.begin(v); err != nil {
			v.Close(err)
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	one := s.use(id)
	if one == nil {
		http.Error(w, "there is no such session: begin with index.m3u8", http.StatusGone)
		return
	}
	defer s.release(one)
	s.answer(w, r, one, name, url.Values{paramSession: {id}}.Encode())
}

// answer waits for what is asked for, as long as it can be expected.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, one *session, name, query string) {
	p := one.from
	ctx, cancel := context.WithTimeout(r.Context(), s.patience(p))
	defer cancel()
	for {
		p.mu.Lock()
		changed, ended, left := p.changed, p.ended, p.left
		got, kind, status := p.look(name, query, r.URL.Query())
		p.mu.Unlock()
		// Put out: at the end of the stream what is left comes first.
		if err := one.viewer.Err(); err != nil && ended == nil && one.stream.Err() == nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if status == http.StatusOK {
			w.Header().Set("Content-Type", kind)
			if left != nil {
				w.Header().Set(noteHeader, strings.ReplaceAll(left.Error(), "\n", "; "))
			}
			for _, b := range got {
				if _, err := w.Write(b); err != nil { //nolint:gosec // what is of the request in it was encoded as a query, in text that is no HTML
					return
				}
			}
			return
		}
		if errors.Is(ended, fmp4.ErrCodec) {
			http.Error(w, "the stream can't be watched by HLS: "+ended.Error(), http.StatusUnsupportedMediaType)
			return
		}
		if status != 0 || ended != nil {
			text := "there is no such file"
			if ended != nil {
				text += ": " + ended.Error()
			}
			http.Error(w, text, cmp.Or(status, http.StatusNotFound))
			return
		}
		select {
		case <-changed:
		case <-s.stop:
			http.Error(w, ErrStopping.Error(), http.StatusServiceUnavailable)
			return
		case <-ctx.Done():
			http.Error(w, "it does not come: the publisher sends nothing", http.StatusServiceUnavailable)
			return
		}
	}
}

func (s *Server) patience(p *packager) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.patience(), 5*time.Second)
}

// look gives what there is by a name. Status 0: it will come. Called with p.mu.
func (p *packager) look(name, query string, asked url.Values) (got [][]byte, kind string, status int) {
	switch name {
	case "index.m3u8":
		if len(p.segments) == 0 {
			return nil, "", 0
		}
		return [][]byte{[]byte(p.multivariant(query))}, typeList, http.StatusOK
	case "stream.m3u8":
		if status := p.reached(asked.Get("_HLS_msn"), asked.Get("_HLS_part")); status != http.StatusOK {
			return nil, "", status
		}
		return [][]byte{[]byte(p.media(query))}, typeList, http.StatusOK
	}
	rest, ok := strings.CutPrefix(name, p.epoch+"-")
	rest, mp4 := strings.CutSuffix(rest, ".mp4")
	if !ok || !mp4 {
		return nil, "", http.StatusNotFound
	}
	if number, ok := strings.CutPrefix(rest, "seg"); ok {
		return p.piece(number, "")
	}
	if numbers, ok := strings.CutPrefix(rest, "part"); ok {
		number, index, _ := strings.Cut(numbers, ".")
		return p.piece(number, index)
	}
	if id, ok := strings.CutPrefix(rest, "init"); ok {
		for _, s := range append(p.segments[:len(p.segments):len(p.segments)], p.open) {
			if s != nil && strconv.Itoa(s.head.id) == id {
				return [][]byte{s.head.data}, typeMP4, http.StatusOK
			}
		}
	}
	return nil, "", http.StatusNotFound
}

// reached tells whether a playlist has the segment, and the part, that a player waits for (RFC 8216bis section 6.2.5.2).
func (p *packager) reached(msn, index string) int {
	if len(p.segments) == 0 {
		return 0
	}
	if msn == "" || p.ended != nil {
		return http.StatusOK
	}
	number, err := strconv.ParseUint(msn, 10, 64)
	if err != nil || number > p.open.number+1 {
		return http.StatusBadRequest
	}
	if number < p.open.number {
		return http.StatusOK
	}
	if index != "" && number == p.open.number {
		n, err := strconv.ParseUint(index, 10, 32)
		if err != nil {
			return http.StatusBadRequest
		}
		if n < uint64(len(p.open.parts)) {
			return http.StatusOK
		}
	}
	return 0
}

// piece gives a segment that is whole, or a part of one; the part that comes next is waited for.
func (p *packager) piece(number, index string) (got [][]byte, kind string, status int) {
	n, err := strconv.ParseUint(number, 10, 64)
	s := p.find(n)
	if err != nil || s == nil {
		return nil, "", http.StatusNotFound
	}
	if index == "" {
		if s == p.open {
			return nil, "", http.StatusNotFound
		}
		for _, one := range s.parts {
			got = append(got, one.data)
		}
		return got, typeMP4, http.StatusOK
	}
	i, err := strconv.Atoi(index)
	switch {
	case err != nil || i < 0 || i > len(s.parts) || i == len(s.parts) && s != p.open:
		return nil, "", http.StatusNotFound
	case i == len(s.parts):
		return nil, "", 0
	}
	return [][]byte{s.parts[i].data}, typeMP4, http.StatusOK
}
