package login_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/services/login"
)

// clock is one that a test sets.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.ns.Load()) }
func (c *clock) pass(d time.Duration) { c.ns.Add(int64(d)) }
func key(n int) []byte                { return []byte(fmt.Sprintf("a key for tokens with number %06d", n)) }

func keys(ns ...int) (all [][]byte) {
	for _, n := range ns {
		all = append(all, key(n))
	}
	return all
}

// tokens is a configuration with tokens.
func tokens(now *clock) login.Config {
	return cheap(login.Config{Register: true, TokenKeys: keys(1), Lifetime: time.Hour, Retry: 50 * time.Millisecond, Now: now.now, Methods: []login.Method{login.MethodPassword, login.MethodGuest}})
}

func (n *node) token(name string) login.Account {
	n.t.Helper()
	acc, err := n.login(name, "pw")
	must(n.t, err)
	if acc.Token == "" {
		n.t.Fatal("a login gave no token")
	}
	return acc
}

func TestATokenLetsInUntilItExpires(t *testing.T) {
	now := newClock()
	n := start(t, tokens(now))
	first := n.token("Ann")
	if want := now.now().Add(time.Hour); !first.Expires.Equal(want) {
		t.Errorf("it expires at %v, want %v", first.Expires, want)
	}
	now.pass(time.Hour - time.Millisecond)
	acc, err := n.enter("token", first.Token)
	if err != nil || acc.UID != first.UID || acc.Name != "Ann" || acc.New || acc.Token != "" {
		t.Errorf("%+v, %v", acc, err)
	}
	now.pass(time.Millisecond)
	n.refused(login.Expired, "token", first.Token)
	n.want("", "ann", "pw")
}

func TestALoginByTokenAsksNoDatabase(t *testing.T) {
	n := start(t, tokens(newClock()))
	first := n.token("ann")
	n.db.away.Store(true)
	for range 3 {
		if _, err := n.enter("token", first.Token); err != nil {
			t.Error(err)
		}
	}
	n.want(login.Unavailable, "ann", "pw")
}

func TestATokenThatWasTouchedIsRefused(t *testing.T) {
	n := start(t, tokens(newClock()))
	good := n.token("ann").Token
	raw, err := base64.RawURLEncoding.DecodeString(good[3:])
	must(t, err)
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		n.refused(login.BadToken, "token", "s1."+base64.RawURLEncoding.EncodeToString(bad))
	}
	for _, text := range []string{
		"", "s1.", good[:len(good)-1], good + "A", good[3:], "S1." + good[3:], good + good, strings.Repeat("A", 1<<20), "s1." + strings.Repeat("A", 1<<20), "s1.!!!",
	} {
		n.refused(login.BadToken, "token", text)
	}
	if _, err := n.enter("token", good); err != nil {
		t.Error(err)
	}
}

func TestKeysOfTokensRotate(t *testing.T) {
	now := newClock()
	cfg := tokens(now)
	old := start(t, cfg).token("ann")
	cfg.TokenKeys = keys(2, 1)
	both := start(t, cfg)
	if acc, err := both.enter("token", old.Token); err != nil || acc.UID != old.UID {
		t.Errorf("a token of the older key: %+v, %v", acc, err)
	}
	fresh := both.token("bob")
	cfg.TokenKeys = keys(2)
	last := start(t, cfg)
	last.refused(login.BadToken, "token", old.Token)
	if _, err := last.enter("token", fresh.Token); err != nil {
		t.Error(err)
	}
	cfg.TokenKeys = nil
	none := start(t, cfg)
	none.refused(login.BadRequest, "token", fresh.Token, "method", "token")
	if acc, err := none.login("ann", "pw"); err != nil || acc.Token != "" {
		t.Errorf("%+v, %v", acc, err)
	}
}

func TestOneTokenIsRevoked(t *testing.T) {
	n := start(t, tokens(newClock()))
	one, other := n.token("ann"), n.token("ann")
	if v, err := n.ask(login.Revoke{Token: one.Token}); err != nil || v != true {
		t.Fatalf("%v, %v", v, err)
	}
	n.refused(login.Revoked, "token", one.Token)
	if _, err := n.enter("token", other.Token); err != nil {
		t.Error(err)
	}
	if _, err := n.ask(login.Revoke{Token: "s1.x"}); code(err) != login.BadToken {
		t.Error(err)
	}
	if _, err := n.ask(login.Revoke{Token: other.Token, UID: "somebody"}); err == nil {
		t.Error("a token of another player was revoked")
	}
}

