package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Certificate is a way in by a certificate of the client, which one of Server.ClientRoots has signed.
type Certificate struct {
	Name string
	Role Role
	// Subject is what it is known by: a name, address or URI that it is for, its common name, or FingerprintPrefix and the SHA-256 of it in hexadecimal.
	Subject string
	// Expires is when it stops to be good, if that is before the certificate's own end; zero: not.
	Expires time.Time
}

// CheckSubject refuses what no certificate can be known by.
func CheckSubject(text string) error {
	digits, hashed := strings.CutPrefix(text, hashPrefix)
	if !hashed {
		if text == "" {
			return errors.New("admin: an empty subject: expected a name that the certificate is for, or sha256: and its fingerprint")
		}
		return nil
	}
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("admin: behind %s: expected %d hexadecimal digits", hashPrefix, 2*sha256.Size)
	}
	return nil
}

var errCertificate = errors.New("the client certificate is not good here")

// stateKey is where a request's context has the TLS of its connection.
type stateKey struct{}

// withTLS is ctx with what the connection knows of its TLS, once its handshake is over.
func withTLS(ctx context.Context, nc net.Conn) context.Context {
	if known, can := nc.(interface {
		ConnectionState() (tls.ConnectionState, bool)
	}); can {
		if state, ok := known.ConnectionState(); ok {
			return context.WithValue(ctx, stateKey{}, &state)
		}
	}
	return ctx
}

// certificates are those that the client has shown, whose key it has.
func certificates(ctx context.Context) []*x509.Certificate {
	if state, ok := ctx.Value(stateKey{}).(*tls.ConnectionState); ok {
		return state.PeerCertificates
	}
	return nil
}

// identifyCertificate tells whose certificate it is. It is checked for each request, so that one that expires ends to be good also on a connection that is kept.
func (s *Server) identifyCertificate(shown []*x509.Certificate) (Identity, error) {
	leaf, between := shown[0], x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	now := time.Now()
	_, err := leaf.Verify(x509.VerifyOptions{Roots: s.ClientRoots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Identity{}, fmt.Errorf("%w: %w", errExpired, err)
	case err != nil:
		return Identity{}, fmt.Errorf("%w: %w", errCertificate, err)
	}
	sum := sha256.Sum256(leaf.Raw)
	names := append(slices.Clone(leaf.DNSNames), leaf.EmailAddresses...)
	names = append(names, leaf.Subject.CommonName)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	for i := range s.Certificates {
		c := &s.Certificates[i]
		digits, hashed := strings.CutPrefix(c.Subject, hashPrefix)
		if hashed {
			raw, err := hex.DecodeString(digits)
			if err != nil || subtle.ConstantTimeCompare(raw, sum[:]) != 1 {
				continue
			}
		} else if !slices.Contains(names, c.Subject) {
			continue
		}
		if !c.Expires.IsZero() && !now.Before(c.Expires) {
			return Identity{}, errExpired
		}
		return Identity{c.Name, c.Role}, nil
	}
	return Identity{}, fmt.Errorf("%w: none of admin.certificates is known by %s", errCertificate, clip(strings.Join(names, ", ")))
}
