package admin_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/net/secure"
	"github.com/skua-go/skua/services/admin"
)

// sealed is a server that clients come to with certificates of an authority.
type sealed struct {
	t      *testing.T
	ca     *testcert.Authority
	server *admin.Server
	addr   string
}

func newSealed(t *testing.T, change func(s *admin.Server)) *sealed {
	t.Helper()
	c := &sealed{t: t, ca: testcert.New(t), server: guardedServer(t)}
	c.server.ClientRoots = c.ca.Roots
	c.server.Certificates = []admin.Certificate{
		{Name: "alice", Role: admin.Operate, Subject: "alice.example"},
		{Name: "bob", Role: admin.View, Subject: "bob.example"},
		{Name: "carol", Role: admin.Admin, Subject: "carol.example", Expires: time.Now().Add(-time.Hour)},
	}
	if change != nil {
		change(c.server)
	}
	dir := t.TempDir()
	cert, key := c.ca.Write(t, dir, "server", "127.0.0.1")
	certs, err := secure.LoadCertificates(secure.CertificatesConfig{Pairs: []secure.Pair{{Cert: cert, Key: key}}})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := secure.Wrap(inner, secure.Config{Certificates: certs, AskClients: true, Protocols: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- c.server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	c.addr = inner.Addr().String()
	return c
}

// pair is a certificate for a host that an authority has signed.
func pair(t *testing.T, by *testcert.Authority, from, until time.Time, host string) *tls.Certificate {
	t.Helper()
	cert, key := by.Issue(t, from, until, host)
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// get asks with a certificate, or without any, and with a token, or without.
func (c *sealed) get(path string, cert *tls.Certificate, token string) int {
	c.t.Helper()
	cfg := &tls.Config{RootCAs: c.ca.Roots, MinVersion: tls.VersionTLS13}
	if cert != nil {
		// What the server says that it takes is not looked at, as an attacker would not.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "https://"+c.addr+path, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestACertificateHasTheRoleOfItsName(t *testing.T) {
	c := newSealed(t, nil)
	now := time.Now()
	from, until := now.Add(-time.Hour), now.Add(time.Hour)
	foreign := testcert.New(t)
	for name, one := range map[string]struct {
		cert  *tls.Certificate
		token string
		view  int // the answer to who looks
		act   int // and to who reads profiles
	}{
		"alice":                     {pair(t, c.ca, from, until, "alice.example"), "", 200, 200},
		"bob":                       {pair(t, c.ca, from, until, "bob.example"), "", 200, 403},
		"nobody":                    {pair(t, c.ca, from, until, "mallory.example"), "", 401, 401},
		"alice, of another":         {pair(t, foreign, from, until, "alice.example"), "", 401, 401},
		"alice, too old":            {pair(t, c.ca, from.Add(-time.Hour), now.Add(-time.Minute), "alice.example"), "", 401, 401},
		"alice, too young":          {pair(t, c.ca, now.Add(time.Minute), until, "alice.example"), "", 401, 401},
		"carol, who has left":       {pair(t, c.ca, from, until, "carol.example"), "", 401, 401},
		"none":                      {nil, "", 401, 401},
		"none, and a token":         {nil, viewToken, 200, 403},
		"alice, and a wrong token":  {pair(t, c.ca, from, until, "alice.example"), "nonsense", 401, 401},
		"mallory, and a good token": {pair(t, c.ca, from, until, "mallory.example"), operateToken, 200, 200},
	} {
		if got := c.get("/version", one.cert, one.token); got != one.view {
			t.Errorf("%s looks: %d", name, got)
		}
		if got := c.get("/debug/pprof/cmdline", one.cert, one.token); got != one.act {
			t.Errorf("%s acts: %d", name, got)
		}
	}
	refused := entries(t, c.server.Audit)
	if len(refused) != 2 { // bob, and the viewer's token
		t.Errorf("audit: %+v", refused)
	}
	if e := entries(t, c.server.Refusals); len(e) == 0 || e[0].Outcome != admin.Refused {
		t.Errorf("strangers: %+v", e)
	}
}

func TestWhyACertificateIsRefusedIsAudited(t *testing.T) {
	now := time.Now()
	for reason, cert := range map[string]func(ca *testcert.Authority) *tls.Certificate{
		"certificate": func(*testcert.Authority) *tls.Certificate {
			return pair(t, testcert.New(t), now.Add(-time.Hour), now.Add(time.Hour), "alice.example")
		},
		"expired": func(ca *testcert.Authority) *tls.Certificate {
			return pair(t, ca, now.Add(-2*time.Hour), now.Add(-time.Hour), "alice.example")
		},
	} {
		c := newSealed(t, nil)
		if got := c.get("/version", cert(c.ca), ""); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", reason, got)
		}
		if e := entries(t, c.server.Refusals); len(e) != 1 || e[0].Detail != reason || e[0].Target != "/version" {
			t.Errorf("%s: %+v", reason, e)
		}
	}
}

func TestACertificateMayBeKnownByItsFingerprint(t *testing.T) {
	ca := testcert.New(t)
	known := pair(t, ca, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "laptop")
	sum := sha256.Sum256(known.Certificate[0])
	c := newSealed(t, func(s *admin.Server) {
		s.Token, s.Tokens, s.Metrics = "", nil, prometheus.NewRegistry()
		s.Certificates = []admin.Certificate{{Name: "alice", Role: admin.View, Subject: "sha256:" + hex.EncodeToString(sum[:])}}
	})
	c.server.ClientRoots.AddCert(mustParse(t, ca))
	if got := c.get("/version", known, ""); got != http.StatusOK {
		t.Errorf("its own: %d", got)
	}
	if got := c.get("/version", pair(t, ca, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "laptop"), ""); got != http.StatusUnauthorized {
		t.Errorf("another of the same name: %d", got)
	}
	for _, bad := range []string{"", "sha256:", "sha256:00", "sha256:zz"} {
		if err := admin.CheckSubject(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// mustParse is the certificate of an authority.
func mustParse(t *testing.T, ca *testcert.Authority) *x509.Certificate {
	t.Helper()
	text := readFile(t, ca.WriteRoots(t, t.TempDir()))
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
