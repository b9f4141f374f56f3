package socket_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/services/socket"
)

func TestReadsGiveWhatCameInTheirOwnPieces(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		p.write("hello\nworld\r\n12345678rest")
		r.want(`"hello"`, a, "call", "readline", id)
		r.want(`"world"`, a, "call", "readline", id, "\r\n")
		r.want(`"1234"`, a, "call", "read", id, 4)
		r.want(`""`, a, "call", "read", id, 0)
		r.want(`"5678"`, a, "call", "read", id, 4)
		r.want("true", a, "call", "block", id)
		r.want(`"rest"`, a, "call", "read", id)
		r.want("false", a, "call", "disconnected", id)
		n := r.fork(a, "read", id)
		r.want("false", a, "done", n)
		p.write("late")
		r.want(`true "late"`, a, "result", n)
		n = r.fork(a, "readline", id, "--")
		for _, part := range []string{"one-", "x", "-", "-tw", "o--"} {
			p.write(part)
		}
		r.want(`true "one-x"`, a, "result", n)
		r.want(`"two"`, a, "call", "readline", id, "--")
		n = r.fork(a, "read", id, 6)
		p.write("123")
		r.want("false", a, "done", n)
		p.write("4567")
		r.want(`true "123456"`, a, "result", n)
		n = r.fork(a, "readall", id)
		p.write("more")
		p.close()
		r.want(`true "7more"`, a, "result", n)
		r.want("false", a, "call", "readall", id)
		r.want(`false ""`, a, "call", "read", id)
		r.want(`false ""`, a, "call", "read", id, 1)
		r.want(`false ""`, a, "call", "readline", id)
		r.want("false", a, "call", "block", id)
		r.want("true", a, "call", "disconnected", id)
		r.want("false", a, "call", "invalid", id)
		r.want("", a, "call", "close", id)
		r.want("true", a, "call", "invalid", id)
		r.want("", a, "call", "disconnected", id)
		r.want("", a, "call", "close", id)
	})
}

func TestTheEndGivesFalseAndWhatIsLeft(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			name string
			args []any
			want string
		}{
			{"readline", nil, `true false "a rest"`},
			{"read", []any{100}, `true false "a rest"`},
			{"readall", nil, `true "a rest"`},
		} {
			a := r.start("tool")
			id, p := r.pair(a)
			n := r.fork(a, append([]any{c.name, id}, c.args...)...)
			p.write("a rest")
			p.finish()
			r.want(c.want, a, "result", n)
			r.want(`false ""`, a, "call", "readline", id)
		}
		// What came before the end is read as if there were none.
		a := r.start("tool")
		id, p := r.pair(a)
		p.write("line\nhalf")
		p.finish()
		r.until("the end is known", func() bool { return r.call(a, "call", "disconnected", id) == "true" })
		r.want(`"line"`, a, "call", "readline", id)
		r.want(`"ha"`, a, "call", "read", id, 2)
		r.want(`false "lf"`, a, "call", "readline", id)
	})
}

func TestAPeerThatHasFinishedCanStillBeAnswered(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		p.write("question")
		p.finish()
		r.want(`"question"`, a, "call", "readall", id)
		r.want("true", a, "call", "write", id, "answer")
		r.want("", a, "call", "close", id)
		p.end("answer")
		r.want("false", a, "call", "write", id, "late")
	})
}

func TestWritesAreStringsNumbersAndLists(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		id, p := r.pair(a)
		r.want("true", a, "call", "write", id, "text ")
		r.want("true", a, "call", "write", id, []any{"a", 12, "b", ""})
		r.want("true", a, "call", "write", id, 7)
		r.want("true", a, "call", "write", id, "")
		r.want("true", a, "call", "write", id, []any{})
		r.want("true", a, "call", "lwrite", id, "low")
		p.read("text a12b7low")
		r.wantError("socket.write: a string is expected as argument 2, got boolean", a, "call", "write", id, true)
		r.wantError("socket.write: a string is expected as each element of the list, got table", a, "call", "write", id, []any{[]any{}})
		r.wantError("socket.write: the number of a socket is expected, got string", a, "call", "write", "x", "y")
		r.want("false", a, "call", "write", 4711, "y")
		r.want("258", a, "call", "header", "\x01\x02")
		r.want("4294967295", a, "call", "header", "\xff\xff\xff\xff")
		r.wantError("socket.header: a string of 1 to 4 bytes is expected", a, "call", "header", "12345")
	})
}

