package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/services/admin"
)

// collector takes OTLP over HTTP, as the OpenTelemetry Collector does.
type collector struct {
	t *testing.T
	*httptest.Server

	mu       sync.Mutex
	headers  http.Header
	resource map[string]string
	spans    []*tracepb.Span
	services map[*tracepb.Span]string // the service.name of their node
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, services: map[*tracepb.Span]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(_ http.ResponseWriter, r *http.Request) {
	unzipped, err := gzip.NewReader(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s: %v", r.URL, err)
		return
	}
	body, err := io.ReadAll(unzipped)
	var got tracepb.TracesData // on the wire an ExportTraceServiceRequest is the same
	if err = errors.Join(err, proto.Unmarshal(body, &got)); err != nil {
		c.t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = r.Header
	for _, from := range got.GetResourceSpans() {
		c.resource = attributes(from.GetResource().GetAttributes())
		for _, scope := range from.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
			for _, s := range scope.GetSpans() {
				c.services[s] = c.resource["service.name"]
			}
		}
	}
}

func attributes(of []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range of {
		m[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return m
}

// draw is the trace with this root: each span below its parent, brothers in the order in which they began.
func (c *collector) draw(root string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.spans, func(a, b *tracepb.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	var b strings.Builder
	var below func(trace, parent string, depth int)
	below = func(trace, parent string, depth int) {
		for _, s := range c.spans {
			if hex.EncodeToString(s.GetTraceId()) != trace || hex.EncodeToString(s.GetParentSpanId()) != parent {
				continue
			}
			fmt.Fprintf(&b, "%s%s %s\n", strings.Repeat("  ", depth), strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"), s.GetName())
			below(trace, hex.EncodeToString(s.GetSpanId()), depth+1)
		}
	}
	for _, s := range c.spans {
		if s.GetName() == root && len(s.GetParentSpanId()) == 0 {
			below(hex.EncodeToString(s.GetTraceId()), "", 0)
		}
	}
	return b.String()
}

const tracedConfig = `
name = "traced"
[gate]
agent = "agent"
linger = "0s"
[login]
method = "guest"
[trace]
endpoint = %q
sample = %v
headers = "env:COLLECTOR_HEADERS"
`

const tracedAgent = `
local skynet = require "skynet"
local M = { client = {} }
function M.start(self) self.stock = skynet.uniqueservice("stock") end
function M.client.buy(self, request)
  skynet.sleep(1)
  return { left = skynet.call(self.stock, "lua", "take", request.n) }
end
return M
`

const tracedStock = `
local M = {}
function M.take(self, n) return 10 - n end
return M
`

// served runs a project in this process, plays, and stops it. The result is its log.
func served(t *testing.T, dir string, play func(tcp string)) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, log := newWatched(), newWatched()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"run", dir, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "off", "--listen-http", "off", "--admin", "off",
		}, out, log)
	}()
	_, tcp, ok := strings.Cut(strings.TrimSpace(out.waitFor(t, "ready")), "tcp=")
	if !ok {
		t.Fatal("no TCP address")
	}
	play(tcp)
	cancel()
	if got := <-code; got != exitDone {
		t.Errorf("exit code %d", got)
	}
	_, _ = log.Write([]byte("the end\n"))
	log.waitFor(t, "the end")
	return log.text()
}

func tracedProject(t *testing.T, endpoint string, sample float64) string {
	t.Helper()
	t.Setenv("COLLECTOR_HEADERS", "Authorization=Bearer%20a%2Cb,X-Team=games")
	dir := t.TempDir()
	put(t, filepath.Join(dir, "skua.toml"), fmt.Sprintf(tracedConfig, endpoint, sample))
	put(t, filepath.Join(dir, "scripts", "main.lua"), "return {}\n")
	put(t, filepath.Join(dir, "scripts", "agent.lua"), tracedAgent)
	put(t, filepath.Join(dir, "scripts", "stock.lua"), tracedStock)
	return dir
}

func playBuy(t *testing.T) func(tcp string) {
	return func(tcp string) {
		t.Helper()
		c, err := client.Dial(t.Context(), "tcp://"+tcp, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Request(t.Context(), "login", map[string]string{"name": "ann"}, nil); err != nil {
			t.Fatal(err)
		}
		var got struct{ Left int }
		if err := c.Request(t.Context(), "buy", map[string]int{"n": 3}, &got); err != nil || got.Left != 7 {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
}

// What a node has seen is with the collector when it has stopped, without a wait for the next batch.
func TestACollectorGetsTheTraceOfARequestThroughScripts(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	log := served(t, tracedProject(t, c.URL, 1), playBuy(t))
	want := `SERVER session request buy
  INTERNAL agent client buy
    INTERNAL stock lua take
`
	if got := c.draw("session request buy"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if c.headers.Get("Authorization") != "Bearer a,b" || c.headers.Get("X-Team") != "games" {
		t.Errorf("got headers %v", c.headers)
	}
	if c.resource["service.name"] != "traced" || c.resource["service.version"] != version || c.resource["deployment.environment.name"] != "test" {
		t.Errorf("got resource %v", c.resource)
	}
	if strings.Contains(log, "a,b") || strings.Contains(log, "a%2Cb") || !strings.Contains(log, c.URL) {
		t.Errorf("the log tells what it should not, or not what it should:\n%s", log)
	}
}

// The client's connection is at one node, its agent on another.
func TestATraceGoesOnAtAnotherNode(t *testing.T) {
	c := startCollector(t)
	project := tracedProject(t, c.URL, 1)
	put(t, filepath.Join(project, "skua.toml"), strings.Replace(fmt.Sprintf(tracedConfig, c.URL, 1), "[gate]", "[cluster]\nbeat = \"100ms\"\n[gate]\nagent_role = \"world\"", 1))
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	t.Setenv("SKUA_CLUSTER_ROLES", "gate")
	door := start(t, project, "--name", "door", "--listen-cluster", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0")
	t.Setenv("SKUA_CLUSTER_ROLES", "world")
	world := start(t, project, "--name", "world", "--join", door.addrs["cluster"])
	await(t, "the nodes see each other", func() bool { return door.member("world") == "alive" && world.member("door") == "alive" })
	playBuy(t)(door.addrs["tcp"])
	world.stop()
	door.stop()
	want := `SERVER session request buy
  SERVER agent client buy
    INTERNAL stock lua take
`
	if got := c.draw("session request buy"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if at := map[string]string{"session request buy": "door", "agent client buy": "world", "stock lua take": "world"}[s.GetName()]; at != "" && c.services[s] != at {
			t.Errorf("%s was seen by %s, expected %s", s.GetName(), c.services[s], at)
		}
	}
}

func TestACollectorMayHaveACertificateOfItsOwn(t *testing.T) {
	c := &collector{t: t, services: map[*tracepb.Span]string{}}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(c.take))
	defer c.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	put(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})))
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	cfg := DefaultConfig()
	cfg.Trace = TraceConfig{Endpoint: c.URL + "/", Sample: 1}
	n := &node{project: &project{cfg: cfg}, log: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	traces, err := n.openTraces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flood(t, traces, 10)
	traces.close()
	if len(c.spans) != 10 {
		t.Errorf("%d spans came", len(c.spans))
	}
}

func TestANodeThatTracesNothingSendsNothing(t *testing.T) {
	c := startCollector(t)
	served(t, tracedProject(t, c.URL, 0), playBuy(t))
	if n := len(c.spans); n > 0 {
		t.Errorf("%d spans at sample = 0", n)
	}
	n := &node{project: &project{cfg: DefaultConfig()}, log: slog.New(slog.DiscardHandler)}
	traces, err := n.openTraces(t.Context())
	if traces != nil || err != nil || traces.tracer() != nil {
		t.Errorf("got %v, %v without an endpoint", traces, err)
	}
	traces.close()
}

// A collector that is not there costs the players nothing and the node no failure. The operator hears of it, and not once a batch.
func TestACollectorThatIsAwayIsToldOnce(t *testing.T) {
	c := startCollector(t)
	c.Close()
	log := served(t, tracedProject(t, c.URL, 1), playBuy(t))
	// At once, and in the end what was not told, which is something when the game took longer than spans are gathered.
	if told := strings.Count(log, "spans of traces are lost"); told == 0 || told > 2 || !strings.Contains(log, "connection refused") {
		t.Errorf("log:\n%s", log)
	}
}

// stuck is an exporter that sends only when it may.
type stuck struct {
	begun chan struct{}
	may   chan struct{}
	kept  *tracetest.InMemoryExporter
}

func (s *stuck) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	select {
	case <-s.may:
		return s.kept.ExportSpans(ctx, spans)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stuck) Shutdown(context.Context) error { return nil }

// flood has so many messages traced.
func flood(t *testing.T, tr *traces, n int) {
	t.Helper()
	sys := actor.New(actor.Config{Tracer: tr.tracer(), Log: slog.New(slog.DiscardHandler)})
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		sys.Send(ref, 1)
	}
	sys.Drain(ref, 0)
	<-sys.Ended(ref)
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestSpansThatDoNotFitAreCountedAndTold(t *testing.T) {
	log := &logtest.Buffer{}
	exporter := &stuck{begun: make(chan struct{}, 1), may: make(chan struct{}), kept: tracetest.NewInMemoryExporter()}
	tr := newTraces(exporter, 1, "n", slog.New(slog.NewTextHandler(log, nil)))
	const more = 1000
	flood(t, tr, maxSpans+more)
	<-exporter.begun
	if got := testutil.ToFloat64(tr.tally.dropped); got != more {
		t.Errorf("%v were dropped, want %d", got, more)
	}
	if log.Count("spans of traces are lost") != 1 || log.Count("too many wait") != 1 {
		t.Errorf("log:\n%s", log)
	}
	close(exporter.may)
	tr.close()
	if sent := testutil.ToFloat64(tr.tally.sent); sent != maxSpans || len(exporter.kept.GetSpans()) != 0 && len(exporter.kept.GetSpans()) != maxSpans {
		t.Errorf("%v were sent, want %d", sent, maxSpans)
	}
	// What was not told at once is told in the end.
	if log.Count("spans of traces are lost") != 2 || log.Count(fmt.Sprintf("spans=%d", more-1)) != 1 {
		t.Errorf("log:\n%s", log)
	}
	if waiting := tr.tally.waiting.Load(); waiting != 0 {
		t.Errorf("%d wait at the end", waiting)
	}
}

func TestACollectorThatHangsIsGivenUpWhenTheNodeStops(t *testing.T) {
	log := &logtest.Buffer{}
	exporter := &stuck{begun: make(chan struct{}, 1), may: make(chan struct{})}
	tr := newTraces(exporter, 1, "n", slog.New(slog.NewTextHandler(log, nil)))
	tr.patience = 50 * time.Millisecond
	flood(t, tr, 2*spanBatch)
	<-exporter.begun
	began := time.Now()
	tr.close()
	if took := time.Since(began); took > 10*time.Second { // and goleak sees that nothing of it is left
		t.Errorf("took %v", took)
	}
	if got := testutil.ToFloat64(tr.tally.failed); got != 2*spanBatch {
		t.Errorf("%v failed, want %d", got, 2*spanBatch)
	}
	if log.Count("spans of traces are lost") == 0 || log.Count("context canceled") == 0 {
		t.Errorf("log:\n%s", log)
	}
}

const keepingAgent = `
local skynet = require "skynet"
local store = require "store"
local M = { client = {} }
function M.client.buy(self, request)
  store.claim("bag", "ann")
  store.commit("bag", "ann", { n = request.n })
  return { left = 10 - request.n }
end
function M.client.look(self) return { left = 7 } end
return M
`

// The client's connection is at one node; its agent, and the store that this writes to, are at another. Nothing is traced but what an operator asks for.
func TestTracesAreSwitchedOnLive(t *testing.T) {
	c := startCollector(t)
	project := tracedProject(t, c.URL, 0)
	put(t, filepath.Join(project, "skua.toml"), strings.Replace(fmt.Sprintf(tracedConfig, c.URL, 0), "[gate]", "[cluster]\nbeat = \"100ms\"\n[gate]\nagent_role = \"world\"", 1))
	put(t, filepath.Join(project, "scripts", "agent.lua"), keepingAgent)
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	t.Setenv("SKUA_CLUSTER_ROLES", "gate")
	door := start(t, project, "--name", "door", "--listen-cluster", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0")
	t.Setenv("SKUA_CLUSTER_ROLES", "world")
	world := start(t, project, "--name", "world", "--join", door.addrs["cluster"])
	await(t, "the nodes see each other", func() bool { return door.member("world") == "alive" && world.member("door") == "alive" })

	players := map[string]*client.Client{}
	for _, name := range []string{"ann", "bob"} {
		p, err := client.Dial(t.Context(), "tcp://"+door.addrs["tcp"], client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		players[name] = p
		if err := p.Request(t.Context(), "login", map[string]string{"name": name}, nil); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(name, route string) {
		t.Helper()
		var got struct{ Left int }
		if err := players[name].Request(t.Context(), route, map[string]int{"n": 3}, &got); err != nil || got.Left != 7 {
			t.Fatalf("%s asks for %s: %+v, %v", name, route, got, err)
		}
	}
	switched := func(args ...string) (all admin.Traces) {
		t.Helper()
		door.found(&all, append([]string{"trace"}, args...)...)
		return all
	}
	ask("ann", "buy") // not traced
	if got := switched("player", "guest:ann", "--for", "1m"); len(got.Rules) != 1 || got.Rules[0].Player != "guest:ann" || time.Until(got.Rules[0].Until) > time.Minute {
		t.Fatalf("got %+v", got)
	}
	ask("ann", "buy")
	ask("bob", "look") // nobody asks for it
	door.found(new(admin.Ended), "trace", "off")
	ask("ann", "buy")
	switched("route", "look")
	ask("bob", "look")
	ask("ann", "buy")
	if code, _, text := door.look("trace", "share", "0%"); code != exitUsage || !strings.Contains(text, "more than 0%") {
		t.Errorf("a share of nothing: %d %s", code, text)
	}
	world.stop()
	door.stop()

	want := `SERVER session request buy
  SERVER agent client buy
    INTERNAL store store.Claim
    INTERNAL store store.Commit
`
	if got := c.draw("session request buy"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := c.draw("session request look"); got != "SERVER session request look\n  SERVER agent client look\n" {
		t.Errorf("got\n%s", got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.spans); n != 6 {
		t.Errorf("%d spans, expected those of two requests", n)
	}
	for _, s := range c.spans {
		at := "world"
		if strings.HasPrefix(s.GetName(), "session") {
			at = "door"
		}
		if c.services[s] != at {
			t.Errorf("%s was seen by %s, expected %s", s.GetName(), c.services[s], at)
		}
	}
}

func TestWithoutACollectorNothingCanBeTraced(t *testing.T) {
	r := start(t, idlerProject(t))
	code, _, text := r.look("trace", "player", "ann")
	if code != exitFailed || !strings.Contains(text, "trace.endpoint") {
		t.Errorf("%d %s", code, text)
	}
	r.stop()
}
