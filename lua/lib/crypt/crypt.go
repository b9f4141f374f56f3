// Package crypt is the modules skynet.crypt and md5 for scripts: the functions of Skynet's handshake and what goes with them, bit-equal to what its clients
// compute. DES, MD5, SHA-1 and a key exchange of 64 bits hold nobody off today: they are for clients that exist. Use TLS.
package crypt

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what clients of Skynet compute
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

// Open pushes the module skynet.crypt.
func Open(s vm.State) {
	module.Push(s, map[string]vm.Func{
		"hashkey":      hashKeyOf,
		"randomkey":    randomKey,
		"desencode":    desEncode,
		"desdecode":    desDecode,
		"hexencode":    hexEncode,
		"hexdecode":    hexDecode,
		"base64encode": base64Encode,
		"base64decode": base64Decode,
		"dhexchange":   dhExchange,
		"dhsecret":     dhSecret,
		"hmac64":       of2Words("hmac64", hmac64),
		"hmac64_md5":   of2Words("hmac64_md5", hmac64MD5),
		"hmac_hash":    hmacHash,
		"hmac_sha1":    hmacSHA1,
		"sha1":         sha1Of,
		"xor_str":      xorString,
	})
	s.NewTable(0, 2)
	s.PushInt(paddingISO7816)
	s.SetField(-2, "iso7816_4")
	s.PushInt(paddingPKCS7)
	s.SetField(-2, "pkcs7")
	s.SetField(-2, "padding")
}

func pushBytes(s vm.State, b []byte) int {
	s.PushString(string(b))
	return 1
}

// word is the 8 bytes of argument i.
func word(s vm.State, i int, f string) word64 {
	text := module.Bytes(s, i, f)
	if len(text) != 8 {
		s.Errorf("bad argument #%d to '%s' (8 bytes expected, got %d)", i, f, len(text))
	}
	return word64([]byte(text))
}

func hashKeyOf(s vm.State) int {
	key := hashKey(module.Bytes(s, 1, "hashkey"))
	return pushBytes(s, key[:])
}

// randomKey makes 8 random bytes that are not all zero, which a key exchange can't take.
func randomKey(s vm.State) int {
	var key word64
	for key == (word64{}) {
		_, _ = rand.Read(key[:]) // never returns an error
	}
	return pushBytes(s, key[:])
}

func hexEncode(s vm.State) int {
	s.PushString(hex.EncodeToString([]byte(module.Bytes(s, 1, "hexencode"))))
	return 1
}

func hexDecode(s vm.State) int {
	out, err := hex.DecodeString(module.Bytes(s, 1, "hexdecode"))
	if err != nil {
		s.Errorf("hexdecode: %s", strings.TrimPrefix(err.Error(), "encoding/hex: "))
	}
	return pushBytes(s, out)
}

// exponent is the number in 8 bytes, which must not be 0.
func exponent(s vm.State, i int, f string) uint64 {
	w := word(s, i, f)
	n := binary.LittleEndian.Uint64(w[:])
	if n == 0 {
		s.Errorf("bad argument #%d to '%s' (8 bytes that are not all zero expected)", i, f)
	}
	return n
}

func pushNumber(s vm.State, n uint64) int {
	return pushBytes(s, binary.LittleEndian.AppendUint64(nil, n))
}

// dhExchange makes what is sent to the other side of a private key.
func dhExchange(s vm.State) int {
	return pushNumber(s, power(generator, exponent(s, 1, "dhexchange")))
}

// dhSecret makes the common secret of what the other side has sent and of a private key.
func dhSecret(s vm.State) int {
	return pushNumber(s, power(exponent(s, 1, "dhsecret"), exponent(s, 2, "dhsecret")))
}

func of2Words(name string, f func(x, y word64) word64) vm.Func {
	return func(s vm.State) int {
		out := f(word(s, 1, name), word(s, 2, name))
		return pushBytes(s, out[:])
	}
}

func hmacHash(s vm.State) int {
	key := word(s, 1, "hmac_hash")
	out := hmac64(hashKey(module.Bytes(s, 2, "hmac_hash")), key)
	return pushBytes(s, out[:])
}

func hmacSHA1(s vm.State) int {
	mac := hmac.New(sha1.New, []byte(module.Bytes(s, 1, "hmac_sha1")))
	_, _ = mac.Write([]byte(module.Bytes(s, 2, "hmac_sha1"))) // never returns an error
	return pushBytes(s, mac.Sum(nil))
}

func sha1Of(s vm.State) int {
	sum := sha1.Sum([]byte(module.Bytes(s, 1, "sha1"))) //nolint:gosec // what clients of Skynet compute
	return pushBytes(s, sum[:])
}

func xorString(s vm.State) int { return xor(s, "xor_str") }

// xor is argument 1 with argument 2 on it, again and again.
func xor(s vm.State, f string) int {
	out, key := []byte(module.Bytes(s, 1, f)), module.Bytes(s, 2, f)
	if key == "" {
		s.Errorf("bad argument #2 to '%s' (a string that is not empty expected)", f)
	}
	for i := range out {
		out[i] ^= key[i%len(key)]
	}
	return pushBytes(s, out)
}
