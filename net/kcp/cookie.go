package kcp

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"net/netip"
	"sync"
	"time"
)

// mint makes cookies and challenges, by which a client shows that it receives at its address, and keeps nothing for them: they are signed with keys
// of the listener's own, which live for a minute. A key share for sessions goes with each.
type mint struct {
	start time.Time

	mu        sync.Mutex
	now, last *mintKey
}

type mintKey struct {
	epoch uint32 // minutes since start
	mac   hash.Hash
	share *ecdh.PrivateKey
}

const (
	mintLife = time.Minute
	// cookieLife is how long a cookie or challenge is good: a client asks for another when its own got lost on the way for longer.
	cookieLife = 10 // seconds
)

func newMint(start time.Time) (*mint, error) {
	m := &mint{start: start}
	k, err := newMintKey(0)
	m.now = k
	return m, err
}

func newMintKey(epoch uint32) (*mintKey, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, fmt.Errorf("kcp: no random bytes for the key of cookies: %w", err)
	}
	share, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("kcp: no key share: %w", err)
	}
	return &mintKey{epoch: epoch, mac: hmac.New(sha256.New, secret[:]), share: share}, nil
}

// key returns that of a moment, nil if it is too old; mu is held.
func (m *mint) key(seconds uint32) *mintKey {
	epoch := seconds / uint32(mintLife/time.Second)
	if epoch > m.now.epoch && epoch == m.epoch() {
		k, err := newMintKey(epoch)
		if err != nil {
			return m.now // crypto/rand does not fail on systems that are in order; the old key is as secret as before
		}
		if m.last = m.now; m.last.epoch+1 < epoch {
			m.last = nil
		}
		m.now = k
	}
	switch {
	case epoch == m.now.epoch:
		return m.now
	case m.last != nil && epoch == m.last.epoch:
		return m.last
	}
	return nil
}

func (m *mint) seconds() uint32 { return uint32(time.Since(m.start) / time.Second) }
func (m *mint) epoch() uint32   { return m.seconds() / uint32(mintLife/time.Second) }

// sum signs what belongs to an address at a time.
func (k *mintKey) sum(kind byte, seconds uint32, from netip.AddrPort, data []byte) (sum [sha256.Size]byte) {
	var head [1 + 4 + 16 + 2]byte
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], seconds)
	ip := from.Addr().As16()
	copy(head[5:], ip[:])
	binary.LittleEndian.PutUint16(head[21:], from.Port())
	k.mac.Reset()
	k.mac.Write(head[:])
	k.mac.Write(data)
	k.mac.Sum(sum[:0])
	return sum
}

// stamp fills out: the time, and as much of the signature as there is room for.
func (m *mint) stamp(out []byte, kind byte, from netip.AddrPort, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seconds := m.seconds()
	k := m.key(seconds)
	if k == nil {
		k = m.now
	}
	sum := k.sum(kind, seconds, from, data)
	binary.LittleEndian.PutUint32(out, seconds)
	copy(out[4:], sum[:])
}

// stamped returns the key share that goes with a stamp, nil if it is none of ours, for another address or too old.
func (m *mint) stamped(stamp []byte, kind byte, from netip.AddrPort, data []byte) *ecdh.PrivateKey {
	seconds := binary.LittleEndian.Uint32(stamp)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.seconds()
	if seconds > now || now-seconds > cookieLife {
		return nil
	}
	k := m.key(seconds)
	if k == nil {
		return nil
	}
	sum := k.sum(kind, seconds, from, data)
	if !hmac.Equal(stamp[4:], sum[:len(stamp)-4]) {
		return nil
	}
	return k.share
}

func (m *mint) cookie(from netip.AddrPort, nonce []byte) (cookie [cookieLen]byte) {
	m.stamp(cookie[:], ctlCookie, from, nonce)
	return cookie
}

// challenge is the token for a conversation that is heard from another address.
func (m *mint) challenge(from netip.AddrPort, conv uint32) (token [tokenLen]byte) {
	var c [4]byte
	binary.LittleEndian.PutUint32(c[:], conv)
	m.stamp(token[:], ctlChallenge, from, c[:])
	return token
}

func (m *mint) proven(token []byte, from netip.AddrPort, conv uint32) bool {
	var c [4]byte
	binary.LittleEndian.PutUint32(c[:], conv)
	return m.stamped(token, ctlChallenge, from, c[:]) != nil
}
