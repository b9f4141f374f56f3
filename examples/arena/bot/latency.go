package bot

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is how long something took.
type Latency struct{ P50, P90, P99, Max time.Duration }

// The histograms' range in microseconds and their precision: 0.1 %.
const (
	shortest, longest = 1, int64(10 * time.Minute / time.Microsecond)
	digits            = 3
)

// histogram collects durations in bounded memory. It may be used from any goroutine.
type histogram struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newHistogram() *histogram {
	return &histogram{h: hdrhistogram.New(shortest, longest, digits)}
}

func (h *histogram) add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.h.RecordValue(min(max(d.Microseconds(), shortest), longest)) // within its range
}

func (h *histogram) latency() Latency {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.h.TotalCount() == 0 {
		return Latency{}
	}
	at := func(percent float64) time.Duration {
		return time.Duration(h.h.ValueAtPercentile(percent)) * time.Microsecond
	}
	return Latency{at(50), at(90), at(99), time.Duration(h.h.Max()) * time.Microsecond}
}

// take returns what has come since the last time, and begins anew.
func (h *histogram) take() Latency {
	l := h.latency()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.h.Reset()
	return l
}

// encode is the histogram in HdrHistogram's own compressed form (V2).
func (h *histogram) encode() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("bot: histogram: %w", err)
	}
	return data, nil
}

// merge adds what encode has made.
func (h *histogram) merge(data []byte) error {
	other, err := hdrhistogram.Decode(data)
	if err != nil {
		return fmt.Errorf("bot: histogram of %d bytes: %w", len(data), err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if dropped := h.h.Merge(other); dropped > 0 {
		return fmt.Errorf("bot: histogram: %d values are out of range", dropped)
	}
	return nil
}
