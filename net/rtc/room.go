package rtc

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// room is who publishes and who watches. Nothing waits for its lock while it forwards.
type room struct {
	name   string
	server *Server

	mu         sync.Mutex
	publishers []*publisher // in the order of coming
	viewers    []*session   // that have got through
	speaking   bool         // somebody does
	beats      int64

	inside int // sessions, those that have not got through included, and relays; the server's lock guards it
}

// publisher is a member that publishes. It outlives its session while a newer one takes its place.
type publisher struct {
	who     string
	session *session // nil: it comes from elsewhere
	clock   *senderClock
	sources []*source
	muted   map[Kind]bool
}

// find gives the one of that name who is connected over WebRTC.
func (r *room) find(who string) *publisher {
	for _, p := range r.publishers {
		if p.who == who && p.session != nil {
			return p
		}
	}
	return nil
}

// enter puts a publisher's session into its place. The session that had it is returned.
func (r *room) enter(s *session) (replaced *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.find(s.Who)
	if p == nil {
		if len(r.publishers) >= r.server.cfg.MaxPublishers {
			return nil, errFull("publishers in this room", r.server.cfg.MaxPublishers)
		}
		p = &publisher{who: s.Who}
		r.publishers = append(r.publishers, p)
	}
	replaced = p.session
	p.session, p.clock, p.sources = s, new(senderClock), nil
	r.assign() // viewers keep their slots until the new tracks begin
	p.muted = map[Kind]bool{Audio: s.permit.MuteAudio, Video: s.permit.MuteVideo}
	return replaced, nil
}

// clock is the one of a publisher's tracks.
func (r *room) clock(s *session) *senderClock {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.find(s.Who); p != nil && p.session == s {
		return p.clock
	}
	return new(senderClock) // of one that has left
}

// add takes a track in. ok is false when its publisher has left.
func (r *room) add(s *session, src *source) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.find(s.Who)
	if p == nil || p.session != s {
		return false
	}
	r.addTo(p, src)
	s.stage.tap(src)
	return true
}

func (r *room) addTo(p *publisher, src *source) {
	src.muted.Store(p.muted[src.kind])
	p.sources = append(p.sources, src)
	r.assign()
}

// remove takes a track out, and ends it.
func (r *room) remove(s *session, src *source) {
	r.mu.Lock()
	if p := r.find(s.Who); p != nil {
		p.sources = slices.DeleteFunc(p.sources, func(o *source) bool { return o == src })
	}
	r.assign()
	r.mu.Unlock()
	src.close()
}

// joined begins to serve a session that has got through.
func (r *room) joined(s *session) {
	if s.Direction != Play {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-s.life.Done():
		return
	default:
	}
	r.viewers = append(r.viewers, s)
	r.assignTo(s, r.candidates(), time.Now())
}

// left ends what the session has in the room.
func (r *room) left(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.viewers = slices.DeleteFunc(r.viewers, func(o *session) bool { return o == s })
	for _, sl := range s.slots {
		sl.feed(nil, time.Time{})
	}
	if p := r.find(s.Who); p != nil && p.session == s {
		r.publishers = slices.DeleteFunc(r.publishers, func(o *publisher) bool { return o == p })
		p.sources = nil // each ends with its own goroutine
		r.assign()
	}
}

// candidates are the sources that may be watched, one a track, in the order in which they get slots: who has spoken last comes first, else who has come first.
func (r *room) candidates() []*source {
	type candidate struct {
		*source
		spoke int64
	}
	var all []candidate
	for _, p := range r.publishers {
		var spoke int64
		for _, src := range p.sources {
			spoke = max(spoke, src.sound.spoke)
		}
		for _, src := range p.sources {
			if !src.muted.Load() && p.best(src) {
				all = append(all, candidate{src, spoke})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.spoke, a.spoke) })
	sources := make([]*source, len(all))
	for i := range all {
		sources[i] = all[i].source
	}
	return sources
}

