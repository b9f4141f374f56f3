package kcp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

func TestAnAcknowledgementWaitsForTheNextDatagram(t *testing.T) {
	const conv, cmdPush, cmdAck, cmdAsk = 7, 81, 82, 83
	join := func(segments ...[]byte) []byte { return bytes.Join(segments, nil) }
	ack := func(sn, una uint32) []byte { return segment(conv, cmdAck, 0, sn, una, nil) }
	push := func(size int) []byte { return segment(conv, cmdPush, 0, 3, 5, make([]byte, size)) }
	ask := segment(conv, cmdAsk, 0, 0, 5, nil)
	synctest.Test(t, func(t *testing.T) {
		var box box
		send := func(d []byte, want ...[]byte) {
			t.Helper()
			c := kcp.NewCompany(1200, box.put)
			defer c.Stop()
			if got := c.Send(ack(4, 5)); got != nil {
				t.Errorf("% x is sent at once", got)
			}
			if got := c.Send(d); !equalBytes(got, want) {
				t.Errorf("% x leave, expected % x", got, want)
			}
			time.Sleep(2 * kcp.AckWait) //nolint:forbidigo // fake time
			if alone := box.all(); len(alone) > 0 {
				t.Errorf("% x comes behind it", alone)
			}
		}
		send(push(64), join(ack(4, 5), push(64)))
		send(ask, join(ack(4, 5), ask))
		send(ack(5, 6), join(ack(4, 5), ack(5, 6))) // a second one does not wait
		send(push(1200-2*24), join(ack(4, 5), push(1200-2*24)))
		send(push(1200-2*24+1), ack(4, 5), push(1200-2*24+1)) // no room
	})
	synctest.Test(t, func(t *testing.T) {
		var box box
		c := kcp.NewCompany(1200, box.put)
		for _, d := range [][]byte{ack(5, 5), join(ack(4, 5), ack(7, 5)), push(0), ask} { // something is missing before 5
			if got := c.Send(d); !equalBytes(got, [][]byte{d}) {
				t.Errorf("% x leave, expected % x", got, d)
			}
		}
		c.Send(ack(4, 5))
		time.Sleep(kcp.AckWait - 1) //nolint:forbidigo // fake time
		synctest.Wait()
		if alone := box.all(); len(alone) > 0 {
			t.Errorf("% x too early", alone)
		}
		time.Sleep(time.Nanosecond) //nolint:forbidigo // fake time
		synctest.Wait()
		if alone := box.all(); !equalBytes(alone, [][]byte{ack(4, 5)}) {
			t.Errorf("% x instead of an acknowledgement", alone)
		}
		c.Send(ack(5, 6))
		c.Stop()
		time.Sleep(2 * kcp.AckWait) //nolint:forbidigo // fake time
		if alone := box.all(); len(alone) > 1 {
			t.Errorf("% x after the end", alone)
		}
		for _, want := range [][]byte{join(ack(5, 6), ack(6, 7)), ack(6, 7)} { // what waits leaves with the next one, and nothing waits any more
			if got := c.Send(ack(6, 7)); !equalBytes(got, [][]byte{want}) {
				t.Errorf("% x leave after the end, expected % x", got, want)
			}
		}
	})
}

// box is where datagrams come that are sent alone.
type box struct {
	mu sync.Mutex
	ds [][]byte
}

func (b *box) put(d []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ds = append(b.ds, d)
}

func (b *box) all() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ds)
}

func equalBytes(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// How fast a client is that answers at once is the machine's affair, so it goes on until its acknowledgements have travelled with what it sent, as often as asked.
func TestAClientsNextRequestTakesTheAcknowledgementAlong(t *testing.T) {
	const enough = 20
	for name, cfg := range map[string]kcp.Config{"plain": {}, "sealed": {Crypt: "aes-gcm", Key: make([]byte, 16)}, "at once": {AckNoDelay: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var together, alone atomic.Int64
			plain := cfg.Crypt == ""
			r := newRelay(t, echoServer(t, cfg), func(r *relay) {
				r.spy = func(d []byte) {
					const cmdAck = 82
					switch {
					case !plain || len(d) < 24 || d[4] != cmdAck:
					case len(d) > 24:
						together.Add(1)
					default:
						alone.Add(1)
					}
				}
			})
			c, err := kcp.Dial(context.Background(), r.addr(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(patience))
			buf := make([]byte, 8)
			for i := 0; i < 100 || !cfg.AckNoDelay && plain && together.Load() < enough; i++ {
				msg := []byte{byte(i), 1, 2, 3, 4, 5, 6, 7}
				if _, err := c.Write(msg); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil || !bytes.Equal(buf, msg) {
					t.Fatalf("%v instead of %v: %v", buf, msg, err)
				}
			}
			if cfg.AckNoDelay && alone.Load() < enough {
				t.Errorf("%d acknowledgements are sent at once", alone.Load())
			}
		})
	}
}

func TestARawClientThatClosesHasAcknowledgedWhatItRead(t *testing.T) {
	cfg := kcp.Config{Raw: true}
	var una atomic.Uint32
	r := newRelay(t, echoServer(t, cfg), func(r *relay) {
		r.spy = func(d []byte) { una.Store(max(una.Load(), binary.LittleEndian.Uint32(d[16:]))) }
	})
	c, err := kcp.Dial(context.Background(), r.addr(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	echoes, buf := uint32(0), make([]byte, 8)
	for ; !kcp.Waits(c); echoes++ {
		if _, err := c.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last echo is acknowledged", func() bool { return una.Load() == echoes })
}
