package kcp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"

	"github.com/skua-go/skua/net/kcp"
)

// wire is a network between two machines, on a clock of milliseconds.
type wire struct {
	rng             *rand.Rand
	loss, duplicate float64
	delay, jitter   int
	flying          []flight
}

type flight struct {
	at int
	d  []byte
	to func(d []byte)
}

func (w *wire) send(now int, d []byte, to func(d []byte)) {
	times := 1
	if w.rng.Float64() < w.duplicate {
		times = 2
	}
	for range times {
		if w.rng.Float64() >= w.loss {
			w.flying = append(w.flying, flight{now + w.delay + w.rng.IntN(w.jitter+1), bytes.Clone(d), to})
		}
	}
}

func (w *wire) deliver(now int) {
	var landed []flight
	w.flying = slices.DeleteFunc(w.flying, func(f flight) bool {
		if f.at <= now {
			landed = append(landed, f)
		}
		return f.at <= now
	})
	slices.SortStableFunc(landed, func(a, b flight) int { return a.at - b.at })
	for _, f := range landed {
		f.to(f.d)
	}
}

// end is one end of a conversation, ours or kcp-go's.
type end struct {
	input func(d []byte)
	write func(p []byte) int
	read  func(p []byte) int
	run   func()
	sent  []byte
	got   []byte
}

func ours(cfg kcp.Config, now *int, out func(d []byte)) (*end, *kcp.Machine) {
	m := kcp.NewMachine(7, cfg, uint32(*now), out)
	return &end{
		input: func(d []byte) { _ = m.Input(d, uint32(*now)) },
		write: func(p []byte) int { return m.Write(p, uint32(*now)) },
		read:  func(p []byte) int { return m.Read(p, uint32(*now)) },
		run:   func() { m.Run(uint32(*now)) },
	}, m
}

// theirs is kcp-go's block, whose clock is the system's: a faked one in a bubble of synctest.
func theirs(cfg kcp.Config, out func(d []byte)) *end {
	k := kcpgo.NewKCP(7, func(buf []byte, size int) { out(buf[:size]) })
	if cfg.Interval == 0 {
		cfg = must(kcp.Profile("fast"))
	}
	k.NoDelay(cfg.NoDelay, cfg.Interval, cfg.Resend, cfg.NC)
	k.WndSize(128, 128)
	k.SetMtu(1200)
	return &end{
		input: func(d []byte) { k.Input(d, kcpgo.IKCP_PACKET_REGULAR, cfg.AckNoDelay) },
		write: func(p []byte) int {
			if k.WaitSnd() >= 128 || len(p) == 0 {
				return 0
			}
			p = p[:min(len(p), 5000)]
			k.Send(p)
			return len(p)
		},
		read: func(p []byte) int {
			if size := k.PeekSize(); size < 0 || size > len(p) {
				return 0
			}
			return k.Recv(p)
		},
		run: k.Update,
	}
}

// run moves bytes both ways until all have arrived; it returns how many milliseconds that took, on a clock that step moves.
func (w *wire) run(t *testing.T, a, b *end, bytesInAll int, now *int, step func()) int {
	t.Helper()
	data := make([]byte, bytesInAll)
	for i := range data {
		data[i] = byte(w.rng.Uint32())
	}
	buf := make([]byte, 1<<17)
	start := *now
	for *now-start < 600_000 {
		w.deliver(*now)
		for _, e := range []*end{a, b} {
			if rest := data[len(e.sent):]; len(rest) > 0 {
				e.sent = append(e.sent, rest[:e.write(rest[:min(len(rest), 1+w.rng.IntN(6000))])]...)
			}
			e.run()
			if w.rng.IntN(4) == 0 { // readers are slow now and then
				continue
			}
			for n := e.read(buf); n > 0; n = e.read(buf) {
				e.got = append(e.got, buf[:n]...)
			}
		}
		if len(a.got) == bytesInAll && len(b.got) == bytesInAll {
			break
		}
		step()
		*now++
	}
	for name, e := range map[string]*end{"a": a, "b": b} {
		if !bytes.Equal(e.got, data) {
			t.Errorf("%s has got %d of %d bytes, equal so far: %v", name, len(e.got), bytesInAll, bytes.HasPrefix(data, e.got))
		}
	}
	return *now - start
}

