package actor

import (
	"slices"
	"strings"
	"sync"
)

// waits are the requests of serial actors to serial actors. Such actors can wait for each other without one request being made on behalf of the other: a asks b
// while b asks a, and neither takes what the other asks.
type waits struct {
	mu   sync.Mutex
	from map[*process][]*request
}

// circle adds r, whose asker and callee are serial, unless the callee waits for the asker already; then it tells the circle.
func (w *waits) circle(r *request) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if path := w.path(r.callee, r.asker, map[*process]bool{}); path != nil {
		names := make([]string, 0, len(path)+1)
		names = append(names, r.asker.name())
		for _, p := range slices.Backward(path) {
			names = append(names, p.name())
		}
		return strings.Join(names, " waits for ")
	}
	if w.from == nil {
		w.from = map[*process][]*request{}
	}
	w.from[r.asker] = append(w.from[r.asker], r)
	r.listed = true
	return ""
}

// path is who waits for whom from one actor to another, the other first; nil if it does not.
func (w *waits) path(from, to *process, seen map[*process]bool) []*process {
	if from == to {
		return []*process{to}
	}
	if seen[from] {
		return nil
	}
	seen[from] = true
	for _, r := range w.from[from] {
		if r.done() {
			continue
		}
		if path := w.path(r.callee, to, seen); path != nil {
			return append(path, from)
		}
	}
	return nil
}

func (w *waits) remove(r *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := slices.DeleteFunc(w.from[r.asker], func(o *request) bool { return o == r })
	if len(left) == 0 {
		delete(w.from, r.asker)
	} else {
		w.from[r.asker] = left
	}
	r.listed = false
}
