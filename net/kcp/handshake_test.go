package kcp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/net/kcp"
)

// pair is a connection from both ends.
func pair(t *testing.T, cfg kcp.Config) (server, client net.Conn) {
	t.Helper()
	ln := listen(t, cfg)
	client = dial(t, ln, cfg)
	if cfg.Raw {
		if _, err := client.Write([]byte("-")); err != nil {
			t.Fatal(err)
		}
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	_ = server.SetDeadline(time.Now().Add(patience))
	if cfg.Raw {
		if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	return server, client
}

// exchange sends from a to b and back.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, d := range []struct{ from, to net.Conn }{{a, b}, {b, a}} {
		if _, err := d.from.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(d.to, got); err != nil || string(got) != "hello" {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

func TestStreamsEndBothWays(t *testing.T) {
	for _, first := range []string{"server", "client"} {
		t.Run(first, func(t *testing.T) {
			server, client := pair(t, kcp.Config{})
			a, b := server, client
			if first == "client" {
				a, b = client, server
			}
			want := bytes.Repeat([]byte("0123456789"), 20_000)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := a.Write(want); err != nil {
					t.Error(err)
				}
				if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Error(err)
				}
				if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
					t.Errorf("a write behind the end: %v", err)
				}
			})
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v, expected all %d and the end", len(got), err, len(want))
			}
			wg.Wait()
			if _, err := b.Write([]byte("after")); err != nil { // its own half is open
				t.Error(err)
			}
			if err := b.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(a); err != nil || string(got) != "after" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestClosingIsHeardByTheOtherEnd(t *testing.T) {
	for _, first := range []string{"server", "client"} {
		t.Run(first, func(t *testing.T) {
			var stats kcp.Stats
			server, client := pair(t, kcp.Config{Stats: &stats})
			a, b := server, client
			if first == "client" {
				a, b = client, server
			}
			if _, err := a.Write([]byte("last words")); err != nil {
				t.Fatal(err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(b); err != nil || string(got) != "last words" {
				t.Errorf("read %q, %v", got, err)
			}
			eventually(t, "writing fails", func() bool { _, err := b.Write([]byte("x")); return errors.Is(err, syscall.EPIPE) })
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read of a closed one: %v", err)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write to a closed one: %v", err)
			}
			if err := a.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second Close: %v", err)
			}
			eventually(t, "no session is left", func() bool { return stats.Snapshot().Sessions == 0 })
			ended := stats.Snapshot().Ended
			if why := map[string]string{"server": "closed", "client": "peer"}[first]; ended[why] != 1 {
				t.Errorf("ended: %v, expected one %s", ended, why)
			}
		})
	}
}

func TestAReadThatWaitsHearsOfClosing(t *testing.T) {
	server, client := pair(t, kcp.Config{})
	for _, c := range []net.Conn{server, client} {
		failed := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			failed <- err
		}()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil {
			t.Error("a read of a connection that was closed meanwhile: no error")
		}
	}
}

func TestDeadlines(t *testing.T) {
	for name, raw := range map[string]bool{"handshaken": false, "raw": true} {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t, kcp.Config{Raw: raw, SndWnd: 4})
			for _, c := range []net.Conn{server, client} {
				_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read: %v", err)
				}
				_ = c.SetReadDeadline(time.Time{})
				failed := make(chan error)
				go func() {
					_, err := c.Read(make([]byte, 1))
					failed <- err
				}()
				_ = c.SetReadDeadline(time.Unix(1, 0)) // strikes one that waits, or is about to
				if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read: %v", err)
				}
				_ = c.SetDeadline(time.Now().Add(patience))
			}
			exchange(t, client, server)

			_ = server.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // of one whose peer does not read
			var err error
			for err == nil {
				_, err = server.Write(make([]byte, 10_000))
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write: %v", err)
			}
		})
	}
}

