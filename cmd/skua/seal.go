package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"github.com/skua-go/skua/cluster"
)

// seal signs what nodes tell each other: HMAC-SHA256 by a key made of cluster.secret, in front of the text.
type seal struct{ key []byte } // nil without a secret

var errSeal = errors.New("it is not signed by this cluster's secret")

// newSeal makes that of a purpose. A cluster without a secret has none.
func (n *node) newSeal(purpose string) (s seal, err error) {
	if secret := n.project.cfg.Cluster.Secret.Reveal(); secret != "" {
		s.key, err = cluster.Key(secret, purpose)
	}
	return s, err
}

func (s seal) sum(text []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write(text)
	return m.Sum(nil)
}

// sign is the text with its signature.
func (s seal) sign(text []byte) []byte {
	if s.key == nil {
		return text
	}
	return append(s.sum(text), text...)
}

// open is the text of what sign has made.
func (s seal) open(data []byte) ([]byte, error) {
	if s.key == nil {
		return data, nil
	}
	if len(data) < sha256.Size || !hmac.Equal(data[:sha256.Size], s.sum(data[sha256.Size:])) {
		return nil, errSeal
	}
	return data[sha256.Size:], nil
}
