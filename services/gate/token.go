package gate

import (
	"crypto/rand"
	"encoding/base64"
	"sync"

	"github.com/skua-go/skua/net/packet"
)

// token is what a client shows to go on with its session: random, so who has one was given it.
type token [18]byte

func newToken() token {
	var t token
	_, _ = rand.Read(t[:]) // it never fails (crypto/rand)
	return t
}

// String is how the client has it: 24 letters, digits, "-" and "_".
func (t token) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// parseToken reads what a client has sent; anything that is no token is the zero one, which nobody is given.
func parseToken(s string) token {
	var t token
	if base64.RawURLEncoding.DecodedLen(len(s)) != len(t) {
		return token{}
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(t[:], []byte(s)); err != nil || n != len(t) {
		return token{}
	}
	return t
}

// tokens are the sessions that clients can go on with, and why those that have ended can't: as many of these are remembered as sessions may wait.
type tokens struct {
	mu     sync.Mutex
	live   map[token]*Session
	buried map[token]string
	order  []token // of buried, a ring once it is full
	oldest int
	limit  int
}

func newTokens(limit int) *tokens {
	return &tokens{live: map[token]*Session{}, buried: map[token]string{}, limit: limit}
}

// find gives the session of a token, or the code of why there is none.
func (t *tokens) find(key token) (s *Session, code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.live[key]; s != nil {
		return s, ""
	}
	if code, ok := t.buried[key]; ok {
		return nil, code
	}
	return nil, packet.ResumeUnknown
}

func (t *tokens) add(key token, s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[key] = s
}

func (t *tokens) drop(key token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, key)
}

// bury replaces the tokens of a session that ends by the code of why.
func (t *tokens) bury(st *state, code string) {
	if !st.resumes {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range []token{st.token, st.offered} {
		if key == (token{}) {
			continue
		}
		delete(t.live, key)
		if code == packet.ResumeUnknown {
			continue // which is said of all that are not there
		}
		if len(t.order) < t.limit {
			t.order = append(t.order, key)
		} else {
			delete(t.buried, t.order[t.oldest])
			t.order[t.oldest] = key
			t.oldest = (t.oldest + 1) % t.limit
		}
		t.buried[key] = code
	}
}

// accept makes the token that was offered the session's only one: the client has it. The session's lock is held.
func (t *tokens) accept(st *state) {
	if st.offered == (token{}) {
		return
	}
	t.drop(st.token)
	st.token, st.offered = st.offered, token{}
}

// offer makes a new token beside the one that the client has shown. The session's lock is held.
func (t *tokens) offer(s *Session, shown token) token {
	st := &s.state
	if shown == st.offered {
		t.accept(st)
	} else if st.offered != (token{}) {
		t.drop(st.offered)
	}
	st.offered = newToken()
	t.add(st.offered, s)
	return st.offered
}
