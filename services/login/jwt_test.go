package login_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/skua-go/skua/services/login"
)

// issuer is somebody who makes JWTs.
type issuer struct {
	id  string
	alg jose.SignatureAlgorithm
	key any
}

const sharedSecret = "a secret that two servers share, long enough"

var issuers = sync.OnceValue(func() map[jose.SignatureAlgorithm]*issuer {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return map[jose.SignatureAlgorithm]*issuer{
		jose.RS256: {"rsa", jose.RS256, private}, jose.ES256: newIssuer("ec", jose.ES256), jose.EdDSA: newIssuer("ed", jose.EdDSA),
		jose.HS256: {"", jose.HS256, []byte(sharedSecret)},
	}
})

func newIssuer(id string, alg jose.SignatureAlgorithm) *issuer {
	var private any
	var err error
	switch alg {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return &issuer{id, alg, private}
}

func (i *issuer) public() any { return i.key.(interface{ Public() crypto.PublicKey }).Public() }

func (i *issuer) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: i.public(), KeyID: i.id, Algorithm: string(i.alg), Use: "sig"}
}

// claims are those of a good token, changed as told; nil takes one away.
func claims(now *clock, changes map[string]any) map[string]any {
	t := now.now().Unix()
	all := map[string]any{"sub": "42", "name": "Ann", "iss": "https://id.example", "aud": []string{"game", "shop"}, "iat": t, "nbf": t, "exp": t + 600, "jti": rand.Text()}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func (i *issuer) token(t testing.TB, claims any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if i.id != "" {
		opts = opts.WithHeader("kid", i.id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: i.alg, Key: i.key}, opts)
	must(t, err)
	body, err := json.Marshal(claims)
	must(t, err)
	signed, err := signer.Sign(body)
	must(t, err)
	text, err := signed.CompactSerialize()
	must(t, err)
	return text
}

// set is the text of a JSON Web Key Set.
func set(of ...*issuer) []byte {
	var s jose.JSONWebKeySet
	for _, i := range of {
		s.Keys = append(s.Keys, i.jwk())
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return text
}

// trusting is a configuration with the keys in a file.
func trusting(t *testing.T, now *clock, text []byte) login.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(path, text, 0o600))
	return login.Config{
		Methods: []login.Method{login.MethodJWT}, Now: now.now, TokenKeys: keys(1),
		JWT: login.JWT{Source: path, Secrets: [][]byte{[]byte("another secret, which is tried as well"), []byte(sharedSecret)}, Issuer: "https://id.example", Audience: "game"},
	}
}

func all(t *testing.T, now *clock) login.Config {
	t.Helper()
	is := issuers()
	return trusting(t, now, set(is[jose.RS256], is[jose.ES256], is[jose.EdDSA]))
}

func TestAJWTOfEachAlgorithmLetsIn(t *testing.T) {
	now := newClock()
	cfg := all(t, now)
	must(t, cfg.Check())
	n := start(t, cfg)
	for alg, i := range issuers() {
		acc, err := n.enter("jwt", i.token(t, claims(now, nil)))
		if err != nil || acc.UID != "42" || acc.Name != "Ann" || acc.Token == "" {
			t.Errorf("%s: %+v, %v", alg, acc, err)
		}
	}
}

func TestWhatAJWTSaysIsChecked(t *testing.T) {
	now := newClock()
	cfg := all(t, now)
	cfg.JWT.Prefix = "id:"
	n := start(t, cfg)
	i := issuers()[jose.EdDSA]
	sec := now.now().Unix()
	for _, test := range []struct {
		changes map[string]any
		want    login.Code
		uid     string
	}{
		{nil, "", "id:42"},
		{map[string]any{"sub": json.Number("9223372036854775807")}, "", "id:9223372036854775807"},
		{map[string]any{"sub": json.Number("18446744073709551615")}, "", "id:18446744073709551615"},
		{map[string]any{"sub": json.Number("-1")}, "", "id:-1"},
		{map[string]any{"aud": "game"}, "", "id:42"},
		{map[string]any{"exp": sec - 29}, "", "id:42"},
		{map[string]any{"nbf": sec + 29, "iat": sec + 29}, "", "id:42"},
		{map[string]any{"nbf": nil, "iat": nil, "name": nil, "jti": nil}, "", "id:42"},
		{map[string]any{"exp": sec - 31}, login.Expired, ""},
		{map[string]any{"exp": nil}, login.BadToken, ""},
		{map[string]any{"exp": "tomorrow"}, login.BadToken, ""},
		{map[string]any{"exp": 1e300}, login.BadToken, ""},
		{map[string]any{"nbf": sec + 31}, login.BadToken, ""},
		{map[string]any{"iat": sec + 31}, login.BadToken, ""},
		{map[string]any{"iss": "https://evil.example"}, login.BadToken, ""},
		{map[string]any{"iss": nil}, login.BadToken, ""},
		{map[string]any{"aud": "gamer"}, login.BadToken, ""},
		{map[string]any{"aud": []string{}}, login.BadToken, ""},
		{map[string]any{"aud": nil}, login.BadToken, ""},
		{map[string]any{"sub": nil}, login.BadToken, ""},
		{map[string]any{"sub": ""}, login.BadToken, ""},
		{map[string]any{"sub": 1.5}, login.BadToken, ""},
		{map[string]any{"sub": json.Number("1e3")}, login.BadToken, ""},
		{map[string]any{"sub": map[string]any{}}, login.BadToken, ""},
		{map[string]any{"sub": "a\x00b"}, login.BadToken, ""},
		{map[string]any{"sub": strings.Repeat("x", 126)}, login.BadToken, ""},
	} {
		acc, err := n.enter("jwt", i.token(t, claims(now, test.changes)))
		if code(err) != test.want || acc.UID != test.uid {
			t.Errorf("%v: %+v, %v; want %q, %q", test.changes, acc, err, test.want, test.uid)
		}
	}
}

