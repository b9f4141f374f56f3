package rtc

import (
	"crypto/rand"
	"net"
	"time"

	"github.com/pion/stun/v3"
)

// The node is a lite agent (RFC 8445, section 2.5): it has public addresses, looks for no way itself, and is the controlled one. A client checks where it gets through and names the pair that it
// wants. Each check proves that it comes from the client, whose session knows its secret by the answer to its offer. Where a client is follows from its checks alone: what it
// says of its addresses itself (candidates) is not used. What a client gets is many times what it sends, so before it moves to another address the node asks it there for its consent
// (RFC 7675), which a lite agent need not: nothing is sent to where somebody else might be.

// credentials are the node's side of a session in ICE.
type credentials struct{ name, key string }

func newCredentials() credentials { return credentials{rand.Text()[:8], rand.Text()} }

// check answers a client's check of a way to the node, and notes the way. It returns the client's session, or nil.
func (srv *Server) check(l *lane, b []byte, now time.Time) *session {
	m := new(stun.Message)
	var name stun.Username
	if stun.Decode(b, m) != nil {
		return nil
	}
	proven(m)
	if m.Type == stun.BindingSuccess {
		return srv.sockets.paths.answered(l, m, now)
	}
	if m.Type != stun.BindingRequest || name.GetFrom(m) != nil {
		return nil // an indication keeps a NAT open, and says nothing
	}
	s, own := srv.sockets.paths.called(name.String())
	if s == nil {
		return nil
	}
	proof := stun.NewShortTermIntegrity(own.key)
	if proof.Check(m) != nil {
		srv.metrics.invalid.Inc()
		return nil
	}
	ask, who, ok := srv.sockets.paths.place(s, l, m.Contains(stun.AttrUseCandidate), now)
	if !ok {
		return nil
	}
	answer, err := stun.Build(
		stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IP(l.at.Addr().AsSlice()), Port: int(l.at.Port())}, proof, stun.Fingerprint,
	)
	if err == nil {
		err = l.write(answer.Raw)
	}
	if err == nil && ask.lane != nil {
		err = ask.put(who)
	}
	if err != nil {
		srv.log.Debug("answering a client's check", "room", s.Room, "who", s.Who, "error", err)
	}
	return s
}

// proven leaves out what is behind the proof of a message, which is anybody's (RFC 8489, section 14.5).
func proven(m *stun.Message) {
	for i, a := range m.Attributes {
		if a.Type == stun.AttrMessageIntegrity {
			m.Attributes = m.Attributes[:i+1]
			return
		}
	}
}

// put asks a client.
func (q question) put(to path) error {
	m, err := stun.Build(
		stun.NewTransactionIDSetter(q.id), stun.BindingRequest, stun.NewUsername(to.theirs.name+":"+to.own.name),
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{110, 0, 255, 255}}, // of an address that was found by a check (RFC 8445, section 5.1.2)
		stun.RawAttribute{Type: stun.AttrICEControlled, Value: make([]byte, 8)},     // the client leads in any case
		stun.NewShortTermIntegrity(to.theirs.key), stun.Fingerprint,
	)
	if err != nil {
		return err
	}
	return q.lane.write(m.Raw)
}
