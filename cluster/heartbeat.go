package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// remembered is how long a node that is dead or has left is known.
const remembered = time.Minute

// run is the goroutine of Members.
func (m *Members) run(ctx context.Context) {
	now := time.Now()
	l := loop{m: m, looked: now, hello: true}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-m.beats:
			l.take(msg, time.Now())
		case <-timer.C:
		case <-m.wake:
		}
		now := time.Now()
		l.look(now)
		l.greet()
		l.tell(now)
		timer.Reset(time.Until(l.next(now)))
	}
}

// loop is what only the goroutine of Members knows.
type loop struct {
	m         *Members
	looked    time.Time // when it last came around
	beaten    time.Time // when it last told of this node
	hello     bool      // the next beat asks others for theirs
	answer    bool      // somebody has asked
	unplugged bool      // the connection was down
	refusals  time.Time // when it last logged one
}

// next is when there is something to do at the latest.
func (l *loop) next(now time.Time) time.Time {
	m := l.m
	next := l.beaten.Add(m.cfg.Beat)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.byName {
		at := k.heard.Add(remembered)
		switch k.State {
		case Alive:
			at = k.heard.Add(m.cfg.Suspect)
		case Suspect:
			at = k.heard.Add(m.cfg.Dead)
		}
		if at.Before(next) {
			next = at
		}
	}
	if next.Before(now) {
		return now
	}
	return next
}

// look finds out who was not heard of for too long.
func (l *loop) look(now time.Time) {
	m := l.m
	if pause := now.Sub(l.looked) - 2*m.cfg.Beat; pause > 0 {
		// This process was paused, or had no time: what others have sent meanwhile is still to be read.
		m.mu.Lock()
		for _, k := range m.byName {
			k.heard = k.heard.Add(pause)
		}
		m.mu.Unlock()
	}
	l.looked = now
	var events []Event
	m.mu.Lock()
	for name, k := range m.byName {
		silent := now.Sub(k.heard)
		switch was := k.State; {
		case was.Reachable() && silent >= m.cfg.Dead:
			k.State = Dead
			k.heard = now
			events = append(events, Event{k.Member, was})
		case was == Alive && silent >= m.cfg.Suspect:
			k.State = Suspect
			events = append(events, Event{k.Member, was})
		case !was.Reachable() && silent >= remembered:
			delete(m.byName, name)
		}
	}
	m.mu.Unlock()
	l.happened(events...)
}

// take reads what may be a beat.
func (l *loop) take(msg *nats.Msg, now time.Time) {
	m := l.m
	b, err := parseBeat(msg.Data)
	if err != nil {
		l.refuse("bad", now, "err", err)
		return
	}
	if b.Name == m.node.cfg.Name {
		if own := m.node.Lease().Incarnation; b.Incarnation > own {
			l.refuse("own_name", now, "err", fmt.Sprintf("a node of this name tells of incarnation %d, this one is %d", b.Incarnation, own))
		}
		return
	}
	if b.Hello {
		l.answer = true
	}
	events, refused := m.heard(&b, now)
	if refused != "" {
		l.refuse(refused, now, "from", b.Name, "incarnation", b.Incarnation)
	}
	l.happened(events...)
}

// heard notes a beat, and tells what has changed by it or why it is not believed.
func (m *Members) heard(b *beat, now time.Time) (events []Event, refused string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.byName[b.Name]
	state := Alive
	if b.Left {
		state = Left
	}
	switch {
	case k == nil && b.Left:
		return nil, "" // a goodbye of nobody that we know
	case k == nil:
		if len(m.byName) >= maxMembers {
			return nil, "too_many"
		}
		k = &known{}
		m.byName[b.Name] = k
	case b.Incarnation < k.Incarnation:
		return nil, "old_incarnation"
	case b.Incarnation == k.Incarnation && k.State == Left:
		return nil, "after_goodbye"
	case b.Incarnation > k.Incarnation:
		if was := k.State; was.Reachable() {
			former := k.Member
			former.State = Dead
			events = append(events, Event{former, was})
		}
		k.State = 0
		if b.Left {
			state = Left
		}
	}
	was, before := k.State, k.Member
	k.Member, k.heard = b.member(state), now
	if was != state || before.Draining != b.Draining || before.Held != b.Held {
		events = append(events, Event{k.Member, was})
	}
	return events, ""
}

