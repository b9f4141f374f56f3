package socket_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/services/socket"
)

// pour writes until the other end takes no more: it gives how much went in and what is left of it.
func (p *peer) pour(piece string, stop <-chan struct{}) (*atomic.Int64, *sync.WaitGroup) {
	var poured atomic.Int64
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, err := p.c.Write([]byte(piece))
			poured.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	return &poured, &done
}

func TestASocketThatNobodyReadsHasItsPeerWait(t *testing.T) {
	const ahead = 100_000
	both(t, socket.Config{ReadAhead: ahead}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		stop := make(chan struct{})
		poured, done := p.pour(strings.Repeat("x", 64<<10), stop)
		r.until("it reads no more", func() bool { return r.call(a, "stat", id, "reading") == "false" })
		held := r.number(a, "stat", id, "rbuffer")
		if most := int64(ahead + 64<<10); held < ahead || held > most {
			t.Errorf("%d bytes are held, want %d to %d", held, ahead, most)
		}
		if m := int64(r.metric("skua_socket_held_bytes")); m != held {
			t.Errorf("%d bytes are counted, %d are held", m, held)
		}
		// The kernel's buffers fill up, too; then the peer stands still.
		for last := int64(-1); last != poured.Load(); <-time.After(50 * time.Millisecond) {
			last = poured.Load()
		}
		if again := r.number(a, "stat", id, "rbuffer"); again != held {
			t.Errorf("%d bytes are held after %d", again, held)
		}
		// Room for more is used before anybody waits for it.
		got := r.number(a, "count", "read", id, held-10)
		r.until("it reads again", func() bool { return r.number(a, "stat", id, "rbuffer") >= ahead })
		close(stop)
		// Who reads gets all, and the peer goes on.
		r.until("all is read", func() bool {
			got += r.number(a, "count", "read", id)
			if got >= poured.Load() && p.isDone(done) {
				return got == poured.Load()
			}
			return false
		})
	})
}

// isDone tells whether a group has ended within a moment.
func (p *peer) isDone(group *sync.WaitGroup) bool {
	over := make(chan struct{})
	go func() { group.Wait(); close(over) }()
	select {
	case <-over:
		return true
	case <-time.After(20 * time.Millisecond):
		return false
	}
}

func TestAWaitForManyBytesReadsBeyondTheBound(t *testing.T) {
	both(t, socket.Config{ReadAhead: 1000, MaxUnread: 1 << 20}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		text := strings.Repeat("0123456789", 50_000)
		for _, how := range []struct {
			want string
			args []any
			more string
		}{
			{`true "` + text + `"`, []any{"read", id, len(text)}, ""},
			{`true "` + text + `"`, []any{"readline", id}, "\n"},
			{`true "` + text + `"`, []any{"readall", id}, ""},
		} {
			p.write(text[:10_000])
			r.until("it reads no more", func() bool { return r.call(a, "stat", id, "reading") == "false" })
			n := r.fork(a, how.args...)
			p.write(text[10_000:] + how.more)
			if how.args[0] == "readall" {
				p.finish()
			}
			r.want(how.want, a, "result", n)
		}
		r.wantError("socket.read: 1048577 bytes at a time are too many, a socket holds at most 1048576", a, "call", "read", id, 1<<20+1)
		r.wantError("a number of bytes is expected as argument 2, got -1", a, "call", "read", id, -1)
		r.wantError("the separator is empty", a, "call", "readline", id, "")
	})
}

func TestALineWithoutEndClosesTheSocket(t *testing.T) {
	both(t, socket.Config{MaxUnread: 10_000}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("", a, "watch", id)
		n := r.fork(a, "readline", id)
		stop := make(chan struct{})
		_, done := p.pour(strings.Repeat("x", 1000), stop)
		if got := r.call(a, "result", n); !strings.HasPrefix(got, `true false "xxxx`) || len(got) < 10_000 || len(got) > 100_000 {
			t.Errorf("got %s", short(got))
		}
		done.Wait() // the peer finds it closed
		close(stop)
		r.want(fmt.Sprintf(`"closed" %d`, id), a, "event")
		r.logged("bytes are unread while the script waits for more, at most 10000 are allowed")
		r.want("false", a, "call", "write", id, "x")
		if cut := r.metric("skua_socket_cut_total"); cut != 1 {
			t.Errorf("%v sockets are counted as cut", cut)
		}
	})
}

func TestALimitClosesTheSocketThatPassesIt(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("", a, "call", "limit", id, 1000)
		n := r.fork(a, "read", id, 3000) // a wait for a number of bytes knows its own bound
		p.write(strings.Repeat("x", 3000))
		r.want(`true "`+strings.Repeat("x", 3000)+`"`, a, "result", n)
		p.write(strings.Repeat("y", 1000))
		r.want(`"`+strings.Repeat("y", 1000)+`"`, a, "call", "read", id, 1000)
		p.write(strings.Repeat("z", 1001))
		r.until("it is closed", func() bool { return r.call(a, "call", "disconnected", id) == "true" })
		r.want(`false "`+strings.Repeat("z", 1001)+`"`, a, "call", "readline", id)
		r.logged("1001 bytes are unread, its limit is 1000")
		r.wantError("a number of bytes is expected as argument 2, got x", a, "call", "limit", id, "x")
	})
}

