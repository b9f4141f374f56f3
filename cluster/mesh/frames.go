package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
)

// kind is what a frame is. Behind it is, in this order and unless said otherwise: numbers as uvarints, Refs as package wire has them, the span with its length in front, and
// the message or the error to the end.
type kind byte

const (
	frameSend    kind = iota + 1 // to, from, span, message
	frameAsk                     // call, to, from, microseconds that are left, requests that wait, span, message
	frameAnswer                  // call, message
	frameFailure                 // call, error
	frameGiveUp                  // call, 1 if it is too late; call 0 is the first of a link that is not the first one
	frameAcked                   // number, to, from, span, message
	frameReceipt                 // number, error or nothing
	frameWatch                   // target
	frameUnwatch                 // target
	frameEnded                   // target, error or nothing
	frameOrder                   // to, from, verb, microseconds, error or nothing
	framePiece                   // bytes of a frame that is larger than a piece; the first begins with the length of all
	frameLast                    // the same, and the frame is complete
	frameChoke                   // target
	frameUnchoke                 // target
	frameLookUp                  // call, name
	lastKind     = frameLookUp
)

func appendTo(dst []byte, k kind, to actor.Ref) []byte {
	return binary.AppendUvarint(append(dst, byte(k)), to.ID())
}

func (p *peer) appendSend(dst []byte, to, from actor.Ref, msg any, span actor.Span) ([]byte, error) {
	dst = p.coder.AppendRef(appendTo(dst, frameSend, to), from)
	return p.coder.Append(p.m.appendSpan(dst, span), msg)
}

func (p *peer) appendAsk(dst []byte, call uint64, to, from actor.Ref, msg any, q actor.Question) ([]byte, error) {
	dst = binary.AppendUvarint(append(dst, byte(frameAsk)), call)
	dst = p.coder.AppendRef(binary.AppendUvarint(dst, to.ID()), from)
	dst = binary.AppendUvarint(dst, uint64(max(q.Timeout, 0)/time.Microsecond))
	dst = append(dst, byte(min(q.Depth, 255)))
	return p.coder.Append(p.m.appendSpan(dst, q.Span), msg)
}

// appendAcked is what is behind the number of such a frame.
func (p *peer) appendAcked(dst []byte, to, from actor.Ref, msg any, span actor.Span) ([]byte, error) {
	dst = p.coder.AppendRef(binary.AppendUvarint(dst, to.ID()), from)
	return p.coder.Append(p.m.appendSpan(dst, span), msg)
}

// appendResult is the answer to a call, or its failure. An answer that has no form is a failure.
func (p *peer) appendResult(dst []byte, call uint64, v any, err error) []byte {
	if err == nil {
		out, bad := p.coder.Append(binary.AppendUvarint(append(dst, byte(frameAnswer)), call), v)
		if bad == nil && len(out)-len(dst) > p.m.cfg.MaxMessage {
			bad = fmt.Errorf("the answer has %d bytes, the limit is %d", len(out)-len(dst), p.m.cfg.MaxMessage)
		}
		if bad == nil {
			return out
		}
		p.m.metrics.unsendable.Inc()
		err = &actor.Error{Code: actor.Refused, Text: "the answer can't go to another node: " + bad.Error()}
	}
	return p.coder.AppendError(binary.AppendUvarint(append(dst, byte(frameFailure)), call), err)
}

func (p *peer) appendOrder(dst []byte, to, from actor.Ref, o actor.Order) []byte {
	dst = p.coder.AppendRef(appendTo(dst, frameOrder, to), from)
	dst = append(dst, byte(o.Verb))
	dst = binary.AppendUvarint(dst, uint64(max(o.Within, 0)/time.Microsecond))
	return p.appendReason(dst, o.Reason)
}

// appendReason is an error, or nothing for nil.
func (p *peer) appendReason(dst []byte, err error) []byte {
	if err == nil {
		return dst
	}
	return p.coder.AppendError(dst, err)
}

func (p *peer) parseReason(data []byte) (err, bad error) {
	if len(data) == 0 {
		return nil, nil
	}
	return p.coder.ParseError(data)
}

// appendSpan is the span as the tracer writes it, if it does.
func (m *Mesh) appendSpan(dst []byte, span actor.Span) []byte {
	if span == nil || m.spans == nil {
		return append(dst, 0)
	}
	return wire.AppendString(dst, m.spans.AppendSpan(nil, span))
}

// maxSpan bounds what a span is.
const maxSpan = 255

var errSpan = errors.New("the span is too long")

func (m *Mesh) parseSpan(r *wire.Reader) (actor.Span, error) {
	data := r.Bytes()
	if len(data) > maxSpan {
		return nil, errSpan
	}
	if len(data) == 0 || m.spans == nil {
		return nil, r.Err()
	}
	return m.spans.ParseSpan(data), r.Err()
}

// duration is microseconds that were read.
func duration(us uint64) time.Duration {
	const most = 365 * 24 * time.Hour
	return time.Duration(min(us, uint64(most/time.Microsecond))) * time.Microsecond
}
