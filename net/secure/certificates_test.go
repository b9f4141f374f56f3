package secure_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/net/secure"
)

// store is a directory with pairs, looked at in fake time.
type store struct {
	t     *testing.T
	ca    *testcert.Authority
	dir   string
	certs *secure.Certificates
	log   logtest.Buffer
}

func (s *store) pair(name string) secure.Pair {
	return secure.Pair{Cert: filepath.Join(s.dir, name+".crt"), Key: filepath.Join(s.dir, name+".key")}
}

// put replaces a pair by one for these hosts that is valid from now on for so long, and returns its content.
func (s *store) put(name string, after, life time.Duration, hosts ...string) (cert, key []byte) {
	s.t.Helper()
	from := time.Now().Add(after)
	cert, key = s.ca.Issue(s.t, from, from.Add(life), hosts...)
	testcert.Replace(s.t, s.pair(name).Cert, cert)
	testcert.Replace(s.t, s.pair(name).Key, key)
	return cert, key
}

// open loads the pairs and begins to look at them each 10 s.
func (s *store) open(names ...string) { s.openEach(0, names...) }

func (s *store) openEach(interval time.Duration, names ...string) {
	s.t.Helper()
	cfg := secure.CertificatesConfig{Interval: interval, Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	for _, n := range names {
		cfg.Pairs = append(cfg.Pairs, s.pair(n))
	}
	var err error
	if s.certs, err = secure.LoadCertificates(cfg); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	served := make(chan error, 1)
	go func() { served <- s.certs.Serve(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	})
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // fake time
	synctest.Wait()
}

// hosts are those of the certificate that a client gets who asks for this one.
func (s *store) hosts(host string) string {
	s.t.Helper()
	cert, err := s.certs.Get(&tls.ClientHelloInfo{
		ServerName: host, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SupportedCurves: []tls.CurveID{tls.X25519},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(cert.Leaf.DNSNames, " ")
}

const year = 365 * 24 * time.Hour

func newStore(t *testing.T) *store {
	t.Helper()
	return &store{t: t, ca: testcert.New(t), dir: t.TempDir()}
}

func TestARenewedCertificateIsServedToTheNextClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put("a", 0, year, "one.example")
		s.open("a")
		d := wrap(t, newPipes(), secure.Config{Certificates: s.certs})
		d.serve()
		inner := d.below.(*pipes)
		first := tls.Client(inner.dial("203.0.113.5:1"), trusting(s.ca.Roots, "one.example"))
		defer first.Close()
		said(t, first, "hello")

		s.put("a", 0, year, "two.example")
		pass(11 * time.Second)
		second := tls.Client(inner.dial("203.0.113.5:2"), trusting(s.ca.Roots, "two.example"))
		defer second.Close()
		said(t, second, "hello")
		said(t, first, "still here")
		if st := s.certs.States(); len(st) != 1 || st[0].Loaded != 2 || st[0].Failed != 0 || st[0].Err != nil || strings.Join(st[0].Names, " ") != "two.example" {
			t.Errorf("state: %+v", st)
		}
		if s.log.Count("certificate renewed") != 1 {
			t.Errorf("log:\n%s", &s.log)
		}
	})
}

func TestABrokenPairKeepsTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		good, key := s.put("a", -time.Hour, year, "one.example")
		s.put("b", -time.Hour, year, "bee.example")
		s.open("a", "b")
		_, foreign := s.ca.Issue(t, time.Now(), time.Now().Add(year), "x.example")
		expired, expiredKey := s.ca.Issue(t, time.Now().Add(-2*year), time.Now().Add(-year), "expired.example")
		coming, comingKey := s.ca.Issue(t, time.Now().Add(6*time.Hour), time.Now().Add(year), "coming.example")
		for i, c := range []struct {
			why       string
			cert, key []byte
		}{
			{"private key does not match", good, foreign},
			{"failed to find any PEM data", []byte("nothing"), key},
			{"failed to find any PEM data", good, nil},
			{"it has expired at 1999-01-01", expired, expiredKey},
			{"it is not valid before 2000-01-01T06:00:00Z", coming, comingKey},
			{"more than 1048576 bytes", make([]byte, 1<<20+1), key},
		} {
			testcert.Replace(t, s.pair("a").Cert, c.cert)
			testcert.Replace(t, s.pair("a").Key, c.key)
			pass(31 * time.Second)
			if got := s.hosts("one.example"); got != "one.example" {
				t.Errorf("%s: a client gets %s", c.why, got)
			}
			st := s.certs.States()[0]
			if st.Err == nil || !strings.Contains(st.Err.Error(), c.why) || !strings.Contains(st.Err.Error(), s.dir) || st.Failed != uint64(i+1) {
				t.Errorf("state: %+v, expected %s", st, c.why)
			}
			if n := s.log.Count("a changed certificate can't be used"); n != i+1 || s.log.Count(c.why) < 1 {
				t.Errorf("%s: %d lines after %d failures", c.why, n, i+1)
			}
		}
		if st := s.certs.States()[1]; st.Err != nil || s.hosts("bee.example") != "bee.example" {
			t.Errorf("the other pair: %+v", st)
		}

		if err := os.Remove(s.pair("a").Cert); err != nil {
			t.Fatal(err)
		}
		pass(31 * time.Second)
		if st := s.certs.States()[0]; st.Err == nil || !os.IsNotExist(unwrapped(st.Err)) {
			t.Errorf("state: %+v", st)
		}

		testcert.Replace(t, s.pair("a").Cert, good)
		testcert.Replace(t, s.pair("a").Key, key)
		pass(11 * time.Second)
		if st := s.certs.States()[0]; st.Err != nil || st.Loaded != 1 {
			t.Errorf("the old files are back: %+v", st)
		}
	})
}

