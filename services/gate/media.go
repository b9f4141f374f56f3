package gate

import (
	"context"
	"fmt"

	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// Media is live media in the connections of clients: who takes their media packages, which are neither numbered nor sent again, and belong to a connection and not to its session.
type Media struct {
	// Offer is what clients are told in the handshake.
	Offer packet.MediaOffer
	// Join begins with a connection, whose client has sent its first media package. player is the uid of who has logged in, empty before; where nobody logs in it waits until the
	// client is let in, or ctx ends.
	Join func(c *transport.Conn, player func(ctx context.Context) string) MediaClient
}

// MediaClient takes what one connection sends; it is called by one goroutine at a time.
type MediaClient interface {
	// Package takes the body of a package, which is valid until it returns. It must not wait. An error closes the connection.
	Package(body []byte) error
	// Close is told that the connection has ended. It may be called again.
	Close()
}

// mediaPackage hands on a media package.
func (l *link) mediaPackage(body []byte) error {
	m := l.gate.cfg.Media
	switch {
	case m == nil:
		return fmt.Errorf("%w: there are no rooms here", packet.ErrMedia)
	case l.stage != shaken:
		return fmt.Errorf("%w: before the handshake is over", packet.ErrMedia)
	}
	if l.media == nil {
		l.media = m.Join(l.conn, l.player)
	}
	return l.media.Package(body)
}

// player is who has logged in over this connection.
func (l *link) player(ctx context.Context) string {
	s := l.place.Load()
	if s == nil {
		return ""
	}
	if l.gate.cfg.Login == LoginNone {
		select {
		case <-s.whenIn():
		case <-ctx.Done():
		}
	}
	return s.UID()
}

// whenIn gives a channel that is closed when the client is let in, or the session has ended.
func (s *Session) whenIn() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isIn == nil {
		s.isIn = make(chan struct{})
		if s.state.in || s.stage == over {
			close(s.isIn)
		}
	}
	return s.isIn
}

// tellIn tells those who wait for it; the lock is held.
func (s *Session) tellIn() {
	if s.isIn == nil {
		return
	}
	select {
	case <-s.isIn:
	default:
		close(s.isIn)
	}
}
