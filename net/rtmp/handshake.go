package rtmp

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
)

// Handshakes (section 5.2) have a version and two packets of this size each way.
const (
	version       = 3
	handshakeSize = 1536
)

// shake does the server's side of the plain handshake, which all of today's publishers and players take. The digests of Flash Player 9 are not made: its clients see by the
// version in the second four bytes, which is 0, that there are none. The caller has set a deadline.
func shake(conn net.Conn, r *bufio.Reader) error {
	v, err := r.ReadByte()
	if err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	if v != version {
		return fmt.Errorf("%w: version %d in the handshake, expected %d", ErrProtocol, v, version)
	}
	var theirs [handshakeSize]byte
	if _, err := io.ReadFull(r, theirs[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	ours := make([]byte, 1+2*handshakeSize)
	ours[0] = version
	_, _ = rand.Read(ours[1+8 : 1+handshakeSize]) // it never fails
	copy(ours[1+handshakeSize:], theirs[:])       // their own packet back
	if _, err := conn.Write(ours); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	// What they send back is not looked at, as nobody does: some encoders send what they like.
	if _, err := io.ReadFull(r, theirs[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	return nil
}
