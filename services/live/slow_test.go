package live_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

// narrow is a connection of which so many bytes a second are read, and little is kept by the system.
type narrow struct {
	net.Conn
	rate  float64
	begun time.Time
	read  float64
}

func dialNarrow(rate float64) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			var failed error
			err := c.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
			})
			if err == nil {
				err = failed
			}
			return err
		}}
		conn, err := d.DialContext(ctx, network, addr)
		return &narrow{Conn: conn, rate: rate, begun: time.Now()}, err
	}
}

// Read is as slow as the link.
func (n *narrow) Read(p []byte) (int, error) {
	due := n.begun.Add(time.Duration(n.read / n.rate * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		<-time.After(wait)
	}
	got, err := n.Conn.Read(p[:min(len(p), 2<<10)])
	n.read = max(n.read, (time.Since(n.begun).Seconds()-0.1)*n.rate) + float64(got)
	return got, err
}

// streaming publishes 50 pictures of a size and 50 packets of sound a second until the test says so.
func (r *rig) streaming(p *client.Publish, size int) (stop func() (written int)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			f := picture(n, size)
			if err := p.Write(pictures, f); err != nil {
				r.Errorf("picture %d: %v", n, err)
			}
			if err := p.Write(sound, client.Frame{DTS: f.DTS, PTS: f.DTS, Data: fmt.Appendf(nil, "%d.", n)}); err != nil {
				r.Errorf("sound %d: %v", n, err)
			}
			select {
			case <-ctx.Done():
				done <- n + 1
				return
			case <-tick.C:
			}
		}
	}()
	stop = sync.OnceValue(func() int { cancel(); return <-done })
	r.Cleanup(func() { stop() })
	return stop
}

// heard is what a viewer has got.
type heard struct {
	mu               sync.Mutex
	sounds, pictures []int
	err              error
}

func (h *heard) counts() (sounds, pictures int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sounds), len(h.pictures)
}

// to tells whether these are the last that have come.
func (h *heard) to(sound, picture int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, m := len(h.sounds), len(h.pictures)
	return n > 0 && m > 0 && h.sounds[n-1] == sound && h.pictures[m-1] == picture
}

