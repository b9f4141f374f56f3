package rtsp_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	av1codec "github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/rtsp"
)

// TestAV1GoesThroughAsItIs publishes what ffmpeg has encoded, as no ffmpeg of today's distributions can over RTSP: each unit comes out as it went in.
func TestAV1GoesThroughAsItIs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "in.obu")
	if _, err := ffmpeg(ctx, t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10", "-t", "2", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10", "-f", "obu", file); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all av1codec.Bitstream
	if err := all.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	var want [][][]byte // by temporal unit
	for _, u := range all {
		if av1codec.OBUType(u[0]>>3&0xf) == av1codec.OBUTypeTemporalDelimiter {
			want = append(want, nil)
			continue
		}
		want[len(want)-1] = append(want[len(want)-1], u)
	}
	h := open(t, rtsp.Config{})
	p := h.dial()
	p.publish("m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\n")
	e := &rtpav1.Encoder{PayloadType: 96, PayloadMaxSize: 1000}
	if err := e.Init(); err != nil {
		t.Fatal(err)
	}
	send := func(units [][][]byte, from int) {
		for i, u := range units {
			packets, err := e.Encode(u)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range packets {
				one.Timestamp = uint32(from+i) * 9000
				b, err := one.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				p.say(append([]byte{'$', 0, byte(len(b) >> 8), byte(len(b))}, b...))
			}
		}
	}
	send(want[:5], 0)
	h.until("pictures come", func() bool { return h.stream.Counts().Frames == 5 })
	q := h.dial()
	q.watch()
	send(want[5:], 5)
	h.until("all have come", func() bool { return h.stream.Counts().Frames == uint64(len(want)) })
	if told := h.stream.Params(h.stream.Tracks()[0]); told.Width != 320 || told.Height != 180 || len(told.Config) < 8 {
		t.Errorf("the stream is told %+v", told)
	}
	p.must(base.Teardown, p.url(), "", "")
	h.stream.Close(nil)
	d := new(rtpav1.Decoder)
	n := 0
	for {
		channel, b, err := q.packet()
		if err != nil {
			break
		}
		var one rtp.Packet
		if channel != 0 {
			continue
		}
		if err := one.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		units, err := d.Decode(&one)
		if err != nil {
			continue // more has to come
		}
		if n >= len(want) || !bytes.Equal(bytes.Join(units, nil), bytes.Join(want[n], nil)) {
			t.Fatalf("temporal unit %d is another", n)
		}
		n++
	}
	if n != len(want) || n < 20 {
		t.Errorf("%d temporal units, want %d", n, len(want))
	}
}