func TestAllTokensOfAPlayerAreRevokedAndANewOneIsGood(t *testing.T) {
	n := start(t, tokens(newClock())) // whose clock stands still: all happens in one millisecond
	for range 3 {
		one, bob := n.token("ann"), n.token("bob")
		_, err := n.ask(login.Revoke{UID: one.UID})
		must(t, err)
		n.refused(login.Revoked, "token", one.Token)
		for _, good := range []string{n.token("ann").Token, bob.Token} {
			if _, err := n.enter("token", good); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAPlayerWithManyRevokedTokensLosesAllOfThem(t *testing.T) {
	n := start(t, tokens(newClock()))
	kept := n.token("ann")
	for range 64 {
		_, err := n.ask(login.Revoke{Token: n.issue(kept.UID)})
		must(t, err)
	}
	if _, err := n.enter("token", kept.Token); err != nil {
		t.Error(err)
	}
	_, err := n.ask(login.Revoke{Token: n.issue(kept.UID)})
	must(t, err)
	n.refused(login.Revoked, "token", kept.Token)
}

func (n *node) issue(uid string) string {
	n.t.Helper()
	v, err := n.ask(login.Issue{UID: uid, Name: "x"})
	must(n.t, err)
	return v.(login.Account).Token
}

func TestRevokedTokensAreKeptOverARestartAndOnlyUntilTheyWouldHaveExpired(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	cfg := tokens(now)
	n := startIn(t, cfg, dir)
	one, all := n.token("ann"), n.token("bob")
	_, err := n.ask(login.Revoke{Token: one.Token})
	must(t, err)
	_, err = n.ask(login.Revoke{UID: all.UID})
	must(t, err)
	n.stop()

	n = startIn(t, cfg, dir)
	n.refused(login.Revoked, "token", one.Token)
	n.refused(login.Revoked, "token", all.Token)
	if got := n.metric("skua_login_standings"); got != 2 {
		t.Errorf("%v players are known", got)
	}
	now.pass(time.Hour)
	// A change writes its shard, without what is over.
	for i := range 400 {
		_, err := n.ask(login.Ban{UID: fmt.Sprint("x", i), Until: now.now().Add(time.Minute)})
		must(t, err)
	}
	if got := n.metric("skua_login_standings"); got != 400 {
		t.Errorf("%v players are known, want the 400 that are banned", got)
	}
	now.pass(time.Hour)
	_, err = n.ask(login.Ban{UID: one.UID})
	must(t, err)
	n.stop()
	n = startIn(t, cfg, dir)
	n.refused(login.Expired, "token", one.Token)
}

func TestATokenIsIssuedForNoLongerThanTokensLast(t *testing.T) {
	now := newClock()
	n := start(t, tokens(now))
	for _, test := range []struct{ asked, got time.Duration }{{0, time.Hour}, {time.Minute, time.Minute}, {48 * time.Hour, time.Hour}} {
		v, err := n.ask(login.Issue{UID: "9007199254740993", For: test.asked})
		must(t, err)
		acc := v.(login.Account)
		if got := acc.Expires.Sub(now.now()); got != test.got {
			t.Errorf("asked for %v, got %v", test.asked, got)
		}
		if in, err := n.enter("token", acc.Token); err != nil || in.UID != "9007199254740993" {
			t.Errorf("%+v, %v", in, err)
		}
	}
	for _, uid := range []string{"", "a\x00b", strings.Repeat("x", 129)} {
		if _, err := n.ask(login.Issue{UID: uid}); err == nil {
			t.Errorf("%q got a token", uid)
		}
	}
}

// A shorter lifetime ends tokens that were made before.
func TestAShorterLifetimeHoldsForOlderTokens(t *testing.T) {
	now := newClock()
	cfg := tokens(now)
	old := start(t, cfg).token("ann")
	cfg.Lifetime = time.Minute
	n := start(t, cfg)
	if _, err := n.enter("token", old.Token); err != nil {
		t.Error(err)
	}
	now.pass(time.Minute)
	n.refused(login.Expired, "token", old.Token)
}

func FuzzToken(f *testing.F) {
	now := time.Unix(1_900_000_000, 0)
	k := login.NewKeyring(keys(1, 2), time.Hour)
	good := k.Sign("42", "Ann", now, now.Add(time.Hour))
	for _, seed := range []string{good, "", "s1.", good[:60], good + "=", "s1." + strings.Repeat("A", 100), k.Sign("u", "", now, now), "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		uid, name, err := k.Open(text, now)
		var refused *login.Error
		switch {
		case err == nil && (uid != "42" || name != "Ann"):
			t.Errorf("a token was forged: %q is %q, %q", text, uid, name)
		case err != nil && !errors.As(err, &refused):
			t.Errorf("%q: %v is nothing for a client", text, err)
		}
	})
}

func FuzzTokenContent(f *testing.F) {
	f.Add("42", "Ann")
	f.Add("x", "")
	f.Add(strings.Repeat("u", 128), strings.Repeat("n", 64))
	now := time.Unix(1_900_000_000, 0)
	f.Fuzz(func(t *testing.T, uid, name string) {
		if uid == "" || len(uid) > 128 || len(name) > 64 {
			return
		}
		k := login.NewKeyring(keys(1), time.Hour)
		gotUID, gotName, err := k.Open(k.Sign(uid, name, now, now.Add(time.Minute)), now)
		if err != nil || gotUID != uid || gotName != name {
			t.Errorf("%q, %q came back as %q, %q, %v", uid, name, gotUID, gotName, err)
		}
	})
}

func BenchmarkOpenAToken(b *testing.B) {
	now := time.Unix(1_900_000_000, 0)
	k := login.NewKeyring(keys(1), time.Hour)
	text := k.Sign("0123456789abcdef", "Ann", now, now.Add(time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Open(text, now); err != nil {
			b.Fatal(err)
		}
	}
}
