package actor

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// monitor names actors that have been in one handler for too long. It looks while any worker is busy, and costs handlers nothing: it leaves a message of the
// system with each actor that it finds running, and whoever has not come to that, although such messages go first, is still in the same handler.
type monitor struct {
	d       *dispatcher
	log     *slog.Logger
	limit   time.Duration
	explain func(Ref) string
	running atomic.Bool

	mu       sync.Mutex
	suspects map[*worker]*suspect
}

// suspect is an actor that was running when the monitor looked.
type suspect struct {
	p    *process
	at   time.Time
	told bool
}

// watch begins to look if nobody does.
func (m *monitor) watch() {
	if m.limit > 0 && !m.running.Load() && m.running.CompareAndSwap(false, true) {
		m.d.running.Go(m.run)
	}
}

func (m *monitor) run() {
	every := max(m.limit/5, 10*time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.d.done:
			return
		}
		if m.look(time.Now()) {
			continue
		}
		m.running.Store(false)
		// Whoever began to work before it could see that nobody looks any more is seen now.
		if !m.look(time.Now()) || !m.running.CompareAndSwap(false, true) {
			return
		}
	}
}

// look tells whether anybody works.
func (m *monitor) look(now time.Time) (working bool) {
	m.d.mu.Lock()
	current := make(map[*worker]*process, len(m.d.workers))
	for _, w := range m.d.workers {
		if p := w.current.Load(); p != nil {
			current[w] = p
		}
	}
	m.d.mu.Unlock()
	m.d.guests.busy(func(w *worker, p *process) { current[w] = p })
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.suspects == nil {
		m.suspects = map[*worker]*suspect{}
	}
	for w, s := range m.suspects {
		if current[w] != s.p || !s.p.hasNotSeen(opBeat) {
			delete(m.suspects, w)
			if s.told {
				m.log.Info("handler has returned", "actor", s.p.name(), "after", now.Sub(s.at).Round(time.Millisecond))
			}
		}
	}
	for w, p := range current {
		s := m.suspects[w]
		if s == nil {
			m.suspects[w] = &suspect{p: p, at: now}
			p.tell(systemMsg{op: opBeat})
			continue
		}
		if now.Sub(s.at) >= m.limit && !s.told {
			s.told = true
			m.tell(w, p, now.Sub(s.at))
		}
	}
	return len(current) > 0
}

// tell names an actor that is stuck. Where there is somebody to say more of it, that is waited for elsewhere.
func (m *monitor) tell(w *worker, p *process, since time.Duration) {
	args := []any{"actor", p.name(), "for", since.Round(time.Millisecond), "stack", stackOf(w)}
	if p.opts.kind != "" {
		args = append(args, "kind", p.opts.kind)
	}
	if m.explain == nil {
		m.log.Error("handler does not return", args...)
		return
	}
	m.d.running.Go(func() {
		if more := m.explain(p.self); more != "" {
			args = append(args, "script", more)
		}
		m.log.Error("handler does not return", args...)
	})
}

// hasNotSeen tells whether the process has not come to a message of the system yet.
func (p *process) hasNotSeen(o op) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.system.take() {
		if m.op == o {
			return true
		}
	}
	return false
}

// goroutineID is the number by which stack traces call the goroutine that calls it.
func goroutineID() []byte {
	var buf [64]byte
	text := buf[:runtime.Stack(buf[:], false)] // "goroutine 12 [running]:..."
	id, _, _ := bytes.Cut(bytes.TrimPrefix(text, []byte("goroutine ")), []byte(" "))
	return bytes.Clone(id)
}

// stackOf is the stack of a worker's goroutine. Which one a guest's is nobody has noted, since that takes longer than most handlers: it is among those that are
// in SendNow now, of which there are mostly no others.
func stackOf(w *worker) string {
	const most, some = 16 << 20, 4
	is := func(stack []byte) bool { return bytes.Contains(stack, []byte("actor.(*worker).visit(")) }
	if !w.guest {
		id := w.goroutine.Load()
		if id == nil {
			return "unknown"
		}
		begin := fmt.Appendf(nil, "goroutine %s [", *id)
		is = func(stack []byte) bool { return bytes.HasPrefix(stack, begin) }
	}
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		var found [][]byte
		for stack := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
			if len(found) < some && is(stack) {
				found = append(found, stack)
			}
		}
		if n < size || len(found) > 0 && !w.guest || size >= most {
			if len(found) == 0 {
				return "not found among all stacks"
			}
			return string(bytes.Join(found, []byte("\n\n")))
		}
	}
}
