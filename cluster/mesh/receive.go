package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
)

// take takes what has come for an incarnation of this node. It runs on the goroutine of the subscription, and waits for nothing.
func (m *Mesh) take(msg *nats.Msg, own uint64) {
	defer func() {
		if r := recover(); r != nil { // a batch must not end the node
			m.refuse("panic", "error", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	if lost := m.hook.Load(); lost != nil && (*lost)(msg.Data) {
		return
	}
	if own > m.own.Load() { // what this node had as its former incarnation ends still, this link with it: once it has, the batch comes again
		m.metrics.refused.WithLabelValues("early").Inc()
		return
	}
	m.metrics.received.Inc()
	m.metrics.receivedBytes.Add(float64(len(msg.Data)))
	h, frames, err := parseHead(msg.Data)
	if err != nil {
		reason := "head"
		if errors.Is(err, errVersion) {
			reason = "version"
		}
		m.refuse(reason, "error", err)
		return
	}
	p := m.lookUp(h.name, h.incarnation)
	if p == nil || !p.up.Load() {
		// Its first heartbeat may be still to be read; then it sends this once more. Or this node takes it for dead, and the other does not know.
		m.metrics.refused.WithLabelValues("stranger").Inc()
		return
	}
	if h.flags&flagReset != 0 {
		p.out.mu.Lock()
		ours := h.ackLink == p.out.link
		p.out.mu.Unlock()
		if ours {
			p.bounce("the node has lost its side of the link")
		}
		return
	}
	if reason := p.out.acknowledged(&h); reason == "forged_ack" {
		m.refuse(reason, "from", p.name)
		return
	}
	switch {
	case h.number != 0:
		p.takeBatch(&h, frames, len(msg.Data), own)
	case h.flags&flagKnown != 0:
		p.in.mu.Lock()
		defer p.in.mu.Unlock()
		if !p.in.knows(h.link) {
			p.disown(&h)
		}
	}
}

// disown tells the other node that this one does not know the link in which it sends.
func (p *peer) disown(h *head) {
	p.m.metrics.refused.WithLabelValues("unknown_link").Inc()
	if p.in.complains() {
		p.say(flagReset, h.link, 0)
	}
}

// takeBatch takes a batch that counts, if it is the next one.
func (p *peer) takeBatch(h *head, frames []byte, size int, own uint64) {
	in := &p.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if own < in.own { // it was still on its way to what this node is no more
		p.m.metrics.refused.WithLabelValues("old_incarnation").Inc()
		return
	}
	if own > in.own {
		in.own = own
		p.acks.forget()
	}
	switch in.judge(h, size) {
	case unknown:
		p.disown(h)
		return
	case headless:
		p.m.metrics.gaps.Inc()
		if in.complains() {
			p.say(flagAgain, h.link, 0)
		}
		return
	case restart:
		if !in.knows(0) { // what was in the former link may be lost, answers too
			p.forsake("the node has begun its link anew")
		}
		in.forget(h.link)
		in.judge(h, size)
	case again:
		p.m.metrics.gaps.Inc()
		if in.complains() {
			p.sayOnly(flagAgain)
		}
		return
	case twice:
		p.arm()
		return
	case takeIt:
	}
	p.takeFrames(frames)
	p.arm()
}

// takeFrames takes the frames of a batch.
func (p *peer) takeFrames(frames []byte) {
	var last uint64 // whom the last message was for
	for len(frames) > 0 {
		frame, rest, err := nextFrame(frames)
		if err != nil {
			p.m.refuse("frame", "from", p.name, "error", err)
			return
		}
		frames = rest
		to, err := p.takeFrame(frame)
		if err != nil {
			p.m.refuse("frame", "from", p.name, "kind", frame[0], "error", err)
		}
		if last != 0 && to != last {
			p.chokes.arrived(last)
		}
		last = to
	}
	if last != 0 {
		p.chokes.arrived(last)
	}
}

// takeFrame takes one frame, and tells whose mailbox it went into; 0 for nobody's.
func (p *peer) takeFrame(frame []byte) (to uint64, err error) {
	r := p.coder.Reader(frame[1:])
	switch k := kind(frame[0]); k {
	case frameSend:
		return p.takeSend(r)
	case frameAsk:
		return p.takeAsk(r)
	case frameAnswer, frameFailure:
		return 0, p.takeResult(k, r)
	case frameAcked:
		return p.takeAcked(r)
	case framePiece, frameLast:
		whole, err := p.in.join(frame[1:], k == frameLast)
		if whole == nil || err != nil {
			return 0, err
		}
		if k := kind(whole[0]); k == framePiece || k == frameLast {
			return 0, fmt.Errorf("%w: pieces of a piece", errFrame)
		}
		return p.takeFrame(whole)
	case frameOrder:
		return 0, p.takeOrder(r)
	default:
		return 0, p.takeNews(k, r)
	}
}

// takeNews takes what is neither a message nor an answer.
func (p *peer) takeNews(k kind, r *wire.Reader) error {
	number := r.Uvarint()
	if err := r.Err(); err != nil {
		return err
	}
	switch k {
	case frameGiveUp:
		late := r.Byte() != 0
		if number == 0 { // of no call: see outlet.begin
			p.forsake("the node has begun its link anew")
			p.acks.again()
			break
		}
		if v := p.served.take(number); v != nil {
			v.GiveUp(late)
		}
	case frameReceipt:
		reason, bad := p.parseReason(r.Rest())
		if bad != nil {
			return bad
		}
		if !p.acks.finish(number, reason) {
			p.m.metrics.refused.WithLabelValues("no_such_call").Inc()
		}
	case frameWatch:
		id := number & actor.MaxID
		p.m.tell(watchFor{p, id, p.noting.begin(id)})
	case frameUnwatch:
		p.m.tell(unwatchFor{p, number & actor.MaxID})
	case frameEnded:
		reason, bad := p.parseReason(r.Rest())
		if bad != nil {
			return bad
		}
		p.watched.ended(number, reason)
	case frameChoke, frameUnchoke:
		p.chokes.told(number, k == frameChoke)
	case frameLookUp:
		p.lookedUp(number, string(r.Rest()))
	default:
		return fmt.Errorf("%w: of the kind %d", errFrame, k)
	}
	return r.End()
}

func (p *peer) takeSend(r *wire.Reader) (uint64, error) {
	to, from := r.Uvarint(), r.Ref()
	span, err := p.m.parseSpan(r)
	if err != nil {
		return 0, err
	}
	msg, err := p.coder.Parse(r.Rest())
	if err != nil {
		return 0, err
	}
	p.noting.await(to & actor.MaxID)
	if code := p.m.sys.Deliver(to, from, msg, span); code != 0 {
		p.m.sys.DeadLetter(actor.DeadLetter{To: p.m.sys.RefOf(to), From: from, Message: msg, Reason: code})
		return 0, nil
	}
	return to, nil
}

func (p *peer) takeAsk(r *wire.Reader) (uint64, error) {
	call, to, from := r.Uvarint(), r.Uvarint(), r.Ref()
	left, depth := duration(r.Uvarint()), int(r.Byte())
	span, err := p.m.parseSpan(r)
	if r.Err() != nil || call == 0 {
		return 0, errors.Join(r.Err(), err) // there is nobody to answer
	}
	var msg any
	if err == nil {
		msg, err = p.coder.Parse(r.Rest())
	}
	if err == nil && p.served.full() {
		err = &actor.Error{Code: actor.Overloaded, Actor: p.m.sys.RefOf(to).String(), Text: "the node has too many requests there"}
	}
	if err != nil {
		p.answer(call, nil, refusal(err))
		return 0, err
	}
	p.noting.await(to & actor.MaxID)
	v := p.m.sys.Serve(actor.Asked{
		To: to, From: from, Message: msg, Timeout: left, Depth: depth, Span: span,
		Then: func(v any, err error) { p.answered(call, v, err) },
	})
	p.served.add(call, v)
	return to, nil
}

// refusal is what the asker of a message hears that can't be read.
func refusal(err error) error {
	var e *actor.Error
	if errors.As(err, &e) {
		return e
	}
	return &actor.Error{Code: actor.Refused, Text: "the message can't be read on the other node: " + err.Error()}
}

// answered sends the answer to a request.
func (p *peer) answered(call uint64, v any, err error) {
	p.served.remove(call)
	p.answer(call, v, err)
}

func (p *peer) answer(call uint64, v any, err error) {
	s := scratches.Get().(*scratch) //nolint:forcetypeassert // what the pool makes
	defer s.free()
	frame := p.appendResult(s.data, call, v, err)
	s.data = frame[:0]
	p.out.add(frame) // if the node is out of reach, nobody waits there any more
}

func (p *peer) takeResult(k kind, r *wire.Reader) error {
	call := r.Uvarint()
	if err := r.Err(); err != nil {
		return err
	}
	who := p.calls.take(call)
	if who == nil { // given up meanwhile, or never asked
		p.m.metrics.refused.WithLabelValues("no_such_call").Inc()
		return nil
	}
	if k == frameAnswer {
		v, err := p.coder.Parse(r.Rest())
		if err != nil {
			who.Reply(nil, &actor.Error{Code: actor.Refused, Actor: p.name, Text: "the answer can't be read here: " + err.Error()})
			return err
		}
		who.Reply(v, nil)
		return nil
	}
	failure, err := p.coder.ParseError(r.Rest())
	if err != nil {
		failure = &actor.Error{Code: actor.Refused, Actor: p.name, Text: "the error can't be read here: " + err.Error()}
	}
	who.Reply(nil, failure)
	return err
}

func (p *peer) takeAcked(r *wire.Reader) (uint64, error) {
	number, to, from := r.Uvarint(), r.Uvarint(), r.Ref()
	span, err := p.m.parseSpan(r)
	if r.Err() != nil || number == 0 {
		return 0, errors.Join(r.Err(), err)
	}
	var bad error
	p.acks.came(number, func() error {
		var msg any
		if bad = err; bad == nil {
			msg, bad = p.coder.Parse(r.Rest())
		}
		if bad != nil {
			return refusal(bad)
		}
		p.noting.await(to & actor.MaxID)
		if code := p.m.sys.Deliver(to, from, msg, span); code != 0 {
			return &actor.Error{Code: code, Actor: p.m.sys.RefOf(to).String()}
		}
		return nil
	})
	return to, bad
}

func (p *peer) takeOrder(r *wire.Reader) error {
	to, _ := r.Uvarint(), r.Ref()
	verb, within := actor.Verb(r.Byte()), duration(r.Uvarint())
	if err := r.Err(); err != nil {
		return err
	}
	reason, bad := p.parseReason(r.Rest())
	if bad != nil {
		return bad
	}
	p.noting.await(to & actor.MaxID)
	ref := p.m.sys.RefOf(to)
	switch verb {
	case actor.VerbStop:
		p.m.sys.Stop(ref, reason)
	case actor.VerbKill:
		p.m.sys.Kill(ref, reason)
	case actor.VerbDrain:
		p.m.sys.Retire(ref, within, reason)
	default:
		return fmt.Errorf("%w: the order %d", errFrame, verb)
	}
	return nil
}

// lookedUp answers who has a name here.
func (p *peer) lookedUp(call uint64, name string) {
	if ref, ok := p.m.cfg.Resolve(name); ok {
		p.answer(call, ref, nil)
		return
	}
	p.answer(call, nil, &actor.Error{Code: actor.NoActor, Actor: name, Text: "nobody is called so on " + p.m.node.Name()})
}

func appendLookUp(call uint64, name string) []byte {
	return append(binary.AppendUvarint([]byte{byte(frameLookUp)}, call), name...)
}
