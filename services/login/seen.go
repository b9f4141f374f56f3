package login

import (
	"crypto/sha256"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// seen remembers tokens that may be used once. Only those are in it that somebody trusted has signed, so a stranger can't fill it.
type seen struct {
	limit   int
	metrics *Metrics
	until   map[[16]byte]int64 // Unix seconds
	pruned  int64
}

// add remembers a token, or refuses it: because it came before, because it has no name to be remembered by, or because there are too many.
func (s *seen) add(std *jwt.Claims, now time.Time, leeway time.Duration) error {
	if std.ID == "" {
		return &Error{BadToken, "the JWT has no jti"}
	}
	sum := sha256.Sum256([]byte(std.Issuer + "\x00" + std.ID))
	id := [16]byte(sum[:16])
	sec := now.Unix()
	if until, known := s.until[id]; known && sec <= until {
		return errJWTUsed
	}
	if s.until == nil {
		s.until = map[[16]byte]int64{}
	}
	// At most once a second: a full table costs a walk.
	if len(s.until) >= s.limit/2 && s.pruned != sec {
		s.pruned = sec
		maps.DeleteFunc(s.until, func(_ [16]byte, until int64) bool { return until < sec })
	}
	if len(s.until) >= s.limit {
		return errBusy
	}
	s.until[id] = int64(*std.Expiry) + int64(leeway/time.Second) + 1
	s.metrics.remember.Set(float64(len(s.until)))
	return nil
}
