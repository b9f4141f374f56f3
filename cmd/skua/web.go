package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/net/ws"
)

// originCheck admits pages of the node itself and those that the configuration names.
func originCheck(origins []string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if ws.SameHost(r) || slices.Contains(origins, "*") {
			return true
		}
		u, err := url.Parse(r.Header.Get("Origin"))
		return err == nil && slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, u.Scheme+"://"+u.Host) })
	}
}

// pages is what the HTTP address serves: WebSocket clients of all gates, each at its path, rooms of WebRTC, and the project's page.
func (n *node) pages(l *listeners) http.Handler {
	mux := http.NewServeMux()
	if l.webrtc != nil {
		mux.Handle(rtc.WHIPPath, l.webrtc)
		mux.Handle(rtc.WHEPPath, l.webrtc)
	}
	for _, d := range l.clients {
		if sockets, ok := d.ln.(http.Handler); ok {
			mux.Handle(d.path, sockets)
		}
	}
	n.media.mount(mux)
	if n.project.web == nil {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "This project has no web/ directory. Clients connect to "+n.project.cfg.Gate.Path+".", http.StatusNotFound)
		})
		return mux
	}
	files := http.FileServerFS(n.project.web)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
	return mux
}

// serveHTTP serves h on ln until ctx ends, with at most so many connections at once that are no WebSockets (0: no limit). WebSockets are no longer its business then: who took them
// closes them.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, limit int, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
		ConnState:      newVisitors(limit).changed,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.With("part", "http").Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	cancel := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err := server.Shutdown(end)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	})
	err := server.Serve(ln)
	if cancel() {
		return fmt.Errorf("http: %w", err)
	}
	return <-stopped
}
