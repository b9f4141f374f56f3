package login

import (
	"context"
	"time"
)

// Keyring signs and opens tokens.
type Keyring struct{ k keyring }

// NewKeyring makes one.
func NewKeyring(keys [][]byte, lifetime time.Duration) *Keyring {
	return &Keyring{newKeyring(keys, lifetime)}
}

// Sign makes a token.
func (k *Keyring) Sign(uid, name string, issued, expires time.Time) string {
	text, _ := k.k.sign(uid, name, issued, expires)
	return text
}

// Open gives uid and name.
func (k *Keyring) Open(text string, now time.Time) (uid, name string, err error) {
	t, err := k.k.open(text, now)
	return t.UID, t.Name, err
}

// ParseKeys counts the keys in a text.
func ParseKeys(text []byte) (int, error) {
	keys, err := parseKeys(text)
	return len(keys), err
}

// Fetch reads a source of keys.
func Fetch(ctx context.Context, source string) ([]byte, error) { return fetch(ctx, source) }
