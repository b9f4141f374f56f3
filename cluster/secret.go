package cluster

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
)

// MinSecret is how many characters a Config.Secret has at least.
const MinSecret = 32

// Key derives from a cluster's secret a key of 32 bytes for one purpose (HKDF-SHA256, RFC 5869). Keys of different purposes tell nothing of each other, nor of the secret. It is the same on all
// nodes that have the secret.
func Key(secret, purpose string) ([]byte, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("cluster: secret: found %d characters, expected at least %d", len(secret), MinSecret)
	}
	return hkdf.Key(sha256.New, []byte(secret), nil, "skua cluster "+purpose, sha256.Size)
}

// identity is the key pair by which nodes that have the secret prove it to each other's servers: they sign what the server makes up, so the secret goes over no wire.
func identity(secret string) (nkeys.KeyPair, string, error) {
	seed, err := Key(secret, "connection")
	if err != nil {
		return nil, "", err
	}
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		return nil, "", errors.New("cluster: secret: no key pair can be made of it")
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, "", errors.New("cluster: secret: no key pair can be made of it")
	}
	return pair, public, nil
}

// routePassword is what servers of one cluster tell each other. It does go over the wire, as NATS has nothing else for them, and tells nothing of the secret.
func routePassword(secret string) (string, error) {
	key, err := Key(secret, "routes")
	return hex.EncodeToString(key), err
}
