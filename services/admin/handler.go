package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // it also registers itself on http.DefaultServeMux, which nothing here serves
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxProfile bounds ?seconds= of a profile: longer ones cost the node more than they tell.
const maxProfile = 5 * time.Minute

func (s *Server) handler(log *slog.Logger) (http.Handler, error) {
	registry := s.Metrics
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	denied := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "skua_admin_denied_total", Help: "Requests to the admin listener without the right token or host.",
	})
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "skua_build_info", Help: "Always 1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": s.Version.Version, "commit": s.Version.Commit, "go": s.Version.Go},
	}, func() float64 { return 1 })
	for _, c := range []prometheus.Collector{
		denied, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return nil, fmt.Errorf("admin: metrics: %w", err)
		}
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /version", s.version)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError, // one broken collector must not hide all the others
		// Scraping costs; a scraper gone wild waits its turn.
		MaxRequestsInFlight: 4,
		Timeout:             requestTimeout,
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if s.Cluster != nil {
		mux.HandleFunc("GET /cluster", s.cluster)
		mux.HandleFunc("POST /cluster/drain", s.drain)
	}
	// No web page may send what changes something: a browser on this machine reaches the loopback address, too.
	return s.guard(log, denied, deadline(http.NewCrossOriginProtection().Handler(mux))), nil
}

// guard lets in who knows the token; probes are let in without it.
func (s *Server) guard(log *slog.Logger, denied prometheus.Counter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if s.allowed(r) || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		denied.Inc()
		log.Debug("admin: request denied", "from", r.RemoteAddr, "method", r.Method, "path", r.URL.Path)
		if s.Token == "" {
			plain(w, http.StatusForbidden, "without admin.token only requests to a loopback host are served")
			return
		}
		h.Set("WWW-Authenticate", `Bearer realm="skua admin"`)
		plain(w, http.StatusUnauthorized, "the admin token is missing or wrong")
	})
}

func (s *Server) allowed(r *http.Request) bool {
	if s.Token == "" {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		return isLoopback(strings.Trim(host, "[]"))
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	// Hashes have one length, so that the time taken tells nothing about the token's, either.
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.Token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// deadline bounds how long a peer may take to read its answer: as long as the profile that it asked for, and some more.
func deadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow := requestTimeout
		if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			allow += 30 * time.Second // the default length of a profile
			if text := r.URL.Query().Get("seconds"); text != "" {
				seconds, err := strconv.ParseFloat(text, 64)
				if err != nil || !(seconds >= 0 && seconds <= maxProfile.Seconds()) {
					plain(w, http.StatusBadRequest, fmt.Sprintf("seconds: found %q, expected 0 to %.0f", text, maxProfile.Seconds()))
					return
				}
				allow = requestTimeout + time.Duration(seconds*float64(time.Second))
			}
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allow)); err != nil {
			plain(w, http.StatusInternalServerError, "no write deadline: "+err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ready tells everybody the verdict, and the reason to those who may see more.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.Ready == nil {
		plain(w, http.StatusOK, "ready")
		return
	}
	err := s.Ready(r.Context())
	switch {
	case err == nil:
		plain(w, http.StatusOK, "ready")
	case s.allowed(r):
		plain(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
	default:
		plain(w, http.StatusServiceUnavailable, "not ready")
	}
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	text, err := json.Marshal(s.Version)
	if err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the peer may be gone
}
