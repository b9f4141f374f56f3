package socket_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/socket"
)

// line is a request that a host got, and where to answer.
type line struct {
	text string
	conn int
	over <-chan struct{}
	*peer
}

// gone waits until the service has closed the connection.
func (l line) gone() {
	l.Helper()
	select {
	case <-l.over:
	case <-time.After(patience):
		l.Error("the connection is open still")
	}
}

// lines is a host that gives the test what it gets, line by line.
func (r *rig) lines(addr string) (*host, <-chan line) {
	r.Helper()
	got := make(chan line, 100)
	var mu sync.Mutex
	conns := 0
	h := r.hostAt(addr, func(p *peer) {
		mu.Lock()
		conns++
		n := conns
		mu.Unlock()
		over := make(chan struct{})
		defer close(over)
		for s := bufio.NewScanner(p.c); s.Scan(); {
			got <- line{s.Text(), n, over, p}
		}
	})
	return h, got
}

// channel is a service with a channel.
func (r *rig) channel(port int, what map[string]any, more ...any) actor.Ref {
	r.Helper()
	a := r.start("channel")
	r.want("", a, "make", append([]any{port, what}, more...)...)
	return a
}

// ask begins a request, which has been sent or waits when this returns.
func (r *rig) ask(a actor.Ref, args ...any) int64 {
	r.Helper()
	n := r.number(a, "ask", args...)
	r.call(a, "answered", n)
	return n
}

// expect takes a line that a host got.
func (r *rig) expect(got <-chan line, text string) line {
	r.Helper()
	var l line
	select {
	case l = <-got:
	case <-time.After(patience):
	}
	if l.text != text {
		r.Fatalf("the host got %q, want %q", short(l.text), text)
	}
	return l
}

func TestAChannelAnswersInTheOrderOfItsRequests(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, nil)
		var asked []int64
		for n := range 5 {
			asked = append(asked, r.ask(a, fmt.Sprintf("request %d", n)))
		}
		var last line
		for n := range 5 {
			last = r.expect(got, fmt.Sprintf("request %d", n))
		}
		last.write("zero\none\nbad\nmore three,\nmore and \n")
		r.want(`"zero"`, a, "answer", asked[0])
		r.want(`"one"`, a, "answer", asked[1])
		r.want(`"error a bad answer"`, a, "answer", asked[2]) // is no end of the connection
		r.want("false", a, "answered", asked[3])
		last.write("more\nfour\n")
		r.want(`"three,+and +more"`, a, "answer", asked[3])
		r.want(`"four"`, a, "answer", asked[4])
		r.want("0", a, "tell", "no answer wanted")
		if l := r.expect(got, "no answer wanted"); l.conn != 1 {
			t.Errorf("it came over connection %d", l.conn)
		}
		n := r.ask(a, "in parts", nil, []any{"second\n", "third\n"})
		r.expect(got, "in parts")
		r.expect(got, "second")
		r.expect(got, "third").write("yes\npushed\n")
		r.want(`"yes"`, a, "answer", n)
		r.want(`"pushed"`, a, "response")
	})
}

func TestAChannelBySessionAnswersInAnyOrder(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, map[string]any{"session": true})
		one, two, three := r.ask(a, "a", 1), r.ask(a, "b", 2), r.ask(a, "c", 3)
		r.expect(got, "a")
		r.expect(got, "b")
		l := r.expect(got, "c")
		l.write("2 ok second\n9 ok nobody\n3 more x\n1 bad first\n3 more y\n3 ok z\n")
		r.want(`"second"`, a, "answer", two)
		r.want(`"error first"`, a, "answer", one)
		r.want(`"x+y+z"`, a, "answer", three)
		r.logged("unknown session")
		n := r.ask(a, "d", 4)
		r.expect(got, "d")
		if text := r.call(a, "request", "e", 4); !strings.Contains(text, "session 4 is in use") {
			t.Errorf("got %s", text)
		}
		l.write("5 ok early\n") // nobody waits for it
		l.write("0 ok\n")
		r.want(`"error no session"`, a, "answer", n)
		n = r.ask(a, "f", 1)
		if l = r.expect(got, "f"); l.conn != 2 {
			t.Errorf("it came over connection %d", l.conn)
		}
		l.write("1 ok last\n")
		r.want(`"last"`, a, "answer", n)
	})
}

