package gate_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// teller is what connections over KCP can do beside net.Conn.
type teller interface {
	net.Conn
	ReadNow(p []byte) (int, error)
	Notify(f func())
	Room() int
}

// lending is a KCP listener of which a goroutine of the test's lends itself, for all that its connections tell.
type lending struct {
	net.Listener
	lend chan func(tell func()) bool
	news chan func()
	over chan struct{} // closed when nobody takes news any more
}

func (l *lending) Lend(f func(tell func()) (left bool)) { l.lend <- f }

func (l *lending) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lendingConn{c.(teller), l}, nil
}

type lendingConn struct {
	teller
	l *lending
}

func (c *lendingConn) Notify(f func()) {
	if f == nil {
		c.teller.Notify(nil)
		return
	}
	c.teller.Notify(func() {
		select {
		case c.l.news <- f:
		case <-c.l.over:
		}
	})
}

func TestHeartbeatsAreAnsweredWithoutAWorker(t *testing.T) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	g, err := gate.New(sys, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) }, Login: gate.LoginNone})
	must(t, err)
	_, err = sys.Spawn(g.Spec())
	must(t, err)
	ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
	must(t, err)
	l := &lending{ln, make(chan func(func()) bool, 1), make(chan func(), 100), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	served, lent := make(chan error, 1), make(chan struct{})
	go func() { served <- g.Serve(ctx, "kcp", l) }()
	counts := make(chan int)
	go func() {
		defer close(lent)
		lend := <-l.lend
		var left int
		for {
			select {
			case <-l.over:
				return
			case tell := <-l.news:
				switch {
				case tell == nil:
					counts <- left
				case lend(tell):
					left++
				}
			}
		}
	}()
	count := func() int { // of what was left to workers; an answer is there before the turn that wrote it is counted
		l.news <- nil
		return <-counts
	}
	c, err := kcp.Dial(t.Context(), ln.Addr().String(), kcp.Config{})
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	say := func(p []byte, want packet.Type) {
		t.Helper()
		_, err := c.Write(p)
		must(t, err)
		head := make([]byte, packet.HeaderSize)
		_, err = io.ReadFull(c, head)
		must(t, err)
		if got := packet.Type(head[0]); got != want {
			t.Fatalf("answered by a %v, expected a %v", got, want)
		}
		_, err = io.CopyN(io.Discard, c, int64(head[1])<<16|int64(head[2])<<8|int64(head[3]))
		must(t, err)
	}
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{})
	must(t, err)
	say(hello, packet.Handshake)
	ready, err := packet.AppendPacket(nil, packet.HandshakeAck, nil)
	must(t, err)
	say(ready, packet.Heartbeat)
	// The worker that has answered the first may not have put the connection down yet when the second comes, and has it then.
	was := count()
	for alone, tries := 0, 0; alone < 5; tries++ {
		say(packet.AppendHeartbeat(nil), packet.Heartbeat)
		left := count()
		if alone++; left > was {
			was, alone = left, 0
		}
		if tries == 100 {
			t.Fatalf("of %d heartbeats, no five in a row were answered without a worker", tries)
		}
	}
	request, err := packet.AppendData(nil, packet.Message{Type: packet.Request, ID: 1, Route: "echo", Body: []byte("{}")}, nil)
	must(t, err)
	say(request, packet.Data)
	if count() == was {
		t.Error("a request was not left to workers")
	}
	must(t, c.Close())
	cancel()
	must(t, <-served)
	close(l.over)
	<-lent
	must(t, sys.Shutdown(context.Background()))
}
