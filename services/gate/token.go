package gate

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
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
func (t *tokens) bury(s *Session, code string) {
	st := &s.state
	if !st.resumes || st.keys == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range st.keys.all() {
		if t.live[key] != s { // the session has come back since, to another Session
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

// keys are the tokens that a session can be had for.
type keys struct {
	known   token          // one that the client has for certain
	offered [offered]token // those of handshakes that it has not acknowledged, newest first; empty ones are none
}

// offered is how many handshakes without an ack are remembered. One would do for a client whose connections end one after the other; but the network may
// deliver the handshake of one that was given up behind that of the next, whose token must not be lost by that.
const offered = 4

func (k *keys) all() []token {
	var found []token
	for _, key := range append([]token{k.known}, k.offered[:]...) {
		if key != (token{}) {
			found = append(found, key)
		}
	}
	return found
}

func (k *keys) has(key token) bool {
	return key != (token{}) && (key == k.known || slices.Contains(k.offered[:], key))
}

// accept makes a token that was offered the session's only one: the client has it. The session's lock is held, here and below.
func (t *tokens) accept(st *state, key token) {
	for _, other := range st.keys.all() {
		if other != key {
			t.drop(other)
		}
	}
	*st.keys = keys{known: key}
}

// offer makes a new token for a client that has shown one of the session's, which it has for certain then.
func (t *tokens) offer(s *Session, shown token) token {
	k := s.state.keys
	if at := slices.Index(k.offered[:], shown); at >= 0 {
		t.drop(k.known)
		k.known = shown
		copy(k.offered[at:], k.offered[at+1:])
		k.offered[offered-1] = token{}
	}
	if oldest := k.offered[offered-1]; oldest != (token{}) {
		t.drop(oldest)
	}
	copy(k.offered[1:], k.offered[:])
	k.offered[0] = newToken()
	t.add(k.offered[0], s)
	return k.offered[0]
}
