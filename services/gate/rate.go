package gate

import "time"

// anyRoute is the key in Config.Rates for routes that have no rate of their own.
const anyRoute = "*"

// rates are the rates of routes, each with a number by which a session finds its bucket.
type rates struct {
	byRoute map[string]*rate
	any     *rate
}

type rate struct {
	number int
	every  time.Duration // a token
	burst  time.Duration // all of them
}

// bucket is what a session has left of a rate: it is full at a moment, and empty one burst before. The zero bucket is full.
type bucket struct {
	number int
	full   time.Time
}

func newRates(cfg map[string]Rate) rates {
	var r rates
	for route, c := range cfg {
		every := max(time.Duration(float64(time.Second)/c.PerSecond), 1)
		burst := c.Burst
		if burst == 0 {
			burst = max(1, int(c.PerSecond))
		}
		one := &rate{number: len(r.byRoute), every: every, burst: time.Duration(burst) * every}
		if r.byRoute == nil {
			r.byRoute = map[string]*rate{}
		}
		r.byRoute[route] = one
		if route == anyRoute {
			r.any = one
		}
	}
	return r
}

// find gives the rate of a route; nil if it has none.
func (r *rates) find(route string) *rate {
	if r.byRoute == nil {
		return nil
	}
	if one := r.byRoute[route]; one != nil {
		return one
	}
	return r.any
}

// spend takes a token, and tells whether there was one (the generic cell rate algorithm, ITU-T I.371).
func (st *state) spend(r *rate, now time.Time) bool {
	var b *bucket
	for i := range st.buckets {
		if st.buckets[i].number == r.number {
			b = &st.buckets[i]
		}
	}
	if b == nil {
		st.buckets = append(st.buckets, bucket{number: r.number})
		b = &st.buckets[len(st.buckets)-1]
	}
	full := b.full
	if full.Before(now) {
		full = now
	}
	if full = full.Add(r.every); full.Sub(now) > r.burst {
		return false
	}
	b.full = full
	return true
}
