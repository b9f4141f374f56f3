package packet_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

// bodies cuts packages into their bodies.
func bodies(t testing.TB, packages []byte) (all [][]byte) {
	t.Helper()
	for len(packages) > 0 {
		var one []byte
		one, packages = packet.NextPackage(packages)
		p, err := packet.Decode(one)
		if err != nil || p.Type != packet.Media {
			t.Fatalf("%v, %v", p.Type, err)
		}
		all = append(all, p.Body)
	}
	return all
}

func TestFramesInPiecesAreWhatTheyWere(t *testing.T) {
	for _, size := range []int{1, 100, packet.MediaPiece, packet.MediaPiece + 1, 5*packet.MediaPiece + 7} {
		for _, piece := range []int{0, 1000, packet.MediaPiece} {
			want := packet.MediaFrame{Channel: 7, Track: 3, Key: size > 100, DTS: -5_000_000_000, Offset: -40_000, Data: bytes.Repeat([]byte("frame"), size)[:size]}
			packages := packet.AppendMediaFrame(nil, &want, piece)
			if piece == 0 && len(packages) != packet.MediaFrameSize(size) {
				t.Errorf("%d bytes make %d, MediaFrameSize says %d", size, len(packages), packet.MediaFrameSize(size))
			}
			all := bodies(t, packages)
			pieces := packet.MediaPieces{MaxFrame: size}
			for i, body := range all {
				if channel, ok := packet.MediaChannel(body); !ok || channel != 7 {
					t.Fatalf("channel %d, %v", channel, ok)
				}
				_, got, err := pieces.Decode(body)
				switch {
				case err != nil:
					t.Fatal(err)
				case i < len(all)-1 && got != nil:
					t.Fatalf("whole after %d of %d pieces", i+1, len(all))
				case i == len(all)-1 && (got == nil || !bytes.Equal(got.Data, want.Data) || got.DTS != want.DTS || got.Offset != want.Offset || got.Key != want.Key || got.Track != 3 || got.Channel != 7):
					t.Fatalf("%+v", got)
				}
			}
		}
	}
}

func TestSoundComesBetweenThePiecesOfAPicture(t *testing.T) {
	picture := bodies(t, packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: 1, Data: make([]byte, 300)}, 100))
	sound := bodies(t, packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: 1, Track: 1, Data: make([]byte, 10)}, 100))
	var pieces packet.MediaPieces
	var got []int
	for _, body := range [][]byte{picture[0], sound[0], picture[1], sound[0], picture[2]} {
		if _, f, err := pieces.Decode(body); err != nil {
			t.Fatal(err)
		} else if f != nil {
			got = append(got, len(f.Data))
		}
	}
	if len(got) != 3 || got[2] != 300 {
		t.Errorf("frames of %v bytes", got)
	}
}

func TestMediaPackagesThatMakeNoSenseAreRefused(t *testing.T) {
	first := func(channel uint32, size, have int) []byte {
		f := packet.MediaFrame{Channel: channel, Data: make([]byte, size)}
		return bodies(t, packet.AppendMediaFrame(nil, &f, have))[0]
	}
	second := bodies(t, packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: 1, Data: make([]byte, 300)}, 100))[1]
	late := first(1, 10, 10)
	late[10] = 0x7f // the highest byte of its time
	many := make([][]byte, 0, 40)
	for channel := range uint32(40) {
		many = append(many, first(channel, 100, 1))
	}
	for name, c := range map[string]struct {
		send [][]byte
		says string
	}{
		"nothing":                         {[][]byte{{}}, "empty"},
		"an unknown kind":                 {[][]byte{{3, 0, 0, 0, 0, 0, 0}}, "0x03"},
		"bits that mean nothing":          {[][]byte{{0x81, 0, 0, 0, 0, 0, 0}}, "0x81"},
		"a control that is no JSON":       {[][]byte{{0, '{'}}, "unexpected end"},
		"a head alone":                    {[][]byte{first(1, 10, 10)[:22]}, "expected more than 22"},
		"a piece without data":            {[][]byte{first(1, 300, 100), second[:6]}, "expected more than 6"},
		"a piece of nothing":              {[][]byte{second}, "no frame has begun"},
		"too large":                       {[][]byte{first(1, 1001, 10)}, "1001 bytes, at most 1000"},
		"more than was announced":         {[][]byte{first(1, 150, 100), second}, "lacks 50"},
		"two at a time":                   {[][]byte{first(1, 300, 100), first(1, 300, 100)}, "before the one before it is whole"},
		"too much at a time":              {[][]byte{first(1, 900, 600), first(2, 900, 600)}, "at most 32 with 1000"},
		"too many at a time":              {many, "at most 32"},
		"a time that nobody lives to see": {[][]byte{late}, "µs"},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := packet.MediaPieces{MaxFrame: 1000}
			var err error
			for _, body := range c.send {
				if _, _, err = pieces.Decode(body); err != nil {
					break
				}
			}
			if !errors.Is(err, packet.ErrMedia) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, expected %q", err, c.says)
			}
		})
	}
}

func TestWhatIsForgottenMakesRoom(t *testing.T) {
	pieces := packet.MediaPieces{MaxFrame: 1000}
	for channel := range uint32(100) {
		body := bodies(t, packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: channel, Data: make([]byte, 1000)}, 900))[0]
		if _, _, err := pieces.Decode(body); err != nil {
			t.Fatal(err)
		}
		pieces.Forget(channel)
	}
}

func FuzzMediaPackages(f *testing.F) {
	for _, frame := range []packet.MediaFrame{{Channel: 1, Data: []byte("x")}, {Channel: 2, Track: 1, Key: true, DTS: 1 << 40, Offset: -1, Data: make([]byte, 300)}} {
		f.Add(packet.AppendMediaFrame(nil, &frame, 100))
	}
	control, err := packet.AppendMediaControl(nil, &packet.MediaControl{Op: packet.MediaPublish, ID: 1, Room: "arena", Tracks: []packet.MediaTrack{{Codec: "h264", Config: []byte("x")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(control)
	const most = 4096
	split := packet.Split(1 << 12)
	f.Fuzz(func(t *testing.T, data []byte) {
		pieces := packet.MediaPieces{MaxFrame: most}
		for {
			n, frame, err := split(data)
			if err != nil || frame == nil {
				return
			}
			data = data[n:]
			p, err := packet.Decode(frame)
			if err != nil || p.Type != packet.Media {
				continue
			}
			control, got, err := pieces.Decode(p.Body)
			switch {
			case err != nil && !errors.Is(err, packet.ErrMedia):
				t.Fatalf("%v is no ErrMedia", err)
			case err != nil:
				return
			case got != nil && (len(got.Data) == 0 || len(got.Data) > most):
				t.Fatalf("a frame of %d bytes", len(got.Data))
			case got != nil:
				again := packet.MediaPieces{}
				var same *packet.MediaFrame
				for _, body := range bodies(t, packet.AppendMediaFrame(nil, got, 77)) {
					if _, same, err = again.Decode(body); err != nil {
						t.Fatal(err)
					}
				}
				if same == nil || !bytes.Equal(same.Data, got.Data) || same.DTS != got.DTS || same.Offset != got.Offset {
					t.Fatalf("%+v became %+v", got, same)
				}
			case control != nil:
				if _, err := packet.AppendMediaControl(nil, control); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
