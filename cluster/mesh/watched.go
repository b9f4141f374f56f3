package mesh

import (
	"sync"

	"github.com/skua-go/skua/actor"
)

// watched are the actors of another node that actors of this one watch.
type watched struct {
	p *peer

	mu  sync.Mutex
	ids map[uint64]map[actor.Ref]struct{} // the watchers of each
}

// add has the other node asked to tell. When it is out of reach, the watcher is told that.
func (w *watched) add(watcher, target actor.Ref) {
	w.mu.Lock()
	watchers, known := w.ids[target.ID()]
	if !known {
		if w.ids == nil {
			w.ids = map[uint64]map[actor.Ref]struct{}{}
		}
		watchers = map[actor.Ref]struct{}{}
		w.ids[target.ID()] = watchers
	}
	watchers[watcher] = struct{}{}
	// Under the lock, so that what is asked for is in the order of what is noted.
	ok := known || w.p.out.add(appendTo(nil, frameWatch, target))
	w.mu.Unlock()
	if !ok {
		w.ended(target.ID(), w.p.outOfReach(target))
	}
}

func (w *watched) remove(watcher, target actor.Ref) {
	w.mu.Lock()
	watchers, known := w.ids[target.ID()]
	delete(watchers, watcher)
	last := known && len(watchers) == 0
	if last {
		delete(w.ids, target.ID())
		w.p.out.add(appendTo(nil, frameUnwatch, target))
	}
	w.mu.Unlock()
}

func (w *watched) take(id uint64) map[actor.Ref]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	watchers := w.ids[id]
	delete(w.ids, id)
	return watchers
}

// ended tells those who watch an actor.
func (w *watched) ended(id uint64, reason error) {
	for watcher := range w.take(id) {
		w.p.m.sys.Terminated(watcher, actor.Terminated{Ref: w.p.node.Ref(id), Reason: reason})
	}
}

// fail tells all watchers that the node is out of reach.
func (w *watched) fail(reason error) {
	w.mu.Lock()
	all := w.ids
	w.ids = nil
	w.mu.Unlock()
	for id, watchers := range all {
		for watcher := range watchers {
			w.p.m.sys.Terminated(watcher, actor.Terminated{Ref: w.p.node.Ref(id), Reason: reason})
		}
	}
}
