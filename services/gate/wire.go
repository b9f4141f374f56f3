package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/net/packet"
)

// What gates tell each other, and the sessions and stand-ins of one client.
type (
	// take asks a gate for a session: answered by a parcel or a refused.
	take struct {
		Token    token
		Received uint64 // by the client
		Print    uint64 // of the gate that asks
	}
	// refused is why there is no parcel: a code of package packet, or the node that has the session now.
	refused struct{ Code, Node string }
	// parcel is a session on its way from one gate to another.
	parcel struct {
		Claim    uint64    // which of those that ask for it gets it
		Place    actor.Ref // the session's actor that it comes from,
		Agent    actor.Ref // who handles its requests,
		Handle   actor.Ref // what stands in for it where the agent is,
		Trail    []actor.Ref
		UID      string
		Name     string
		Turn     uint64
		Stamp    stamp
		Inflates bool
		Hop      uint64
		Told     bool // that the client is away
		Open     bool // a request is being handled, Now, and will be answered by way of Place
		Now      inbound
		Known    token
		Offered  [offered]token
		Received uint64
		Sent     uint64
		Ring     [][]byte
		Late     []lateFrame
		Queue    []inbound
		Buckets  []bucket
		Data     []byte // of a Go handler
	}
	// commit tells the place of a session that its new one is there: answered by whether it is to live.
	commit struct{ Claim uint64 }
	// relay is a package for a session that is on another node.
	relay struct {
		Frame  []byte
		Route  string
		Key    string
		Class  Class
		Answer bool // it ends the handling of a request; without Frame that was a notify
	}
	// ended tells those who stand in for a session that it has ended.
	ended struct {
		Reason  packet.Reason
		Refused string // what a client hears that comes back
	}
	// nowAt tells them where it is.
	nowAt struct{ Hop uint64 }
	// flush is answered when all that was sent to the session on this way, before, is there.
	flush struct{}
	// rehome has a session look for another agent.
	rehome struct{}
	// attach asks for the player's agent: answered by attached once that knows the session.
	attach struct {
		UID, Name string
		Stamp     stamp
		Old       actor.Ref // what stood in for the session with an agent that is gone
		Print     uint64
		Inflates  bool
	}
	// attached is the agent, and what stands in for the session where that is.
	attached struct{ Agent, Handle actor.Ref }
	// yield has a gate let go of a player who is in elsewhere: answered when the agent is gone.
	yield struct {
		UID   string
		Stamp stamp
		Old   actor.Ref
	}
	// yielded answers it. Newer tells that the player's newer login is there.
	yielded struct{ Newer bool }
	// toPlayer is a push for a player, wherever it is: answered by whether it is here.
	toPlayer struct {
		UID string
		relay
	}
	// who asks whether a player is in.
	who struct{ UID string }
)

// stamp tells which of a player's logins is the newer one.
type stamp struct {
	At   int64 // nanoseconds
	Node string
	N    uint64
}

func (s stamp) before(o stamp) bool {
	switch {
	case s.At != o.At:
		return s.At < o.At
	case s.Node != o.Node:
		return s.Node < o.Node
	}
	return s.N < o.N
}

// Expendable: what is for a session that has just ended.
func (relay) Expendable() {}

// Expendable: it has ended itself.
func (ended) Expendable() {}

// Expendable: it has ended.
func (nowAt) Expendable() {}

// Expendable: it has ended.
func (rehome) Expendable() {}

