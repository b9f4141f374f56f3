package login_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// How many logins a second does the service itself take, asked by many at once?
func BenchmarkLogins(b *testing.B) {
	now := newClock()
	now.ns.Store(time.Now().UnixNano())
	cfg := login.Config{Methods: []login.Method{login.MethodJWT}, TokenKeys: keys(1), JWT: login.JWT{Secrets: [][]byte{[]byte(sharedSecret)}}}
	is := issuers()
	s := newKeyServer(b, set(is[jose.RS256], is[jose.ES256], is[jose.EdDSA]))
	cfg.JWT.Source = s.URL
	sys := actor.New(actor.Config{})
	db, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir()})
	must(b, err)
	_, err = sys.Spawn(store.Spec(store.Config{Backend: db}))
	must(b, err)
	ref, err := sys.Spawn(login.Spec(cfg))
	must(b, err)
	defer func() {
		must(b, sys.Shutdown(context.Background()))
		must(b, db.Close())
	}()
	run := func(name string, pairs ...string) {
		b.Run(name, func(b *testing.B) {
			m := login.Request{Body: body(pairs...), Addr: home}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := sys.Ask(context.Background(), ref, m); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	v, err := sys.Ask(context.Background(), ref, login.Issue{UID: "42", Name: "Ann"})
	must(b, err)
	run("token", "token", v.(login.Account).Token)
	for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.EdDSA, jose.ES256, jose.RS256} {
		run(string(alg), "jwt", is[alg].token(b, claims(now, nil)))
	}
}
