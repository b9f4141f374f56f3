package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/trace"
)

// traces sends the node's spans to a collector. A nil one is a node that traces nothing.
type traces struct {
	own      *trace.Tracer
	chooser  *trace.Chooser // of what is traced, which operators change
	provider *sdk.TracerProvider
	tally    *spanTally
	giveUp   context.CancelFunc // of what is being sent, and all that is to be
	patience time.Duration
	log      *slog.Logger
}

const (
	// maxSpans is how many spans may wait to be sent, and spanBatch how many are sent at once. What comes when they are full is dropped and counted.
	maxSpans, spanBatch = 4096, 512
	// sendEvery is how long a span waits at most, unless its batch has to wait for an earlier one.
	sendEvery = 5 * time.Second
	// exportTimeout bounds the sending of one batch with all its tries; others wait meanwhile.
	exportTimeout = 20 * time.Second
	// flushTimeout bounds the sending of what waits when the node stops.
	flushTimeout = 5 * time.Second
)

// openTraces makes what the configuration asks for; nil if that is nothing. The collector need not be there.
func (n *node) openTraces(ctx context.Context) (*traces, error) {
	cfg := n.project.cfg.Trace
	if cfg.Endpoint == "" {
		return nil, nil //nolint:nilnil // a nil *traces works
	}
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	headers, err := parseHeaders(cfg.Headers.Reveal())
	if err != nil {
		return nil, fmt.Errorf("trace.headers: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithHeaders(headers), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithTimeout(exportTimeout/2),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportTimeout}),
	)
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	n.log.Info("tracing", "endpoint", cfg.Endpoint, "sample", cfg.Sample)
	t := newTraces(exporter, cfg.Sample, n.project.cfg.Name, n.log.With("part", "trace"))
	n.metrics.MustRegister(t.tally.spans, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "skua_trace_cut_total", Help: "Messages that were not traced because their trace was too long or too old.",
	}, func() float64 { return float64(t.own.Cut()) }))
	return t, nil
}

// newTraces has a share of all traces sent by exporter.
func newTraces(exporter sdk.SpanExporter, share float64, node string, log *slog.Logger) *traces {
	tally := newSpanTally(log)
	ctx, giveUp := context.WithCancel(context.Background())
	queue := sdk.NewBatchSpanProcessor(&spanSink{exporter, tally, ctx},
		sdk.WithMaxQueueSize(maxSpans), sdk.WithMaxExportBatchSize(spanBatch), sdk.WithBatchTimeout(sendEvery), sdk.WithExportTimeout(exportTimeout))
	provider := sdk.NewTracerProvider(
		sdk.WithSpanProcessor(&spanDoor{queue, tally}),
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())), // of the messages that were chosen
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", node), attribute.String("service.version", version), attribute.String("vcs.ref.head.revision", commit))),
	)
	chooser := trace.NewChooser(share)
	return &traces{
		own: trace.New(trace.Config{Provider: provider, Choose: chooser.Choose}), chooser: chooser, provider: provider, tally: tally,
		giveUp: giveUp, patience: flushTimeout, log: log,
	}
}

// tracer is what the actors' spans are made by; nil for none.
func (t *traces) tracer() actor.Tracer {
	if t == nil {
		return nil
	}
	return t.own
}

// close sends what waits, while its patience lasts. That this fails is no failure of the node.
func (t *traces) close() {
	if t == nil {
		return
	}
	defer t.giveUp()
	patience := time.AfterFunc(t.patience, t.giveUp)
	defer patience.Stop()
	// Once sending is given up the end needs but a moment.
	ctx, cancel := context.WithTimeout(context.Background(), t.patience+time.Second)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("tracing did not end well", "error", err)
	}
	t.tally.tell()
}
