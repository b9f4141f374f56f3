package lua

import (
	"fmt"
	"time"
)

const (
	// maxOverruns is how many handlers may exceed their budget within overrunsWithin before their service is put in quarantine, if Config.Quarantine says so.
	maxOverruns    = 3
	overrunsWithin = time.Minute
	// maxAside bounds the services that are put there by themselves: each keeps its memory.
	maxAside = 16
)

// overruns are the handlers of a service that have exceeded their budget.
type overruns struct {
	at    []time.Time // the last of them
	slice time.Time   // in which the last one did
}

// overrun counts a handler that has exceeded its budget, once.
func (h *Host) overrun() {
	if !h.rt.cfg.Quarantine {
		return
	}
	if h.overruns == nil {
		h.overruns = &overruns{}
	}
	o := h.overruns
	if o.slice.Equal(h.began) {
		return
	}
	o.slice = h.began
	if len(o.at) == maxOverruns {
		o.at = o.at[1:]
	}
	o.at = append(o.at, time.Now())
	if len(o.at) == maxOverruns && time.Since(o.at[0]) < overrunsWithin {
		o.at = nil
		h.putAside(&greedyError{h.rt.cfg.Budget})
	}
}

// greedyError is why a service is in quarantine that computes too much.
type greedyError struct{ budget time.Duration }

func (e *greedyError) Error() string {
	return fmt.Sprintf("%d handlers have computed for more than %v within %v", maxOverruns, e.budget, overrunsWithin)
}

// putAside puts the service in quarantine, if that is what happens to those beyond their limits.
func (h *Host) putAside(why error) bool {
	sys := h.c.System()
	if !h.rt.cfg.Quarantine || !h.ready || h.keeps || len(sys.InQuarantine()) >= maxAside {
		return false
	}
	return sys.Quarantine(h.c.Self(), why) == nil
}
