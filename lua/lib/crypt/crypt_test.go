package crypt_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/lua/lib/crypt"
	"github.com/skua-go/skua/lua/lib/internal/libtest"
)

func modules() libtest.Modules {
	return libtest.Modules{"skynet.crypt": crypt.Open, "md5": crypt.OpenMD5}
}

func TestScriptsComputeWhatClientsOfSkynetDo(t *testing.T) {
	libtest.Run(t, modules(), "testdata/crypt.lua")
}

func TestTheRoundsAreThoseOfMD5(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 55).Draw(t, "text")
		var padded [64]byte
		copy(padded[:], text)
		padded[len(text)] = 0x80
		binary.LittleEndian.PutUint64(padded[56:], uint64(len(text))*8)
		var block [16]uint32
		for i := range block {
			block[i] = binary.LittleEndian.Uint32(padded[4*i:])
		}
		got, before := crypt.MD5Rounds(&block), crypt.MD5State()
		want := md5.Sum(text)
		for i := range got {
			if got[i]+before[i] != binary.LittleEndian.Uint32(want[4*i:]) {
				t.Fatalf("word %d of the MD5 of %x differs", i, text)
			}
		}
	})
}

func TestTheKeyExchangeIsModuloTheLargestPrimeOf64Bits(t *testing.T) {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(59))
	if !prime.ProbablyPrime(20) {
		t.Fatal("no prime")
	}
	rapid.Check(t, func(t *rapid.T) {
		base, exp := rapid.Uint64().Draw(t, "base"), rapid.Uint64Min(1).Draw(t, "exponent")
		want := new(big.Int).Exp(new(big.Int).SetUint64(base), new(big.Int).SetUint64(exp), prime)
		if got := crypt.Power(base, exp); got != want.Uint64() {
			t.Fatalf("%d, want %v", got, want)
		}
	})
}

func FuzzBase64(f *testing.F) {
	for _, text := range []string{"", "Zg==", "Zg==Zg==", "Z g=\n=", "===="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := crypt.FromBase64(text)
		if strict, strictErr := base64.StdEncoding.Strict().DecodeString(text); strictErr == nil && (err != nil || !bytes.Equal(out, strict)) {
			t.Fatalf("%q: %q, want %q", text, out, strict)
		}
		if back, err2 := crypt.FromBase64(base64.StdEncoding.EncodeToString(out)); err == nil && (err2 != nil || !bytes.Equal(out, back)) {
			t.Fatalf("%q became %q", out, back)
		}
	})
}

func FuzzDesdecode(f *testing.F) {
	f.Add("12345678", "12345678")
	s := libtest.Engines()[0].New()
	crypt.Open(s)
	s.Field(-1, "desdecode")
	decode := s.Ref()
	f.Fuzz(func(_ *testing.T, key, text string) {
		s.SetTop(0)
		s.Push(decode)
		s.PushString(key)
		s.PushString(text)
		_ = s.PCall(2, 1)
	})
}
