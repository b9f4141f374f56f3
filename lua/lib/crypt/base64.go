package crypt

import (
	"encoding/base64"
	"errors"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

func base64Encode(s vm.State) int {
	s.PushString(base64.StdEncoding.EncodeToString([]byte(module.Bytes(s, 1, "base64encode"))))
	return 1
}

// base64Decode passes over bytes that are not of the alphabet, as Skynet does, and reads texts that stand behind each other with their padding.
func base64Decode(s vm.State) int {
	out, err := fromBase64(module.Bytes(s, 1, "base64decode"))
	if err != nil {
		s.Errorf("base64decode: %s", err.Error())
	}
	return pushBytes(s, out)
}

var errBase64 = errors.New("the text is no base64")

func fromBase64(text string) ([]byte, error) {
	out := make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))
	strict := base64.StdEncoding.Strict()
	var group [4]byte
	n := 0
	for i := range len(text) {
		c := text[i]
		if !inAlphabet(c) {
			continue
		}
		group[n] = c
		if n++; n < len(group) {
			continue
		}
		n = 0
		var three [3]byte
		k, err := strict.Decode(three[:], group[:])
		if err != nil {
			return nil, errBase64
		}
		out = append(out, three[:k]...)
	}
	if n != 0 {
		return nil, errBase64
	}
	return out, nil
}

func inAlphabet(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '='
}
