package acceptance_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// slowLink is 100 kbps, in bytes a second.
const slowLink = 100_000 / 8

var tooSlow = regexp.MustCompile("left the room .*(too slow for the stream|takes nothing any more)")

// TestSlowViewersAmongTwoHundredGoodOnes: over HTTP-FLV and over RTMP one viewer has a link of 100 kbps for a stream of 1.6 Mbps, and one stops reading. The good ones, half over each, get each picture, the
// node's memory stays within what docs/media.md says, and the slow ones skip or are closed, with the reason.
func TestSlowViewersAmongTwoHundredGoodOnes(t *testing.T) {
	const good, ring, buffer, base = 200, 4 << 20, 32 << 10, 20 << 10
	n := start(t, fmt.Sprintf("admit = \"open\"\nlag = \"3s\"\npatience = \"4s\"\nwrite_timeout = \"6s\"\nreconnect = \"1s\"\nring_bytes = %d\nwrite_buffer = %d\n", ring, buffer))
	before := n.used()
	seconds := sized(12, 60)
	publishing, enough := context.WithCancel(t.Context())
	defer enough()
	published := make(chan error, 1)
	var sent int
	go func() {
		n, err := publish(publishing, n.Addr["rtmp"], "arena", seconds*rate)
		sent = n
		published <- err
	}()
	n.until("it publishes", func() bool { return n.scrape()[`skua_media_members{action="publish",protocol="rtmp"}`] == 1 })

	var watching sync.WaitGroup
	all := make([]seen, good)
	for i := range good {
		watching.Go(func() { all[i] = n.watch("arena", i%2 == 0, n.Addr) })
	}
	// The slow ones come through a link of their own, which holds little.
	crawl := map[string]string{"http": throttled(t.Context(), t, n.Addr["http"], slowLink), "rtmp": throttled(t.Context(), t, n.Addr["rtmp"], slowLink)}
	still, cut := context.WithCancel(t.Context())
	defer cut()
	stop := map[string]string{"http": throttled(still, t, n.Addr["http"], 0), "rtmp": throttled(still, t, n.Addr["rtmp"], 0)}
	slow := make([]seen, 4)
	for i := range slow {
		link := crawl
		if i >= 2 {
			link = stop
		}
		watching.Go(func() { slow[i] = n.watch("arena", i%2 == 0, link) })
	}
	n.until("all watch", func() bool {
		m := n.scrape()
		return m[`skua_media_entries_total{action="play",protocol="flv"}`]+m[`skua_media_entries_total{action="play",protocol="rtmp"}`] == good+4
	})
	most := before
	n.until("the slow ones are closed", func() bool {
		most = max(most, n.used())
		return len(tooSlow.FindAllString(n.Log(), -1)) >= 4
	})
	enough()
	for running := true; running; {
		select {
		case err := <-published:
			if err != nil {
				t.Error(err)
			}
			running = false
		case <-time.After(250 * time.Millisecond):
			most = max(most, n.used())
		}
	}
	cut() // who does not read does not hear of it
	watching.Wait()
	if n := n.scrape()["skua_media_viewers_too_slow_total"]; n != 4 {
		t.Errorf("%v viewers are counted as too slow, expected 4", n)
	}

	last := sent - 1
	for i, s := range all {
		if s.wrong > 0 || s.skips > 0 || s.last != last || s.sounds < s.pictures {
			t.Errorf("good viewer %d: %d pictures to number %d of %d, %d sounds, %d gaps; ended by %v %s", i, s.pictures, s.last, last, s.sounds, s.skips+s.wrong, s.end, s.status)
		}
	}
	for i, s := range slow {
		what := []string{"100 kbps over FLV", "100 kbps over RTMP", "no reading over FLV", "no reading over RTMP"}[i]
		t.Logf("%s: %d pictures, %d sounds, went on at a key frame %d times; %v %s", what, s.pictures, s.sounds, s.skips, s.end, s.status)
		if s.wrong > 0 || s.last == last {
			t.Errorf("%s: %+v", what, s)
		}
	}
	for _, why := range []string{`reason="media: the viewer is too slow for the stream`, `reason="media: the viewer takes nothing any more`} {
		if left := regexp.MustCompile("left the room .*"+why).FindAllString(n.Log(), -1); len(left) != 2 {
			t.Errorf("%d have left with %s, expected one over each protocol", len(left), why)
		}
	}
	// What a room keeps, once for itself and once for each of the two protocols; and what each viewer has beside its write buffer, which is the system's.
	bound := int64(3*ring + (good+4)*base)
	t.Logf("memory: %.1f MB before, %.1f MB at most, %.1f MB for it, of %.1f MB that it may take", mb(before), mb(most), mb(most-before), mb(bound))
	if most-before > bound {
		t.Errorf("the node has taken %d bytes, expected %d at most", most-before, bound)
	}
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// watch reads a room until that ends.
func (n *node) watch(room string, byFLV bool, addr map[string]string) seen {
	if !byFLV {
		c, err := rtmptest.Dial(n.Context(), addr["rtmp"])
		if err != nil {
			return seen{end: err}
		}
		return watchRTMP(c, room)
	}
	conn, err := (&net.Dialer{}).DialContext(n.Context(), "tcp", addr["http"])
	if err != nil {
		return seen{end: err}
	}
	return watchFLV(conn, room)
}

// greeting is how much a link carries before it is slow: what it takes to come in.
const greeting = 8 << 10

// throttled is a link to an address, until ctx ends, that carries so many bytes a second to who connects, none if that is 0, and holds little of what waits.
func throttled(ctx context.Context, t *testing.T, to string, bytesPerSecond int) (addr string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
			if err != nil {
				_ = near.Close()
				return
			}
			small(far)
			running.Go(func() {
				_, _ = io.Copy(far, near)
				_ = far.Close()
			})
			running.Go(func() {
				drip(ctx, near, far, bytesPerSecond)
				_, _ = near.Close(), far.Close()
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

func small(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10) // it is a wish
	}
}

// drip carries a piece each 50 ms.
func drip(ctx context.Context, near io.Writer, far net.Conn, bytesPerSecond int) {
	end := context.AfterFunc(ctx, func() { _ = far.Close() })
	defer end()
	if _, err := io.CopyN(near, far, greeting); err != nil {
		return
	}
	if bytesPerSecond == 0 {
		<-ctx.Done()
		return
	}
	const each = 50 * time.Millisecond
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		if _, err := io.CopyN(near, far, int64(bytesPerSecond)*int64(each)/int64(time.Second)); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