func TestTheMachineAndKCPGosUnderstandEachOther(t *testing.T) {
	for name, cfg := range map[string]kcp.Config{
		"fast": {}, "normal": must(kcp.Profile("normal")), "thrifty": must(kcp.Profile("thrifty")), "ack nodelay": {AckNoDelay: true},
		"reference's default": {Interval: 100}, "linear": {NoDelay: 2, Interval: 10, Resend: 2, NC: 1},
	} {
		for _, loss := range []float64{0, 0.05, 0.25} {
			t.Run(fmt.Sprintf("%s/%v", name, loss), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					took := map[string]int{}
					for _, who := range []string{"ours and kcp-go's", "two of kcp-go's"} {
						now := 1 << 30
						w := &wire{rng: rand.New(rand.NewPCG(1, 2)), loss: loss, duplicate: loss / 2, delay: 25, jitter: 10}
						var a, b *end
						toB := func(d []byte) { w.send(now, d, func(d []byte) { b.input(d) }) }
						toA := func(d []byte) { w.send(now, d, func(d []byte) { a.input(d) }) }
						if who == "ours and kcp-go's" {
							a, _ = ours(cfg, &now, toB)
						} else {
							a = theirs(cfg, toB)
						}
						b = theirs(cfg, toA)
						took[who] = w.run(t, a, b, 100_000, &now, func() {
							time.Sleep(time.Millisecond) //nolint:forbidigo // fake time
						})
					}
					t.Logf("%v milliseconds", took)
					if o, k := took["ours and kcp-go's"], took["two of kcp-go's"]; o > 2*k+500 {
						t.Errorf("it takes %d ms, %d between two of kcp-go's", o, k)
					}
				})
			})
		}
	}
}

// latencies sends 64 bytes from a to b each 33 ms, and returns the delays in milliseconds, sorted.
func latencies(w *wire, a, b *end, now *int, step func()) []int {
	const messages = 1000
	var sent, delays []int
	buf := make([]byte, 1<<16)
	got := 0
	for start := *now; len(delays) < messages && *now-start < 200_000; *now++ {
		w.deliver(*now)
		if (*now-start)%33 == 0 && len(sent) < messages {
			sent = append(sent, *now)
			a.write(make([]byte, 64))
		}
		a.run()
		b.run()
		for n := b.read(buf); n > 0; n = b.read(buf) {
			got += n
		}
		for len(delays) < got/64 {
			delays = append(delays, *now-sent[len(delays)])
		}
		step()
	}
	slices.Sort(delays)
	return delays
}

func TestPlayersWaitNoLongerThanWithKCPGo(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.1} {
		synctest.Test(t, func(t *testing.T) {
			p99 := map[string]int{}
			for _, who := range []string{"ours", "kcp-go's"} {
				now := 0
				w := &wire{rng: rand.New(rand.NewPCG(5, 6)), loss: loss, delay: 25, jitter: 3}
				var a, b *end
				toB := func(d []byte) { w.send(now, d, func(d []byte) { b.input(d) }) }
				if who == "ours" {
					a, _ = ours(kcp.Config{}, &now, toB)
				} else {
					a = theirs(kcp.Config{}, toB)
				}
				b = theirs(kcp.Config{}, func(d []byte) { w.send(now, d, func(d []byte) { a.input(d) }) })
				delays := latencies(w, a, b, &now, func() {
					time.Sleep(time.Millisecond) //nolint:forbidigo // fake time
				})
				if len(delays) != 1000 {
					t.Fatalf("%s: %d of 1000 messages have arrived", who, len(delays))
				}
				p99[who] = delays[990]
			}
			t.Logf("50 ms round trip, %v lost each way: p99 in milliseconds: %v", loss, p99)
			if p99["ours"] > p99["kcp-go's"]*6/5+10 {
				t.Errorf("loss %v: %v", loss, p99)
			}
		})
	}
}

func TestTwoMachinesOverEveryNetwork(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := &wire{rng: rng, loss: rng.Float64() * 0.4, duplicate: rng.Float64() * 0.3, delay: rng.IntN(100), jitter: rng.IntN(100)}
		configs := [2]kcp.Config{}
		for i := range configs {
			configs[i] = must(kcp.Profile([]string{"fast", "normal", "thrifty"}[rng.IntN(3)]))
			configs[i].SndWnd, configs[i].RcvWnd = 1+rng.IntN(200), 1+rng.IntN(200)
			configs[i].MTU = 64 + rng.IntN(1400)
		}
		now := int(^uint32(0)) - 1000*int(seed) // the clock wraps in between
		var a, b *end
		var ma, mb *kcp.Machine
		a, ma = ours(configs[0], &now, func(d []byte) {
			if len(d) > configs[0].MTU {
				t.Errorf("seed %d: a datagram of %d bytes, the MTU is %d", seed, len(d), configs[0].MTU)
			}
			w.send(now, d, func(d []byte) { b.input(d) })
		})
		b, mb = ours(configs[1], &now, func(d []byte) { w.send(now, d, func(d []byte) { a.input(d) }) })
		w.run(t, a, b, 20_000, &now, func() {})
		if t.Failed() {
			t.Fatalf("seed %d: %+v over %v, %v, %d+%d ms", seed, configs, w.loss, w.duplicate, w.delay, w.jitter)
		}
		for range 120_000 { // until the last acknowledgement has got through
			w.deliver(now)
			a.run()
			b.run()
			if ma.Held() == 0 && mb.Held() == 0 && ma.Run(uint32(now)) == -1 && mb.Run(uint32(now)) == -1 {
				break
			}
			now++
		}
		if ma.Held() != 0 || mb.Held() != 0 || ma.Run(uint32(now)) != -1 {
			t.Fatalf("seed %d: %d and %d segments are held, and the clock is wanted in %d ms", seed, ma.Held(), mb.Held(), ma.Run(uint32(now)))
		}
	}
}