// unwrapped is the innermost error.
func unwrapped(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestAPairThatIsHalfWrittenIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put("a", -time.Hour, year, "one.example")
		s.open("a")
		cert, key := s.ca.Issue(t, time.Now(), time.Now().Add(year), "two.example")
		pass(9 * time.Second)
		testcert.Replace(t, s.pair("a").Cert, cert)
		pass(2 * time.Second) // looked at between the two
		if got := s.hosts("one.example"); got != "one.example" || s.certs.States()[0].Err == nil {
			t.Errorf("a client gets %s, %+v", got, s.certs.States())
		}
		testcert.Replace(t, s.pair("a").Key, key)
		pass(10 * time.Second)
		if got := s.hosts("two.example"); got != "two.example" || s.log.Count("can't be used") != 0 {
			t.Errorf("a client gets %s, log:\n%s", got, &s.log)
		}
	})
}

func TestACertificateThatBeginsLaterIsTakenThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put("a", -time.Hour, year, "one.example")
		s.open("a")
		s.put("a", time.Hour, year, "two.example")
		pass(time.Hour - time.Minute)
		if got := s.hosts(""); got != "one.example" {
			t.Errorf("a client gets %s", got)
		}
		pass(2 * time.Minute)
		if got := s.hosts(""); got != "two.example" {
			t.Errorf("a client gets %s", got)
		}
	})
}

func TestEachHostHasItsCertificate(t *testing.T) {
	s := newStore(t)
	s.put("a", -time.Hour, year, "one.example", "both.example")
	s.put("b", -time.Hour, year, "two.example", "*.wild.example", "both.example")
	var err error
	if s.certs, err = secure.LoadCertificates(secure.CertificatesConfig{Pairs: []secure.Pair{s.pair("a"), s.pair("b")}}); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"one.example": "one.example both.example", "two.example": "two.example *.wild.example both.example", "x.wild.example": "two.example *.wild.example both.example",
		"both.example": "one.example both.example", "other.example": "one.example both.example", "": "one.example both.example",
	} {
		if got := s.hosts(host); got != want {
			t.Errorf("%q gets %s, expected %s", host, got, want)
		}
	}
}

func TestTheEndOfACertificateIsToldBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put("long", 0, 90*24*time.Hour, "long.example")
		s.put("short", 0, 6*24*time.Hour, "short.example")
		s.openEach(time.Hour, "long", "short")
		pass(4 * 24 * time.Hour)
		if s.log.String() != "" {
			t.Errorf("log after 4 days:\n%s", &s.log)
		}
		pass(36 * time.Hour) // the short one has a fifth of 6 days from 4.8 days on
		if n := s.log.Count("expires soon"); n != 1 || s.log.Count("short.crt") != 1 {
			t.Errorf("log after 5.5 days:\n%s", &s.log)
		}
		pass(24 * time.Hour) // told at 4.8 and 5.8 days, and when it ends
		if n := s.log.Count("has expired"); n != 1 || s.log.Count("expires soon") != 2 {
			t.Errorf("log after 6.5 days:\n%s", &s.log)
		}
		s.put("short", 0, 300*24*time.Hour, "short.example")
		pass(68 * 24 * time.Hour)
		if n := s.log.Count("long.crt"); n != 0 {
			t.Errorf("log after 74.5 days:\n%s", &s.log)
		}
		pass(4 * 24 * time.Hour)
		if n := s.log.Count("long.crt"); n != 3 {
			t.Errorf("%d lines by day 78.5, expected one a day from 76 on:\n%s", n, &s.log)
		}
	})
}

func TestFilesThatCanNotBeReadAreAllNamed(t *testing.T) {
	s := newStore(t)
	s.put("good", -time.Hour, year, "one.example")
	s.put("mixed", -time.Hour, year, "two.example")
	_, foreign := s.ca.Issue(t, time.Now(), time.Now().Add(year), "x.example")
	testcert.Replace(t, s.pair("mixed").Key, foreign)
	_, err := secure.LoadCertificates(secure.CertificatesConfig{Pairs: []secure.Pair{
		s.pair("good"), s.pair("missing"), s.pair("mixed"), {Cert: s.pair("good").Cert, Key: s.dir}, {Cert: s.pair("good").Key, Key: s.pair("good").Key},
	}})
	for _, want := range []string{
		"certificate " + s.pair("missing").Cert + ": no such file",
		"certificate " + s.pair("mixed").Cert + " with key " + s.pair("mixed").Key + ": private key does not match public key",
		"key " + s.dir + ": is a directory",
		"PEM inputs may have been switched",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
	for _, cfg := range []secure.CertificatesConfig{{}, {Pairs: []secure.Pair{s.pair("good")}, Interval: -1}} {
		if _, err := secure.LoadCertificates(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
