package login_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/skua-go/skua/services/login"
)

// keyServer serves what it is told to.
type keyServer struct {
	*httptest.Server
	serve atomic.Pointer[http.HandlerFunc]
	asked atomic.Int64
}

func newKeyServer(t testing.TB, text []byte) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.text(text)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		(*s.serve.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) does(f http.HandlerFunc) { s.serve.Store(&f) }

func (s *keyServer) text(text []byte) {
	s.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

// asking is a configuration with the keys of a server.
func asking(now *clock, s *keyServer) login.Config {
	return login.Config{
		Methods: []login.Method{login.MethodJWT}, Now: now.now, TokenKeys: keys(1),
		JWT: login.JWT{Source: s.URL, Refresh: time.Hour, Timeout: patience},
	}
}

func TestKeysThatRotateAreLearntWhenTheyAreNeeded(t *testing.T) {
	now := newClock()
	old, fresh := newIssuer("old", jose.EdDSA), newIssuer("new", jose.ES256)
	s := newKeyServer(t, set(old))
	n := start(t, asking(now, s))
	in := func(i *issuer) login.Code { _, err := n.enter("jwt", i.token(t, claims(now, nil))); return code(err) }
	if c := in(old); c != "" {
		t.Fatal(c)
	}
	s.text(set(old, fresh))
	now.pass(10 * time.Second)
	if c := in(fresh); c != "" {
		t.Errorf("a token of the new key: %s", c)
	}
	if asked := s.asked.Load(); asked != 2 {
		t.Errorf("the server was asked %d times", asked)
	}
	s.text(set(fresh))
	now.pass(10 * time.Second)
	if c := in(newIssuer("unknown", jose.EdDSA)); c != login.BadToken {
		t.Error(c)
	}
	if c := in(old); c != login.BadToken {
		t.Errorf("a token of the key that is gone: %s", c)
	}
}

func TestUnknownKeysDoNotHammerTheServer(t *testing.T) {
	now := newClock()
	s := newKeyServer(t, set(newIssuer("known", jose.EdDSA)))
	n := start(t, asking(now, s))
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			n.refused(login.BadToken, "jwt", newIssuer(fmt.Sprint("unknown", i), jose.EdDSA).token(t, claims(now, nil)))
		})
	}
	all.Wait()
	// One at the start; a token that came while it was under way, or after it, needs no other within ten seconds.
	if asked := s.asked.Load(); asked != 1 {
		t.Errorf("the server was asked %d times", asked)
	}
	now.pass(10 * time.Second)
	for i := range 100 {
		n.refused(login.BadToken, "jwt", newIssuer(fmt.Sprint("more", i), jose.EdDSA).token(t, claims(now, nil)))
	}
	if asked := s.asked.Load(); asked != 2 {
		t.Errorf("the server was asked %d times", asked)
	}
}

func TestAServerOfKeysThatMisbehavesLeavesTheKnownOnesInForce(t *testing.T) {
	now := newClock()
	known := newIssuer("known", jose.EdDSA)
	s := newKeyServer(t, set(known))
	cfg := asking(now, s)
	cfg.JWT.Timeout = 3 * time.Second
	n := start(t, cfg)
	if _, err := n.enter("jwt", known.token(t, claims(now, nil))); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	defer close(over)
	for what, f := range map[string]http.HandlerFunc{
		"fails":         func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"hangs up":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"sends garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\xff\x00")) },
		"sends no keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"sends 100 MB": func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 100 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			t.Error("all of it was read")
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-over:
			}
		},
		"drips": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-over:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		},
		"sends elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://id.example/keys", http.StatusFound)
		},
		"sends around": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
	} {
		s.does(f)
		now.pass(10 * time.Second)
		asked := s.asked.Load()
		_, err := n.enter("jwt", newIssuer("unknown", jose.EdDSA).token(t, claims(now, nil)))
		if code(err) != login.BadToken || s.asked.Load() == asked {
			t.Errorf("a server that %s: %v", what, err)
		}
		if _, err := n.enter("jwt", known.token(t, claims(now, nil))); err != nil {
			t.Errorf("a server that %s: the known key: %v", what, err)
		}
	}
}

