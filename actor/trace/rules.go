package trace

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
)

// MaxRules is how many Rules hold at a time.
const MaxRules = 64

// Rule has traces begin with more messages than others, until a time: with those of a user, those of a route, or a share of all. One of the three is set.
type Rule struct {
	User  string
	Route string
	Share float64 // above 0, up to 1
	Until time.Time
}

// same tells whether r is about what another rule is about.
func (r *Rule) same(other *Rule) bool {
	return r.User == other.User && r.Route == other.Route && (r.Share > 0) == (other.Share > 0)
}

// applies tells whether the message begins a trace by this rule.
func (r *Rule) applies(h actor.Handling) bool {
	switch {
	case r.User != "":
		return h.User() == r.User
	case r.Route != "":
		return h.Route() == r.Route
	}
	return rand.Float64() < r.Share
}

// Chooser decides which messages from outside begin a trace: a share of all, and what rules say, which may be changed while it is used. All its methods may be
// called by any goroutine; none blocks.
type Chooser struct {
	share float64
	rules atomic.Pointer[[]Rule] // nil: none
}

// NewChooser makes a Chooser that chooses this share of all, 0 to 1, and has no rules.
func NewChooser(share float64) *Chooser { return &Chooser{share: share} }

// ErrRules refuses a Rule while MaxRules hold.
var ErrRules = errors.New("trace: too many rules")

// Add has a rule hold from now on, in the place of one about the same.
func (c *Chooser) Add(r Rule) error {
	set := 0
	for _, is := range []bool{r.User != "", r.Route != "", r.Share != 0} {
		if is {
			set++
		}
	}
	if set != 1 || r.Share < 0 || r.Share > 1 {
		return fmt.Errorf("trace: a rule is about a user, a route, or a share above 0 and up to 1, found %+v", r)
	}
	return c.change(func(rules []Rule) ([]Rule, error) {
		rules = append(slices.DeleteFunc(rules, func(old Rule) bool { return r.same(&old) }), r)
		if len(rules) > MaxRules {
			return nil, fmt.Errorf("%w: %d hold", ErrRules, MaxRules)
		}
		return rules, nil
	})
}

// Clear ends all rules, and tells how many held.
func (c *Chooser) Clear() (ended int) {
	_ = c.change(func(rules []Rule) ([]Rule, error) { ended = len(rules); return nil, nil }) // which never fails
	return ended
}

// Rules are those that hold, the first to end first.
func (c *Chooser) Rules() []Rule {
	_ = c.change(func(rules []Rule) ([]Rule, error) { return rules, nil }) // which never fails
	p := c.rules.Load()
	if p == nil {
		return nil
	}
	rules := slices.Clone(*p)
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.User+a.Route, b.User+b.Route))
	})
	return rules
}

// change has f make new rules of those that have not ended.
func (c *Chooser) change(f func(rules []Rule) ([]Rule, error)) error {
	for {
		old := c.rules.Load()
		var rules []Rule
		if old != nil {
			now := time.Now()
			rules = slices.DeleteFunc(slices.Clone(*old), func(r Rule) bool { return !now.Before(r.Until) })
		}
		rules, err := f(rules)
		if err != nil {
			return err
		}
		var changed *[]Rule
		if len(rules) > 0 {
			changed = &rules
		}
		if c.rules.CompareAndSwap(old, changed) {
			return nil
		}
	}
}

// Choose is for Config.Choose.
func (c *Chooser) Choose(h actor.Handling) bool {
	if p := c.rules.Load(); p != nil && c.ruled(*p, h) {
		return true
	}
	return c.share > 0 && rand.Float64() < c.share
}

// ruled tells whether a rule holds for the message. Rules that are over are forgotten, so that they cost nothing.
func (c *Chooser) ruled(rules []Rule, h actor.Handling) bool {
	now := time.Now()
	for i := range rules {
		if !now.Before(rules[i].Until) {
			_ = c.change(func(rules []Rule) ([]Rule, error) { return rules, nil }) // which never fails
			continue
		}
		if rules[i].applies(h) {
			return true
		}
	}
	return false
}
