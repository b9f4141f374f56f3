package gate

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxTimedRoutes bounds the routes whose times are kept apart, and maxRouteLabel how much of a route's name is told.
	maxTimedRoutes = 64
	maxRouteLabel  = 64
	// otherRoutes are called so, and those that nobody has handled: a client can make up as many as it likes.
	otherRoutes = "other"
)

// routeTimes are how long requests have taken, by route.
type routeTimes struct {
	vec   *prometheus.HistogramVec
	other prometheus.Observer
	known atomic.Pointer[map[string]prometheus.Observer]

	mu sync.Mutex // of those who add to known
}

func newRouteTimes() *routeTimes {
	t := &routeTimes{vec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "skua", Subsystem: "gate", Name: "request_seconds",
		Help:    "Time from a client's request to its answer, waits for earlier ones included, by route: the first 64 that were answered, and all others as \"other\".",
		Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"route"})}
	t.other = t.vec.WithLabelValues(otherRoutes)
	t.known.Store(&map[string]prometheus.Observer{})
	return t
}

// add counts a request. One that was answered without an error has a route that somebody handles.
func (t *routeTimes) add(m *inbound, handled bool) {
	o := (*t.known.Load())[m.route]
	if o == nil {
		if o = t.other; handled {
			o = t.learn(m.route)
		}
	}
	o.Observe(time.Since(m.came).Seconds())
}

func (t *routeTimes) learn(route string) prometheus.Observer {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := *t.known.Load()
	if o := known[route]; o != nil {
		return o
	}
	if len(known) >= maxTimedRoutes {
		return t.other
	}
	own := strings.Clone(route) // it may be a piece of something larger
	more := maps.Clone(known)
	more[own] = t.vec.WithLabelValues(strings.ToValidUTF8(own[:min(len(own), maxRouteLabel)], "\uFFFD"))
	t.known.Store(&more)
	return more[own]
}
