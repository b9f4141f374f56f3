package login

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"
	"time"
)

// A token of ours is "s1." and, in base64url without padding:
//
//	key      4 bytes   which key has signed
//	id       8 bytes   random, so that one token can be revoked
//	issued   8 bytes   milliseconds since 1970, big-endian
//	expires  8 bytes
//	uid      1 byte for the length, and the uid
//	name     1 byte for the length, and the name
//	mac      32 bytes  HMAC-SHA256 (RFC 2104) of the prefix and all bytes before
//
// It has no field that says how it is to be checked, so there is nothing to forge there. Who has it can read it.
const (
	tokenPrefix = "s1."
	tokenHead   = 4 + 8 + 8 + 8
	maxToken    = len(tokenPrefix) + (tokenHead+1+maxUID+1+maxName+sha256.Size)*4/3 + 2
)

// MinKey is the least length of a key for tokens, in bytes: that of its hash (RFC 7518, section 3.2).
const MinKey = 32

var (
	errToken   = &Error{BadToken, "the token is not valid; log in again"}
	errExpired = &Error{Expired, "the token has expired; log in again"}
)

type token struct {
	UID, Name       string
	ID              uint64
	Issued, Expires int64 // ms
}

// keyring signs and opens tokens. It belongs to one goroutine.
type keyring struct {
	keys     []signer
	lifetime time.Duration
	buf      []byte
}

type signer struct {
	id  [4]byte
	mac hash.Hash
}

func newKeyring(keys [][]byte, lifetime time.Duration) keyring {
	k := keyring{lifetime: lifetime}
	for _, key := range keys {
		s := signer{mac: hmac.New(sha256.New, key)}
		// The key's own mac of a fixed text: tells keys apart and nothing of them.
		s.mac.Write([]byte("skua token key"))
		copy(s.id[:], s.mac.Sum(nil))
		k.keys = append(k.keys, s)
	}
	return k
}

// on tells whether there are tokens at all.
func (k *keyring) on() bool { return len(k.keys) > 0 }

// sum appends the mac of a token's bytes.
func (s *signer) sum(dst, payload []byte) []byte {
	s.mac.Reset()
	s.mac.Write([]byte(tokenPrefix))
	s.mac.Write(payload)
	return s.mac.Sum(dst)
}

// sign makes a token, and tells when it ends, exactly.
func (k *keyring) sign(uid, name string, issued, expires time.Time) (string, time.Time) {
	s := &k.keys[0]
	b := k.buf[:0]
	b = append(b, s.id[:]...)
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(issued.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(expires.UnixMilli()))
	b = append(append(b, byte(len(uid))), uid...)
	b = append(append(b, byte(len(name))), name...)
	b = s.sum(b, b)
	k.buf = b
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b), time.UnixMilli(expires.UnixMilli())
}

// open checks a token: its key, its mac, in constant time, and then its time.
func (k *keyring) open(text string, now time.Time) (token, error) {
	body, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > maxToken {
		return token{}, errToken
	}
	b, err := base64.RawURLEncoding.AppendDecode(k.buf[:0], []byte(body))
	k.buf = b
	if err != nil || len(b) < tokenHead+2+sha256.Size {
		return token{}, errToken
	}
	payload, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !k.signed(payload, mac) {
		return token{}, errToken
	}
	t, ok := parseToken(payload)
	switch ms := now.UnixMilli(); {
	case !ok:
		return token{}, errToken
	case ms >= t.Expires, ms >= t.Issued+k.lifetime.Milliseconds():
		return token{}, errExpired
	}
	return t, nil
}

func (k *keyring) signed(payload, mac []byte) bool {
	for i := range k.keys {
		if s := &k.keys[i]; bytes.Equal(s.id[:], payload[:4]) {
			var want [sha256.Size]byte
			return hmac.Equal(s.sum(want[:0], payload), mac)
		}
	}
	return false
}

// parseToken reads what was signed, all of it.
func parseToken(b []byte) (t token, ok bool) {
	t.ID = binary.BigEndian.Uint64(b[4:])
	t.Issued = int64(binary.BigEndian.Uint64(b[12:]))
	t.Expires = int64(binary.BigEndian.Uint64(b[20:]))
	uid, rest, ok := cutText(b[tokenHead:])
	if !ok {
		return token{}, false
	}
	name, rest, ok := cutText(rest)
	if !ok || len(rest) > 0 || uid == "" {
		return token{}, false
	}
	t.UID, t.Name = uid, name
	return t, true
}

func cutText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}
