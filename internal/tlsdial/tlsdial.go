// Package tlsdial puts TLS on connections of ours to servers.
package tlsdial

import (
	"context"
	"crypto/tls"
	"net"
)

// Client does the handshake on conn with a server that has to show a certificate for host: by cfg, or, nil, by the machine's authorities. It closes conn when that fails.
func Client(ctx context.Context, conn net.Conn, cfg *tls.Config, host string) (net.Conn, error) {
	cfg = cfg.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}
