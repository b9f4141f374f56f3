package kcp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

// numbers are those of the segments with data in a datagram.
func numbers(d []byte) (sns []uint32) {
	for len(d) >= 24 {
		if d[4] == 81 {
			sns = append(sns, binary.LittleEndian.Uint32(d[12:]))
		}
		d = d[24+binary.LittleEndian.Uint32(d[20:]):]
	}
	return sns
}

func equal(a []uint32, b ...uint32) bool {
	return len(a) == len(b) && (len(a) == 0 || bytes.Equal(flat(a), flat(b)))
}

func flat(a []uint32) (d []byte) {
	for _, n := range a {
		d = binary.LittleEndian.AppendUint32(d, n)
	}
	return d
}

func TestSmallSegmentsAreRepeatedOnceInTheNextDatagram(t *testing.T) {
	now := 1000
	var out [][]byte
	e, _ := ours(kcp.Config{}, &now, func(d []byte) { out = append(out, bytes.Clone(d)) })
	last := func() []uint32 { return numbers(out[len(out)-1]) }
	for i, c := range []struct {
		wait, size int
		ack        bool // of what was sent before
		want       []uint32
	}{
		{0, 100, false, []uint32{0}},
		{10, 100, false, []uint32{1, 0}},
		{10, 100, false, []uint32{2, 1}},
		{10, 300, true, []uint32{3}},       // all has arrived
		{10, 100, false, []uint32{4}},      // 3 is too large
		{10, 1150, false, []uint32{5}},     // no room
		{1, 100, false, []uint32{6}},       // 5 is too large, 4 has had its turn
		{0, 100, true, []uint32{7}},        // all has arrived
		{0, 100, false, []uint32{8, 7}},    // two in one millisecond
		{2000, 100, false, []uint32{9}},    // the timeouts have seen to them
		{0, 256, false, []uint32{10, 9}},   // 256 bytes are
		{0, 10, false, []uint32{11, 10}},   // repeated
		{0, 257, false, []uint32{12, 11}},  // 257
		{0, 10, false, []uint32{13}},       // are not
		{0, 2000, false, []uint32{15, 13}}, // goes where room is left
	} {
		now += c.wait
		if c.ack {
			e.input(segment(7, 82, uint32(now), uint32(i), uint32(i), nil))
		}
		if c.wait > 200 {
			e.run()
		}
		e.write(make([]byte, c.size))
		if got := last(); !equal(got, c.want...) {
			t.Errorf("datagram %d has segments %v, expected %v", i, got, c.want)
		}
	}
}

func TestWithoutRepeatNothingIsRepeated(t *testing.T) {
	now := 1000
	var out [][]byte
	e, _ := ours(must(kcp.Profile("normal")), &now, func(d []byte) { out = append(out, bytes.Clone(d)) })
	e.write([]byte("a"))
	e.write([]byte("b"))
	if len(out) != 2 || !equal(numbers(out[1]), 1) {
		t.Errorf("%d datagrams, % x", len(out), out)
	}
}

func TestAClientRepeatsAsItsServerDoes(t *testing.T) {
	follow, now := kcp.NewRepeater(1200), time.Now()
	join := func(segments ...[]byte) []byte { return bytes.Join(segments, nil) }
	push := func(sn uint32, size int) []byte {
		return segment(7, 81, 100*sn, sn, sn, bytes.Repeat([]byte{byte(sn)}, size))
	}
	ack := segment(7, 82, 0, 0, 0, nil)
	for i, c := range []struct {
		d    []byte
		una  uint32
		wait time.Duration
		want []uint32
	}{
		{push(0, 100), 0, 0, []uint32{0}},
		{ack, 0, 0, nil}, // nothing new goes, so nothing old does
		{join(ack, push(1, 100)), 0, 0, []uint32{1, 0}},
		{push(0, 100), 0, 0, []uint32{0}}, // kcp-go's own repetition
		{join(push(2, 256), push(3, 257)), 0, 0, []uint32{2, 3, 1}},
		{push(4, 10), 0, 0, []uint32{4, 2}},
		{push(5, 10), 5, 0, []uint32{5}}, // all has arrived
		{push(6, 10), 5, time.Second, []uint32{6}},
		{push(7, 1160), 5, 0, []uint32{7}}, // no room
		{push(8, 10), 5, 0, []uint32{8}},
		{[]byte("too short for a segment"), 5, 0, nil},
		{segment(7, 81, 0, 9, 0, nil)[:24], 5, 0, []uint32{9, 8}},
	} {
		now = now.Add(c.wait)
		got := follow(c.d, c.una, now)
		if !bytes.HasPrefix(got, c.d) || len(got) > 1200 {
			t.Fatalf("datagram %d: %d of %d bytes", i, len(got), len(c.d))
		}
		if c.want == nil {
			if len(got) != len(c.d) {
				t.Errorf("datagram %d has grown by %d bytes", i, len(got)-len(c.d))
			}
			continue
		}
		if sns := numbers(got); !equal(sns, c.want...) {
			t.Errorf("datagram %d has segments %v, expected %v", i, sns, c.want)
		}
	}
	// The copy says what the datagram says of time, window and acknowledgements: kcp-go measures round trips with it.
	follow(push(20, 3), 5, now)
	d := follow(push(21, 3), 5, now)
	a, b := d[:27], d[27:]
	if len(b) != 27 || !bytes.Equal(a[:12], b[:12]) || !bytes.Equal(a[16:24], b[16:24]) || !bytes.Equal(b[24:], []byte{20, 20, 20}) {
		t.Errorf("% x", d)
	}
}