// best tells whether a source is the one of its layers that viewers get.
func (p *publisher) best(src *source) bool {
	return !slices.ContainsFunc(p.sources, func(o *source) bool { return o.kind == src.kind && o.group == src.group && o.layer < src.layer })
}

// assign lays the sources on the slots of all viewers.
func (r *room) assign() {
	candidates, now := r.candidates(), time.Now()
	for _, v := range r.viewers {
		r.assignTo(v, candidates, now)
	}
}

// assignTo lays the first of the candidates on the slots of one viewer. What is on a slot already stays there, so that only those change who must.
func (r *room) assignTo(v *session, candidates []*source, now time.Time) {
	changed := false
	for _, kind := range []Kind{Audio, Video} {
		var slots []*slot
		for _, sl := range v.slots {
			if sl.kind == kind {
				slots = append(slots, sl)
			}
		}
		var wanted []*source
		for _, c := range candidates {
			if c.kind == kind && v.wants(c.who) && len(wanted) < len(slots) {
				wanted = append(wanted, c)
			}
		}
		changed = lay(slots, wanted, now) || changed
	}
	if changed {
		v.tellSlots()
	}
}

// lay puts each of the sources on one of the slots, of which there are enough.
func lay(slots []*slot, wanted []*source, now time.Time) (changed bool) {
	free := make([]*slot, 0, len(slots))
	for _, sl := range slots {
		if src := sl.current(); src != nil && slices.Contains(wanted, src) {
			wanted = slices.DeleteFunc(slices.Clone(wanted), func(o *source) bool { return o == src })
			continue
		}
		free = append(free, sl)
	}
	for i, sl := range free {
		var src *source
		if i < len(wanted) {
			src = wanted[i]
		}
		changed = changed || sl.current() != src
		sl.feed(src, now)
	}
	return changed
}

// wants tells whether a viewer sees this publisher.
func (s *session) wants(who string) bool {
	if len(s.permit.Watch) > 0 {
		return slices.Contains(s.permit.Watch, who)
	}
	return who != s.Who
}

// beat looks who speaks, each fifth of a second.
func (r *room) beat() {
	r.mu.Lock()
	r.beats++
	changed := false
	var speakers []Speaker
	for _, p := range r.publishers {
		for _, src := range p.sources {
			if src.kind != Audio {
				continue
			}
			if src.muted.Load() {
				src.sound.peak.Store(0) // it is not heard
			}
			changed = src.sound.beat(r.beats) || changed
			if src.sound.speaking {
				speakers = append(speakers, Speaker{Who: p.who, Level: src.sound.level()})
			}
		}
	}
	gone := len(speakers) == 0 && r.speaking // with its track
	if !changed && !gone {
		r.mu.Unlock()
		return
	}
	slices.SortStableFunc(speakers, func(a, b Speaker) int { return cmp.Compare(a.Level, b.Level) })
	r.speaking = len(speakers) > 0
	r.assign()
	viewers := slices.Clone(r.viewers)
	r.mu.Unlock()

	r.server.cfg.Rules.Speaking(r.name, speakers)
	event := speakingEvent(speakers)
	for _, v := range viewers {
		v.channel.event(event)
	}
}

// feedback tells publishers what their pictures lack, and how they get here.
func (r *room) feedback() {
	r.mu.Lock()
	var publishers []*session
	for _, p := range r.publishers {
		if p.session != nil && p.session.intakes.pictures.Load() {
			publishers = append(publishers, p.session)
		}
	}
	r.mu.Unlock()
	for _, p := range publishers {
		p.sendFeedback()
	}
}

// sendReports tells all viewers what time it is, and publishers how they are heard.
func (r *room) sendReports(now time.Time) {
	r.mu.Lock()
	viewers := slices.Clone(r.viewers)
	var publishers []*session
	for _, p := range r.publishers {
		if p.session != nil {
			publishers = append(publishers, p.session)
		}
	}
	r.mu.Unlock()
	for _, v := range viewers {
		v.sendReports(now)
	}
	for _, p := range publishers {
		p.sendReceptions(now)
	}
}
