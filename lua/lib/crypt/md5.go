package crypt

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what scripts ask for
	"encoding/hex"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/vm"
)

// OpenMD5 pushes the module md5.
func OpenMD5(s vm.State) {
	module.Push(s, map[string]vm.Func{
		"sum": func(s vm.State) int {
			sum := md5.Sum([]byte(module.Bytes(s, 1, "sum"))) //nolint:gosec // what scripts ask for
			return pushBytes(s, sum[:])
		},
		"sumhexa": func(s vm.State) int {
			sum := md5.Sum([]byte(module.Bytes(s, 1, "sumhexa"))) //nolint:gosec // what scripts ask for
			s.PushString(hex.EncodeToString(sum[:]))
			return 1
		},
		"hmacmd5": func(s vm.State) int {
			mac := hmac.New(md5.New, []byte(module.Bytes(s, 2, "hmacmd5")))
			_, _ = mac.Write([]byte(module.Bytes(s, 1, "hmacmd5"))) // never returns an error
			s.PushString(hex.EncodeToString(mac.Sum(nil)))
			return 1
		},
		"exor": exor,
	})
}

// exor is the XOR of two strings of one length.
func exor(s vm.State) int {
	a, b := module.Bytes(s, 1, "exor"), module.Bytes(s, 2, "exor")
	if len(a) != len(b) {
		s.Errorf("exor: the strings have %d and %d bytes", len(a), len(b))
	}
	if a == "" {
		s.PushString("")
		return 1
	}
	return xor(s, "exor")
}
