package relay

import (
	"bytes"
	"io"
	"net"
	"time"
)

// Take reads messages as if they came from another node.
func Take(said []byte, most int, to Into) error {
	l := &link{cfg: &Config{MaxFrame: most}, conn: &script{r: bytes.NewReader(said)}}
	return l.take(to)
}

// script is a connection of which only the reading is asked for.
type script struct {
	net.Conn
	r io.Reader
}

func (s *script) Read(b []byte) (int, error) { return s.r.Read(b) }

func (*script) SetReadDeadline(time.Time) error { return nil }
