package kcp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"

	"github.com/skua-go/skua/net/kcp"
)

// relay stands between one client and a listener, and does to their datagrams what networks do.
type relay struct {
	t          *testing.T
	front      *net.UDPConn
	server     *net.UDPAddr
	loss       float64 // each way
	duplicate  float64
	delay      time.Duration  // of each datagram, up to; so they overtake each other
	mute       atomic.Bool    // nothing passes
	spy        func(d []byte) // gets what clients send
	wg         sync.WaitGroup
	mu         sync.Mutex
	rng        *mrand.Rand
	client     *net.UDPAddr
	back       *net.UDPConn
	done       bool
	in, passed atomic.Int64
}

// newRelay starts one, which is as options make it.
func newRelay(t *testing.T, ln net.Listener, options ...func(r *relay)) *relay {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, front: front, server: ln.Addr().(*net.UDPAddr), rng: mrand.New(mrand.NewPCG(1, 2))}
	for _, o := range options {
		o(r)
	}
	r.move()
	r.wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.client = from
			r.mu.Unlock()
			if r.spy != nil {
				r.spy(buf[:n])
			}
			r.pass(buf[:n], func(d []byte) {
				r.mu.Lock()
				back := r.back
				r.mu.Unlock()
				_, _ = back.Write(d)
			})
		}
	})
	t.Cleanup(func() {
		r.mu.Lock()
		r.done = true
		_ = r.back.Close()
		r.mu.Unlock()
		_ = front.Close()
		r.wg.Wait()
	})
	return r
}

// move gives the client another address, as the server sees it.
func (r *relay) move() {
	r.mu.Lock()
	server := r.server
	r.mu.Unlock()
	back, err := net.DialUDP("udp", nil, server)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.back != nil {
		_ = r.back.Close()
	}
	r.back = back
	r.wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, err := back.Read(buf)
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue
			}
			if err != nil {
				return
			}
			r.pass(buf[:n], func(d []byte) {
				r.mu.Lock()
				to := r.client
				r.mu.Unlock()
				_, _ = r.front.WriteToUDP(d, to)
			})
		}
	})
}

func (r *relay) pass(d []byte, to func(d []byte)) {
	r.in.Add(1)
	if r.mute.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.rng.Float64() < r.loss {
		return
	}
	times := 1
	if r.rng.Float64() < r.duplicate {
		times = 2
	}
	for range times {
		r.passed.Add(1)
		if r.delay == 0 {
			r.mu.Unlock()
			to(d)
			r.mu.Lock()
			continue
		}
		d := bytes.Clone(d)
		r.wg.Add(1)
		time.AfterFunc(time.Duration(r.rng.Int64N(int64(r.delay))), func() {
			defer r.wg.Done()
			to(d)
		})
	}
}

func (r *relay) addr() string { return r.front.LocalAddr().String() }

