package sharedata_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/skua-go/skua/services/sharedata"
)

// FuzzCompiled reads strings that pretend to be what datasheet.builder.compile makes.
func FuzzCompiled(f *testing.F) {
	const magic = "skua.sheet.1\n"
	for _, seed := range []string{
		"", magic, magic + "\x00\x00", magic + "\x01\x00\x01", magic + "\x01\x00\x02\x01\x00\x00\x00\x00\x00\x00\x80",
		magic + "\x00\x01\x04\x03abc\x04\x00", magic + "\x02\x00\x05\x00\x00\x06\x01", magic + "\x01\x00\x06\x00",
		magic + "\x00\x01\x03\x00\x00\x00\x00\x00\x00\xf8\x7f\x01", magic + "\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0f",
		magic + strings.Repeat("\x01\x00\x05", 300), magic + "\x01\x01\x01\x02\x01\x00\x00\x00\x00\x00\x00\x00\x01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		again, err := sharedata.Recompile(text, 100_000)
		if err != nil {
			return
		}
		// What has been read is written, read and written the same again.
		twice, err := sharedata.Recompile(string(again), 100_000)
		if err != nil || !bytes.Equal(again, twice) {
			t.Errorf("%q is read as %q, and that as %q, %v", text, again, twice, err)
		}
	})
}