func TestAnIdleMachineWantsNoClock(t *testing.T) {
	now := 0
	e, m := ours(kcp.Config{}, &now, func([]byte) {})
	if wait := m.Run(0); wait != -1 {
		t.Errorf("wants to be called in %d ms", wait)
	}
	e.input(segment(7, 81, 0, 0, 1, []byte("x")))
	if wait := m.Run(0); wait != 10 || m.Sent != 0 {
		t.Errorf("wants to acknowledge in %d ms after %d datagrams, expected the interval", wait, m.Sent)
	}
	now = 3
	e.write([]byte("answer")) // takes the acknowledgement along
	if m.Sent != 1 {
		t.Errorf("%d datagrams, expected one", m.Sent)
	}
}

// segment is one of KCP's.
func segment(conv uint32, cmd byte, ts, sn, una uint32, data []byte) []byte {
	d := make([]byte, 24, 24+len(data))
	binary.LittleEndian.PutUint32(d, conv)
	d[4] = cmd
	binary.LittleEndian.PutUint16(d[6:], 128)
	binary.LittleEndian.PutUint32(d[8:], ts)
	binary.LittleEndian.PutUint32(d[12:], sn)
	binary.LittleEndian.PutUint32(d[16:], una)
	binary.LittleEndian.PutUint32(d[20:], uint32(len(data)))
	return append(d, data...)
}

func TestASkippedSegmentIsSentAgainAtOnce(t *testing.T) {
	now := 1000
	var out [][]byte
	e, m := ours(kcp.Config{}, &now, func(d []byte) { out = append(out, bytes.Clone(d)) })
	for range 4 {
		e.write(make([]byte, 1000))
	}
	if len(out) != 4 {
		t.Fatalf("%d datagrams", len(out))
	}
	now += 5
	e.input(segment(7, 82, 1000, 1, 0, nil))
	if len(out) != 4 {
		t.Error("sent again after one acknowledgement, which may have been early")
	}
	e.input(segment(7, 82, 1000, 2, 0, nil))
	if len(out) != 5 || binary.LittleEndian.Uint32(out[4][12:]) != 0 {
		t.Fatalf("%d datagrams, expected segment 0 again", len(out))
	}
	if m.Waiting() != 2 {
		t.Errorf("%d segments wait, expected 0 and 3", m.Waiting())
	}
}

func TestALoneSkipIsSentAgainAfterTheInterval(t *testing.T) {
	now := 1000
	var out [][]byte
	e, m := ours(kcp.Config{}, &now, func(d []byte) { out = append(out, bytes.Clone(d)) })
	e.write(make([]byte, 1000))
	e.write(make([]byte, 1000))
	now += 5
	e.input(segment(7, 82, 1000, 1, 0, nil))
	if wait := m.Run(uint32(now)); wait != 10 {
		t.Errorf("in %d ms, expected 10", wait)
	}
	now += 10
	e.run()
	if len(out) != 3 || binary.LittleEndian.Uint32(out[2][12:]) != 0 {
		t.Fatalf("%d datagrams, expected segment 0 again", len(out))
	}
}

func TestAPeerThatAcknowledgesNothingIsDead(t *testing.T) {
	for _, nodelay := range []int{0, 1, 2} {
		now := 0
		_, m := ours(kcp.Config{NoDelay: nodelay, Interval: 10, NC: 1, Silence: 20 * time.Second}, &now, func([]byte) {})
		m.Write([]byte("x"), 0)
		for !m.Dead() && now < 1<<30 {
			wait := m.Run(uint32(now))
			now += max(wait, 1)
		}
		if m.Sent < 20 || now < 20_000 {
			t.Errorf("nodelay %d: dead after %d datagrams and %d ms", nodelay, m.Sent, now)
		}
	}
}

