package media_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
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

func TestRecordsThatLieAreErrors(t *testing.T) {
	sequence := []byte{0x0a, 0x0b, 0, 0, 0, 66, 167, 191, 228, 96, 13, 0, 64} // of profile 0, with its size
	av1 := append([]byte{0x81, 0x00, 0x0c, 0x00}, sequence...)
	if p, _, err := media.NewParams(media.AV1, av1); err != nil || p.Width == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	changed := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	vp9, opus := []byte{0, 10, 0x82, 1, 1, 1, 0, 0}, media.OpusConfig(2)
	if p, _, err := media.NewParams(media.VP9, append([]byte{1, 0, 0, 0}, vp9...)); err != nil || !bytes.Equal(p.Config, vp9) {
		t.Errorf("the whole box: %+v, %v", p, err)
	}
	for _, c := range []struct {
		codec  media.Codec
		config []byte
		want   string
	}{
		{media.AV1, av1[:3], "av1C of 3 bytes"},
		{media.AV1, changed(av1, 0, 1), "begins with 01, expected 4 or more and 81"},
		{media.AV1, av1[:9], "an OBU of 11 bytes at byte 0, of which there are 3"},
		{media.AV1, changed(av1, 4, 0x8a), "the OBU at byte 0 begins with 0x8a"},
		{media.AV1, changed(av1, 1, 0x20), "av1C tells profile 1, and its sequence header 0"},
		{media.VP9, vp9[:7], "vpcC of 7 bytes, expected 8"},
		{media.VP9, changed(vp9, 7, 1), "that end with 0 bytes of initialization"},
		{media.VP9, changed(vp9, 0, 4), "profile 4, expected 0 to 3"},
		{media.VP9, changed(vp9, 2, 0xa2), "profile 0 with 10 bits"},
		{media.VP8, changed(vp9, 2, 0x88), "subsampling 4, expected 0 to 3"},
		{media.Opus, opus[:18], "18 bytes that are no OpusHead"},
		{media.Opus, changed(opus, 8, 0x10), "OpusHead of version 16"},
		{media.Opus, changed(opus, 9, 0), "OpusHead tells 0 channels"},
		{media.Opus, changed(opus, 9, 3), "OpusHead tells 3 channels"},
		{media.Opus, changed(opus, 18, 1), "the mapping of 2 channels in OpusHead is cut off: 19 bytes, expected 23"},
	} {
		if _, _, err := media.NewParams(c.codec, c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s % x: %v, want %q", c.codec, c.config, err, c.want)
		}
	}
}

func TestUnitsOfAV1BecomeFrames(t *testing.T) {
	delimiter, sized, plain, layered := []byte{0x12, 0}, []byte{0x32, 3, 'a', 'b', 'c'}, []byte{0x30, 'a', 'b', 'c'}, []byte{0x36, 0x28, 1, 'd'}
	whole := slices.Concat(sized, layered)
	if got, err := media.TemporalUnit(whole); err != nil || &got[0] != &whole[0] {
		t.Errorf("% x, %v: not what it was", got, err)
	}
	for _, data := range [][]byte{slices.Concat(delimiter, sized, layered), slices.Concat(delimiter, whole)} {
		if got, err := media.TemporalUnit(data); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("% x becomes % x, %v", data, got, err)
		}
	}
	if got, err := media.TemporalUnit(plain); err != nil || !bytes.Equal(got, sized) {
		t.Errorf("a unit without a size becomes % x, %v", got, err)
	}
	units, err := media.OBUs(whole)
	if err != nil || len(units) != 2 || !bytes.Equal(units[0], plain) || !bytes.Equal(units[1], []byte{0x34, 0x28, 'd'}) {
		t.Errorf("% x, %v", units, err)
	}
	if got, err := media.JoinOBUs(units...); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("% x, %v", got, err)
	}
	long := append([]byte{0x30}, make([]byte, 300)...)
	if got, err := media.JoinOBUs(long); err != nil || !bytes.HasPrefix(got, []byte{0x32, 0xac, 0x02}) || len(got) != 303 {
		t.Errorf("% x, %v", got[:3], err)
	}
	for _, bad := range [][]byte{{0x32, 4, 'a'}, {0x32}, {0x36}, {0x34}, {0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {0xb2, 0}} {
		if _, err := media.TemporalUnit(bad); !errors.Is(err, media.ErrFrame) {
			t.Errorf("% x: %v", bad, err)
		}
	}
}