func TestABrokenConnectionIsAnErrorForAllWhoWait(t *testing.T) {
	for _, session := range []bool{false, true} {
		t.Run(fmt.Sprintf("session %v", session), func(t *testing.T) {
			both(t, socket.Config{}, func(t *testing.T, r *rig) {
				h, got := r.lines("127.0.0.1:0")
				a := r.channel(h.port, map[string]any{"session": session})
				ask := func(n int) int64 {
					if session {
						return r.ask(a, fmt.Sprint(n), n)
					}
					return r.ask(a, fmt.Sprint(n))
				}
				one, two := ask(1), ask(2)
				r.expect(got, "1")
				l := r.expect(got, "2")
				l.write("half an ans")
				l.close()
				for _, n := range []int64{one, two} {
					r.want(`"socket error [Error: socket]"`, a, "answer", n)
				}
				// The next request has a connection of its own.
				three := ask(3)
				l = r.expect(got, "3")
				if l.conn != 2 {
					t.Errorf("it came over connection %d", l.conn)
				}
				l.write(map[bool]string{false: "again\n", true: "3 ok again\n"}[session])
				r.want(`"again"`, a, "answer", three)
				r.until("the broken one is closed", func() bool { return r.call(a, "sockets") == "1" })
				// A peer that ends while nothing is asked leaves no socket behind.
				l.close()
				r.until("it is closed", func() bool { return r.call(a, "sockets") == "0" })
				four := ask(4)
				if l := r.expect(got, "4"); l.conn != 3 {
					t.Errorf("it came over connection %d", l.conn)
				}
				r.want("", a, "close")
				r.want(`"error channel_closed"`, a, "answer", four)
				r.want(`"socket error [Error: socket]"`, a, "request", "5", 5)
				r.want("true", a, "connect", true)
			})
		})
	}
}

func TestAnErrorOfTheAnswersFunctionReachesAllWhoWait(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, nil)
		one, two := r.ask(a, "1"), r.ask(a, "2")
		r.expect(got, "1")
		l := r.expect(got, "2")
		l.write("broken\n")
		for _, n := range []int64{one, two} {
			r.want(`"error a broken answer"`, a, "answer", n)
		}
		l.gone()
	})
}

func TestAnswersThatCameBeforeTheEndAreGiven(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, nil)
		one, two, three := r.ask(a, "1"), r.ask(a, "2"), r.ask(a, "3")
		r.expect(got, "1")
		r.expect(got, "2")
		l := r.expect(got, "3")
		l.write("one\ntwo\n")
		l.close()
		r.want(`"one"`, a, "answer", one)
		r.want(`"two"`, a, "answer", two)
		r.want(`"socket error [Error: socket]"`, a, "answer", three)
	})
}

func TestAChannelThatCannotConnectTellsOrTriesOn(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, _ := r.lines("127.0.0.1:0")
		addr := h.l.Addr().String()
		h.close()
		a := r.channel(h.port, nil)
		r.want(`"socket error [Error: socket]"`, a, "connect", true)
		r.want(`"socket error [Error: socket]"`, a, "request", "1")
		r.logged(fmt.Sprintf("Connect to 127.0.0.1:%d failed (connection refused)", h.port))
		connected := make(chan string, 1)
		go func() { connected <- r.call(a, "connect") }()
		r.logged("socket: connect connection refused") // and it pauses
		_, got := r.lines(addr)
		if ok := <-connected; ok != "true" {
			t.Errorf("got %s", ok)
		}
		n := r.ask(a, "1")
		r.expect(got, "1").write("yes\n")
		r.want(`"yes"`, a, "answer", n)
	})
}

func TestOneConnectServesAllWhoWaitForIt(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, map[string]any{"auth": "ok"})
		var asked []int64
		for n := range 10 {
			asked = append(asked, r.ask(a, fmt.Sprint(n)))
		}
		login := r.expect(got, "login")
		if len(got) != 0 {
			t.Error("requests went out before the login was done")
		}
		login.write("welcome\n")
		for range asked {
			l := <-got
			l.write(l.text + "\n")
		}
		for i, n := range asked {
			r.want(fmt.Sprintf("%q", fmt.Sprint(i)), a, "answer", n)
		}
		r.want(`"welcome"`, a, "log")
		r.want("1", a, "auths")
	})
}

