package socket_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/socket"
)

// address asks a server of testdata where it listens.
func (r *rig) address(ref actor.Ref) string {
	r.Helper()
	return strings.Trim(r.call(ref, "address"), `"`)
}

func TestAnEchoServerServesManyAtOnce(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		addr := r.address(r.start("echo"))
		var all sync.WaitGroup
		for n := range 50 {
			p := r.dial(addr)
			all.Go(func() {
				for i := range 20 {
					text := fmt.Sprintf("%d of %d %s", i, n, strings.Repeat("x", i*n))
					if _, err := p.c.Write([]byte(text)); err != nil {
						t.Error(err)
						return
					}
					p.read(text)
				}
				p.finish()
				p.end("")
			})
		}
		all.Wait()
	})
}

func TestALargeEchoComesBackWhole(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		p := r.dial(r.address(r.start("echo")))
		text := strings.Repeat("0123456789abcdef", 1<<18)
		var sent sync.WaitGroup
		sent.Go(func() {
			p.write(text)
			p.finish()
		})
		p.end(text)
		sent.Wait()
	})
}

func TestAListenerHandsConnectionsToAgents(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		addr := r.address(r.start("lines"))
		actors := r.sys.Stats().Actors
		one, two := r.dial(addr), r.dial(addr)
		one.write("hello\nbig ")
		two.write("second\n")
		one.read("HELLO\n")
		two.read("SECOND\n")
		one.write("world\nbye\n")
		one.end("BIG WORLD\n")
		two.write("half")
		two.finish()
		two.end("")
		r.logged("the peer has gone, 4 bytes are left")
		r.until("the agents have ended", func() bool { return r.sys.Stats().Actors == actors })
	})
}

func TestAStartedSocketBelongsToTheServiceThatStartedItLast(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		id, p := r.pair(a)
		r.want("", a, "watch", id)
		p.write("first\nsecond\nthi")
		r.want(`"first"`, a, "call", "readline", id)
		n := r.fork(a, "read", id, 100)
		r.want(fmt.Sprint(id), b, "call", "start", id)
		r.want(`true false ""`, a, "result", n) // what it waited for goes on to the other one
		r.want("true", a, "call", "invalid", id)
		r.wantError("is not open in this service", a, "call", "read", id)
		p.write("rd\n")
		r.want(`"second"`, b, "call", "readline", id)
		r.want(`"third"`, b, "call", "readline", id)
		r.want("true", a, "call", "write", id, "by the first") // whoever knows the number may write
		p.read("by the first")
		r.want("", a, "call", "close", id) // not its own any more
		r.end(a)
		r.want("true", b, "call", "write", id, "by the second")
		p.read("by the second")
		r.want(fmt.Sprint(r.number(b, "me")), b, "stat", id, "address")
		r.want("", b, "call", "close", id)
		p.end("")
	})
}

func TestAnAbandonedSocketReadsNothingUntilItIsStarted(t *testing.T) {
	both(t, socket.Config{ReadAhead: 1000}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		id, p := r.pair(a)
		n := r.fork(a, "readline", id)
		r.want("", a, "call", "abandon", id)
		r.want(`true false ""`, a, "result", n)
		r.want("true", a, "call", "invalid", id)
		r.want("0", a, "stat", id, "address")
		p.write("while nobody has it\n")
		r.end(a) // which does not close it
		r.want(fmt.Sprint(id), b, "call", "start", id)
		r.want(`"while nobody has it"`, b, "call", "readline", id)
		r.want("", b, "call", "abandon", id)
		r.want("", b, "call", "close_fd", id)
		p.end("")
		r.want(`"none"`, b, "stat", id, "id")
	})
}

func TestAnAcceptedSocketReadsNothingBeforeItIsStarted(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		_, addr := r.serve(a)
		id, p := r.accepted(a, addr)
		p.write("early")
		r.want("true", a, "call", "invalid", id)
		r.want("0 false", a, "stat", id, "read", "reading")
		r.want(fmt.Sprint(id), b, "call", "start", id)
		r.want(`"early"`, b, "call", "read", id, 5)
		r.want("true", b, "stat", id, "reading")
	})
}

