package ws

import "net"

// NewConn makes a server's connection of one whose handshake is over, for the fuzz test.
func NewConn(nc net.Conn, cfg Config) net.Conn { return newConn(nc, NewListener(cfg), nil) }

// NewConnBehind makes one of which some bytes were read with the handshake.
func NewConnBehind(nc net.Conn, early []byte) net.Conn {
	return newConn(nc, NewListener(Config{}), early)
}