// echoServer echoes everything, and ends its streams where clients end theirs.
func echoServer(t *testing.T, cfg kcp.Config) net.Listener {
	t.Helper()
	ln := listen(t, cfg)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var served []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			served = append(served, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				if _, err := io.Copy(c, c); err == nil {
					_ = c.(interface{ CloseWrite() error }).CloseWrite()
					_, _ = io.Copy(io.Discard, c)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range served {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln
}

// converse sends messages of many sizes, reads them all back, and then closes c, which ends the echo.
func converse(t *testing.T, c net.Conn, bytesInAll int) {
	t.Helper()
	want := make([]byte, bytesInAll)
	_, _ = rand.Read(want)
	_ = c.SetDeadline(time.Now().Add(patience))
	var wg sync.WaitGroup
	wg.Go(func() {
		rng := mrand.New(mrand.NewPCG(3, 4))
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(3000))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
	})
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("echo: %d of %d bytes, %v; equal: %v", n, len(want), err, bytes.Equal(got[:n], want[:n]))
	}
	wg.Wait()
}

func TestStreamsAreWholeOnABadNetwork(t *testing.T) {
	for name, c := range map[string]kcp.Config{
		"fast":    {},
		"thrifty": must(kcp.Profile("thrifty")),
		"fec":     {DataShards: 5, ParityShards: 2},
		"raw":     {Raw: true},
		"crypt":   {Crypt: "aes-gcm", Key: make([]byte, 32), DataShards: 3, ParityShards: 1, MTU: 600},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stats kcp.Stats
			c.Stats = &stats
			r := newRelay(t, echoServer(t, c), func(r *relay) { r.loss, r.duplicate, r.delay = 0.1, 0.1, 10*time.Millisecond })
			client, err := kcp.Dial(context.Background(), r.addr(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			converse(t, client, 100_000)
			eventually(t, "the client rests", func() bool { return kcp.AtRest(client) })
			converse(t, client, 3000)
			if !c.Raw {
				if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Error(err)
				}
				if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("%v, expected the end", err)
				}
			}
			s := stats.Snapshot()
			if s.Resent == 0 || s.Malformed != 0 || c.DataShards > 0 && s.Recovered == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func must(c kcp.Config, err error) kcp.Config {
	if err != nil {
		panic(err)
	}
	return c
}

func TestASessionGoesAlongWithItsClient(t *testing.T) {
	var stats kcp.Stats
	r := newRelay(t, echoServer(t, kcp.Config{Stats: &stats, MaxPerPrefix: 10}))
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		converse(t, c, 5000)
		r.move()
		if i == 3 {
			if err := c.(interface{ Rebind() error }).Rebind(); err != nil {
				t.Error(err)
			}
		}
	}
	converse(t, c, 5000)
	if s := stats.Snapshot(); s.Roams != 5 || s.Sessions != 1 || s.Challenges < 5 || s.BadProof != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAClientRebindsByItselfWhenItsSocketFails(t *testing.T) {
	var stats kcp.Stats
	ln := echoServer(t, kcp.Config{Stats: &stats})
	r := newRelay(t, ln)
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{Ping: 50 * time.Millisecond, Silence: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	converse(t, c, 100)
	before := c.LocalAddr().String()
	r.mute.Store(true) // pings stay without an answer
	eventually(t, "another local address", func() bool { return c.LocalAddr().String() != before })
	r.mute.Store(false)
	converse(t, c, 100)
}

func TestNobodyTakesASessionWithoutItsKey(t *testing.T) {
	var stats kcp.Stats
	ln := echoServer(t, kcp.Config{Stats: &stats})
	var mu sync.Mutex
	var seen [][]byte
	r := newRelay(t, ln, func(r *relay) {
		r.spy = func(d []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, bytes.Clone(d))
		}
	})
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	converse(t, c, 1000)
	r.move() // so that there is a proof among what was seen
	converse(t, c, 1000)

	// Somebody who has seen everything sends it from elsewhere, as it was and changed.
	thief := socket(t, ln)
	mu.Lock()
	overheard := seen
	mu.Unlock()
	before := stats.Snapshot()
	var conv []byte
	for _, d := range overheard {
		if d[4] == 81 {
			conv = d[:4]
		}
		_, _ = thief.Write(d)
	}
	for _, kind := range []byte{0xc9, 0xca, 0xcb} {
		d := make([]byte, map[byte]int{0xc9: 40, 0xca: 32, 0xcb: 32}[kind])
		copy(d, conv)
		d[4], d[5], d[6] = kind, 1, 1
		_, _ = thief.Write(d)
	}
	_, _ = thief.Write(control(0xc1, 64))
	for got := answer(t, thief); got[4] != 0xc2; got = answer(t, thief) { // what came before has been looked at when this is answered
		if got[4] == 82 || got[4] == 81 {
			t.Errorf("the thief gets data: % x", got)
		}
	}
	converse(t, c, 1000)
	s := stats.Snapshot()
	if s.Roams != 1 || s.Sessions != 1 || s.BadProof < 2 || s.Forged < 2 || s.Foreign == before.Foreign {
		t.Errorf("%+v", s)
	}
}

func TestAServerThatForgotTheSessionSaysSo(t *testing.T) {
	ln := echoServer(t, kcp.Config{})
	r := newRelay(t, ln)
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{Ping: 50 * time.Millisecond, Silence: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	converse(t, c, 100)
	other := echoServer(t, kcp.Config{}) // as one that has been started again
	r.mu.Lock()
	r.server = other.Addr().(*net.UDPAddr)
	r.mu.Unlock()
	r.move()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, expected a reset", err)
	}
}

func TestAForgedResetIsNotBelieved(t *testing.T) {
	ln := echoServer(t, kcp.Config{})
	var mu sync.Mutex
	var conv [4]byte
	r := newRelay(t, ln, func(r *relay) {
		r.spy = func(d []byte) {
			if d[4] == 81 {
				mu.Lock()
				copy(conv[:], d)
				mu.Unlock()
			}
		}
	})
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	converse(t, c, 100)
	for kind, n := range map[byte]int{0xcc: 16, 0xca: 32} { // a reset, and an end without its signature
		d := make([]byte, n)
		mu.Lock()
		copy(d, conv[:])
		mu.Unlock()
		d[4], d[5], d[6] = kind, 1, 1
		r.mu.Lock()
		client := r.client
		r.mu.Unlock()
		_, _ = r.front.WriteToUDP(d, client)
	}
	converse(t, c, 1000)
}

func TestSilenceEndsSessionsAtBothEnds(t *testing.T) {
	var stats kcp.Stats
	cfg := kcp.Config{Ping: 50 * time.Millisecond, Silence: 300 * time.Millisecond, Stats: &stats}
	ln := listen(t, cfg)
	r := newRelay(t, ln)
	client, err := kcp.Dial(context.Background(), r.addr(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r.mute.Store(true)
	for _, c := range []net.Conn{client, server} {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, kcp.ErrSilence) {
			t.Errorf("%v, expected silence", err)
		}
	}
	if s := stats.Snapshot(); s.Sessions != 0 || s.Ended["silence"] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPingsKeepASessionAlive(t *testing.T) {
	var stats kcp.Stats
	cfg := kcp.Config{Ping: 20 * time.Millisecond, Silence: 2 * time.Second, Stats: &stats}
	server, client := pair(t, cfg)
	eventually(t, "pings for longer than the silence that is allowed", func() bool { return stats.Snapshot().DatagramsIn > 105 })
	exchange(t, client, server)
}

// kcp-go's own clients, and its own listener, have the same forms of encryption and FEC.
func TestKCPGoUnderstandsCiphersAndFEC(t *testing.T) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	for _, k := range []struct {
		name         string
		block        func(key []byte) (kcpgo.BlockCrypt, error)
		key          []byte
		data, parity int
	}{
		{"none", nil, nil, 10, 3},
		{"aes", kcpgo.NewAESBlockCrypt, key[:16], 0, 0},
		{"aes-192", kcpgo.NewAESBlockCrypt, key[:24], 0, 0},
		{"aes-256", kcpgo.NewAESBlockCrypt, key, 3, 2},
		{"aes-gcm", kcpgo.NewAESGCMCrypt, key, 2, 2},
		{"salsa20", kcpgo.NewSalsa20BlockCrypt, key, 0, 0},
	} {
		t.Run(fmt.Sprintf("%s-%d-%d", k.name, k.data, k.parity), func(t *testing.T) {
			t.Parallel()
			var stats kcp.Stats
			ln := echoServer(t, kcp.Config{Raw: true, Crypt: k.name, Key: k.key, DataShards: k.data, ParityShards: k.parity, Stats: &stats})
			r := newRelay(t, ln, func(r *relay) { r.loss = 0.05 })
			var block kcpgo.BlockCrypt
			if k.block != nil {
				var err error
				if block, err = k.block(k.key); err != nil {
					t.Fatal(err)
				}
			}
			c, err := kcpgo.DialWithOptions(r.addr(), block, k.data, k.parity)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetNoDelay(1, 10, 2, 1)
			converse(t, c, 60_000)
			for range 50 { // as long as luck has lost nothing that parity makes up for
				if k.data == 0 || stats.Snapshot().Recovered > 0 {
					break
				}
				converse(t, c, 60_000)
			}
			if s := stats.Snapshot(); s.Malformed+s.Undecryptable > 0 || k.data > 0 && s.Recovered == 0 {
				t.Errorf("%+v", s)
			}
			_, _ = c.Write([]byte("x"))
			stranger, err := kcpgo.DialWithOptions(ln.Addr().String(), block, 0, 0) // without FEC, or with other shards: its data counts all the same
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			converse(t, stranger, 5000)
		})
	}
}

// A path that dies while data is on its way is found out long before the pings of a silent session would.
func TestUnansweredDataIsAReasonToAskSoon(t *testing.T) {
	ln := echoServer(t, kcp.Config{})
	r := newRelay(t, ln)
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{Ping: time.Hour / 3, Silence: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	converse(t, c, 100)
	before := c.LocalAddr().String()
	r.mute.Store(true)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another local address", func() bool { return c.LocalAddr().String() != before })
	r.mute.Store(false)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestASessionThatIsHeardOfIsNotPinged(t *testing.T) {
	var pings, data atomic.Int64
	ln := echoServer(t, kcp.Config{})
	r := newRelay(t, ln, func(r *relay) {
		r.spy = func(d []byte) {
			switch d[4] {
			case 0xc6:
				pings.Add(1)
			case 81, 82:
				data.Add(1)
			}
		}
	})
	c, err := kcp.Dial(context.Background(), r.addr(), kcp.Config{Ping: time.Minute, Silence: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		converse(t, c, 100)
	}
	if data.Load() < 20 || pings.Load() != 0 {
		t.Errorf("%d datagrams of data, %d pings, expected none", data.Load(), pings.Load())
	}
}

func TestReadersRestOnlyBehindHeartbeats(t *testing.T) {
	ln := listen(t, kcp.Config{Raw: true})
	from := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: 1}
	push := func(sn uint32) []byte { return segment(7, 81, 0, sn, 0, []byte("x")) }
	ack := segment(7, 82, 0, 0, 0, nil)
	for i, c := range []struct {
		d       []byte
		ago     int64
		hurried bool
	}{
		{push(0), 0, true}, // a new session
		{push(1), 0, true},
		{push(2), 10_000, false}, // a heartbeat
		{ack, 5, false},          // and the acknowledgement of its answer
		{push(3), 10_000, false},
		{ack, 5, false},
		{push(4), 30, true}, // it plays
		{push(5), 30, true},
		{control(0xc1, 64), 10_000, true},
	} {
		if got := kcp.Hurried(ln, c.d, from, c.ago); got != c.hurried {
			t.Errorf("datagram %d: hurried is %v", i, got)
		}
	}
}