// happened tells the watchers.
func (l *loop) happened(events ...Event) {
	if len(events) == 0 {
		return
	}
	m := l.m
	m.mu.Lock()
	reachable := make(map[string]uint64, len(m.byName))
	for name, k := range m.byName {
		if k.State.Reachable() {
			reachable[name] = k.Incarnation
		}
	}
	m.mu.Unlock()
	m.reachable.Store(&reachable)
	for _, e := range events {
		m.metrics.events.WithLabelValues(e.Member.State.String()).Inc()
		if e.Was != e.Member.State {
			m.log.Info("cluster: node is "+e.Member.State.String(), "member", e.Member.Name, "incarnation", e.Member.Incarnation)
		}
		for _, w := range m.watching() {
			w.tell(e)
		}
	}
}

func (m *Members) watching() []*watcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*watcher, 0, len(m.watchers))
	for _, w := range m.watchers {
		if w.started {
			list = append(list, w)
		}
	}
	return list
}

func (w *watcher) tell(e Event) {
	if !w.gone.Load() {
		w.f(e)
	}
}

// greet tells new watchers who is there, and what has happened since they asked: who looks for a node after Watch misses nothing that comes of it.
func (l *loop) greet() {
	m := l.m
	news := map[*watcher][]Event{}
	m.mu.Lock()
	for _, w := range m.watchers {
		if !w.started {
			w.started = true
			news[w] = m.since(w.there)
			w.there = nil
		}
	}
	m.mu.Unlock()
	for w, events := range news {
		for _, e := range events {
			w.tell(e)
		}
	}
}

// since is what there is to tell of who was there before, and who is there now. The lock is held.
func (m *Members) since(before map[string]Member) []Event {
	var events []Event
	for _, old := range before {
		events = append(events, Event{Member: old})
		k := m.byName[old.Name]
		switch {
		case k == nil || k.Incarnation != old.Incarnation:
			gone := old
			gone.State = Dead
			events = append(events, Event{gone, old.State})
		case k.State != old.State || k.Draining != old.Draining || k.Held != old.Held:
			events = append(events, Event{k.Member, old.State})
		}
	}
	for name, k := range m.byName {
		if old, known := before[name]; k.State.Reachable() && (!known || old.Incarnation != k.Incarnation) {
			events = append(events, Event{Member: k.Member})
		}
	}
	return events
}

// tell sends a beat when one is due.
func (l *loop) tell(now time.Time) {
	m := l.m
	if !m.node.conn.IsConnected() {
		l.unplugged = true
	} else if l.unplugged {
		l.unplugged, l.hello = false, true
	}
	m.mu.Lock()
	due := m.urgent || l.hello && !l.unplugged || l.answer || now.Sub(l.beaten) >= m.cfg.Beat
	m.urgent = false
	m.mu.Unlock()
	if !due {
		return
	}
	load := m.cfg.Load()
	m.mu.Lock()
	m.self.Load = load
	m.mu.Unlock()
	l.beaten, l.answer = now, false
	if err := m.publish(l.hello); err != nil {
		if !l.unplugged {
			m.log.Debug("cluster: heartbeat not sent", "err", err)
		}
		return
	}
	l.hello = false
}

// publish tells of this node.
func (m *Members) publish(hello bool) error {
	text, err := json.Marshal(beatOf(m.Self(), hello))
	if err != nil {
		return fmt.Errorf("cluster: heartbeat: %w", err)
	}
	return m.node.conn.Publish(beatSubject, text)
}

// refuse counts what is no beat, or none that can be believed.
func (l *loop) refuse(reason string, now time.Time, details ...any) {
	l.m.metrics.refused.WithLabelValues(reason).Inc()
	if now.Sub(l.refusals) >= dropReport {
		l.refusals = now
		l.m.log.Warn("cluster: a heartbeat is refused", append(details, "reason", reason)...)
	}
}