// WireTypes adds the messages of gates to those that go to other nodes.
func WireTypes(t *wire.Types) {
	wire.Add(t, "gate.take", func(_ *wire.Coder, dst []byte, m take) ([]byte, error) {
		dst = binary.AppendUvarint(append(dst, m.Token[:]...), m.Received)
		return binary.AppendUvarint(dst, m.Print), nil
	}, func(r *wire.Reader) (take, error) {
		return take{readToken(r), r.Uvarint(), r.Uvarint()}, nil
	})
	wire.Add(t, "gate.parcel", appendParcel, readParcel)
	wire.Add(t, "gate.relay", func(_ *wire.Coder, dst []byte, m relay) ([]byte, error) { return appendRelay(dst, m), nil },
		func(r *wire.Reader) (relay, error) { return readRelay(r), nil })
	wire.Add(t, "gate.toPlayer", func(_ *wire.Coder, dst []byte, m toPlayer) ([]byte, error) {
		return appendRelay(wire.AppendString(dst, m.UID), m.relay), nil
	}, func(r *wire.Reader) (toPlayer, error) {
		return toPlayer{r.String(), readRelay(r)}, nil
	})
	wire.Register[refused](t, "gate.refused")
	wire.Register[commit](t, "gate.commit")
	wire.Register[ended](t, "gate.ended")
	wire.Register[nowAt](t, "gate.nowAt")
	wire.Register[flush](t, "gate.flush")
	wire.Register[rehome](t, "gate.rehome")
	wire.Register[attach](t, "gate.attach")
	wire.Register[attached](t, "gate.attached")
	wire.Register[yield](t, "gate.yield")
	wire.Register[yielded](t, "gate.yielded")
	wire.Register[who](t, "gate.who")
	wire.Register[kick](t, "gate.kick")
	wire.Register[detach](t, "gate.detach")
	wire.AddError(t, "gate.refusal", func(_ *wire.Coder, dst []byte, err *refusal) ([]byte, error) {
		return wire.AppendString(wire.AppendString(dst, err.Code), err.Msg), nil
	}, func(r *wire.Reader) (*refusal, error) {
		return &refusal{packet.Reason{Code: r.String(), Msg: r.String()}}, nil
	})
}

func readToken(r *wire.Reader) (t token) {
	for i := range t {
		t[i] = r.Byte()
	}
	return t
}

func appendRelay(dst []byte, m relay) []byte {
	answer := byte(0)
	if m.Answer {
		answer = 1
	}
	dst = append(dst, byte(m.Class), answer)
	dst = wire.AppendString(wire.AppendString(dst, m.Route), m.Key)
	return wire.AppendString(dst, m.Frame)
}

func readRelay(r *wire.Reader) relay {
	m := relay{Class: Class(r.Byte()), Answer: r.Byte() != 0, Route: r.String(), Key: r.String()}
	m.Frame = copied(r)
	return m
}

func copied(r *wire.Reader) []byte { return append([]byte(nil), r.Bytes()...) }

// Flags of a parcel.
const (
	parcelInflates byte = 1 << iota
	parcelTold
	parcelOpen
)

func appendParcel(c *wire.Coder, dst []byte, p *parcel) ([]byte, error) {
	var flags byte
	for bit, on := range map[byte]bool{parcelInflates: p.Inflates, parcelTold: p.Told, parcelOpen: p.Open} {
		if on {
			flags |= bit
		}
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(append(dst, flags), p.Claim), p.Hop)
	for _, ref := range []actor.Ref{p.Place, p.Agent, p.Handle} {
		dst = c.AppendRef(dst, ref)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Trail)))
	for _, ref := range p.Trail {
		dst = c.AppendRef(dst, ref)
	}
	dst = wire.AppendString(wire.AppendString(dst, p.UID), p.Name)
	dst = binary.AppendVarint(binary.AppendUvarint(dst, p.Turn), p.Stamp.At)
	dst = binary.AppendUvarint(wire.AppendString(dst, p.Stamp.Node), p.Stamp.N)
	dst = append(dst, p.Known[:]...)
	for _, key := range p.Offered {
		dst = append(dst, key[:]...)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, p.Received), p.Sent)
	dst = binary.AppendUvarint(dst, uint64(len(p.Ring)))
	for _, frame := range p.Ring {
		dst = wire.AppendString(dst, frame)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Late)))
	for _, l := range p.Late {
		dst = wire.AppendString(wire.AppendString(wire.AppendString(dst, l.slot.route), l.slot.key), l.frame)
	}
	if p.Open {
		dst = appendInbound(dst, &p.Now)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Queue)))
	for i := range p.Queue {
		dst = appendInbound(dst, &p.Queue[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Buckets)))
	for _, b := range p.Buckets {
		dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(b.number)), b.full.UnixNano())
	}
	return wire.AppendString(dst, p.Data), nil
}