// late is how many of 1000 messages, one each 33 ms, take longer than a round trip and a half, at 5 % loss each way: those whose loss was only mended by a timeout.
func late(t *testing.T, repeat, client bool) (count, datagrams, size int) {
	synctest.Test(t, func(t *testing.T) {
		now := 0
		w := &wire{rng: rand.New(rand.NewPCG(5, 7)), loss: 0.05, delay: 25, jitter: 3}
		cfg := must(kcp.Profile("fast"))
		cfg.Repeat = repeat
		follow := kcp.NewRepeater(1200)
		var a, b *end
		una := uint32(0)
		toB := func(d []byte) {
			if client && repeat {
				d = follow(d, una, time.Now())
			}
			datagrams++
			size += len(d)
			w.send(now, d, func(d []byte) { b.input(d) })
		}
		toA := func(d []byte) {
			w.send(now, d, func(d []byte) {
				una = max(una, binary.LittleEndian.Uint32(d[16:]))
				a.input(d)
			})
		}
		if client {
			a = theirs(cfg, toB)
			b, _ = ours(cfg, &now, toA)
		} else {
			a, _ = ours(cfg, &now, toB)
			b = theirs(cfg, toA)
		}
		delays := latencies(w, a, b, &now, func() {
			time.Sleep(time.Millisecond) //nolint:forbidigo // fake time
		})
		if len(delays) != 1000 {
			t.Fatalf("%d of 1000 messages have arrived", len(delays))
		}
		for _, d := range delays {
			if d > 75 {
				count++
			}
		}
	})
	return count, datagrams, size
}

func TestRepeatingTakesTheTimeoutsAway(t *testing.T) {
	for name, client := range map[string]bool{"server": false, "client": true} {
		without, datagrams, size := late(t, false, client)
		with, datagramsWith, sizeWith := late(t, true, client)
		t.Logf("%s: %d late with, %d without; %d and %d datagrams, %d and %d bytes", name, with, without, datagramsWith, datagrams, sizeWith, size)
		if without < 20 || with > without/3 {
			t.Errorf("%s: %d messages are late, %d without", name, with, without)
		}
		if datagramsWith > datagrams*11/10 || sizeWith > 2*size {
			t.Errorf("%s: %d datagrams instead of %d, %d bytes instead of %d", name, datagramsWith, datagrams, sizeWith, size)
		}
	}
}

func TestRepeatsArriveOnce(t *testing.T) {
	for name, cfg := range map[string]kcp.Config{
		"plain": {}, "sealed": {Crypt: "aes-gcm", Key: make([]byte, 16), MTU: 300}, "parity": {DataShards: 3, ParityShards: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stats kcp.Stats
			cfg.Stats = &stats
			r := newRelay(t, echoServer(t, cfg), func(r *relay) { r.loss, r.duplicate, r.delay = 0.05, 0.05, 5*time.Millisecond })
			c, err := kcp.Dial(context.Background(), r.addr(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 20 {
				for range 10 {
					if _, err := c.Write([]byte("x")); err != nil {
						t.Fatal(err)
					}
				}
				buf := make([]byte, 11)
				_ = c.SetReadDeadline(time.Now().Add(patience))
				for n := 0; n < 10; {
					m, err := c.Read(buf[n:])
					if n += m; err != nil || n > 10 {
						t.Fatalf("%d of 10 bytes: %v", n, err)
					}
				}
			}
			if s := stats.Snapshot(); s.Repeated == 0 || s.Malformed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
