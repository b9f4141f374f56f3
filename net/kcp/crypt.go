package kcp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

// crypt encrypts datagrams as kcp-go does. Its methods may be called by many goroutines at once.
type crypt interface {
	// head is how many bytes come before what is encrypted; tail how many follow.
	head() int
	tail() int
	// seal encrypts d, whose first head bytes are free, in place; the tail is appended.
	seal(d []byte) []byte
	// open decrypts d in place and returns what was encrypted, false if it is not whole.
	open(d []byte) ([]byte, bool)
}

func newCrypt(name string, key []byte) (crypt, error) {
	sizes, block := []int{16, 24, 32}, kcpgo.NewAESBlockCrypt
	switch name {
	case "", "none":
		if len(key) > 0 {
			return nil, errors.New("kcp: a key is set but crypt is none, expected a cipher")
		}
		return plain{}, nil
	case "aes":
	case "aes-128":
		sizes = []int{16}
	case "aes-192":
		sizes = []int{24}
	case "aes-256":
		sizes = []int{32}
	case "aes-gcm":
		block = kcpgo.NewAESGCMCrypt
	case "salsa20":
		sizes, block = []int{32}, kcpgo.NewSalsa20BlockCrypt
	default:
		return nil, fmt.Errorf("kcp: crypt %q, expected none, aes, aes-128, aes-192, aes-256, aes-gcm or salsa20", name)
	}
	fits := false
	for _, n := range sizes {
		fits = fits || len(key) == n
	}
	if !fits {
		return nil, fmt.Errorf("kcp: crypt %s with a key of %d bytes, expected one of %v", name, len(key), sizes)
	}
	c, err := block(key)
	if err != nil {
		return nil, fmt.Errorf("kcp: crypt %s: %w", name, err)
	}
	if a, ok := c.(aead); ok {
		return sealed{a}, nil
	}
	return feedback{c}, nil
}

type plain struct{}

func (plain) head() int                    { return 0 }
func (plain) tail() int                    { return 0 }
func (plain) seal(d []byte) []byte         { return d }
func (plain) open(d []byte) ([]byte, bool) { return d, true }

// feedback is a cipher in CFB mode: a random block, CRC32 (IEEE) of what follows, the datagram; all of it encrypted.
type feedback struct{ kcpgo.BlockCrypt }

const (
	feedbackNonce = 16
	feedbackHead  = feedbackNonce + 4
)

func (feedback) head() int { return feedbackHead }
func (feedback) tail() int { return 0 }

func (c feedback) seal(d []byte) []byte {
	_, _ = rand.Read(d[:feedbackNonce]) // never fails: it would end the program
	binary.LittleEndian.PutUint32(d[feedbackNonce:], crc32.ChecksumIEEE(d[feedbackHead:]))
	c.Encrypt(d, d)
	return d
}

func (c feedback) open(d []byte) ([]byte, bool) {
	if len(d) < feedbackHead {
		return nil, false
	}
	c.Decrypt(d, d)
	sum := binary.LittleEndian.Uint32(d[feedbackNonce:])
	d = d[feedbackHead:]
	return d, crc32.ChecksumIEEE(d) == sum
}

// aead is what kcp-go's AES-GCM has besides BlockCrypt.
type aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
	NonceSize() int
	Overhead() int
}

// sealed is an AEAD: a random nonce, what is encrypted, the tag.
type sealed struct{ aead }

func (c sealed) head() int { return c.NonceSize() }
func (c sealed) tail() int { return c.Overhead() }

func (c sealed) seal(d []byte) []byte {
	nonce := d[:c.NonceSize()]
	_, _ = rand.Read(nonce) // as above
	return c.Seal(nonce, nonce, d[len(nonce):], nil)
}

func (c sealed) open(d []byte) ([]byte, bool) {
	n := c.NonceSize()
	if len(d) < n+c.Overhead() {
		return nil, false
	}
	p, err := c.Open(d[n:n], d[:n], d[n:], nil)
	return p, err == nil
}
