package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/services/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs s on a loopback port and stops it at the end of the test.
func serve(t *testing.T, s *admin.Server) (addr string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop = serveOn(t, s, ln)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return ln.Addr().String(), stop
}

// serveOn is serve for any listener.
func serveOn(t *testing.T, s *admin.Server, ln net.Listener) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	stop = func() error {
		cancel()
		err := <-served
		served <- err // for the next who asks
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func get(t *testing.T, addr, path, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestEveryPageAnswersOnLoopback(t *testing.T) {
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "own_total", Help: "x"})
	reg.MustRegister(counter)
	counter.Add(3)
	addr, _ := serve(t, &admin.Server{Metrics: reg, Version: admin.Version{Version: "v1", Commit: "abc", Go: "go1.26", Node: "n"}})
	for path, want := range map[string]string{
		"/healthz":                       "ok\n",
		"/readyz":                        "ready\n",
		"/metrics":                       "own_total 3",
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/cmdline":           "admin.test",
	} {
		if status, body := get(t, addr, path, ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200q", path, status, body)
		}
	}
	_, body := get(t, addr, "/metrics", "")
	for _, want := range []string{`skua_build_info{commit="abc",go="go1.26",version="v1"} 1`, "go_goroutines", "process_cpu_seconds_total"} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	_, body = get(t, addr, "/version", "")
	var v admin.Version
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.Commit != "abc" || v.Node != "n" {
		t.Errorf("/version: %q, %v", body, err)
	}
	if status, _ := get(t, addr, "/nothing", ""); status != http.StatusNotFound {
		t.Errorf("/nothing: %d", status)
	}
}

func TestTokenGuardsAllButTheProbes(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := &admin.Server{Token: "open sesame", Metrics: reg, Ready: func(context.Context) error { return errors.New("the store is away") }}
	addr, _ := serve(t, s)
	for _, path := range []string{"/metrics", "/version", "/debug/pprof/", "/debug/pprof/heap", "/nothing", "/healthz/../version", "//healthz"} {
		for _, token := range []string{"", "Bearer", "Bearer ", "Bearer open", "Bearer open sesame!", "Basic open sesame", "open sesame"} {
			status, body := get(t, addr, path, token)
			// The path is cleaned by a redirect for those who are let in only.
			if status != http.StatusUnauthorized || !strings.Contains(body, "token") {
				t.Errorf("%s with %q: %d %.80q", path, token, status, body)
			}
		}
	}
	if status, _ := get(t, addr, "/version", "bearer open sesame"); status != http.StatusOK {
		t.Errorf("the right token: %d", status)
	}
	if status, body := get(t, addr, "/healthz", ""); status != http.StatusOK {
		t.Errorf("/healthz: %d %q", status, body)
	}
	if status, body := get(t, addr, "/readyz", ""); status != http.StatusServiceUnavailable || strings.Contains(body, "store") {
		t.Errorf("/readyz tells a stranger %d %q", status, body)
	}
	if status, body := get(t, addr, "/readyz", "Bearer open sesame"); status != http.StatusServiceUnavailable || !strings.Contains(body, "the store is away") {
		t.Errorf("/readyz tells the operator %d %q", status, body)
	}
	if _, body := get(t, addr, "/metrics", "Bearer open sesame"); !strings.Contains(body, `skua_admin_denied_total{reason="token"} 49`) {
		t.Error("denied requests are not counted")
	}
}

func TestReadinessFollowsTheNode(t *testing.T) {
	var ready atomic.Bool
	addr, _ := serve(t, &admin.Server{Ready: func(context.Context) error {
		if ready.Load() {
			return nil
		}
		return errors.New("draining")
	}})
	if status, body := get(t, addr, "/readyz", ""); status != http.StatusServiceUnavailable || body != "not ready: draining\n" {
		t.Errorf("%d %q", status, body)
	}
	ready.Store(true)
	if status, _ := get(t, addr, "/readyz", ""); status != http.StatusOK {
		t.Errorf("%d", status)
	}
}

func TestWithoutATokenOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:7090", "[::]:7090", ":7090", "192.0.2.1:7090", "example.com:7090"} {
		if err := admin.CheckBind(addr, false); !errors.Is(err, admin.ErrOpen) || !strings.Contains(err.Error(), "admin.token") || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v", addr, err)
		}
		if err := admin.CheckBind(addr, true); err != nil {
			t.Errorf("%s with a token: %v", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:7090", "127.8.8.8:0", "[::1]:7090", "localhost:7090"} {
		if err := admin.CheckBind(addr, false); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := admin.CheckBind("nonsense", false); err == nil {
		t.Error("an address without a port passed")
	}
	ln := &pretendListener{addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7090}}
	if err := (&admin.Server{}).Serve(t.Context(), ln); !errors.Is(err, admin.ErrOpen) {
		t.Errorf("serving: %v", err)
	}
	if !ln.closed {
		t.Error("the refused listener was not closed")
	}
}

// pretendListener has an address that this machine has not.
type pretendListener struct {
	net.Listener
	addr   net.Addr
	closed bool
}

func (l *pretendListener) Addr() net.Addr { return l.addr }
func (l *pretendListener) Close() error   { l.closed = true; return nil }

func TestPageOfAnotherNameIsRefused(t *testing.T) {
	addr, _ := serve(t, &admin.Server{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/version", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example:7090"
	if status, body := do(t, req); status != http.StatusForbidden || !strings.Contains(body, "admin.token") {
		t.Errorf("%d %q", status, body)
	}
	req.Host = "[::1]:7090"
	if status, _ := do(t, req); status != http.StatusOK {
		t.Errorf("loopback IPv6: %d", status)
	}
}

func TestProfileLengthIsBounded(t *testing.T) {
	addr, _ := serve(t, &admin.Server{})
	for _, seconds := range []string{"301", "-1", "NaN", "Inf", "x", "1e400"} {
		if status, body := get(t, addr, "/debug/pprof/profile?seconds="+seconds, ""); status != http.StatusBadRequest || !strings.Contains(body, "expected 0 to 300") {
			t.Errorf("%s: %d %q", seconds, status, body)
		}
	}
}

func TestStopEndsAProfileInFlight(t *testing.T) {
	addr, stop := serve(t, &admin.Server{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /debug/pprof/trace?seconds=200 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The first bytes of the trace tell that it runs.
	if _, err := bufio.NewReader(conn).ReadByte(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > time.Minute { // the trace would take 200 s
		t.Errorf("stopping took %v", took)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	addr, _ := serve(t, &admin.Server{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Huge", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the server closed the connection before it had read all, and its answer was lost
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestOnlyReadingMethodsAreServed(t *testing.T) {
	addr, _ := serve(t, &admin.Server{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/version", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := do(t, req); status != http.StatusMethodNotAllowed {
		t.Errorf("status %d", status)
	}
}

func TestTwoServersShareARegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	serveAgain := func() {
		addr, stop := serve(t, &admin.Server{Metrics: reg})
		if status, _ := get(t, addr, "/metrics", ""); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	serveAgain()
	serveAgain()
}