func TestAClosedWindowIsAskedAbout(t *testing.T) {
	now := 0
	var out [][]byte
	e, m := ours(kcp.Config{}, &now, func(d []byte) { out = append(out, bytes.Clone(d)) })
	closed := segment(7, 84, 0, 0, 0, nil)
	closed[6] = 0
	e.input(closed)
	e.write([]byte("x"))
	for range 2000 {
		now++
		e.run()
	}
	asked := 0
	for _, d := range out {
		if d[4] == 83 {
			asked++
		}
		if d[4] == 81 {
			t.Error("data into a closed window")
		}
	}
	if asked != 2 { // after 500, and 750 more
		t.Errorf("asked %d times in 2 s", asked)
	}
	e.input(segment(7, 84, 0, 0, 0, nil))
	if last := out[len(out)-1]; last[4] != 81 || m.Waiting() != 1 {
		t.Errorf("command %d, expected the data at once", last[4])
	}
}

func TestTheMachineTakesNoMoreThanItsWindow(t *testing.T) {
	now := 0
	e, m := ours(kcp.Config{RcvWnd: 16}, &now, func([]byte) {})
	for sn := range uint32(1000) {
		e.input(segment(7, 81, 0, (sn*7)%1000, 0, make([]byte, 100)))
	}
	if held := m.Held(); held > 2*16 {
		t.Errorf("%d segments are held, the window is 16", held)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{1, 2, 3}, segment(7, 81, 1, 0, 0, []byte("hello")))
	f.Add([]byte{0}, append(segment(7, 82, 1, 0, 9, nil), segment(7, 83, 1, 0, 1<<31, nil)...))
	f.Fuzz(func(t *testing.T, plan, d []byte) {
		now := 0
		e, m := ours(kcp.Config{SndWnd: 8, RcvWnd: 8}, &now, func(d []byte) {
			if len(d) > 1200 || len(d) < 24 {
				t.Fatalf("a datagram of %d bytes", len(d))
			}
		})
		buf := make([]byte, 3000)
		for i, step := range plan[:min(len(plan), 200)] {
			now += int(step)
			switch step % 4 {
			case 0:
				e.write(buf[:int(step)*10])
			case 1:
				e.read(buf)
			default:
				if len(d) >= 24 {
					d[12+i%12] += step // another number, una or length
				}
				e.input(d)
			}
			e.run()
			if held := m.Held(); held > 8+16+100 {
				t.Fatalf("%d segments are held", held)
			}
		}
	})
}

func FuzzDatagrams(f *testing.F) {
	key := make([]byte, 16)
	f.Add([]byte{7, 0, 0, 0, 0xf1, 0, 30, 0, 1, 0, 0, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4}, uint8(1))
	f.Add([]byte{8, 0, 0, 0, 0xf2, 0, 30, 0, 1, 0, 0, 0, 81, 0, 0, 0, 0, 0}, uint8(1))
	f.Add(segment(5, 81, 0, 3, 0, []byte("hello")), uint8(2))
	f.Add(control(0xc1, 64), uint8(3))
	f.Add(control(0xc3, 80), uint8(3))
	f.Add(control(0xca, 32), uint8(3))
	var stats kcp.Stats
	cfg := kcp.Config{Raw: true, MaxRaw: 20, DataShards: 3, ParityShards: 2, Sockets: 2, Stats: &stats}
	plain, err := kcp.Listen("127.0.0.1:0", cfg)
	if err != nil {
		f.Fatal(err)
	}
	cfg.Crypt, cfg.Key = "aes-gcm", key
	sealed, err := kcp.Listen("127.0.0.1:0", cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = plain.Close()
		_ = sealed.Close()
	})
	f.Fuzz(func(t *testing.T, d []byte, port uint8) {
		from := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: 1 + int(port)%4} // where nobody listens
		for _, ln := range []net.Listener{plain, sealed} {
			kcp.Feed(ln, bytes.Clone(d[:min(len(d), 1500)]), from)
		}
		if s := stats.Snapshot(); s.Sessions > 2*20 {
			t.Fatalf("%d sessions", s.Sessions)
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add(control(0xc1, 64))
	f.Add(segment(7, 81, 0, 0, 0, nil))
	f.Add([]byte{0, 0, 0, 0, 0xf1, 0, 0, 0, 1, 2, 3, 4, 81, 0, 0, 0})
	f.Fuzz(func(t *testing.T, d []byte) {
		kind, ok := kcp.KindOf(d)
		if ok && kind != 0 && (kind < 0xc1 || kind > 0xcc || kind != d[4]) {
			t.Fatalf("% x is taken for %#x", d, kind)
		}
		if ok && len(d) < 16 {
			t.Fatalf("% x is too short for anything", d)
		}
	})
}
