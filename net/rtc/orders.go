package rtc

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc/terms"
)

// Kind is what a track carries.
type Kind string

// What there is to be muted.
const (
	Audio Kind = "audio"
	Video Kind = "video"
)

func kindOf(k terms.Kind) Kind {
	if k == terms.Audio {
		return Audio
	}
	return Video
}

// Members lists who is in a room, by name.
func (srv *Server) Members(room string) []Session {
	all := srv.of(room, "")
	members := make([]Session, len(all))
	for i, s := range all {
		members[i] = s.Session
	}
	slices.SortFunc(members, func(a, b Session) int { return cmp.Or(cmp.Compare(a.Who, b.Who), cmp.Compare(a.ID, b.ID)) })
	return members
}

// Kick ends all sessions of somebody in a room, who is told why. It fails with ErrNoMember if there are none.
func (srv *Server) Kick(room, who, reason string) error {
	all := srv.of(room, who)
	if who == "" || len(all) == 0 {
		return fmt.Errorf("%w: %q in room %q", ErrNoMember, who, room)
	}
	for _, s := range all {
		s.close(reason)
	}
	return nil
}

// End ends one session, which is told why. It fails with ErrNoMember if there is none of this id.
func (srv *Server) End(id, reason string) error {
	s := srv.session(id)
	if s == nil {
		return fmt.Errorf("%w: session %q", ErrNoMember, id)
	}
	s.close(reason)
	return nil
}

// Feed has what a session publishes written to a stream as well, for viewers by other protocols: its first track of each kind, until the session or the
// stream's publisher ends. It fails with ErrNoMember if there is no such session that publishes.
func (srv *Server) Feed(id string, to *media.Publisher) error {
	s := srv.session(id)
	if s == nil || s.Direction != Publish {
		return fmt.Errorf("%w: session %q", ErrNoMember, id)
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.stage = &stage{server: srv, to: to, lines: s.lines, taken: map[media.Kind]bool{}}
	if p := s.room.find(s.Who); p != nil && p.session == s {
		for _, src := range p.sources {
			s.stage.tap(src)
		}
	}
	return nil
}

// Mute ends or resumes what a publisher sends of one kind: nobody gets it, and what is said is not heard as speaking. It holds until the publisher leaves.
func (srv *Server) Mute(room, who string, kind Kind, on bool) error {
	r := srv.room(room)
	if r == nil {
		return fmt.Errorf("%w: %q", ErrNoRoom, room)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.find(who)
	if p == nil {
		return fmt.Errorf("%w: no publisher %q in room %q", ErrNoMember, who, room)
	}
	p.muted[kind] = on
	for _, src := range p.sources {
		if src.kind == kind && src.muted.Swap(on) && !on {
			src.newestKey.Store(0) // nobody begins with what has come meanwhile
		}
	}
	r.assign()
	return nil
}

// Tell says something to somebody on the data channel "room"; to all of the room, if who is empty. It returns how many were told: those who listen, and are not too far behind.
func (srv *Server) Tell(room, who string, text []byte) int {
	told := 0
	for _, s := range srv.of(room, who) {
		if s.tell(text) {
			told++
		}
	}
	return told
}