func TestWarningsComeAtAMegabyteAndEachDoubling(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("", a, "watch", id)
		r.want("true", a, "fill", id, 100)
		p.read(strings.Repeat("x", 100))
		r.want("0", a, "events")
		// What the kernel takes at once is no backlog; so more than it ever does.
		const piece = 512 << 10
		total := 0
		for range 48 {
			r.want("true", a, "fill", id, piece)
			total += piece
		}
		p.read(strings.Repeat("x", total))
		r.until("nothing waits", func() bool { return r.call(a, "stat", id, "wbuffer") == "0" })
		// A backlog ends with 0. There may be several, while the kernel makes its buffers larger.
		most, nth, last := 0, 0, int64(-1)
		for r.call(a, "events") != "0" {
			var of int64
			if _, err := fmt.Sscanf(r.call(a, "event"), `"warning" %d %d`, &of, &last); err != nil || of != id {
				t.Fatal("no warning of the socket", err)
			}
			if last == 0 {
				nth = 0
				continue
			}
			if from := int64(1024) << nth; last < from || last > from+piece>>10 {
				t.Errorf("warning %d is of %d KiB, want %d and at most a piece more", nth, last, from)
			}
			nth++
			most = max(most, nth)
		}
		if most < 3 || last != 0 {
			t.Errorf("%d warnings came, the last of %d KiB", most, last)
		}
	})
}

func TestAPeerThatTakesNothingLosesTheSocket(t *testing.T) {
	both(t, socket.Config{MaxUnwritten: 8 << 20}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, _ := r.pair(a)
		n := r.fork(a, "readline", id)
		r.until("it is closed", func() bool { return r.call(a, "fill", id, 1<<20) == "false" })
		r.want(`true false ""`, a, "result", n)
		r.logged("bytes wait to be written, at most 8388608 are allowed")
		r.logged("much waits to be written to a socket") // nobody has set a function
	})
}

func TestAllSocketsTogetherAreBounded(t *testing.T) {
	both(t, socket.Config{MaxMemory: 1 << 20, ReadAhead: 600 << 10}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		one, p := r.pair(a)
		two, q := r.pair(a)
		p.write(strings.Repeat("x", 600<<10))
		r.until("it came", func() bool { return r.call(a, "stat", one, "rbuffer") == fmt.Sprint(600<<10) })
		stop := make(chan struct{})
		_, done := q.pour(strings.Repeat("x", 10<<10), stop)
		r.until("the other is closed", func() bool { return r.call(a, "call", "disconnected", two) == "true" })
		close(stop)
		done.Wait()
		r.want("false", a, "call", "disconnected", one)
		r.logged("all sockets together hold more than 1048576 bytes")
		r.want("", a, "call", "close", two)
		r.want("false", a, "fill", one, 600<<10)
	})
}

func TestLowPriorityGoesOutWhenNothingElseWaits(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		const big = 8 << 20 // more than the kernel takes
		r.want("true", a, "fill", id, big)
		r.want("true", a, "call", "lwrite", id, []any{"low ", "too "})
		r.want("true", a, "call", "write", id, "high ")
		p.read(strings.Repeat("x", big))
		p.read("high low too ")
	})
}

func TestAPausedSocketIsReadAgainByAWait(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("", a, "call", "pause", id)
		r.want("false", a, "stat", id, "reading")
		p.write("a ") // was being read already
		r.until("it came", func() bool { return r.call(a, "stat", id, "read") == "2" })
		p.write("te")
		n := r.fork(a, "readline", id)
		p.write("xt\n")
		r.want(`true "a text"`, a, "result", n)
	})
}

func TestAClosedSocketDoesNotWaitForEverForItsPeer(t *testing.T) {
	both(t, socket.Config{FlushTimeout: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, _ := r.pair(a)
		r.want("true", a, "fill", id, 16<<20)
		r.want("", a, "call", "close", id)
		r.until("it is gone", func() bool { return r.call(a, "stat", id, "id") == `"none"` })
	})
}

func TestADeadPeerIsFoundByWriting(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("", a, "watch", id)
		n := r.fork(a, "read", id, 10)
		p.write("abc")
		r.until("it came", func() bool { return r.call(a, "stat", id, "read") == "3" })
		if err := p.c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		p.close() // a reset
		r.want(`true false "abc"`, a, "result", n)
		r.want(fmt.Sprintf(`"closed" %d`, id), a, "event")
		r.want("true", a, "call", "disconnected", id)
		r.want("false", a, "call", "write", id, "x")
		r.want(`"none"`, a, "stat", id, "id")
	})
}

func TestShutdownDropsWhatWaits(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		const big = 32 << 20
		r.want("true", a, "fill", id, big)
		r.want("", a, "call", "shutdown", id)
		n := 0
		buf := make([]byte, 64<<10)
		for {
			m, err := p.c.Read(buf)
			n += m
			if err != nil {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					t.Error("it is open still")
				}
				break
			}
		}
		if n >= big {
			t.Errorf("%d bytes came", n)
		}
		r.want("false", a, "call", "write", id, "x")
		r.want("false", a, "call", "invalid", id)
		r.want("", a, "call", "close", id)
	})
}
