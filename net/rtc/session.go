package rtc

import (
	"context"
	"crypto/rand"
	mrand "math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"github.com/skua-go/skua/net/rtc/terms"
)

// session is one connection of a publisher or a viewer. It has no goroutine of its own once it has got through, unless it has data channels: what comes is served by who reads from the socket.
type session struct {
	Session
	server   *Server
	room     *room
	permit   Permit
	identity *identity
	life     context.Context //nolint:containedctx // of its goroutines
	end      context.CancelFunc
	once     sync.Once
	tasks    sync.WaitGroup

	offer *terms.Offer // what was agreed
	talks bool         // it has data channels
	lines lines        // that it has offered

	lane   atomic.Pointer[lane]  // where the client is; nil before its first check
	heard  atomic.Int64          // when it was heard last, in Unix nanoseconds
	keys   atomic.Pointer[crypt] // nil before the end of the handshake
	path   path
	secure secure

	terms    sync.Mutex // one restart at a time
	restarts int

	mu       sync.Mutex
	through  bool   // it has got through
	joining  bool   // its rules are being told so
	leaving  func() // and that it has left, when they have been
	closed   bool
	patience *time.Timer // until it has
	early    [][]byte    // media that came before the keys
	streams  []*stream   // over TCP

	slots   []*slot // of a viewer, fixed
	intakes intakes // of a publisher
	stage   *stage  // of a publisher whose frames a stream gets; the room's lock guards it
	channel channels
}

// Bounds of what a client makes the node keep.
const (
	maxEarly   = 32
	maxStreams = 4
)

// maxReports go into one datagram: two a line, of 60 bytes and the room's name.
const maxReports = 12

func itoa(n int) string { return strconv.Itoa(n) }

// newID is a name that nobody guesses: who has it may end the session.
func newID() string { return rand.Text() }

// open makes a session of what was agreed. It is not in the room yet.
func (srv *Server) open(r *room, d Direction, p Permit, offer *terms.Offer) *session {
	s := &session{Session: Session{ID: newID(), Room: r.name, Who: p.Who, Direction: d, Tag: p.Tag}, server: srv, room: r, permit: p, identity: srv.identity.Load(), offer: offer}
	if s.Who == "" {
		s.Who = "#" + newID()[:8] // others are told it: not the id, by which the session is ended
	}
	s.secure.s = s
	s.life, s.end = context.WithCancel(context.Background())
	s.heard.Store(time.Now().UnixNano())
	s.lines = linesOf(offer)
	for i := range offer.Lines {
		l := &offer.Lines[i]
		switch {
		case l.Rejected:
		case l.Kind == terms.Data:
			s.talks = true
		case d == Play:
			l.SSRC = mrand.Uint32()
			s.addSlot(l)
		}
	}
	srv.sockets.paths.name(s, newCredentials(), credentials{offer.Ufrag, offer.Pwd})
	return s
}

// spawn runs a goroutine that the session's end waits for. ok is false when that has come.
func (s *session) spawn(f func()) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.tasks.Go(f)
	return true
}

// adopt notes a connection over TCP as the session's, which ends with it.
func (s *session) adopt(st *stream) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams = slices.DeleteFunc(s.streams, func(o *stream) bool { return o.ended.Load() })
	if s.closed || len(s.streams) == maxStreams {
		return false
	}
	s.streams = append(s.streams, st)
	return true
}

// receive takes a datagram of the client in, and tells whether it is certainly the client's. b and plain are the caller's again when it returns.
func (s *session) receive(b []byte, now time.Time, plain []byte, out *outbox) (proven bool) {
	switch {
	case isDTLS(b):
		s.secure.take(b, now)
	case isRTP(b), isRTCP(b):
		keys := s.keys.Load()
		if keys == nil {
			if s.keep(b) {
				return false
			}
			if keys = s.keys.Load(); keys == nil {
				return false
			}
		}
		return s.media(keys, b, now, plain, out)
	}
	return false
}

// keep holds media back that comes before the handshake is over at the node: it is at the client, one way earlier. ok is false where there is no need, or too much of it.
func (s *session) keep(b []byte) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys.Load() != nil || len(s.early) == maxEarly {
		return false
	}
	s.early = append(s.early, slices.Clone(b))
	return true
}

// keyed has media go, first what came too early.
func (s *session) keyed(keys *crypt) {
	s.mu.Lock()
	early := s.early
	s.early = nil
	s.keys.Store(keys)
	s.mu.Unlock()
	plain := make([]byte, datagramRoom)
	s.server.turn(func(out *outbox) {
		for _, b := range early {
			s.media(keys, b, time.Now(), plain, out)
		}
	})
}

