// Package admin serves what the operator looks at: metrics, health, version and profiles, on a listener of its own.
//
// Every answer needs a bearer token with the role for it when there is one, except the bare verdicts of /healthz and /readyz, which probes
// of orchestrators ask for and which tell a stranger nothing. Without a token only a loopback address is served, and only to
// requests that name a loopback host, so that no web page reaches it through a name of its own (DNS rebinding).
package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrOpen is wrapped by the refusal to serve an address that others can reach without asking them for a token.
var ErrOpen = errors.New("admin: reachable from other machines without a token")

// The bounds of what strangers can make the server hold. Operators and scrapers are few.
const (
	maxConnections  = 128
	maxHeaderBytes  = 16 << 10
	headerTimeout   = 5 * time.Second
	requestTimeout  = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
)

// Version is the answer of /version.
type Version struct {
	Version string    `json:"version"`
	Commit  string    `json:"commit"`
	Go      string    `json:"go"`
	Node    string    `json:"node"`
	Started time.Time `json:"started"`
}

// Server is the admin listener's server. Its fields are set before Serve and not changed after; the zero value serves on loopback.
type Server struct {
	// Token that requests carry as "Authorization: Bearer TOKEN", with the role Admin. Empty, and without Tokens, none is asked for.
	Token string
	// Tokens are the others, each with its name and role.
	Tokens []Token
	// ClientRoots has the authorities of Certificates; nil takes none. The listener has to ask clients for theirs, and need not check them.
	ClientRoots *x509.CertPool
	// Certificates are ways in by a certificate of the client. One is looked at if a request has no token.
	Certificates []Certificate
	// Audit gets what is changed, and what somebody with too small a role has tried; nil keeps nothing.
	Audit *Audit
	// Refusals gets requests without a good token, one in 5 s with the number of those between; nil keeps nothing.
	Refusals *Audit
	// Metrics is what /metrics shows, and where the server puts its own and the process's; nil shows only those.
	Metrics *prometheus.Registry
	// Ready says why the node can't take players yet, or no longer: nil when it can. It is called for each request, from
	// many goroutines, and its context ends with the request. A nil Ready is always ready.
	Ready func(context.Context) error
	// Version is told as it is.
	Version Version
	// Cluster is what /cluster asks; nil serves no such thing.
	Cluster Cluster
	// API is what is served at /api/v1; nil serves no such thing.
	API *API
	// Log gets refused requests (at debug level) and the HTTP server's own complaints; nil drops them.
	Log *slog.Logger

	preparing sync.Mutex
	prepared  http.Handler // of the API
	tails     tails
	denied    *prometheus.CounterVec
	unaudited prometheus.Counter
	strange   sync.Mutex
	strangeAt time.Time // when a stranger was last written down
	silent    int       // strangers since
}

// Serve answers on ln until ctx ends, then lets requests in flight finish for a few seconds; profiles and other long
// answers end with ctx. It owns ln and returns when all its goroutines are gone: nil after ctx, ErrOpen (wrapped) for an
// address that needs a token, or the listener's error.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := CheckBind(ln.Addr().String(), s.guarded()); err != nil {
		return errors.Join(err, ln.Close())
	}
	handler, err := s.handler()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		// No WriteTimeout: a profile takes as long as it was asked to. The handler sets a deadline for each answer.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withTLS,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(newPlaces(ln, maxConnections)) }()

	select {
	case err := <-served:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		// A peer that does not read its answer is not waited for.
		err = srv.Close()
		<-served
		if err != nil {
			return fmt.Errorf("admin: closing: %w", err)
		}
		return nil
	}
	<-served
	return nil
}

// Close ends what requests have left behind, beside the logs, which are the caller's. It is called when nothing is served any more, neither by Serve nor by Answer.
func (s *Server) Close() { s.tails.close() }

// CheckBind refuses an address (host:port) that other machines can reach when requests need no token. A name other than
// localhost counts as reachable: what it resolves to can change.
func CheckBind(addr string, guarded bool) error {
	if guarded {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	if isLoopback(host) {
		return nil
	}
	return fmt.Errorf("%w: found %s and an empty admin.token (SKUA_ADMIN_TOKEN), expected a token or a loopback address such as 127.0.0.1:7090", ErrOpen, addr)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// The peer may be gone, and then nobody is there to be told.
	_, _ = io.WriteString(w, text+"\n") //nolint:gosec // G705: plain text, and browsers are told not to guess otherwise
}
