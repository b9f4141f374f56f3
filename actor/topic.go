package actor

import (
	"slices"
	"sync"
)

// topics are named sets of actors to which messages are published.
type topics struct {
	mu     sync.RWMutex
	byName map[string]*topic
}

type topic struct {
	mu          sync.RWMutex
	subscribers []*process
	places      map[*process]int
}

func (t *topics) find(name string) *topic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

func (t *topics) publish(name string, from Ref, msg any, span Span, w *worker) int {
	to := t.find(name)
	if to == nil {
		return 0
	}
	to.mu.RLock()
	defer to.mu.RUnlock()
	e := newEnvelope(msg, from, span)
	for _, p := range to.subscribers {
		if code := p.post(e, w); code == Overloaded {
			p.sys.dead.add(p.sys, p.self, from, msg, code)
		}
	}
	return len(to.subscribers)
}

func (p *process) subscribe(name string) {
	if p.rare != nil && slices.Contains(p.rare.topics, name) {
		return
	}
	m := p.more()
	m.topics = append(m.topics, name)
	all := &p.sys.topics
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.byName == nil {
		all.byName = map[string]*topic{}
	}
	t := all.byName[name]
	if t == nil {
		t = &topic{places: map[*process]int{}}
		all.byName[name] = t
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places[p] = len(t.subscribers)
	t.subscribers = append(t.subscribers, p)
}

func (p *process) unsubscribe(name string) {
	if p.rare == nil || !slices.Contains(p.rare.topics, name) {
		return
	}
	p.rare.topics = slices.DeleteFunc(p.rare.topics, func(s string) bool { return s == name })
	all := &p.sys.topics
	all.mu.Lock()
	defer all.mu.Unlock()
	t := all.byName[name]
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.subscribers) - 1
	i := t.places[p]
	moved := t.subscribers[last]
	t.subscribers[i], t.places[moved] = moved, i
	t.subscribers[last] = nil
	t.subscribers = t.subscribers[:last]
	delete(t.places, p)
	if last == 0 {
		delete(all.byName, name)
	}
}

func (p *process) unsubscribeAll() {
	if p.rare == nil {
		return
	}
	for len(p.rare.topics) > 0 {
		p.unsubscribe(p.rare.topics[0])
	}
}
