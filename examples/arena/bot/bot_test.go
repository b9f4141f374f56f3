package bot_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/examples/arena/bot"
)

func TestARampSaysWhenEachClientComes(t *testing.T) {
	r, err := bot.ParseRamp("10/s:2s, 100/s")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]time.Duration{0: 0, 1: 100 * time.Millisecond, 19: 1900 * time.Millisecond, 20: 2 * time.Second, 70: 2500 * time.Millisecond} {
		if got := r.At(i); (got - want).Abs() > time.Microsecond {
			t.Errorf("client %d comes after %v, expected %v", i, got, want)
		}
	}
	if at := bot.Ramp(nil).At(1000); at != 0 {
		t.Errorf("without a ramp client 1000 comes after %v", at)
	}
	for _, bad := range []string{"", "10", "0/s", "-1/s", "x/s", "10/s:", "10/s:0s", "10/s,20/s"} {
		if _, err := bot.ParseRamp(bad); !errors.Is(err, bot.ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestThinkTimesHaveTheirDistribution(t *testing.T) {
	for text, want := range map[string]struct{ low, high, mean time.Duration }{
		"250ms":    {250 * time.Millisecond, 250 * time.Millisecond, 250 * time.Millisecond},
		"1s-3s":    {time.Second, 3 * time.Second, 2 * time.Second},
		"exp:1s":   {0, 10 * time.Second, time.Second},
		"0s":       {},
		"0s-100ms": {0, 100 * time.Millisecond, 50 * time.Millisecond},
	} {
		think, err := bot.ParseThink(text)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		const n = 20_000
		var sum time.Duration
		for range n {
			d := think(rng)
			if d < want.low || d > want.high {
				t.Fatalf("%s: %v", text, d)
			}
			sum += d
		}
		if mean := sum / n; (mean - want.mean).Abs() > want.mean/20 {
			t.Errorf("%s: mean %v, expected %v", text, mean, want.mean)
		}
	}
	for _, bad := range []string{"", "x", "-1s", "2s-1s", "exp:", "exp:-1s", "1s-"} {
		if _, err := bot.ParseThink(bad); !errors.Is(err, bot.ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestChecksHoldOrSayWhatIs(t *testing.T) {
	r := &bot.Report{
		Clients: 10, Played: 10 * time.Second, Requests: 1000, ErrorCount: 1, Lost: []string{"x"},
		Latency: bot.Latency{P99: 40 * time.Millisecond}, Connect: bot.Latency{Max: time.Second},
	}
	for text, want := range map[string]string{
		"p99<50ms": "", "p99 <= 40ms": "", "p99<40ms": "it is 40ms", "connect.max>2s": "it is 1s", "requests_per_s>=100": "", "requests_per_s>100": "it is 100",
		"errors==0": "it is 2", "errors == 2": "", "lost<1": "it is 1", "clients==10": "",
	} {
		c, err := bot.ParseCheck(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Failed(r); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
	for _, bad := range []string{"", "p99", "p98<1s", "p99<50", "errors<1s", "p99=50ms", "p99=<50ms", "errors!=1"} {
		if _, err := bot.ParseCheck(bad); !errors.Is(err, bot.ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMergedReportsHaveThePercentilesOfAll(t *testing.T) {
	parts := []bot.Part{
		{Clients: 1, Played: time.Second, Requests: 99, Errors: []string{"a"}, ErrorCount: 1, Kinds: map[string]int{"timeout": 1}, Histograms: bot.Encoded(99, time.Millisecond)},
		{Clients: 2, Played: 2 * time.Second, Requests: 901, ErrorCount: 3, Kinds: map[string]int{"timeout": 2, "wrong": 1}, Lost: []string{"b"}, Histograms: bot.Encoded(901, time.Second)},
		{},
	}
	r, err := bot.Merge(parts)
	if err != nil {
		t.Fatal(err)
	}
	if r.Clients != 3 || r.Played != 2*time.Second || r.Requests != 1000 || r.ErrorCount != 4 || r.Kinds["timeout"] != 3 || len(r.Errors) != 1 || len(r.Lost) != 1 {
		t.Errorf("%+v", r)
	}
	near := func(got, want time.Duration) bool { return (got - want).Abs() <= want/500 }
	if !near(r.Latency.P50, time.Second) || !near(r.Latency.Max, time.Second) {
		t.Errorf("%+v", r.Latency)
	}
	again, err := r.Part()
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := bot.Merge([]bot.Part{again}); err != nil || twice.Latency != r.Latency {
		t.Errorf("%+v, %v", twice, err)
	}
	if _, err := bot.Merge([]bot.Part{{Histograms: [4][]byte{{1, 2, 3}}}}); err == nil {
		t.Error("a broken histogram was merged")
	}
}
