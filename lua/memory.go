package lua

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// How the memory of services is bounded. The engine raises "not enough memory" in a script whose VM keeps more than Config.MemoryLimit. A script can catch that,
// and a handler that fails lets go of what it had, so one large request costs itself only. A VM that keeps too much when a handler has ended, or
// nearly so much when one has failed for want of memory, will go on to fail: its services are stopped, alone, and what they save in their function stop has a
// little room.

// firstWarning is where a service's memory is in the log for the first time; then whenever it has doubled.
const firstWarning = 32 << 20

// memory is what is known of a VM's.
type memory struct {
	limit   int64 // 0 is none
	next    int64 // below so many bytes there is nothing to do
	warning int64 // the next
	full    bool  // its services are being stopped
}

// taken is how many bytes a VM has, with garbage that it has not looked at yet.
func taken(m vm.VM) int64 {
	if t, ok := m.(interface{ Taken() int64 }); ok {
		return t.Taken()
	}
	return m.Memory()
}

// compacter is a VM that can look now what it keeps, so that its Memory has no garbage in it.
type compacter interface{ Compact() }

// fullError ends services whose VM keeps too much.
type fullError struct{ size, limit int64 }

func (e *fullError) Error() string {
	return fmt.Sprintf("the service keeps %d MiB of memory, %d MiB are allowed", e.size>>20, e.limit>>20)
}

// boundMemory begins to watch a new VM.
func (h *Host) boundMemory() {
	h.memory.warning = firstWarning
	h.setMemoryLimit(h.rt.cfg.MemoryLimit)
}

func (h *Host) setMemoryLimit(bytes int64) {
	m := &h.memory
	m.limit = bytes
	h.vm.SetMemoryLimit(bytes)
	m.plan(0)
}

// plan sets when there is something to do again. Looking costs time in proportion to what is kept, so that has to grow by a quarter first.
func (m *memory) plan(size int64) {
	m.next = m.warning
	if m.limit > 0 {
		m.next = min(m.next, m.limit)
	}
	m.next = max(m.next, size+size/4)
}

// room is up to where a VM may fail for want of memory and go on: with less than a sixteenth of its limit left it would fail again and again.
func (m *memory) room() int64 { return m.limit - m.limit/16 }

// weigh looks at the VM's memory when a turn is over.
func (h *Host) weigh(failure *Error) {
	m := &h.memory
	failed := failure != nil && m.limit > 0 && strings.Contains(failure.Message, "not enough memory")
	if h.cur != nil || h.vm == nil || m.full {
		return
	}
	size := taken(h.vm)
	cramped := failed && size > m.room()
	if size <= m.next && !cramped {
		return
	}
	if c, ok := h.vm.(compacter); ok {
		c.Compact()
		size = h.vm.Memory()
	}
	log := h.first.log
	if size >= m.warning {
		log.Warn("the service uses much memory", "MiB", size>>20, "allowed", allowed(m.limit))
		for m.warning <= size {
			m.warning *= 2
		}
	}
	if m.limit > 0 && size > m.limit || failed && size > m.room() {
		h.overfull(&fullError{size, m.limit})
		return
	}
	m.plan(size)
}

// allowed is a limit for the log, in MiB.
func allowed(bytes int64) string {
	if bytes == 0 {
		return "any"
	}
	return strconv.FormatInt(bytes>>20, 10)
}

// overfull stops the services of the VM.
func (h *Host) overfull(err *fullError) {
	m := &h.memory
	m.full = true
	h.vm.SetMemoryLimit(err.size + err.limit/4) // for what stop does
	if h.first == h && h.putAside(err) {
		m.full = false
		h.setMemoryLimit(err.size + err.size/4) // for when it is let go
		m.plan(err.size)
		return
	}
	h.first.log.Error("the service is stopped: it keeps too much memory", "MiB", err.size>>20, "allowed", allowed(err.limit))
	if h.first == h && !h.keeps {
		if !h.ready { // then whoever has started it is told, and that ends it
			h.started(&Error{Script: h.script, Message: err.Error()})
			return
		}
		h.c.Stop(h.c.Self(), err)
		return
	}
	if launcher, ok := h.c.System().Lookup(LauncherName); ok {
		h.c.Send(launcher, fullCell{h.cell, err})
	}
}

// fullCell tells the launcher of a VM whose agents are to be stopped.
type fullCell struct {
	cell *cell
	err  error
}

func (l *Launcher) full(c *actor.Context, m fullCell) {
	for _, keepers := range l.keepers {
		for _, k := range keepers {
			if k.cell == m.cell {
				k.err = m.err // it takes no more
			}
		}
	}
	for agent, h := range l.hosts {
		if h.keeper != nil && h.keeper.cell == m.cell {
			c.Stop(agent, m.err)
		}
	}
}

// turnAway tells those who wait for an answer of a service that is stopped for its memory; the service does nothing more but to stop.
func (h *Host) turnAway(reason error) {
	var full *fullError
	if !errors.As(reason, &full) {
		return
	}
	err := &actor.Error{Code: actor.Stopped, Actor: h.c.Self().String(), Text: full.Error()}
	for co := h.live; co != nil; co = co.next {
		if co.request && !co.replied {
			co.replied = true
			co.promise.Reply(nil, err)
		}
	}
	for r := range h.held {
		r.used = true
		r.promise.Reply(nil, err)
	}
	h.abandon()
}

// memlimit is skynet.memlimit.
func (h *Host) memlimit(s vm.State, bytes int64) {
	if most := h.rt.cfg.MemoryLimit; most > 0 && bytes > most {
		s.Errorf("skynet.memlimit: %d bytes are more than lua.memory_limit allows, which is %d", bytes, most)
	}
	h.setMemoryLimit(bytes)
}
