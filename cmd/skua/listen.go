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

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/services/admin"
)

// listeners are a node's doors. Those that are off are nil.
type listeners struct {
	tcp, kcp, http, admin net.Listener
	ws                    *ws.Listener
}

// listen opens all doors that the configuration names, so that a port that is taken is told before anything has started.
func (n *node) listen(ctx context.Context) (_ *listeners, err error) {
	cfg := &n.project.cfg
	l := &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	open := func(key, addr string, to *net.Listener, listen func(addr string) (net.Listener, error)) {
		if err != nil || !Listens(addr) {
			return
		}
		ln, listenErr := listen(addr)
		if listenErr != nil {
			err = fmt.Errorf("%s = %q: %w", key, addr, listenErr)
			return
		}
		*to = ln
	}
	plain := func(addr string) (net.Listener, error) { return tcp.Listen(ctx, addr) }
	open("listen.tcp", cfg.Listen.TCP, &l.tcp, plain)
	open("listen.kcp", cfg.Listen.KCP, &l.kcp, func(addr string) (net.Listener, error) { return kcp.Listen(addr, kcpConfig(cfg.KCP)) })
	open("listen.http", cfg.Listen.HTTP, &l.http, plain)
	open("listen.admin", cfg.Listen.Admin, &l.admin, func(addr string) (net.Listener, error) {
		if err := admin.CheckBind(addr, cfg.Admin.Token.Reveal()); err != nil {
			return nil, fmt.Errorf("%w: set admin.token, or listen on 127.0.0.1", err)
		}
		return plain(addr)
	})
	if l.http != nil {
		l.ws = ws.NewListener(ws.Config{Addr: l.http.Addr(), CheckOrigin: originCheck(cfg.Gate.Origins)})
	}
	return l, err
}

func (l *listeners) close() {
	for _, ln := range []net.Listener{l.tcp, l.kcp, l.http, l.admin} {
		if ln != nil {
			_ = ln.Close() // it may have been closed by who served it
		}
	}
	if l.ws != nil {
		_ = l.ws.Close()
	}
}

// String names the addresses, each behind a space.
func (l *listeners) String() string {
	var b strings.Builder
	for _, door := range []struct {
		name string
		ln   net.Listener
	}{{"tcp", l.tcp}, {"kcp", l.kcp}, {"http", l.http}, {"admin", l.admin}} {
		if door.ln != nil {
			fmt.Fprintf(&b, " %s=%s", door.name, door.ln.Addr())
		}
	}
	return b.String()
}

func kcpConfig(c KCPConfig) kcp.Config {
	as := func(on bool) int {
		if on {
			return 1
		}
		return 0
	}
	return kcp.Config{
		NoDelay: as(c.NoDelay), Interval: int(c.Interval.Milliseconds()), Resend: c.Resend, NC: as(c.NC),
		SndWnd: c.SndWnd, RcvWnd: c.RcvWnd, MTU: c.MTU, AckNoDelay: c.AckNoDelay,
		Raw: true, // the clients of clients/go are plain ones so far
	}
}

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

// pages is what the HTTP address serves: WebSocket clients, and the project's page.
func (n *node) pages(sockets http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets)
	if n.project.web == nil {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "This project has no web/ directory. Clients connect to /ws.", http.StatusNotFound)
		})
		return mux
	}
	files := http.FileServerFS(n.project.web)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
	return mux
}

// serveHTTP serves h on ln until ctx ends. WebSockets are no longer its business then: who took them closes them.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
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
