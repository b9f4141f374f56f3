package dashboards_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/skua-go/skua/internal/testcert"
)

// begin is when the time of the stored series begins. It has nothing to do with the clock: scrapes count as 15 s apart, however quickly they are made.
var begin = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

const between = 15 * time.Second

// data is a Prometheus without its server.
type data struct {
	db     *tsdb.DB
	engine *promql.Engine
	parser parser.Parser
	last   time.Time
}

func openData(t *testing.T) *data {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(t.TempDir(), slog.New(slog.DiscardHandler), nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p := parser.NewParser(parser.Options{})
	return &data{db: db, parser: p, engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000_000, Timeout: time.Minute, Parser: p})}
}

// put stores one value of a series that is written as in queries.
func (d *data) put(t *testing.T, series string, at time.Time, v float64) {
	t.Helper()
	l, err := d.parser.ParseMetric(series)
	if err != nil {
		t.Fatal(err)
	}
	app := d.db.Appender(t.Context())
	_, err = app.Append(0, l, at.UnixMilli(), v)
	if err := errors.Join(err, app.Commit()); err != nil {
		t.Fatal(err)
	}
}

// query is the value of an expression; the zero time is that of the last scrape.
func (d *data) query(t *testing.T, expr string, at time.Time) promql.Vector {
	t.Helper()
	if at.IsZero() {
		at = d.last
	}
	q, err := d.engine.NewInstantQuery(t.Context(), d.db, nil, expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	vector, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	found := make(promql.Vector, len(vector))
	copy(found, vector) // Close takes the memory back
	return found
}

// scrape stores what a node's metrics page has, as Prometheus does.
func (d *data) scrape(t *testing.T, n *process, at time.Time) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.addrs["admin"]+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %v", resp.Status, err)
	}
	p, err := textparse.New(page, resp.Header.Get("Content-Type"), labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	app := d.db.Appender(t.Context())
	own := []string{"job", "skua", "instance", n.name}
	add := func(l labels.Labels, v float64) {
		b := labels.NewBuilder(l)
		for i := 0; i < len(own); i += 2 {
			b.Set(own[i], own[i+1])
		}
		if _, err := app.Append(0, b.Labels(), at.UnixMilli(), v); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
	}
	for {
		kind, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the metrics page is not valid: %v", err)
		}
		if kind != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, _, v := p.Series()
		add(l, v)
	}
	add(labels.FromStrings("__name__", "up"), 1)
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	d.last = at
}

// process is a node, as users run it.
type process struct {
	name  string
	addrs map[string]string
}

// start runs a node until the test ends, and waits until it serves.
func start(t *testing.T, bin, name string, env []string, args ...string) *process {
	t.Helper()
	args = append([]string{"run"}, args...)
	args = append(args, "--name", name, "--data", t.TempDir(),
		"--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, args...)
	cmd.Env = append(os.Environ(), env...)
	log := &strings.Builder{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("the log of %s, which ended with %v:\n%s", name, err, log)
		}
	})
	n := &process{name: name, addrs: map[string]string{}}
	for s := bufio.NewScanner(out); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) == 0 || words[0] != "ready" {
			continue
		}
		for _, word := range words[1:] {
			if what, addr, ok := strings.Cut(word, "="); ok {
				n.addrs[what] = addr
			}
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		return n
	}
	t.Fatalf("%s has ended before it served", name)
	return nil
}

// play has clients play on two nodes of a cluster, and scrapes both meanwhile.
func play(t *testing.T) *data {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "skua")
	if out, err := exec.CommandContext(t.Context(), "go", "-C", "../..", "build", "-o", bin, "./cmd/skua").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cert, key := testcert.New(t).Write(t, t.TempDir(), "node", "localhost")
	env := []string{
		"SKUA_CLUSTER_SECRET=this-is-for-two-nodes-of-a-test-only", "SKUA_TLS_CERT=" + cert, "SKUA_TLS_KEY=" + key, "SKUA_TLS_LISTENERS=http",
		"SKUA_LISTEN_RTMP=127.0.0.1:0", "SKUA_MEDIA_ADMIT=open", "SKUA_MEDIA_RECORD_DIR=" + t.TempDir(),
	}
	a := start(t, bin, "a", env, "--listen-cluster", "127.0.0.1:0")
	b := start(t, bin, "b", env, "--join", a.addrs["cluster"])
	d := openData(t)
	at := begin
	d.scrape(t, a, at)
	d.scrape(t, b, at)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	bots := make(chan error, 2)
	for _, n := range []*process{a, b} {
		for _, transport := range []string{"tcp", "kcp"} {
			go func() {
				out, err := exec.CommandContext(ctx, bin, "bot", "--addr", n.addrs[transport], "--transport", transport, "--prefix", n.name+transport, "--clients", "10", "--duration", "4s").CombinedOutput()
				if err != nil {
					err = fmt.Errorf("bots of %s over %s: %w\n%s", n.name, transport, err, out)
				}
				bots <- err
			}()
		}
	}
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for left := 4; left > 0; {
		select {
		case err := <-bots:
			if err != nil {
				t.Fatal(err)
			}
			left--
			continue
		case <-tick.C:
		}
		at = at.Add(between)
		d.scrape(t, a, at)
		d.scrape(t, b, at)
	}
	return d
}