func TestRoomIsWhatAWriteTakesWithoutWaiting(t *testing.T) {
	ln := listen(t, kcp.Config{Raw: true})
	if _, err := socket(t, ln).Write(segment(1, 81, 0, 0, 0, []byte("x"))); err != nil { // a client that acknowledges nothing
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	room := c.(interface{ Room() int }).Room
	all := room()
	if all == 0 {
		t.Fatal("no room in a session to which nothing was written")
	}
	if n, err := c.Write(make([]byte, all)); n != all || err != nil {
		t.Fatalf("%d of %d bytes, %v", n, all, err)
	}
	if left := room(); left != 0 {
		t.Errorf("room for %d bytes more than the %d that there was room for", left, all)
	}
}

// What is due by then takes along what waits. So it is tried again if it has not.
func TestWhatIsWrittenLateLeavesTogether(t *testing.T) {
	const tries = 20
	type late interface {
		net.Conn
		WriteLate(p []byte) (int, error)
	}
	buf := make([]byte, 2000)
	together := func() bool {
		var stats kcp.Stats
		ln := listen(t, kcp.Config{Raw: true, Stats: &stats, Sockets: 2})
		client := socket(t, ln)
		_ = client.SetReadDeadline(time.Now().Add(patience))
		join := func(conv uint32) late {
			if _, err := client.Write(segment(conv, 81, 0, 0, 0, []byte("x"))); err != nil {
				t.Fatal(err)
			}
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if _, err := client.Read(buf); err != nil { // the acknowledgement, so nothing is due any more
				t.Fatal(err)
			}
			return c.(late)
		}
		data := func() (conv uint32) {
			t.Helper()
			if n, err := client.Read(buf); err != nil || n < 25 || buf[4] != 81 {
				t.Fatalf("% x, %v, expected data", buf[:n], err)
			}
			return binary.LittleEndian.Uint32(buf)
		}
		c, d := join(1), join(2) // of different sockets
		before := stats.Snapshot().DatagramsOut
		for _, c := range []late{c, d} {
			if n, err := c.WriteLate([]byte("a")); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if stats.Snapshot().DatagramsOut != before {
			return false
		}
		ln.(interface{ SendLate() }).SendLate()
		if data()+data() != 1+2 {
			return false
		}
		// What has to wait, here until its time is over, is sent behind what others have written.
		if _, err := c.WriteLate([]byte("b")); err != nil {
			t.Fatal(err)
		}
		_ = d.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := d.WriteLate(make([]byte, 1<<20)); n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Logf("%d bytes, %v", n, err)
			return false
		}
		return data() == 1
	}
	for n := 1; !together(); n++ {
		if n == tries {
			t.Fatalf("not in %d tries", n)
		}
	}
}

func TestReadNowNeverWaitsAndNotifyTells(t *testing.T) {
	server, client := pair(t, kcp.Config{})
	c := server.(seam)
	told := make(chan struct{}, 100)
	c.Notify(func() { told <- struct{}{} })
	buf := make([]byte, 100)
	for range 3 {
		if n, err := c.ReadNow(buf); n != 0 || err != nil {
			t.Fatalf("%d, %v, expected nothing", n, err)
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		<-told
		if n, err := c.ReadNow(buf); string(buf[:n]) != "hello" || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	if n, err := c.ReadNow(buf); n != 0 || err != nil {
		t.Fatalf("%d, %v, expected nothing", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	<-told
	if _, err := c.ReadNow(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, expected the deadline", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.ReadNow(buf); err != nil {
		t.Error(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-told
	again := make(chan struct{}, 1)
	c.Notify(func() { again <- struct{}{} }) // something is there already
	<-again
	if n, err := c.ReadNow(buf); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := c.ReadNow(buf); err != nil {
		t.Error(err)
	}
	_ = client.Close()
	<-again
	if _, err := c.ReadNow(buf); !errors.Is(err, io.EOF) {
		t.Errorf("%v, expected the end", err)
	}
}

func TestNotifyIsNotCalledUnderALockOfTheCaller(t *testing.T) {
	server, _ := pair(t, kcp.Config{})
	c := server.(seam)
	var mu sync.Mutex
	told := make(chan struct{}, 10)
	c.Notify(func() {
		mu.Lock()
		defer mu.Unlock()
		told <- struct{}{}
	})
	if n, err := c.ReadNow(make([]byte, 1)); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	mu.Lock()
	_ = c.SetReadDeadline(time.Unix(1, 0))
	mu.Unlock()
	<-told
}

func TestMadeUpRawSessionsAreBounded(t *testing.T) {
	var stats kcp.Stats
	ln := listen(t, kcp.Config{Raw: true, MaxRaw: 50, Stats: &stats})
	c := socket(t, ln)
	for i := range uint32(2000) {
		_, _ = c.Write(segment(i, 81, 0, 0, 0, []byte("x")))
	}
	eventually(t, "they are refused", func() bool { return stats.Snapshot().Refused["full"] > 100 })
	if s := stats.Snapshot(); s.Sessions > 50 || s.Raw != s.Sessions {
		t.Errorf("%d sessions, %d raw ones, expected at most 50", s.Sessions, s.Raw)
	}
	dial(t, ln, kcp.Config{}) // proven ones come in
}

func TestRawClientsAreRefusedWhereTheyAreNotAllowed(t *testing.T) {
	var stats kcp.Stats
	ln := listen(t, kcp.Config{Stats: &stats})
	_, _ = socket(t, ln).Write(segment(1, 81, 0, 0, 0, []byte("x")))
	eventually(t, "it is counted", func() bool { return stats.Snapshot().Unknown == 1 })
	if s := stats.Snapshot(); s.Sessions != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClientsOfOneConversationAreTold(t *testing.T) {
	ln := echoServer(t, kcp.Config{Raw: true})
	a, b := socket(t, ln), socket(t, ln) // the reference's examples all use the same number
	for _, c := range []net.Conn{a, b} {
		_, _ = c.Write(segment(0x11223344, 81, 0, 0, 0, []byte(c.LocalAddr().String())))
		if got := answer(t, c); !bytes.HasSuffix(got, []byte(c.LocalAddr().String())) {
			t.Errorf("%s is answered %q", c.LocalAddr(), got)
		}
	}
}

func TestAnIdleSessionCostsLittle(t *testing.T) {
	const n, bound = 1000, 1536
	var stats kcp.Stats
	ln := listen(t, kcp.Config{Stats: &stats})
	udp := socket(t, ln)
	goroutines, before := runtime.NumGoroutine(), heap()
	convs, served := shake(t, ln, udp, n)
	each := (heap() - before) / n
	t.Logf("%d bytes each for %d sessions", each, n)
	if each > bound && !racetest.On {
		t.Errorf("%d bytes a session, expected at most %d", each, bound)
	}
	eventually(t, "no goroutine of theirs", func() bool { return runtime.NumGoroutine() <= goroutines })
	// Each of them is there. When the first were made more than a second ago, readers may rest, and a datagram then waits for the beat: so many speak at once, which
	// fit into a socket's buffer, that a beat is for all of them.
	const atOnce = 100
	for from := 0; from < n; from += atOnce {
		for _, conv := range convs[from : from+atOnce] {
			if _, err := udp.Write(append(conv[:], segment(0, 81, 0, 0, 0, []byte("x"))[4:]...)); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range served[from : from+atOnce] {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if got, err := c.Read(make([]byte, 10)); got != 1 || err != nil {
				t.Fatalf("session %d: %d, %v", from+i, got, err)
			}
			_ = c.Close()
		}
	}
}

func TestAConnectionMayBeUsedByManyGoroutines(t *testing.T) {
	server, client := pair(t, kcp.Config{SndWnd: 8})
	c := server.(seam)
	var wg sync.WaitGroup
	const writers, each = 4, 20
	for i := range byte(writers) {
		wg.Go(func() {
			for range each {
				if _, err := c.Write(bytes.Repeat([]byte{i}, 20_000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	wg.Go(func() {
		buf := make([]byte, 100)
		for {
			select {
			case <-done:
				return
			default:
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Microsecond))
			c.Notify(func() {})
			_, _ = c.ReadNow(buf)
			_ = c.SetReadDeadline(time.Time{})
			_, _ = c.RemoteAddr(), c.LocalAddr()
		}
	})
	got := make([]byte, 20_000)
	for i := range writers * each {
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if bytes.Count(got, got[:1]) != len(got) {
			t.Fatalf("message %d: two writes are mixed", i)
		}
	}
	close(done)
	wg.Wait()
	for range 3 { // all at once, while somebody waits
		wg.Go(func() { _, _ = c.Read(make([]byte, 1)) })
		wg.Go(func() { _ = c.Close() })
	}
	wg.Wait()
}

// eventually waits for what other goroutines bring about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("never: %s", what)
		}
	}
}
