package rtc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/pion/dtls/v3/pkg/crypto/fingerprint"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

// identity is a certificate of the node's own, which clients know by its fingerprint in the answer to their offer (RFC 8122).
type identity struct {
	certificate tls.Certificate
	fingerprint string
}

// identityHash names what fingerprints of the node are made with.
const identityHash = "sha-256"

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("rtc: %w", err)
	}
	cert, err := selfsign.SelfSign(key)
	if err != nil {
		return nil, fmt.Errorf("rtc: %w", err)
	}
	sum, err := fingerprintOf(cert.Certificate[0], identityHash)
	if err != nil {
		return nil, err
	}
	return &identity{cert, sum}, nil
}

// fingerprintOf is the one of a certificate, by a hash as SDP names it.
func fingerprintOf(der []byte, hash string) (string, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", fmt.Errorf("rtc: %w", err)
	}
	var algorithm crypto.Hash
	if algorithm, err = fingerprint.HashFromString(hash); err != nil {
		return "", fmt.Errorf("rtc: %w", err)
	}
	sum, err := fingerprint.Fingerprint(cert, algorithm)
	if err != nil {
		return "", fmt.Errorf("rtc: %w", err)
	}
	return sum, nil
}
