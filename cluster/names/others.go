package names

import (
	"slices"

	"github.com/skua-go/skua/actor"
)

// checked is those entries of another node that can be true.
func (x *Names) checked(node string, entries []entry) []entry {
	return slices.DeleteFunc(entries, func(e entry) bool {
		if e.Ref.Node() == node && e.Ref.IsRemote() && checkEntry(&e) == nil {
			return false
		}
		x.metrics.refused.WithLabelValues("bad").Inc()
		return true
	})
}

// replace notes all that another node has.
func (x *Names) replace(node string, entries []entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if o := x.others[node]; o != nil {
		for ref, names := range o.entries {
			for name := range names {
				x.remove(name, ref)
			}
		}
		delete(x.others, node)
	}
	for _, e := range entries {
		x.setLocked(node, e)
	}
}

// set notes a registration of another node.
func (x *Names) set(node string, e entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setLocked(node, e)
}

func (x *Names) setLocked(node string, e entry) {
	o := x.others[node]
	if o == nil {
		o = &other{entries: map[actor.Ref]map[string]struct{}{}}
		x.others[node] = o
	}
	if _, known := o.entries[e.Ref][e.Name]; !known {
		if o.count >= x.cfg.MaxOther {
			if x.metrics.mayLog() {
				x.log.Warn("names: a node has too many registrations, some are left out", "member", node, "limit", x.cfg.MaxOther)
			}
			x.metrics.refused.WithLabelValues("other").Inc()
			return
		}
		o.count++
		if o.entries[e.Ref] == nil {
			o.entries[e.Ref] = map[string]struct{}{}
		}
		o.entries[e.Ref][e.Name] = struct{}{}
	}
	x.add(e, node)
}

// unset notes the end of a registration of another node.
func (x *Names) unset(node string, e entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.others[node]
	if o == nil {
		return
	}
	if _, known := o.entries[e.Ref][e.Name]; !known {
		return
	}
	o.count--
	delete(o.entries[e.Ref], e.Name)
	if len(o.entries[e.Ref]) == 0 {
		delete(o.entries, e.Ref)
	}
	x.remove(e.Name, e.Ref)
}
