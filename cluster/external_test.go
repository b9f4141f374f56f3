package cluster_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/testcert"
)

// runNATS runs an external server as it is told.
func runNATS(t *testing.T, opts *server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.Port, opts.JetStream, opts.StoreDir, opts.NoSigs, opts.NoLog = "127.0.0.1", -1, true, t.TempDir(), true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { stopNATS(srv) })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return srv
}

func addressOf(t *testing.T, srv *server.Server) string {
	t.Helper()
	addr, ok := srv.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the server listens on %v", srv.Addr())
	}
	return addr.String()
}

func TestAnExternalServerIsReachedByTLSWithACertificate(t *testing.T) {
	dir, ca := t.TempDir(), testcert.New(t)
	cert, key := ca.Write(t, dir, "node", "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	srv := runNATS(t, &server.Options{TLS: true, TLSVerify: true, TLSTimeout: 10, TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: ca.Roots, ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	url := "tls://" + addressOf(t, srv)
	n := open(t, cluster.Config{Name: "a", URL: url, TLS: cluster.TLS{CA: ca.WriteRoots(t, dir), Cert: cert, Key: key}})
	if !n.Conn().TLSRequired() || !n.Lease().Held {
		t.Error("no encrypted connection")
	}
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "b", URL: url})
	wantError(t, err, "certificate signed by unknown authority")
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "b", URL: url, TLS: cluster.TLS{CA: filepath.Join(dir, "nothing.crt")}})
	wantError(t, err, "nothing.crt")
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "b", URL: url, TLS: cluster.TLS{CA: ca.WriteRoots(t, dir)}})
	if err == nil {
		t.Error("a node without a certificate was let in")
	}
}

func TestAnExternalServerIsToldAnNKey(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	srv := runNATS(t, &server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})
	file := filepath.Join(t.TempDir(), "seed.nk")
	testcert.Replace(t, file, seed)
	open(t, cluster.Config{Name: "a", URL: srv.ClientURL(), Login: cluster.Login{NKey: file}})
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "b", URL: srv.ClientURL()})
	wantError(t, err, "Authorization Violation")
	testcert.Replace(t, file, []byte("no seed"))
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "b", URL: srv.ClientURL(), Login: cluster.Login{NKey: file}})
	wantError(t, err, "nkey in "+file)
}

// keys are a new key pair's.
func keys(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return pair, public
}

func TestAnExternalServerIsToldCredentials(t *testing.T) {
	operator, operatorKey := keys(t, nkeys.CreateOperator)
	account, accountKey := keys(t, nkeys.CreateAccount)
	_, systemKey := keys(t, nkeys.CreateAccount)
	user, userKey := keys(t, nkeys.CreateUser)
	encode := func(c jwt.Claims, by nkeys.KeyPair) string {
		text, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	oc := jwt.NewOperatorClaims(operatorKey)
	oc.SystemAccount = systemKey
	ac := jwt.NewAccountClaims(accountKey)
	ac.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	trusted, err := jwt.DecodeOperatorClaims(encode(oc, operator))
	if err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	for k, text := range map[string]string{accountKey: encode(ac, operator), systemKey: encode(jwt.NewAccountClaims(systemKey), operator)} {
		if err := resolver.Store(k, text); err != nil {
			t.Fatal(err)
		}
	}
	srv := runNATS(t, &server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: resolver, SystemAccount: systemKey})
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(encode(jwt.NewUserClaims(userKey), account), seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "skua.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, cluster.Config{Name: "a", URL: srv.ClientURL(), Login: cluster.Login{Credentials: file}})
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "b", URL: srv.ClientURL()})
	wantError(t, err, "Authorization Violation")
}

func TestANodeTakesTheServerThatIsThere(t *testing.T) {
	nobody := freeport.TCP(t, 2)
	srv := externalNATS(t, t.TempDir(), -1)
	url := fmt.Sprintf("nats://%s,nats://%s,nats://%s", nobody[0], addressOf(t, srv), nobody[1])
	// Three URLs, one server: its bucket can have one replica only.
	n := open(t, cluster.Config{Name: "a", URL: url})
	if !n.Lease().Held {
		t.Error("the name is not held")
	}
	if all, _ := replicas(t, n, "skua_nodes"); all != 1 {
		t.Errorf("%d replicas on one server that is alone", all)
	}
}

func TestAServerWithoutJetStreamIsTold(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { stopNATS(srv) })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	_, err = cluster.Open(t.Context(), cluster.Config{Name: "a", URL: srv.ClientURL()})
	wantError(t, err, "JetStream at nats://", "not enabled")
}