func TestForgedJWTsAreRefused(t *testing.T) {
	now := newClock()
	n := start(t, all(t, now))
	is := issuers()
	good := claims(now, nil)
	b64 := base64.RawURLEncoding.EncodeToString
	body, err := json.Marshal(good)
	must(t, err)
	unsigned := func(header string) string { return b64([]byte(header)) + "." + b64(body) + "." }
	der, err := x509.MarshalPKIXPublicKey(is[jose.RS256].public())
	must(t, err)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	rs := is[jose.RS256].token(t, good)
	parts := strings.Split(rs, ".")
	stranger := newIssuer("ed", jose.EdDSA)
	carries, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: stranger.key}, &jose.SignerOptions{EmbedJWK: true})
	must(t, err)
	embedded, err := jwt.Signed(carries).Claims(good).Serialize()
	must(t, err)
	critical, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: is[jose.EdDSA].key}, (&jose.SignerOptions{}).WithHeader("crit", []string{"exp"}))
	must(t, err)
	crit, err := jwt.Signed(critical).Claims(good).Serialize()
	must(t, err)
	for what, text := range map[string]string{
		"alg none":                       unsigned(`{"alg":"none"}`),
		"alg None":                       unsigned(`{"alg":"None"}`),
		"no alg":                         unsigned(`{}`),
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"HS256 with the RSA key's PEM":   (&issuer{"rsa", jose.HS256, asPEM}).token(t, good),
		"HS256 with the RSA key's DER":   (&issuer{"rsa", jose.HS256, append(der, make([]byte, 32)...)}).token(t, good),
		"HS256 with nothing":             (&issuer{"", jose.HS256, make([]byte, 32)}).token(t, good),
		"HS512 with the right secret":    (&issuer{"", jose.HS512, []byte(sharedSecret + sharedSecret)}).token(t, good),
		"PS256 with the RS256 key":       (&issuer{"rsa", jose.PS256, is[jose.RS256].key}).token(t, good),
		"RS512 with the RS256 key":       (&issuer{"rsa", jose.RS512, is[jose.RS256].key}).token(t, good),
		"another's key, the same kid":    stranger.token(t, good),
		"another's key in the header":    embedded,
		"the id of a key of another alg": (&issuer{"rsa", jose.EdDSA, is[jose.EdDSA].key}).token(t, good),
		"an unknown kid":                 newIssuer("unknown", jose.EdDSA).token(t, good),
		"a critical header":              crit,
		"the signature of another":       parts[0] + "." + parts[1] + "." + strings.Split(is[jose.EdDSA].token(t, good), ".")[2],
		"other claims":                   parts[0] + "." + b64([]byte(strings.Replace(string(body), `"42"`, `"43"`, 1))) + "." + parts[2],
		"claims twice":                   is[jose.EdDSA].token(t, json.RawMessage(`{"sub":"1","sub":"42","exp":9999999999,"iss":"https://id.example","aud":"game"}`)),
		"five parts":                     rs + ".x.y",
		"JSON":                           `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"nothing":                        "",
		"dots":                           strings.Repeat(".", 8000),
		"a megabyte":                     parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2],
		"our own token":                  n.issue("42"),
	} {
		if acc, err := n.enter("jwt", text); code(err) != login.BadToken {
			t.Errorf("%s: %+v, %v", what, acc, err)
		}
	}
	if _, err := n.enter("jwt", rs); err != nil {
		t.Error(err)
	}
}

func TestAJWTLetsInOnceWhereThatIsAsked(t *testing.T) {
	now := newClock()
	cfg := all(t, now)
	cfg.JWT.Once, cfg.JWT.MaxSeen = true, 10
	n := start(t, cfg)
	i := issuers()[jose.EdDSA]
	one := i.token(t, claims(now, nil))
	if _, err := n.enter("jwt", one); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n.refused(login.BadToken, "jwt", one)
	}
	n.refused(login.BadToken, "jwt", i.token(t, claims(now, map[string]any{"jti": nil})))
	n.refused(login.BadToken, "jwt", i.token(t, claims(now, map[string]any{"aud": "other"})))
	var in, busy int
	for range 20 {
		switch _, err := n.enter("jwt", i.token(t, claims(now, nil))); code(err) {
		case "":
			in++
		case login.Busy:
			busy++
		default:
			t.Error(err)
		}
	}
	if in != 9 || busy != 11 || n.metric("skua_login_jwt_remembered") != 10 {
		t.Errorf("%d got in, %d were busy", in, busy)
	}
	now.pass(600*time.Second + 30*time.Second - time.Second)
	n.refused(login.BadToken, "jwt", one) // as long as it is good, it is remembered
	now.pass(5 * time.Second)
	n.refused(login.Expired, "jwt", one)
	if _, err := n.enter("jwt", i.token(t, claims(now, nil))); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

func TestKeysInPEMAreTriedForAnyKid(t *testing.T) {
	now := newClock()
	var text []byte
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		der, err := x509.MarshalPKIXPublicKey(issuers()[alg].public())
		must(t, err)
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	n := start(t, trusting(t, now, text))
	for alg, i := range issuers() {
		if _, err := n.enter("jwt", i.token(t, claims(now, nil))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	n.refused(login.BadToken, "jwt", newIssuer("x", jose.ES256).token(t, claims(now, nil)))
}

func TestOnlyKeysThatAreFitAreUsed(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	one := func(k jose.JSONWebKey) string {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
		must(t, err)
		return string(text)
	}
	encrypts := issuers()[jose.RS256].jwk()
	encrypts.Use = "enc"
	pss := issuers()[jose.RS256].jwk()
	pss.Algorithm = "PS256"
	key, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	for what, text := range map[string]string{
		"nothing": "", "no JSON": "<html>", "no set": `[]`, "an empty set": `{"keys":[]}`, "no keys": `{}`, "an unknown kind": `{"keys":[{"kty":"XYZ"}]}`, "a number": `{"keys":[7]}`,
		"a weak RSA key": one(jose.JSONWebKey{Key: weak.Public()}), "another curve": one(jose.JSONWebKey{Key: curve.Public()}),
		"a private key": one(jose.JSONWebKey{Key: private}), "a secret": one(jose.JSONWebKey{Key: []byte(sharedSecret)}),
		"a key for encryption": one(encrypts), "a key for PS256": one(pss),
		"a private key in PEM": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"a broken PEM":         string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
	} {
		if n, err := login.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%s: %d keys", what, n)
		}
	}
	var many []*issuer
	for range 65 {
		many = append(many, issuers()[jose.EdDSA])
	}
	if n, err := login.ParseKeys(set(many...)); err == nil {
		t.Errorf("%d keys were taken", n)
	}
	mixed := strings.Replace(string(set(issuers()[jose.EdDSA])), `{"keys":[`, `{"keys":[{"kty":"XYZ"},7,`, 1)
	if n, err := login.ParseKeys([]byte(mixed)); err != nil || n != 1 {
		t.Errorf("a good key among others: %d, %v", n, err)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add(set(issuers()[jose.EdDSA], issuers()[jose.ES256]))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":""}]}`))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := login.ParseKeys(text)
		if (err == nil) != (n > 0) || n > 64 {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}

func TestAConfigurationThatCannotBeIsToldAtOnce(t *testing.T) {
	now := newClock()
	for what, change := range map[string]func(*login.Config){
		"methods":       func(c *login.Config) { c.Methods = []login.Method{"ldap"} },
		"a token":       func(c *login.Config) { c.Methods = []login.Method{login.MethodToken} },
		"a hook":        func(c *login.Config) { c.Methods = []login.Method{login.MethodHook} },
		"a short key":   func(c *login.Config) { c.TokenKeys = [][]byte{[]byte("short")} },
		"no keys":       func(c *login.Config) { c.JWT.Source, c.JWT.Secrets = "", nil },
		"short secrets": func(c *login.Config) { c.JWT.Secrets = [][]byte{[]byte("short")} },
		"a file":        func(c *login.Config) { c.JWT.Source = "nowhere.json" },
		"plain http":    func(c *login.Config) { c.JWT.Source = "http://id.example/keys" },
		"another URL":   func(c *login.Config) { c.JWT.Source = "ftp://id.example/keys" },
	} {
		cfg := all(t, now)
		change(&cfg)
		if err := cfg.Check(); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	for _, url := range []string{"https://id.example/keys", "http://127.0.0.1:1/keys", "http://[::1]/keys", "http://localhost/keys"} {
		cfg := all(t, now)
		cfg.JWT.Source = url
		if err := cfg.Check(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
