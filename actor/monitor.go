package actor

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// monitor names actors that have been in one handler for too long. It looks while any worker is busy, and costs handlers nothing: it leaves a message of the
// system with each actor that it finds running, and whoever has not come to that, although such messages go first, is still in the same handler.
type monitor struct {
	d       *dispatcher
	log     *slog.Logger
	limit   time.Duration
	running atomic.Bool
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
	suspects := map[*worker]*suspect{}
	for {
		select {
		case <-tick.C:
		case <-m.d.done:
			return
		}
		if m.look(suspects, time.Now()) {
			continue
		}
		m.running.Store(false)
		// Whoever began to work before it could see that nobody looks any more is seen now.
		if !m.look(suspects, time.Now()) || !m.running.CompareAndSwap(false, true) {
			return
		}
	}
}

// look tells whether anybody works.
func (m *monitor) look(suspects map[*worker]*suspect, now time.Time) (working bool) {
	m.d.mu.Lock()
	current := make(map[*worker]*process, len(m.d.workers))
	for _, w := range m.d.workers {
		if p := w.current.Load(); p != nil {
			current[w] = p
		}
	}
	m.d.mu.Unlock()
	for w, s := range suspects {
		if current[w] != s.p || !s.p.hasNotSeen(opBeat) {
			delete(suspects, w)
			if s.told {
				m.log.Info("handler has returned", "actor", s.p.name(), "after", now.Sub(s.at).Round(time.Millisecond))
			}
		}
	}
	for w, p := range current {
		s := suspects[w]
		if s == nil {
			suspects[w] = &suspect{p: p, at: now}
			p.tell(systemMsg{op: opBeat})
			continue
		}
		if now.Sub(s.at) >= m.limit && !s.told {
			s.told = true
			m.log.Error("handler does not return", "actor", p.name(), "for", now.Sub(s.at).Round(time.Millisecond), "stack", stackOf(w))
		}
	}
	return len(current) > 0
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

// stackOf is the stack of a worker's goroutine.
func stackOf(w *worker) string {
	const most = 16 << 20
	id := w.goroutine.Load()
	if id == nil {
		return "unknown"
	}
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		begin := bytes.Index(buf[:n], fmt.Appendf(nil, "goroutine %s [", *id))
		if begin >= 0 && (begin == 0 || buf[begin-1] == '\n') {
			stack := buf[begin:n]
			if end := bytes.Index(stack, []byte("\n\n")); end >= 0 {
				return string(stack[:end])
			}
			if n < size {
				return string(stack)
			}
		}
		if n < size || size >= most {
			return "not found among all stacks"
		}
	}
}
