package media_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/skua-go/skua/net/media"
)

func TestNALUnitsOfAllLengthsBecomeFrames(t *testing.T) {
	want := media.JoinNALUs([]byte("ab"), []byte("c"))
	for size, data := range map[int]string{1: "\x02ab\x00\x01c", 2: "\x00\x02ab\x00\x01c", 3: "\x00\x00\x02ab\x00\x00\x01c", 4: string(want)} {
		got, err := media.Lengthen([]byte(data), size)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("lengths of %d bytes: %q, %v", size, got, err)
		}
		if _, err := media.Lengthen([]byte(data)[:len(data)-1], size); !errors.Is(err, media.ErrFrame) {
			t.Errorf("lengths of %d bytes, cut off: %v", size, err)
		}
	}
	if units := slices.Collect(media.NALUs(want)); len(units) != 2 || string(units[0])+string(units[1]) != "abc" {
		t.Errorf("units %q", units)
	}
}

func TestRecordsThatAreCutOffAreErrors(t *testing.T) {
	whole, err := media.AVCConfig([]byte{0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0, 0, 3, 0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x60, 0xc6, 0x58}, []byte{0x68, 0xeb})
	if err != nil {
		t.Fatal(err)
	}
	if p, lengths, err := media.NewParams(media.H264, whole); err != nil || lengths != 4 || p.Width != 1920 || p.Height != 1080 {
		t.Fatalf("%+v, %d, %v", p, lengths, err)
	}
	for n := range whole {
		if _, _, err := media.NewParams(media.H264, whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(whole))
		}
	}
	for codec, bad := range map[media.Codec][]byte{media.H265: make([]byte, 10), media.AAC: {0}, media.Opus: []byte("OpusHead"), media.VP9: make([]byte, 20<<10), 0: nil} {
		if _, _, err := media.NewParams(codec, bad); err == nil {
			t.Errorf("%s takes %d bytes", codec, len(bad))
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add(byte(media.H264), []byte{1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x28, 1, 0, 1, 0x68})
	f.Add(byte(media.H265), append(make([]byte, 22), 1, 33, 0, 1, 0, 2, 0x42, 1))
	f.Add(byte(media.AAC), []byte{0x12, 0x10})
	f.Add(byte(media.Opus), media.OpusConfig(2))
	f.Fuzz(func(t *testing.T, codec byte, config []byte) {
		p, lengths, err := media.NewParams(media.Codec(codec), config)
		if err == nil && (p == nil || lengths > 4) {
			t.Errorf("%+v, %d", p, lengths)
		}
	})
}