func TestTheSocketsOfAServiceEndWithIt(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		listener, addr := r.serve(a)
		mine, p := r.accepted(a, addr)
		r.want(fmt.Sprint(mine), a, "call", "start", mine)
		r.fork(a, "readline", mine)
		unstarted, q := r.accepted(a, addr)
		given, s := r.accepted(a, addr)
		r.want(fmt.Sprint(given), b, "call", "start", given)
		udp := r.number(a, "udp")
		r.want("true", a, "call", "write", mine, "last words")
		r.end(a)
		p.end("last words")
		q.end("")
		for _, id := range []int64{listener, mine, unstarted, udp} {
			r.until("it is closed", func() bool { return r.call(b, "stat", id, "id") == `"none"` })
		}
		s.write("still here\n")
		r.want(`"still here"`, b, "call", "readline", given)
	})
}

func TestAServiceThatEndsGivesUpItsConnects(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		// Nobody answers from there (RFC 5737), or the network refuses at once.
		r.fork(a, "open", "192.0.2.1", 9)
		r.end(a)
		r.until("it is forgotten", func() bool { return r.metric("skua_socket_open") == 0 })
	})
}

func TestCloseWakesTheReaderAndTellsTheOwner(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		for _, how := range []string{"close", "shutdown", "peer"} {
			id, p := r.pair(a)
			r.want("", a, "watch", id)
			n := r.fork(a, "readline", id)
			p.write("half a li")
			r.until("it came", func() bool { return r.call(a, "stat", id, "read") == "9" })
			if how == "peer" {
				p.close()
			} else {
				r.want("", a, "call", how, id)
			}
			r.want(`true false "half a li"`, a, "result", n)
			r.want(fmt.Sprintf(`"closed" %d`, id), a, "event")
			if how != "peer" {
				p.end("")
			}
			r.want(fmt.Sprint(how == "close"), a, "call", "invalid", id)
			r.want("", a, "call", "close", id)
			r.want("0", a, "events") // once
		}
	})
}

func TestCloseReturnsBehindTheReaderAndOnClose(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("order")
		id, _ := r.pairOf(a)
		r.want(`"onclose" "reader" "closer"`, a, "order", id)
		id, p := r.pairOf(a)
		r.want("", a, "arm", id)
		r.want("", a, "sync")
		p.finish()
		r.want(`"onclose" "reader"`, a, "over")
	})
}

func TestASocketThatWasTakenOverOutlivesItsFirstOwner(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		id, p := r.pair(a)
		udp := r.number(a, "udp")
		r.want(fmt.Sprint(id), b, "call", "start", id)
		r.want(fmt.Sprint(udp), b, "udp_start", udp)
		mine := r.number(a, "udp")
		r.end(a)
		r.until("the first owner's sockets are closed", func() bool { return r.call(b, "stat", mine, "id") == `"none"` })
		p.write("still here\n")
		r.want(`"still here"`, b, "call", "readline", id)
		r.want(fmt.Sprint(udp), b, "stat", udp, "id")
	})
}

func TestARefusedDescriptorCountIsAnErrorThatSaysSo(t *testing.T) {
	both(t, socket.Config{MaxSockets: 2}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		listener, addr := r.serve(a)
		id, _ := r.accepted(a, addr)
		p := r.dial(addr)
		p.end("") // let in by the kernel, closed by the node
		r.logged("connection refused")
		const many = "socket: too many sockets on this node: 2 are open"
		r.want(`nil "`+many+`"`, a, "call", "open", addr)
		r.wantError(many, a, "call", "listen", "127.0.0.1", 0)
		r.wantError(many, a, "udp")
		r.want("", a, "call", "close_fd", id)
		next, _ := r.accepted(a, addr)
		if next <= id {
			t.Errorf("got number %d after %d", next, id)
		}
		if listener != 1 {
			t.Errorf("the first number is %d", listener)
		}
		if n := r.metric("skua_socket_refused_total"); n != 4 {
			t.Errorf("%v are counted as refused", n)
		}
	})
}

func TestANodeThatStopsWritesWhatItWasGiven(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("true", a, "fill", id, 1<<20)
		var got sync.WaitGroup
		got.Go(func() { p.end(strings.Repeat("x", 1<<20)) })
		if err := r.sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		got.Wait()
	})
}

// pairOf is pair for order.lua.
func (r *rig) pairOf(ref actor.Ref) (int64, *peer) {
	r.Helper()
	p := r.dial(strings.Trim(r.call(ref, "listen"), `"`))
	return r.number(ref, "accepted"), p
}

// end has a service exit, and waits for its end.
func (r *rig) end(ref actor.Ref) {
	r.Helper()
	r.wantError("actor stopped", ref, "exit")
	<-r.sys.Ended(ref)
}