// media decrypts a packet and hands it on, and tells whether it is under the client's keys.
func (s *session) media(keys *crypt, b []byte, now time.Time, plain []byte, out *outbox) (proven bool) {
	if isRTCP(b) {
		opened, err := keys.openRTCP(plain, b)
		if err != nil {
			s.server.metrics.invalid.Inc()
			return false
		}
		s.hears(now)
		packets, err := rtcp.Unmarshal(opened)
		if err != nil {
			s.server.metrics.invalid.Inc()
			return true
		}
		s.heed(packets, now, out)
		return true
	}
	if s.life.Err() != nil {
		return false // it is about to be forgotten
	}
	if s.Direction != Publish || !s.intakes.may(b) {
		s.server.metrics.unagreed.Inc()
		return false
	}
	opened, err := keys.openRTP(plain, b)
	if err != nil {
		s.server.metrics.invalid.Inc()
		return false
	}
	s.hears(now)
	if in := s.intake(opened); in != nil {
		in.take(opened, now, out)
	}
	return true
}

// hears notes that something has come which only the client can have sent, under the keys of the handshake.
func (s *session) hears(now time.Time) {
	s.heard.Store(now.UnixNano())
	if !s.secure.heard.Load() {
		s.secure.heardOf()
	}
}

// heed reads what the client reports.
func (s *session) heed(packets []rtcp.Packet, now time.Time, out *outbox) {
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if in := s.intakes.of(p.SSRC); in != nil {
				in.src.time.report(p.NTPTime, p.RTPTime, now)
				in.came.sender(p.NTPTime, now)
			}
		case *rtcp.TransportLayerNack:
			if sl := s.slot(p.MediaSSRC); sl != nil {
				for i := range p.Nacks {
					sl.lost(p.Nacks[i].PacketList(), now, out)
				}
			}
		case *rtcp.PictureLossIndication:
			s.slot(p.MediaSSRC).askKey()
		case *rtcp.FullIntraRequest:
			for _, f := range p.FIR {
				s.slot(f.SSRC).askKey()
			}
		}
	}
}

// slot is the one of a viewer that is sent as this source, or nil.
func (s *session) slot(ssrc uint32) *slot {
	for _, sl := range s.slots {
		if sl.ssrc == ssrc {
			return sl
		}
	}
	return nil
}

// report sends RTCP. What does not get there is told again by the next one, or asked for again.
func (s *session) report(packets ...rtcp.Packet) {
	keys, l := s.keys.Load(), s.lane.Load()
	if keys == nil || l == nil || len(packets) == 0 {
		return
	}
	b, err := keys.sealRTCP(packets)
	if err == nil {
		err = l.write(b)
	}
	if err != nil {
		s.server.metrics.failed.Inc()
	}
}

// connected begins to serve a session that has got through.
func (s *session) connected() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.through, s.joining = true, true
	if s.patience != nil {
		s.patience.Stop()
	}
	s.server.connecting.Add(-1)
	s.mu.Unlock()
	s.server.cfg.Rules.Joined(s.Session)
	s.mu.Lock()
	s.joining = false
	left := s.leaving
	s.mu.Unlock()
	if left != nil {
		left()
		return
	}
	s.room.joined(s)
}

// wait gives the session its time to get through.
func (s *session) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.through && !s.closed {
		s.patience = time.AfterFunc(s.server.cfg.ConnectTimeout, func() { s.close(ReasonNever) })
	}
}

// watch ends a session whose client has not been heard for too long (RFC 7675).
func (s *session) watch(now time.Time) {
	if now.UnixNano()-s.heard.Load() < int64(s.server.cfg.Silence) {
		return
	}
	s.mu.Lock()
	through := s.through
	s.mu.Unlock()
	if through {
		s.close(ReasonSilent)
	}
}

// close ends the session, once, without waiting for it: the server does, before it ends.
func (s *session) close(reason string) {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		if !s.through {
			s.server.connecting.Add(-1)
		}
		if s.patience != nil {
			s.patience.Stop()
		}
		s.mu.Unlock()
		s.end()
		s.server.forget(s)
		s.room.left(s)
		s.server.leave(s.room)
		s.server.metrics.ended(s.Direction, reason)
		s.leaves(reason)
		s.server.log.Debug("session ended", "room", s.Room, "who", s.Who, "direction", s.Direction, "reason", reason)
		go s.release(reason)
	})
}

// leaves tells the rules, behind what they are told just now: a session may end while it is being let in.
func (s *session) leaves(reason string) {
	left := func() { s.server.cfg.Rules.Left(s.Session, reason) }
	s.mu.Lock()
	if s.joining {
		s.leaving = left
		left = func() {}
	}
	s.mu.Unlock()
	left()
}

// release tells the client, and ends all that runs for the session. The server has counted it since it knows the session.
func (s *session) release(reason string) {
	defer s.server.wait.Done()
	if reason != ReasonSilent {
		s.channel.farewell(reason)
	}
	s.secure.close(reason == ReasonSilent)
	s.tasks.Wait()
	s.server.sockets.paths.end(s)
	s.intakes.end(s)
	s.mu.Lock()
	streams := s.streams
	s.mu.Unlock()
	for _, st := range streams {
		st.finish()
	}
}

// sendReports tells the viewer of its lines what time it is.
func (s *session) sendReports(now time.Time) {
	var reports []rtcp.Packet
	for _, sl := range s.slots {
		if r := sl.report(now); r != nil {
			reports = append(reports, r, rtcp.NewCNAMESourceDescription(r.SSRC, s.Room))
		}
	}
	for some := range slices.Chunk(reports, maxReports) {
		s.report(some...)
	}
}
