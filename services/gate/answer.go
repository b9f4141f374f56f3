package gate

import (
	"fmt"
	"sync"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
)

// frames lends buffers for answers to clients without resume: a connection copies what it sends.
var frames = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }} //nolint:gochecknoglobals // a cache

// bodies lends buffers for bodies on their way into frames.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }} //nolint:gochecknoglobals // a cache

// answerHeader is what goes before the body of an answer: a package's header, flag and id.
const answerHeader = packet.HeaderSize + 11

// keptBuffer is the largest buffer that is kept for the next.
const keptBuffer = 64 << 10

// write ends the handling of the request: with a result, raw or a value, or with an error. A notify has no answer, but its errors are counted and
// logged like those of a request.
func (s *session) write(result value.Value, raw []byte, err error) {
	m := s.now
	s.now = nil
	if s.stands {
		defer s.answering.Store(false)
	}
	if s.closed {
		endSpan(m.span, errClosed)
		m.release()
		return
	}
	var buf *[]byte
	var dst []byte
	if !s.state.resumes {
		buf = frames.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
		dst = (*buf)[:0]
	}
	frame, failure := s.encode(dst, m, result, raw, err)
	endSpan(m.span, failure)
	s.respond(m, frame)
	s.gate.cfg.Metrics.times.add(m, failure == nil)
	if buf != nil {
		if cap(frame) <= keptBuffer {
			*buf = frame[:0]
		}
		frames.Put(buf)
	}
	m.release()
}

// respond sends the answer and makes room for the next request.
func (s *Session) respond(m *inbound, frame []byte) {
	full := false
	s.mu.Lock()
	if s.stage == leaving || s.stage == elsewhere {
		if s.stage == leaving {
			s.state.queue.answered(m)
		}
		answer := relay{Answer: true}
		if m.typ == packet.Request {
			answer.Frame = frame
		}
		_, full = s.pass(answer)
	} else if s.stage != over {
		s.state.queue.answered(m)
		if m.typ == packet.Request && len(frame) > 0 {
			full = s.emit(frame, nil)
		}
	}
	s.mu.Unlock()
	if full {
		s.end(errOverflow)
	}
}

// encode is the answer as a frame, and the error that it tells the client of, if it does.
func (s *session) encode(dst []byte, m *inbound, result value.Value, raw []byte, err error) (frame []byte, failure error) {
	if err == nil {
		if frame, err = s.encodeResult(dst, m, result, raw); err == nil {
			return frame, nil
		}
	}
	g := s.gate
	g.cfg.Metrics.failed.Inc()
	frame, unfit := g.appendError(dst, m, s.explain(m.route, err))
	if unfit != nil { // more than a package holds
		s.c.Log().Error("an error can't be encoded", "route", m.route, "player", s.state.uid, "error", unfit)
		frame, _ = g.appendError(dst, m, packet.Reason{Code: answerInternal, Msg: "internal error"})
	}
	return frame, err
}

func (g *Gate) appendError(dst []byte, m *inbound, r packet.Reason) ([]byte, error) {
	body := g.cfg.Bodies.AppendError(nil, codec.Error{Code: r.Code, Msg: r.Msg})
	return g.codec.Append(dst, packet.Message{Type: packet.Response, ID: m.id, Error: true, Body: body})
}

func (s *session) encodeResult(dst []byte, m *inbound, result value.Value, raw []byte) ([]byte, error) {
	if m.typ != packet.Request && raw == nil {
		return dst, nil // nobody is going to read it
	}
	g := s.gate
	if raw == nil {
		buf := bodies.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
		defer func() {
			if cap(raw) <= keptBuffer {
				*buf = raw[:0]
			}
			bodies.Put(buf)
		}()
		var err error
		if raw, err = g.cfg.Bodies.Append((*buf)[:0], m.route, codec.Response, result); err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		if g.codec.Bare() && result.IsNil() { // which is no answer
			return dst[:0], nil
		}
	}
	if dst == nil {
		dst = make([]byte, 0, len(raw)+answerHeader)
	}
	frame, err := g.codec.Append(dst, packet.Message{Type: packet.Response, ID: m.id, Body: raw, Gzip: s.inflates()})
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return frame, nil
}

// framePush is a push as a frame of its own, which many sessions may share: those whose clients take compressed bodies, or the others.
func (g *Gate) framePush(route string, body []byte, inflates bool) ([]byte, error) {
	frame, err := g.codec.Append(nil, packet.Message{Type: packet.Push, Route: route, Body: body, Gzip: inflates})
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	return frame, nil
}

// bodyName is how errors call an encoding.
func bodyName(serializer string) string {
	if serializer == "json" {
		return "JSON"
	}
	return serializer
}
