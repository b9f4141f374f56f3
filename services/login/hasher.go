package login

import (
	"context"
	"errors"

	"github.com/alexedwards/argon2id"

	"github.com/skua-go/skua/actor"
)

// hasher hashes passwords off the actor: a few at a time, since each takes a core and much memory, in the order in which they came. Its caller bounds
// how many wait.
type hasher struct {
	params  argon2id.Params
	limit   int
	running int
	waiting []func()
	closed  bool
}

// close begins no more; those who wait for it hear from the end of the service.
func (h *hasher) close() { h.waiting, h.closed = nil, true }

// compare tells whether a password is the one of a hash.
func (h *hasher) compare(c *actor.Context, password, hash string, then func(bool, error)) {
	h.do(c, func() (any, error) { return argon2id.ComparePasswordAndHash(password, hash) }, func(v any, err error) {
		match, _ := v.(bool)
		then(match, err)
	})
}

// hash makes a hash in PHC form, with a new salt.
func (h *hasher) hash(c *actor.Context, password string, then func(string, error)) {
	h.do(c, func() (any, error) { return argon2id.CreateHash(password, &h.params) }, func(v any, err error) {
		hash, _ := v.(string)
		then(hash, err)
	})
}

func (h *hasher) do(c *actor.Context, work func() (any, error), then func(any, error)) {
	start := func() {
		if h.closed {
			return
		}
		c.Go(func(context.Context) (any, error) { return work() }, func(v any, err error) {
			h.finished()
			then(v, failure(c, err))
		})
	}
	if h.running >= h.limit && !h.closed {
		h.waiting = append(h.waiting, c.Resume(start))
		return
	}
	h.running++
	start()
}

// finished hands the place on.
func (h *hasher) finished() {
	if len(h.waiting) == 0 {
		h.running--
		return
	}
	next := h.waiting[0]
	h.waiting = h.waiting[1:]
	next()
}

// failure is what the client hears when a hash could not be made or read.
func failure(c *actor.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, actor.ErrOverloaded):
		return errBusy
	}
	c.Log().Error("password can't be hashed or compared", "error", err)
	return errNoAccounts
}