func appendInbound(dst []byte, m *inbound) []byte {
	fast := byte(0)
	if m.fast {
		fast = 1
	}
	dst = binary.AppendUvarint(append(dst, byte(m.typ), fast), m.id)
	return wire.AppendString(wire.AppendString(dst, m.route), m.body)
}

var errParcel = errors.New("gate: a session that can't be")

func readParcel(r *wire.Reader) (*parcel, error) {
	flags := r.Byte()
	p := &parcel{Inflates: flags&parcelInflates != 0, Told: flags&parcelTold != 0, Open: flags&parcelOpen != 0, Claim: r.Uvarint(), Hop: r.Uvarint()}
	p.Place, p.Agent, p.Handle = r.Ref(), r.Ref(), r.Ref()
	each(r, 2, func() { p.Trail = append(p.Trail, r.Ref()) })
	p.UID, p.Name, p.Turn = r.String(), r.String(), r.Uvarint()
	p.Stamp = stamp{At: r.Varint(), Node: r.String(), N: r.Uvarint()}
	p.Known = readToken(r)
	for i := range p.Offered {
		p.Offered[i] = readToken(r)
	}
	p.Received, p.Sent = r.Uvarint(), r.Uvarint()
	each(r, 1, func() { p.Ring = append(p.Ring, copied(r)) })
	each(r, 3, func() { p.Late = append(p.Late, lateFrame{slot{r.String(), r.String()}, copied(r)}) })
	if p.Open {
		p.Now = readInbound(r)
	}
	each(r, 5, func() { p.Queue = append(p.Queue, readInbound(r)) })
	each(r, 2, func() {
		p.Buckets = append(p.Buckets, bucket{number: int(r.Uvarint()), full: time.Unix(0, r.Varint())})
	})
	p.Data = copied(r)
	if err := r.Err(); err != nil {
		return nil, err
	}
	err := p.check()
	return p, err
}

// each reads how many there are of what takes so many bytes at least, and then those; it ends with the first failure.
func each(r *wire.Reader, size int, read func()) {
	n := r.Uvarint()
	if n > uint64(r.Len()/size) { // a number that lies is found before it is believed: what follows is no parcel
		r.Rest()
		r.Byte()
		return
	}
	for ; n > 0 && r.Err() == nil; n-- {
		read()
	}
}

func readInbound(r *wire.Reader) inbound {
	return inbound{typ: packet.MessageType(r.Byte()), fast: r.Byte() != 0, id: r.Uvarint(), route: r.String(), body: copied(r), arrived: true}
}

// maxTrail bounds the places that hear of a session where it has been.
const maxTrail = 16

func (p *parcel) check() error {
	switch {
	case p.UID == "" || p.Place.IsZero():
		return fmt.Errorf("%w: it is nobody's, or of no place", errParcel)
	case len(p.Trail) > maxTrail:
		return fmt.Errorf("%w: it has been in %d places, expected at most %d", errParcel, len(p.Trail), maxTrail)
	case uint64(len(p.Ring)) > p.Sent || p.Sent > packet.MaxNumber || p.Received > packet.MaxNumber:
		return fmt.Errorf("%w: %d of %d packages are kept, %d received", errParcel, len(p.Ring), p.Sent, p.Received)
	}
	if p.Open && p.Now.typ.SentBy(packet.Client) != nil {
		return fmt.Errorf("%w: it handles a %s", errParcel, p.Now.typ)
	}
	for i := range p.Queue {
		if err := p.Queue[i].typ.SentBy(packet.Client); err != nil {
			return fmt.Errorf("%w: %w", errParcel, err)
		}
	}
	return nil
}