func (r *rig) listen(w *client.Watch) *heard {
	h := &heard{}
	go func() {
		for {
			f, err := w.Next(context.Background())
			var n int
			if err == nil {
				_, err = fmt.Sscanf(string(f.Data[:min(len(f.Data), 8)]), "%d.", &n)
			}
			h.mu.Lock()
			switch {
			case err != nil:
				h.err = err
			case f.Track.Codec == "opus":
				h.sounds = append(h.sounds, n)
			default:
				h.pictures = append(h.pictures, n)
			}
			h.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return h
}

// whole tells whether numbers go up by one.
func whole(numbers []int) error {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != numbers[i-1]+1 {
			return fmt.Errorf("%d comes behind %d", numbers[i], numbers[i-1])
		}
	}
	return nil
}

func TestASlowViewerSkipsAndItsGameGoesOn(t *testing.T) {
	r := start(t, options{rooms: room.Config{Lag: 2 * time.Second, Patience: time.Hour}})
	p := r.publish(r.enter("tcp", "ann", client.Options{}), "arena", client.PublishOptions{})
	stop := r.streaming(p, 20_000) // a megabyte a second
	good := r.listen(r.watch(r.enter("tcp", "bob", client.Options{}), "arena", client.WatchOptions{}))
	var told events
	slow := r.enter("tcp", "eve", client.Options{NetDial: dialNarrow(200_000)})
	few := r.listen(r.watch(slow, "arena", client.WatchOptions{OnEvent: told.on}))
	var longest time.Duration
	r.until("pictures are skipped three times, and the sound goes on", func() bool {
		begun := time.Now()
		if err := slow.Request(r.ctx(), "echo", "1", nil); err != nil {
			t.Error(err)
			return true
		}
		longest = max(longest, time.Since(begun))
		n, _ := few.counts()
		told.mu.Lock()
		defer told.mu.Unlock()
		return n > 100 && len(told.all) >= 3
	})
	written := stop()
	r.until("the good viewer has all", func() bool { return good.to(written-1, written-1) })
	good.mu.Lock()
	defer good.mu.Unlock()
	if err := whole(good.sounds); err != nil {
		t.Errorf("the good viewer's sound: %v", err)
	}
	if err := whole(good.pictures); err != nil {
		t.Errorf("the good viewer's pictures: %v", err)
	}
	few.mu.Lock()
	defer few.mu.Unlock()
	if err := whole(few.sounds); err != nil {
		t.Errorf("the slow viewer's sound: %v", err)
	}
	if whole(few.pictures) == nil {
		t.Error("the slow viewer has all pictures")
	}
	// Through the same connection it would wait behind two seconds of pictures, 2 MB, and what the system holds: more than 10 s.
	if longest > 5*time.Second {
		t.Errorf("a request took %s beside the stream", longest)
	}
	t.Logf("%d of %d pictures came, the longest request took %s", len(few.pictures), written, longest.Round(time.Millisecond))
}

func TestAViewerThatStaysBehindIsPutOutAndItsSessionGoesOn(t *testing.T) {
	r := start(t, options{rooms: room.Config{Lag: 200 * time.Millisecond, Patience: 3 * time.Second}})
	p := r.publish(r.enter("tcp", "ann", client.Options{}), "arena", client.PublishOptions{})
	stop := r.streaming(p, 20_000)
	slow := r.enter("tcp", "eve", client.Options{NetDial: dialNarrow(100_000)})
	w := r.watch(slow, "arena", client.WatchOptions{})
	if code := r.end(w.Done(), w.Err); code != "too_slow" {
		t.Errorf("it ends with %s", code)
	}
	stop()
	r.must(slow.Request(r.ctx(), "echo", "1", nil))
}

// lossy passes datagrams between one client and a server as a link of netlab does.
func (r *rig) lossy(server string, link netlab.Link) (addr string, stats func() netlab.Stats) {
	r.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	r.must(err)
	back, err := net.Dial("udp", server)
	r.must(err)
	var mu sync.Mutex
	var passed netlab.Stats
	var peer net.Addr
	rnd := rand.New(rand.NewPCG(1, 2))
	var running sync.WaitGroup
	way := func(read func([]byte) (int, error), write func([]byte)) *netlab.Due {
		due, w := netlab.NewDue(), netlab.Way{Link: link}
		running.Go(func() { due.Deliver(write) })
		running.Go(func() {
			buf := make([]byte, 1<<16)
			for {
				n, err := read(buf)
				if err != nil {
					return
				}
				mu.Lock()
				at, copies := w.Pass(n, time.Now(), rnd, &passed)
				mu.Unlock()
				for range copies {
					due.Push(at, bytes.Clone(buf[:n]))
				}
			}
		})
		return due
	}
	there := way(func(p []byte) (int, error) {
		n, from, err := front.ReadFrom(p)
		mu.Lock()
		peer = from
		mu.Unlock()
		return n, err
	}, func(p []byte) { _, _ = back.Write(p) })
	andBack := way(back.Read, func(p []byte) {
		mu.Lock()
		to := peer
		mu.Unlock()
		_, _ = front.WriteTo(p, to)
	})
	r.Cleanup(func() {
		_ = front.Close()
		_ = back.Close()
		there.Close()
		andBack.Close()
		running.Wait()
	})
	return front.LocalAddr().String(), func() netlab.Stats {
		mu.Lock()
		defer mu.Unlock()
		return passed
	}
}

func TestLossOnTheWayCostsKCPNoFrame(t *testing.T) {
	r := start(t, options{rooms: room.Config{Lag: time.Minute, Stream: media.Config{Keep: time.Minute}}}) // it is not about a machine that is slow
	server := r.addrs["kcp"].String()
	link := netlab.Link{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.05, Reorder: 0.02, Duplicate: 0.01}
	up, _ := r.lossy(server, link)
	down, stats := r.lossy(server, link)
	r.urls["up"], r.urls["down"] = "kcp://"+up, "kcp://"+down
	p := r.publish(r.enter("up", "ann", client.Options{}), "arena", client.PublishOptions{})
	viewer := r.listen(r.watch(r.enter("down", "bob", client.Options{}), "arena", client.WatchOptions{}))
	stop := r.streaming(p, 8_000)
	r.until("3 s of the stream have come", func() bool { _, m := viewer.counts(); return m >= 150 })
	written := stop()
	r.until("all has come", func() bool { n, m := viewer.counts(); return n == written && m == written })
	viewer.mu.Lock()
	defer viewer.mu.Unlock()
	if err := whole(viewer.sounds); err != nil {
		t.Error(err)
	}
	if err := whole(viewer.pictures); err != nil {
		t.Error(err)
	}
	if s := stats(); s.Lost == 0 {
		t.Errorf("nothing was lost: %+v", s)
	}
}
