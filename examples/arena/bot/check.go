package bot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Check is a threshold that a report has to keep.
type Check struct {
	text   string
	metric string
	op     string
	limit  float64 // seconds, or a number
}

// Durations and numbers of a report that a Check may name.
func durations(r *Report) map[string]time.Duration {
	all := map[string]time.Duration{}
	for prefix, l := range map[string]Latency{"": r.Latency, "connect.": r.Connect, "login.": r.Login, "back.": r.Back} {
		all[prefix+"p50"], all[prefix+"p90"], all[prefix+"p99"], all[prefix+"max"] = l.P50, l.P90, l.P99, l.Max
	}
	return all
}

func numbers(r *Report) map[string]float64 {
	return map[string]float64{
		"clients": float64(r.Clients), "requests": float64(r.Requests), "answers": float64(r.Answers), "pushes": float64(r.Pushes),
		"resumes": float64(r.Resumes), "relogins": float64(r.Relogins), "errors": float64(r.ErrorCount + len(r.Lost)), "lost": float64(len(r.Lost)),
		"requests_per_s": perSecond(r.Requests, r.Played), "pushes_per_s": perSecond(r.Pushes, r.Played),
	}
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Metrics lists what a Check may name.
func Metrics() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(durations(&Report{})) {
			if !yield(name) {
				return
			}
		}
		for name := range maps.Keys(numbers(&Report{})) {
			if !yield(name) {
				return
			}
		}
	})
}

// ParseCheck reads "p99<50ms", "requests_per_s>=1000", "errors==0": a metric of Metrics, one of < <= > >= ==, a duration or a number.
func ParseCheck(text string) (Check, error) {
	at := strings.IndexAny(text, "<>=")
	if at < 0 {
		return Check{}, fmt.Errorf("%w: check %q, expected something like p99<50ms", ErrConfig, text)
	}
	end := at + 1
	if end < len(text) && text[end] == '=' {
		end++
	}
	c := Check{text: text, metric: strings.TrimSpace(text[:at]), op: text[at:end]}
	if c.op == "=" {
		return Check{}, fmt.Errorf("%w: check %q, expected one of < <= > >= ==", ErrConfig, text)
	}
	value := strings.TrimSpace(text[end:])
	if _, ok := durations(&Report{})[c.metric]; ok {
		d, err := time.ParseDuration(value)
		if err != nil {
			return Check{}, fmt.Errorf("%w: check %q: %q is no duration like 50ms", ErrConfig, text, value)
		}
		c.limit = d.Seconds()
		return c, nil
	}
	if _, ok := numbers(&Report{})[c.metric]; !ok {
		return Check{}, fmt.Errorf("%w: check %q: %q is none of %s", ErrConfig, text, c.metric, strings.Join(Metrics(), " "))
	}
	limit, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return Check{}, fmt.Errorf("%w: check %q: %q is no number", ErrConfig, text, value)
	}
	c.limit = limit
	return c, nil
}

// Failed says how a report breaks the check; "" if it does not.
func (c Check) Failed(r *Report) string {
	value, found := numbers(r)[c.metric]
	shown := strconv.FormatFloat(value, 'f', -1, 64)
	if d, ok := durations(r)[c.metric]; ok {
		value, found, shown = d.Seconds(), true, d.String()
	}
	holds := found && map[string]bool{
		"<": value < c.limit, "<=": value <= c.limit, ">": value > c.limit, ">=": value >= c.limit, "==": value == c.limit,
	}[c.op]
	if holds {
		return ""
	}
	return fmt.Sprintf("check %s: it is %s", c.text, shown)
}
