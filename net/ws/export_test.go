package ws

import "net"

// NewConn makes a server's connection of one whose handshake is over, for the fuzz test.
func NewConn(nc net.Conn, cfg Config) net.Conn { return &conn{Conn: nc, l: NewListener(cfg)} }
