package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// spanTally counts what becomes of spans, and tells of those that are lost.
type spanTally struct {
	spans                 *prometheus.CounterVec
	sent, failed, dropped prometheus.Counter
	waiting               atomic.Int64 // from their end until they are sent, or are not
	log                   *slog.Logger

	mu     sync.Mutex
	told   time.Time
	lost   int // since then
	reason error
}

// tellEvery is how often the log tells of lost spans at most.
const tellEvery = time.Minute

func newSpanTally(log *slog.Logger) *spanTally {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skua_trace_spans_total", Help: "Spans of traces: sent to the collector, failed to be, dropped because too many waited.",
	}, []string{"result"})
	return &spanTally{
		spans: spans, sent: spans.WithLabelValues("sent"), failed: spans.WithLabelValues("failed"), dropped: spans.WithLabelValues("dropped"), log: log,
	}
}

func (t *spanTally) lose(n int, reason error) {
	t.mu.Lock()
	t.lost += n
	t.reason = reason
	now := time.Since(t.told) >= tellEvery
	t.mu.Unlock()
	if now {
		t.tell()
	}
}

// tell logs what has been lost since it was told last.
func (t *spanTally) tell() {
	t.mu.Lock()
	lost, reason := t.lost, t.reason
	t.lost, t.told = 0, time.Now()
	t.mu.Unlock()
	if lost > 0 {
		t.log.Warn("spans of traces are lost", "spans", lost, "error", reason)
	}
}

// spanDoor stands before the SDK's queue, which would drop without a word what does not fit in.
type spanDoor struct {
	sdk.SpanProcessor
	tally *spanTally
}

var errSpansWait = errors.New("too many wait to be sent")

// OnEnd queues a span, or drops it. It never blocks.
func (d *spanDoor) OnEnd(s sdk.ReadOnlySpan) {
	if d.tally.waiting.Add(1) > maxSpans {
		d.tally.waiting.Add(-1)
		d.tally.dropped.Inc()
		d.tally.lose(1, errSpansWait)
		return
	}
	d.SpanProcessor.OnEnd(s)
}

// spanSink stands behind the SDK's queue, which would tell the whole process of each error.
type spanSink struct {
	sdk.SpanExporter
	tally *spanTally
	ctx   context.Context //nolint:containedctx // of all that is sent
}

// ExportSpans sends one batch.
func (s *spanSink) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	err := s.SpanExporter.ExportSpans(ctx, spans)
	s.tally.waiting.Add(int64(-len(spans)))
	if err != nil {
		s.tally.failed.Add(float64(len(spans)))
		s.tally.lose(len(spans), err)
		return nil
	}
	s.tally.sent.Add(float64(len(spans)))
	return nil
}