func TestWhileKeysAreReadOthersGetIn(t *testing.T) {
	now := newClock()
	known := newIssuer("known", jose.EdDSA)
	s := newKeyServer(t, set(known))
	n := start(t, asking(now, s))
	if _, err := n.enter("jwt", known.token(t, claims(now, nil))); err != nil {
		t.Fatal(err)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	fresh := newIssuer("fresh", jose.EdDSA)
	s.does(func(w http.ResponseWriter, _ *http.Request) { close(begun); <-goOn; _, _ = w.Write(set(fresh)) })
	now.pass(10 * time.Second)
	var waits sync.WaitGroup
	waits.Go(func() {
		if _, err := n.enter("jwt", fresh.token(t, claims(now, nil))); err != nil {
			t.Error(err)
		}
	})
	<-begun
	if _, err := n.enter("jwt", known.token(t, claims(now, nil))); err != nil {
		t.Error(err)
	}
	if _, err := n.enter("token", n.issue("42")); err != nil {
		t.Error(err)
	}
	close(goOn)
	waits.Wait()
}

func TestWhoWaitsForKeysIsBounded(t *testing.T) {
	now := newClock()
	s := newKeyServer(t, set(newIssuer("known", jose.EdDSA)))
	goOn := make(chan struct{})
	s.does(func(http.ResponseWriter, *http.Request) { <-goOn })
	cfg := asking(now, s)
	cfg.Queue = 5
	n := start(t, cfg)
	var all sync.WaitGroup
	var busy, others atomic.Int64
	for range 20 {
		all.Go(func() {
			if _, err := n.enter("jwt", newIssuer("x", jose.EdDSA).token(t, claims(now, nil))); code(err) == login.Busy {
				busy.Add(1)
			} else {
				others.Add(1)
			}
		})
	}
	until(t, "those who are too many were sent away", func() bool { return busy.Load() == 15 })
	close(goOn)
	all.Wait()
	if others.Load() != 5 {
		t.Errorf("%d waited", others.Load())
	}
}

func TestWithoutKeysNobodyIsJudgedAndTheyAreLearntLater(t *testing.T) {
	now := newClock()
	i := newIssuer("x", jose.EdDSA)
	s := newKeyServer(t, nil)
	s.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	cfg := asking(now, s)
	cfg.JWT.MinRefresh = 50 * time.Millisecond
	n := start(t, cfg)
	n.refused(login.Unavailable, "jwt", i.token(t, claims(now, nil)))
	s.text(set(i))
	until(t, "the keys are known", func() bool { _, err := n.enter("jwt", i.token(t, claims(now, nil))); return err == nil })
}

func TestKeysThatCannotBeReadForADayAreTrustedNoMore(t *testing.T) {
	now := newClock()
	i := newIssuer("x", jose.EdDSA)
	s := newKeyServer(t, set(i))
	n := start(t, asking(now, s))
	if _, err := n.enter("jwt", i.token(t, claims(now, nil))); err != nil {
		t.Fatal(err)
	}
	s.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	unknown := newIssuer("unknown", jose.EdDSA)
	now.pass(23 * time.Hour)
	n.refused(login.BadToken, "jwt", unknown.token(t, claims(now, nil)))
	if _, err := n.enter("jwt", i.token(t, claims(now, nil))); err != nil {
		t.Error(err)
	}
	now.pass(2 * time.Hour)
	n.refused(login.Unavailable, "jwt", unknown.token(t, claims(now, nil)))
	n.refused(login.Unavailable, "jwt", i.token(t, claims(now, nil)))
}

func TestAFetchEndsWithItsContext(t *testing.T) {
	over := make(chan struct{})
	s := newKeyServer(t, nil)
	s.does(func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := login.Fetch(ctx, s.URL); err == nil {
		t.Error("it went on")
	}
}
