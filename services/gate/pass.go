package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/skua-go/skua/cluster"
)

// pass is what a client of a gate with others has for a token: it tells any gate of the cluster which one has made it, and nobody else can make one.
//
// Its bytes, which the client has as letters, digits, "-" and "_": a version, the token, the incarnation of the node (uvarint), its name, and 16 bytes of HMAC-SHA-256 of the
// gate's name and what comes before.
type pass struct {
	token
	node        string
	incarnation uint64
}

const (
	passVersion = 1
	passMAC     = 16
)

// passFor is what a client is given as its token.
func (g *Gate) passFor(key token) string {
	if g.others == nil || len(g.others.Keys) == 0 {
		return key.String()
	}
	self := g.others.Members.Self()
	data := append(make([]byte, 0, 96), passVersion)
	data = append(data, key[:]...)
	data = binary.AppendUvarint(data, self.Incarnation)
	data = append(data, self.Name...)
	return base64.RawURLEncoding.EncodeToString(g.sign(data, data, g.others.Keys[0]))
}

// sign appends the signature of data to dst.
func (g *Gate) sign(dst, data, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("skua session of gate " + g.cfg.Name + "\x00"))
	mac.Write(data)
	return append(dst, mac.Sum(nil)[:passMAC]...)
}

// parsePass reads what a client has sent; ok is false for what no gate has made.
func (g *Gate) parsePass(text string) (p pass, ok bool) {
	if g.others == nil || len(g.others.Keys) == 0 {
		p.token = parseToken(text)
		return p, p.token != (token{})
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	head := 1 + len(p.token)
	if err != nil || len(data) < head+passMAC || data[0] != passVersion || !g.signed(data) {
		return p, false
	}
	copy(p.token[:], data[1:])
	rest := data[head : len(data)-passMAC]
	incarnation, n := binary.Uvarint(rest)
	if n <= 0 || cluster.CheckName(string(rest[n:])) != nil {
		return p, false
	}
	p.incarnation, p.node = incarnation, string(rest[n:])
	return p, true
}

// signed tells whether data ends with the signature of what is before it, by one of the keys.
func (g *Gate) signed(data []byte) bool {
	body, mac := data[:len(data)-passMAC], data[len(data)-passMAC:]
	ok := false
	for _, key := range g.others.Keys {
		ok = hmac.Equal(mac, g.sign(nil, body, key)) || ok
	}
	return ok
}
