package reload

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skua-go/skua/lua"
)

// Limits say when a canary is worse than what runs beside it. Default: DefaultLimits.
type Limits struct {
	// Margin is how much larger the share of handlers that fail may be.
	Margin float64
	// Slower is by which factor the p99 of handlers may be longer.
	Slower float64
	// Messages is how many the group has to have handled, for it to be good.
	Messages int
}

// DefaultLimits are those of a node whose configuration says nothing.
func DefaultLimits() Limits { return Limits{Margin: 0.02, Slower: 2, Messages: 50} }

const (
	// fewest handlers have to fail, or be slow: one alone is an accident.
	fewest = 3
	// unfelt is a time that is not called slow, whatever it was before.
	unfelt = 5 * time.Millisecond
)

// Handlers are what those of one script have done with the old version and with the new one, while a canary goes on.
type Handlers struct {
	Script string `json:"script"`
	Old    Tally  `json:"old"`
	New    Tally  `json:"new"`

	old, new lua.Figures
}

// Tally is what handlers have done.
type Tally struct {
	Handled uint64 `json:"handled" doc:"Messages."`
	Failed  uint64 `json:"failed" doc:"By an error that nobody has meant."`
	P99     int64  `json:"p99_us" doc:"Microseconds, to a factor of two."`
}

func tallyOf(f *lua.Figures) Tally {
	return Tally{f.Handled, f.Failed, f.Quantile(0.99).Microseconds()}
}

// tally puts together what nodes have counted, by script.
func tally(nodes []map[string]map[string]lua.Figures, from, to string) []Handlers {
	by := map[string]*Handlers{}
	for _, scripts := range nodes {
		for script, versions := range scripts {
			h := by[script]
			if h == nil {
				h = &Handlers{Script: script}
				by[script] = h
			}
			h.old.Add(versions[from])
			h.new.Add(versions[to])
		}
	}
	all := []Handlers{}
	for _, script := range slices.Sorted(maps.Keys(by)) {
		h := *by[script]
		if h.new.Handled == 0 {
			continue
		}
		h.Old, h.New = tallyOf(&h.old), tallyOf(&h.new)
		all = append(all, h)
	}
	return all
}

// judge tells what is worse about the new version; empty if nothing is, as far as it is known.
func (l Limits) judge(all []Handlers) (outcome, why string) {
	var expected float64 // failures of all, had the new version done as the old one
	var sum lua.Figures
	for i := range all {
		h := &all[i]
		e := share(&h.old) * float64(h.new.Handled)
		expected += e
		sum.Add(h.new)
		if l.fails(&h.new, e) {
			return outcomeErrors, fmt.Sprintf("handlers of %s fail: %d of %d with the new version, %d of %d with the old one", h.Script, h.new.Failed, h.new.Handled, h.old.Failed, h.old.Handled)
		}
		if limit, slow := l.slow(h); slow {
			return outcomeTime, fmt.Sprintf("handlers of %s are slow: %d of %d take more than %v with the new version; with the old one the p99 is %v", h.Script, h.new.Slower(limit), h.new.Handled, limit, h.old.Quantile(0.99))
		}
	}
	if l.fails(&sum, expected) {
		return outcomeErrors, fmt.Sprintf("handlers fail: %d of %d with the new version, and about %.0f would with the old one", sum.Failed, sum.Handled, expected)
	}
	return "", ""
}

func share(f *lua.Figures) float64 {
	if f.Handled == 0 {
		return 0
	}
	return float64(f.Failed) / float64(f.Handled)
}

func (l Limits) fails(f *lua.Figures, expected float64) bool {
	return f.Failed >= fewest && float64(f.Failed)-expected > l.Margin*float64(f.Handled)
}

// slow tells whether the p99 is beyond the limit. Times are known to a factor of two, of which the new version gets the better.
func (l Limits) slow(h *Handlers) (limit time.Duration, slow bool) {
	if h.old.Handled < uint64(l.Messages) {
		return 0, false // it is not known how long they took
	}
	limit = max(time.Duration(l.Slower*float64(h.old.Quantile(0.99))), unfelt)
	n := h.new.Slower(limit)
	return limit, n >= fewest && n*100 > h.new.Handled
}

// handled is how many messages the group has handled.
func handled(all []Handlers) (n uint64) {
	for i := range all {
		n += all[i].new.Handled
	}
	return n
}
