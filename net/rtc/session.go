package rtc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"
)

// session is one connection of a publisher or a viewer.
type session struct {
	Session
	server *Server
	room   *room
	permit Permit
	pc     *pion.PeerConnection
	life   context.Context //nolint:containedctx // of the goroutines that read from the library until it is closed
	end    context.CancelFunc
	once   sync.Once

	terms    sync.Mutex // one description at a time
	offer    string
	etag     string
	restarts int

	mu        sync.Mutex
	connected bool
	closed    bool
	patience  *time.Timer // until it has got through
	sound     []*intake   // of a publisher, copied when it changes

	lines   lines   // that it has offered
	slots   []*slot // of a viewer, fixed
	stage   *stage  // of a publisher whose frames a stream gets; the room's lock guards it
	channel channels
	path    path
}

func itoa(n int) string { return strconv.Itoa(n) }

// newID is a name that nobody guesses: who has it may end the session.
func newID() string { return rand.Text() }

// open makes the connection's end at the node. The session is not in the room yet.
func (srv *Server) open(r *room, d Direction, p Permit) (*session, error) {
	s := &session{Session: Session{ID: newID(), Room: r.name, Who: p.Who, Direction: d, Tag: p.Tag}, server: srv, room: r, permit: p, etag: `"0"`}
	if s.Who == "" {
		s.Who = "#" + newID()[:8] // others are told it: not the id, by which the session is ended
	}
	var err error
	if s.pc, err = srv.api(d, &s.path.keys).NewPeerConnection(pion.Configuration{Certificates: srv.certificates()}); err != nil {
		return nil, fmt.Errorf("rtc: %w", err)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.pc.OnConnectionStateChange(s.changed)
	s.pc.OnDataChannel(s.opened)
	s.pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(func(pair *pion.ICECandidatePair) { srv.sockets.paths.follow(&s.path, pair) })
	if d == Publish {
		s.pc.OnTrack(s.track)
	}
	return s, nil
}

// changed is called by the library, in turn.
func (s *session) changed(state pion.PeerConnectionState) {
	switch state {
	case pion.PeerConnectionStateConnected:
		s.mu.Lock()
		first := !s.connected && !s.closed
		s.connected = true
		if s.patience != nil {
			s.patience.Stop()
		}
		s.mu.Unlock()
		if first {
			s.server.connecting.Add(-1)
			s.server.cfg.Rules.Joined(s.Session)
			s.room.joined(s)
		}
	case pion.PeerConnectionStateFailed:
		s.close(ReasonSilent)
	case pion.PeerConnectionStateClosed:
		s.close(ReasonLeft) // the other side has said so
	default:
	}
}

// listen notes a track of sound, of which the publisher will be told.
func (s *session) listen(in *intake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sound = append(slices.Clone(s.sound), in)
}

// wait gives the session its time to get through.
func (s *session) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.connected && !s.closed {
		s.patience = time.AfterFunc(s.server.cfg.ConnectTimeout, func() { s.close(ReasonNever) })
	}
}

// close ends the session, once, without waiting for it: the server does, before it ends.
func (s *session) close(reason string) {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		if !s.connected {
			s.server.connecting.Add(-1)
		}
		if s.patience != nil {
			s.patience.Stop()
		}
		s.mu.Unlock()
		s.end()
		s.server.sockets.paths.end(&s.path)
		s.server.forget(s)
		s.room.left(s)
		s.server.leave(s.room)
		s.server.metrics.ended(s.Direction, reason)
		s.server.cfg.Rules.Left(s.Session, reason)
		s.server.log.Debug("session ended", "room", s.Room, "who", s.Who, "direction", s.Direction, "reason", reason)
		go s.release(reason)
	})
}

// release closes the connection, and with it all goroutines of the session. The server has counted it since it knows the session.
func (s *session) release(reason string) {
	defer s.server.wait.Done()
	if reason != ReasonSilent {
		s.channel.farewell(reason)
	}
	if err := s.pc.GracefulClose(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		s.server.log.Debug("closing a connection", "room", s.Room, "who", s.Who, "error", err)
	}
}

// serveSlot heeds what the viewer says of one of its lines: what it misses, and that it wants a key frame.
func (s *session) serveSlot(sl *slot, sender *pion.RTPSender) {
	buf := make([]byte, 1500)
	for {
		n, _, err := sender.Read(buf)
		if err != nil {
			return // the connection has ended
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			s.server.metrics.invalid.Inc()
			continue
		}
		s.server.turn(func(out *outbox) { sl.heed(packets, time.Now(), out) })
	}
}

// heed reads reports of the viewer.
func (s *slot) heed(packets []rtcp.Packet, now time.Time, out *outbox) {
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.TransportLayerNack:
			if p.MediaSSRC != s.ssrc {
				continue
			}
			for i := range p.Nacks {
				s.lost(p.Nacks[i].PacketList(), now, out)
			}
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			if src := s.current(); src != nil {
				src.askKey()
			}
		}
	}
}

// sendReports tells the viewer of its lines what time it is.
func (s *session) sendReports(now time.Time) {
	var reports []rtcp.Packet
	for _, sl := range s.slots {
		if r := sl.report(now); r != nil {
			cname := rtcp.NewCNAMESourceDescription(r.SSRC, s.Room)
			reports = append(reports, r, cname)
		}
	}
	if len(reports) > 0 {
		_ = s.pc.WriteRTCP(reports) // the next ones tell as much
	}
}