func TestOpenConnectsOrTellsWhyNot(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		h := r.host(func(p *peer) {
			p.read("ping")
			p.write("pong")
		})
		for _, args := range [][]any{{"127.0.0.1", h.port}, {h.l.Addr().String()}, {"localhost", h.port}} {
			id := r.number(a, "call", append([]any{"open"}, args...)...)
			r.want("true", a, "call", "write", id, "ping")
			r.want(`"pong"`, a, "call", "readall", id)
			r.want("", a, "call", "close", id)
		}
		h.close()
		r.want(`nil "connection refused"`, a, "call", "open", "127.0.0.1", h.port)
		if got := r.call(a, "call", "open", "no.such.host.invalid", 1); !strings.HasPrefix(got, `nil "lookup no.such.host.invalid`) {
			t.Errorf("got %s", got)
		}
		r.wantError("socket.open: invalid address \"127.0.0.1\": host:port is expected", a, "call", "open", "127.0.0.1")
		r.wantError("socket.open: invalid port 70000: 0 to 65535 is expected", a, "call", "open", "127.0.0.1", 70000)
		r.wantError("socket.open: a host is expected as argument 1, got nil", a, "call", "open", nil, 1)
		r.wantError("a script gets no file descriptors of the node", a, "call", "bind", 3)
		r.wantError("the node's standard input is not for scripts", a, "call", "stdin")
	})
}

func TestListenTellsWhereAndWhyNot(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		_, addr := r.serve(a)
		r.wantError("address already in use", a, "call", "listen", addr)
		r.wantError("cannot assign requested address", a, "call", "listen", "192.0.2.1", 0)
		r.wantError("invalid address \"nowhere\": host:port is expected", a, "call", "listen", "nowhere")
		id := r.number(a, "call", "listen", "localhost", 0)
		r.wantError("is a listener: a function for its connections is expected as argument 2", a, "call", "start", id)
		r.wantError("is not a TCP connection", a, "call", "read", id)
		r.want("false", a, "call", "write", id, "x")
		r.want("", a, "call", "close", id)
		r.want(`nil "invalid socket"`, a, "accept", id)
	})
}

func TestASocketOfNobodyIsAnError(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		for _, name := range []string{"read", "readline", "readall", "limit", "warning"} {
			r.wantError("socket."+name+": socket 99 is not open in this service", a, "call", name, 99)
		}
		r.wantError("socket.onclose: socket 99 is not open in this service", a, "watch", 99)
		r.want(`nil "invalid socket"`, a, "call", "start", 99)
		r.want("false", a, "call", "block", 99)
		r.want("true", a, "call", "invalid", 99)
		for _, name := range []string{"close", "close_fd", "shutdown", "abandon", "pause", "onclose"} {
			r.want("", a, "call", name, 99)
		}
	})
}

func TestTwoCoroutinesOfAServiceReadTwoSocketsButNotOne(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		one, p := r.pair(a)
		two, q := r.pair(a)
		first, second := r.fork(a, "readline", one), r.fork(a, "readline", two)
		for _, name := range []string{"read", "readline", "readall", "block"} {
			r.wantError("another coroutine is reading socket", a, "call", name, one)
		}
		q.write("two\n")
		r.want(`true "two"`, a, "result", second)
		p.write("one\n")
		r.want(`true "one"`, a, "result", first)
		r.wantError("is not closed", a, "call", "start", one)
		r.wantError("use socket.close", a, "call", "close_fd", one)
	})
}
