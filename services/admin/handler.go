package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

func (s *Server) handler() (http.Handler, error) {
	api, err := s.prepare()
	if err != nil {
		return nil, err
	}
	registry := s.registry()
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "skua_build_info", Help: "Always 1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": s.Version.Version, "commit": s.Version.Commit, "go": s.Version.Go},
	}, func() float64 { return 1 })
	for _, c := range []prometheus.Collector{
		build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return nil, fmt.Errorf("admin: metrics: %w", err)
		}
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /version", s.need(View, s.version))
	mux.HandleFunc("GET /metrics", s.need(View, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(s.Log.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError, // one broken collector must not hide all the others
		// Scraping costs; a scraper gone wild waits its turn.
		MaxRequestsInFlight: 4,
		Timeout:             requestTimeout,
	}).ServeHTTP))
	mux.HandleFunc("GET /debug/pprof/", s.need(Operate, pprof.Index))
	mux.HandleFunc("GET /debug/pprof/cmdline", s.need(Operate, pprof.Cmdline))
	mux.HandleFunc("GET /debug/pprof/profile", s.need(Operate, pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", s.need(Operate, pprof.Symbol))
	mux.HandleFunc("GET /debug/pprof/trace", s.need(Operate, pprof.Trace))
	if s.API != nil && s.API.Scripts != nil {
		mux.HandleFunc("GET /debug/pprof/lua", s.need(Operate, s.luaProfile))
	}
	if s.Cluster != nil {
		mux.HandleFunc("GET /cluster", s.need(View, s.cluster))
		mux.HandleFunc("POST /cluster/drain", s.need(Operate, s.drain))
	}
	mux.Handle(apiPrefix+"/", api)
	// No web page may send what changes something: a browser on this machine reaches the loopback address, too.
	return s.guard(deadline(http.NewCrossOriginProtection().Handler(mux))), nil
}

// registry is where the server's own metrics are.
func (s *Server) registry() *prometheus.Registry {
	if s.Metrics == nil {
		s.Metrics = prometheus.NewRegistry()
	}
	return s.Metrics
}

// prepare makes what serves the API, once.
func (s *Server) prepare() (http.Handler, error) {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if s.prepared != nil {
		return s.prepared, nil
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if err := s.countDenials(s.registry()); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if s.API != nil {
		for _, rt := range s.routes() {
			mux.HandleFunc(rt.pattern(), s.handle(rt))
		}
	}
	s.prepared = mux
	return mux, nil
}

// countDenials makes the server's counters; a registry that has them from another server keeps those.
func (s *Server) countDenials(registry *prometheus.Registry) error {
	s.denied = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skua_admin_denied_total", Help: "Requests to the admin listener that were refused, by reason: host, token, certificate, expired, role, path.",
	}, []string{"reason"})
	s.unaudited = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "skua_admin_unaudited_total", Help: "Entries that the audit log could not be given.",
	})
	var already prometheus.AlreadyRegisteredError
	if err := registry.Register(s.denied); errors.As(err, &already) {
		s.denied, _ = already.ExistingCollector.(*prometheus.CounterVec)
	} else if err != nil {
		return fmt.Errorf("admin: metrics: %w", err)
	}
	if err := registry.Register(s.unaudited); errors.As(err, &already) {
		s.unaudited, _ = already.ExistingCollector.(prometheus.Counter)
	} else if err != nil {
		return fmt.Errorf("admin: metrics: %w", err)
	}
	return nil
}

// guard lets in who has a good token; probes are let in without it.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		who, err := s.identify(r)
		if err == nil && climbs(r.URL.Path) {
			s.deny(r, who, "path")
			plain(w, http.StatusBadRequest, fmt.Sprintf("path: found %q, expected one without . and .. as a part", clip(r.URL.Path)))
			return
		}
		if err == nil || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r.WithContext(withIdentity(r.Context(), who)))
			return
		}
		switch {
		case errors.Is(err, errHost):
			s.deny(r, who, "host")
			plain(w, http.StatusForbidden, err.Error())
			return
		case errors.Is(err, errExpired):
			s.deny(r, who, "expired")
		case errors.Is(err, errCertificate):
			s.deny(r, who, "certificate")
		default:
			s.deny(r, who, "token")
		}
		h.Set("WWW-Authenticate", `Bearer realm="skua admin"`)
		plain(w, http.StatusUnauthorized, err.Error())
	})
}

// climbs tells whether a path has a part that leads elsewhere, also an escaped one. No client sends such a path unless somebody tries something.
func climbs(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
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
	case whoAsks(r.Context()).Role >= View:
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