func TestKeyFramesTellTheirParameters(t *testing.T) {
	vp8 := []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xa0, 0x00, 0x78, 0x00}
	p := media.KeyParams(media.VP8, nil, vp8)
	if p == nil || p.Width != 160 || p.Height != 120 || media.KeyParams(media.VP8, p, vp8) != p {
		t.Errorf("vp8: %+v", p)
	}
	if media.KeyParams(media.VP8, p, vp8[:9]) != p || media.KeyParams(media.VP8, nil, []byte{0x10}) != nil {
		t.Error("vp8: a frame that is cut off tells something")
	}
	vp9 := []byte{0x82, 0x49, 0x83, 0x42, 0x00, 0x09, 0xf0, 0x07, 0x70}
	told, _, err := media.NewParams(media.VP9, []byte{0, 10, 0x80, 1, 1, 1, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	with, without := media.KeyParams(media.VP9, told, vp9), media.KeyParams(media.VP9, nil, vp9)
	if with.Width != 160 || with.Height != 120 || !bytes.Equal(with.Config, told.Config) || media.KeyParams(media.VP9, with, vp9) != with {
		t.Errorf("vp9 with a record: %+v", with)
	}
	if without.Width != 160 || !bytes.Equal(without.Config, []byte{0, 11, 0x82, 2, 2, 2, 0, 0}) {
		t.Errorf("vp9 without one: %+v", without)
	}
	if p := media.KeyParams(media.H264, told, vp9); p != told {
		t.Error("h264: others")
	}
}

func FuzzParams(f *testing.F) {
	f.Add(byte(media.H264), []byte{1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x28, 1, 0, 1, 0x68})
	f.Add(byte(media.H265), append(make([]byte, 22), 1, 33, 0, 1, 0, 2, 0x42, 1))
	f.Add(byte(media.AAC), []byte{0x12, 0x10})
	f.Add(byte(media.H265), append(make([]byte, 22), 255, 33, 0xff, 0xff, 0, 2, 0x42))
	f.Add(byte(media.Opus), media.OpusConfig(2))
	f.Add(byte(media.Opus), append(media.OpusConfig(255)[:18], 1))
	f.Add(byte(media.AV1), []byte{0x81, 0, 0x0c, 0, 0x0a, 0x0b, 0, 0, 0, 66, 167, 191, 228, 96, 13, 0, 64})
	f.Add(byte(media.AV1), []byte{0x81, 0, 0x0c, 0, 0x0e, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add(byte(media.VP9), []byte{1, 0, 0, 0, 0, 10, 0x82, 1, 1, 1, 0, 0})
	f.Add(byte(media.VP8), []byte{0, 10, 0x82, 1, 1, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, codec byte, config []byte) {
		p, lengths, err := media.NewParams(media.Codec(codec), config)
		if err == nil && (p == nil || lengths > 4) {
			t.Errorf("%+v, %d", p, lengths)
		}
		if p := media.KeyParams(media.Codec(codec), p, config); p != nil && (p.Width < 0 || p.Height < 0) {
			t.Errorf("a key frame tells %+v", p)
		}
		if data, err := media.TemporalUnit(config); err == nil {
			if again, err := media.TemporalUnit(data); err != nil || !bytes.Equal(again, data) {
				t.Errorf("% x becomes % x, %v", data, again, err)
			}
		}
	})
}
