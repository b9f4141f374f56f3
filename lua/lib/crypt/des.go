package crypt

import (
	"crypto/des" //nolint:gosec // what clients of Skynet compute
	"errors"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

// The paddings: a byte 0x80 and zeros, or as many bytes as are added, each with that number.
const (
	paddingISO7816 = 0
	paddingPKCS7   = 1
)

func padding(s vm.State, f string) int64 {
	p := module.Int(s, 3, f, paddingISO7816)
	if p != paddingISO7816 && p != paddingPKCS7 {
		s.Errorf("bad argument #3 to '%s' (one of crypt.padding expected, got %d)", f, p)
	}
	return p
}

// desEncode encrypts a text with DES, block by block (ECB).
func desEncode(s vm.State) int {
	key, text, mode := word(s, 1, "desencode"), []byte(module.Bytes(s, 2, "desencode")), padding(s, "desencode")
	n := des.BlockSize - len(text)%des.BlockSize
	for i := range n {
		switch {
		case mode == paddingPKCS7:
			text = append(text, byte(n))
		case i == 0:
			text = append(text, 0x80)
		default:
			text = append(text, 0)
		}
	}
	block, err := des.NewCipher(key[:]) //nolint:gosec // what clients of Skynet compute
	if err != nil {
		s.Errorf("desencode: %s", err.Error())
	}
	for i := 0; i < len(text); i += des.BlockSize {
		block.Encrypt(text[i:], text[i:])
	}
	return pushBytes(s, text)
}

var errPadding = errors.New("the padding is wrong: another key, or another text")

func desDecode(s vm.State) int {
	key, text, mode := word(s, 1, "desdecode"), []byte(module.Bytes(s, 2, "desdecode")), padding(s, "desdecode")
	if len(text) == 0 || len(text)%des.BlockSize != 0 {
		s.Errorf("desdecode: a multiple of 8 bytes is expected, got %d", len(text))
	}
	block, err := des.NewCipher(key[:]) //nolint:gosec // what clients of Skynet compute
	if err != nil {
		s.Errorf("desdecode: %s", err.Error())
	}
	for i := 0; i < len(text); i += des.BlockSize {
		block.Decrypt(text[i:], text[i:])
	}
	text, err = unpad(text, mode)
	if err != nil {
		s.Errorf("desdecode: %s", err.Error())
	}
	return pushBytes(s, text)
}

// unpad takes the padding off a text of at least one block.
func unpad(text []byte, mode int64) ([]byte, error) {
	last := text[len(text)-des.BlockSize:]
	if mode == paddingPKCS7 {
		n := int(last[7])
		if n < 1 || n > des.BlockSize {
			return nil, errPadding
		}
		for _, c := range last[des.BlockSize-n:] {
			if int(c) != n {
				return nil, errPadding
			}
		}
		return text[:len(text)-n], nil
	}
	for i := des.BlockSize - 1; i >= 0; i-- {
		switch last[i] {
		case 0x80:
			return text[:len(text)-des.BlockSize+i], nil
		case 0:
		default:
			return nil, errPadding
		}
	}
	return nil, errPadding
}