func TestAFailedLoginTriesTheBackupHosts(t *testing.T) {
	for _, session := range []bool{false, true} {
		both(t, socket.Config{}, func(t *testing.T, r *rig) {
			one, gotOne := r.lines("127.0.0.1:0")
			two, gotTwo := r.lines("127.0.0.1:0")
			three, gotThree := r.lines("127.0.0.1:0")
			three.close() // nobody is there
			what := map[string]any{"auth": "fail once", "session": session}
			prefix := map[bool]string{false: "", true: "1 ok "}[session]
			login := map[bool]string{false: "login", true: "1 login"}[session]
			a := r.channel(one.port, what, []any{
				map[string]any{"host": "127.0.0.1", "port": one.port},
				map[string]any{"host": "127.0.0.1", "port": three.port},
				map[string]any{"host": "127.0.0.1", "port": two.port},
			})
			var n int64
			if session {
				n = r.ask(a, "question", 7)
			} else {
				n = r.ask(a, "question")
			}
			l := r.expect(gotOne, login)
			l.write(prefix + "from-one\n")
			l.gone()
			r.expect(gotTwo, login).write(prefix + "from-two\n")
			l = r.expect(gotTwo, "question")
			l.write(map[bool]string{false: "answer\n", true: "7 ok answer\n"}[session])
			r.want(`"answer"`, a, "answer", n)
			r.want(`"from-one from-two"`, a, "log")
			r.logged("socket: auth failed not today")
			if len(gotOne)+len(gotThree) > 0 {
				t.Error("the first or the third host got more")
			}
			// When the backup fails, the first one is tried again, though it is no backup any more.
			r.want("", a, "changebackup", []any{})
			l.close()
			two.close()
			r.until("it has noticed", func() bool { return r.call(a, "sockets") == "0" })
			connected := make(chan string, 1)
			go func() { connected <- r.call(a, "connect", true) }()
			r.expect(gotOne, login).write(prefix + "again\n")
			if ok := <-connected; ok != "true" {
				t.Errorf("got %s", ok)
			}
		})
	}
}

func TestALoginThatAlwaysFailsIsAnError(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, map[string]any{"auth": "fail"})
		one, two := r.ask(a, "1"), r.ask(a, "2")
		r.expect(got, "login").write("hello\n")
		for _, n := range []int64{one, two} {
			r.want(`"socket error [Error: socket]"`, a, "answer", n)
		}
		r.logged("failed (not today)")
		r.until("it is closed", func() bool { return r.call(a, "sockets") == "0" })
		if len(got) != 0 {
			t.Error("a request went out")
		}
	})
}

func TestALoginMayChangeTheHost(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		one, gotOne := r.lines("127.0.0.1:0")
		two, gotTwo := r.lines("127.0.0.1:0")
		a := r.channel(one.port, map[string]any{"auth": "move"}, []any{}, two.port)
		n := r.ask(a, "question")
		l := r.expect(gotOne, "login")
		l.write("go away\n")
		l.gone()
		r.expect(gotTwo, "login").write("welcome\n")
		r.expect(gotTwo, "question").write("answer\n")
		r.want(`"answer"`, a, "answer", n)
		// A service may change it, too: what waits gets the error.
		n = r.ask(a, "second")
		r.expect(gotTwo, "second")
		r.want("", a, "changehost", one.port)
		r.want(`"socket error [Error: socket]"`, a, "answer", n)
		n = r.ask(a, "third")
		r.expect(gotOne, "login").write("hello\n")
		r.expect(gotOne, "third").write("done\n")
		r.want(`"done"`, a, "answer", n)
	})
}

func TestALoginThatLosesItsConnectionIsAnErrorAndNoDeadlock(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h, got := r.lines("127.0.0.1:0")
		a := r.channel(h.port, map[string]any{"auth": "lose"}, []any{}, h.port)
		n := r.ask(a, "question")
		r.expect(got, "login").write("welcome\n")
		r.want(`"socket error [Error: socket]"`, a, "answer", n)
	})
}

func TestOverloadIsToldWhenItBeginsAndWhenItEnds(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		h := r.host(func(p *peer) {
			p.read("hello\n")
			p.write("hi\n")
			p.read(strings.Repeat("x", 12<<20) + "\n")
			p.write("done\n")
			// Until the channel ends it: an overload of a connection that is gone is not told of.
			if _, err := io.Copy(io.Discard, p.c); err != nil {
				return // the test has ended
			}
		})
		a := r.channel(h.port, map[string]any{"overload": true})
		r.want(`"hi"`, a, "request", "hello")
		r.want(`""`, a, "log")
		r.want("", a, "big", 12<<20)
		r.want(`"done"`, a, "response")
		r.until("it is told", func() bool { return r.call(a, "log") == `"true false"` })
		r.want("", a, "close")
	})
}

func TestAChannelNeedsAHostAndAPort(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("channel")
		r.wantError("socketchannel.channel: host and port are expected", a, "make", nil, map[string]any{})
	})
}
