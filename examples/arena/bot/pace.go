package bot

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Stage is a part of a ramp.
type Stage struct {
	Rate float64       // clients a second
	For  time.Duration // 0: for all that are left
}

// Ramp is how fast clients come: one stage after the other; the last one lasts.
type Ramp []Stage

// ParseRamp reads "500/s", or stages like "50/s:10s,500/s".
func ParseRamp(text string) (Ramp, error) {
	var r Ramp
	for part := range strings.SplitSeq(text, ",") {
		rate, length, timed := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.ParseFloat(strings.TrimSuffix(rate, "/s"), 64)
		if err != nil || !strings.HasSuffix(rate, "/s") || n <= 0 || n > 1e6 {
			return nil, fmt.Errorf("%w: ramp %q, expected clients a second like 500/s", ErrConfig, part)
		}
		s := Stage{Rate: n}
		if timed {
			if s.For, err = time.ParseDuration(length); err != nil || s.For <= 0 {
				return nil, fmt.Errorf("%w: ramp %q, expected a duration behind the colon, like 50/s:10s", ErrConfig, part)
			}
		}
		if k := len(r); k > 0 && r[k-1].For == 0 {
			return nil, fmt.Errorf("%w: ramp %q never comes, the stage before it has no end", ErrConfig, part)
		}
		r = append(r, s)
	}
	return r, nil
}

// At is when client i comes, counted from 0, after the first one could.
func (r Ramp) At(i int) time.Duration {
	var at time.Duration
	left := float64(i)
	for k, s := range r {
		if in := s.Rate * s.For.Seconds(); s.For > 0 && k < len(r)-1 && left >= in {
			left -= in
			at += s.For
			continue
		}
		return at + time.Duration(left/s.Rate*float64(time.Second))
	}
	return at
}

// Think is a distribution of pauses.
type Think func(rng *rand.Rand) time.Duration

// Uniform is evenly spread from low to high.
func Uniform(low, high time.Duration) Think {
	return func(rng *rand.Rand) time.Duration {
		if high <= low {
			return low
		}
		return low + time.Duration(rng.Int64N(int64(high-low)+1))
	}
}

// Exponential has that mean, as things have that happen at any time with the same likelihood; at most ten times the mean.
func Exponential(mean time.Duration) Think {
	return func(rng *rand.Rand) time.Duration {
		return min(time.Duration(rng.ExpFloat64()*float64(mean)), 10*mean)
	}
}

// ParseThink reads "250ms" (always), "100ms-500ms" (evenly spread) or "exp:1s" (exponential, with that mean).
func ParseThink(text string) (Think, error) {
	bad := fmt.Errorf("%w: think time %q, expected 250ms, 100ms-500ms or exp:1s", ErrConfig, text)
	if mean, ok := strings.CutPrefix(text, "exp:"); ok {
		d, err := time.ParseDuration(mean)
		if err != nil || d <= 0 {
			return nil, bad
		}
		return Exponential(d), nil
	}
	from, to, spread := strings.Cut(text, "-")
	low, err := time.ParseDuration(from)
	if err != nil || low < 0 {
		return nil, bad
	}
	high := low
	if spread {
		if high, err = time.ParseDuration(to); err != nil || high < low {
			return nil, bad
		}
	}
	return Uniform(low, high), nil
}
