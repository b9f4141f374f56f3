package lua

import (
	"fmt"
	"strings"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// The traces of skynet.trace: lines in the log, from the service where one begins through all that it calls.

// maxTag bounds what a script can make a tag of.
const maxTag = 256

// traced writes a line if the coroutine's handler is traced.
func (h *Host) traced(s vm.State, co *coroutine, what string) {
	if co.trace != "" {
		h.writeTrace(s, co.trace, what)
	}
}

// writeTrace writes what Skynet writes: the tag, a counter of nanoseconds, what happens, and where.
func (h *Host) writeTrace(s vm.State, tag, what string) {
	where := ""
	if s != nil {
		where = " : " + caller(s)
	}
	h.log.Info(fmt.Sprintf("<TRACE %s> %d %s%s", tag, time.Since(h.rt.started).Nanoseconds(), what, where))
}

// caller is where the script calls the running function, file:line.
func caller(s vm.State) string {
	for line := range strings.SplitSeq(s.Traceback(""), "\n") {
		line = strings.TrimSpace(line)
		file, rest, ok := strings.Cut(line, ":")
		if !ok || !strings.HasSuffix(file, ".lua") || strings.HasPrefix(file, "[") {
			continue
		}
		number, _, _ := strings.Cut(rest, ":")
		return file + ":" + number
	}
	return "?"
}

func (h *Host) tagAt(s vm.State, i int, what string) string {
	tag, ok := s.String(i)
	if !ok || tag == "" || len(tag) > maxTag {
		s.Errorf("%s: a tag of at most %d bytes is expected as argument %d, got %s", what, maxTag, i, s.Type(i))
	}
	return tag
}

// apiTrace begins the trace of the message that is handled.
func (h *Host) apiTrace(s vm.State) int {
	co := h.cur
	if co == nil || co.untraced {
		return 0
	}
	h.traces++
	co.trace = fmt.Sprintf(":%08x-%d", h.c.Self().ID(), h.traces)
	what := "trace"
	if info, ok := s.String(1); ok {
		what += " " + info
	}
	h.traced(s, co, what)
	return 0
}

// apiTraceTag gives the tag of the message that is handled: nil if it is not traced, false if it must not be.
func (h *Host) apiTraceTag(s vm.State) int {
	switch co := h.cur; {
	case co == nil:
		return 0
	case co.untraced:
		s.PushBool(false)
	case co.trace != "":
		s.PushString(co.trace)
	default:
		return 0
	}
	return 1
}

// apiTraceLog writes a line of its own: tracelog(tag, text).
func (h *Host) apiTraceLog(s vm.State) int {
	tag := h.tagAt(s, 1, "skynet.tracelog")
	text := ""
	if s.Top() >= 2 {
		text = s.Text(2)
	}
	h.writeTrace(s, tag, text)
	return 0
}

// apiTraceProto has all messages of a type traced (true), none (false), or those that somebody has begun to trace (nil).
func (h *Host) apiTraceProto(s vm.State) int {
	p := h.protocolAt(s, 1)
	switch {
	case s.Type(2) != vm.Boolean:
		p.traced = 0
	case s.Bool(2):
		p.traced = 1
	default:
		p.traced = -1
	}
	return 0
}

// apiTraceTimeout keeps where each timer is made from now on, for skynet.task.
func (h *Host) apiTraceTimeout(s vm.State) int {
	h.traceTimers = s.Bool(1)
	return 0
}

// traceIn sets up the trace of a handler that is about to run.
func (h *Host) traceIn(co *coroutine, p *protocol, m Message) {
	if p != nil && p.traced < 0 {
		co.untraced = true
		return
	}
	switch {
	case m.Envelope != nil && m.Envelope.Trace != "":
		co.trace = m.Envelope.Trace
		h.writeTrace(nil, co.trace, "request")
	case p != nil && p.traced > 0:
		h.traces++
		co.trace = fmt.Sprintf(":%08x-%d", h.c.Self().ID(), h.traces)
		h.writeTrace(nil, co.trace, "trace")
	}
}
