package login

import (
	"time"
)

// standing is what is known of a player who is banned, or some of whose tokens are revoked.
type standing struct {
	ban    *ban
	before int64            // ms: tokens that were issued until then are revoked,
	until  int64            // ms: the last of which would have ended then
	tokens map[uint64]int64 // single revoked ones by id: when they would have ended, ms
}

// maxRevoked bounds the single tokens of a player; beyond it, all are revoked that the player has.
const maxRevoked = 64

type ban struct {
	reason string
	since  time.Time
	until  time.Time // zero: for ever
}

func (b *ban) over(now time.Time) bool { return !b.until.IsZero() && !now.Before(b.until) }

func (b *ban) refusal() *Error { return &Error{Banned, b.text()} }

func (b *ban) out(uid string) Out { return Out{UID: uid, Code: Banned, Msg: b.text()} }

func (b *ban) text() string { return withEnd("banned", b.until, b.reason) }

// withEnd says what, until when and why, as far as there is something to say.
func withEnd(what string, until time.Time, why string) string {
	if !until.IsZero() {
		what += " until " + until.UTC().Format(time.RFC3339)
	}
	if why != "" {
		what += ": " + why
	}
	return what
}

func (s *standing) revokes(t token) bool {
	if t.Issued <= s.before {
		return true
	}
	_, one := s.tokens[t.ID]
	return one
}

// revokeAll revokes what was issued until now and lives as long as lifetime.
func (s *standing) revokeAll(now time.Time, lifetime time.Duration) {
	// Behind the tokens that were made since the last time, which may have been in this millisecond: see fresh.
	s.before = max(now.UnixMilli(), s.before+1)
	s.until = max(s.until, now.Add(lifetime).UnixMilli())
	s.tokens = nil
}

func (s *standing) revoke(t token, now time.Time, lifetime time.Duration) {
	if len(s.tokens) >= maxRevoked {
		s.revokeAll(now, lifetime)
		return
	}
	if s.tokens == nil {
		s.tokens = map[uint64]int64{}
	}
	s.tokens[t.ID] = t.Expires
}

// over forgets what can't matter any more, and tells whether that is all.
func (s *standing) over(now time.Time) bool {
	ms := now.UnixMilli()
	if s.ban != nil && s.ban.over(now) {
		s.ban = nil
	}
	if s.until <= ms {
		s.before, s.until = 0, 0
	}
	for id, end := range s.tokens {
		if end <= ms {
			delete(s.tokens, id)
		}
	}
	return s.ban == nil && s.before == 0 && len(s.tokens) == 0
}

// page is the document of a shard.
type page struct {
	Players []entry `bson:"players"`
}

// entry is a standing in a document. Times are in milliseconds since 1970.
type entry struct {
	UID    string         `bson:"uid"`
	Ban    *entryBan      `bson:"ban,omitempty"`
	Before int64          `bson:"before,omitempty"`
	Until  int64          `bson:"until,omitempty"`
	Tokens []entryRevoked `bson:"tokens,omitempty"`
}

type entryBan struct {
	Reason string `bson:"reason"`
	Since  int64  `bson:"since"`
	Until  int64  `bson:"until,omitempty"`
}

type entryRevoked struct {
	ID    int64 `bson:"id"`
	Until int64 `bson:"until"`
}

func (s *standing) entry(uid string) entry {
	e := entry{UID: uid, Before: s.before, Until: s.until}
	if s.ban != nil {
		e.Ban = &entryBan{Reason: s.ban.reason, Since: s.ban.since.UnixMilli()}
		if !s.ban.until.IsZero() {
			e.Ban.Until = s.ban.until.UnixMilli()
		}
	}
	for id, until := range s.tokens {
		e.Tokens = append(e.Tokens, entryRevoked{int64(id), until})
	}
	return e
}

func (e *entry) standing() *standing {
	s := &standing{before: e.Before, until: e.Until}
	if e.Ban != nil {
		s.ban = &ban{reason: e.Ban.Reason, since: time.UnixMilli(e.Ban.Since)}
		if e.Ban.Until != 0 {
			s.ban.until = time.UnixMilli(e.Ban.Until)
		}
	}
	for _, t := range e.Tokens {
		if s.tokens == nil {
			s.tokens = map[uint64]int64{}
		}
		s.tokens[uint64(t.ID)] = t.Until
	}
	return s
}
