package rtc

import (
	"crypto/rand"
	"net"
	"time"

	"github.com/pion/stun/v3"
)

// The node is a lite agent (RFC 8445, section 2.5): it has public addresses, checks nobody, and is the controlled one. A client checks where it gets through and names the pair that it
// wants. Each check proves that it comes from the client, whose session knows its secret by the answer to its offer. Where a client is follows from its checks alone: what it
// says of its addresses itself (candidates) is not used, so nothing is sent to where somebody else might be.

// credentials are the node's side of a session in ICE.
type credentials struct{ name, key string }

func newCredentials() credentials { return credentials{rand.Text()[:8], rand.Text()} }

// check answers a client's check of a way to the node, and notes the way. It returns the client's session, or nil.
func (srv *Server) check(l *lane, b []byte, now time.Time) *session {
	m := new(stun.Message)
	var name stun.Username
	if stun.Decode(b, m) != nil || m.Type != stun.BindingRequest || name.GetFrom(m) != nil {
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
	if !srv.sockets.paths.place(s, l, m.Contains(stun.AttrUseCandidate), now) {
		return nil
	}
	answer, err := stun.Build(
		stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IP(l.at.Addr().AsSlice()), Port: int(l.at.Port())}, proof, stun.Fingerprint,
	)
	if err == nil {
		err = l.write(answer.Raw)
	}
	if err != nil {
		srv.log.Debug("answering a client's check", "room", s.Room, "who", s.Who, "error", err)
	}
	return s
}
