package socket_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/services/socket"
)

func networks(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestScriptsReachWhatTheConfigurationAllows(t *testing.T) {
	cfg := socket.Config{Connect: networks("127.0.0.1/32", "10.0.0.0/8"), Listen: networks("127.0.0.0/8", "::1/128")}
	both(t, cfg, func(t *testing.T, r *rig) {
		a := r.start("tool")
		_, addr := r.serve(a)
		id := r.number(a, "call", "open", addr)
		r.want("", a, "call", "close", id)
		const refused = `socket: not allowed by the node's configuration: `
		for _, host := range []string{"127.0.0.2", "0.0.0.0", "::1", "::ffff:127.0.0.2"} {
			if got := r.call(a, "call", "open", host, 1); !strings.HasPrefix(got, `nil "`+refused+"connect to ") {
				t.Errorf("open %s: got %s", host, got)
			}
			if !strings.Contains(host, ":") {
				r.wantError(refused+"connect to "+host, a, "udp_dial", host, 1)
			}
		}
		for _, host := range []string{"0.0.0.0", "::", "192.0.2.1"} {
			r.wantError(refused+"listen on ", a, "call", "listen", host, 0)
			r.wantError(refused+"listen on ", a, "udp_listen", host, 0)
		}
		r.wantError(refused+"listen on 0.0.0.0:0", a, "udp", nil, 0)
		udp := r.number(a, "udp") // a client
		r.wantError(refused+"connect to 127.0.0.2:1", a, "udp_connect", udp, "127.0.0.2", 1)
		r.want("false", a, "call", "sendto", udp, "\x01\x00\x01\x7f\x00\x00\x02", "x")
		r.want("true", a, "call", "sendto", udp, "\x01\x00\x01\x7f\x00\x00\x01", "x")
	})
}

func TestWithoutConfigurationScriptsListenWhereTheyMeanTo(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		if got := r.call(a, "call", "listen", "0.0.0.0", 0); !strings.Contains(got, ` "0.0.0.0" `) {
			t.Errorf("got %s", got)
		}
	})
}

// answers is a name server that knows one host.
func answers(t *testing.T, name string, addr netip.Addr) *net.Resolver {
	t.Helper()
	query := func(msg []byte) []byte {
		reply := append([]byte{}, msg[:2]...)
		asked, kind := question(msg)
		known := asked == name && kind == 1
		code, count := byte(3), byte(0)
		if known {
			code, count = 0, 1
		} else if asked == name {
			code = 0
		}
		reply = append(reply, 0x81, 0x80|code, 0, 1, 0, count, 0, 0, 0, 0)
		end := 12 + len(asked) + 2 + 4
		reply = append(reply, msg[12:end]...)
		if known {
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
			reply = append(reply, addr.AsSlice()...)
		}
		return reply
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := pc.WriteTo(query(buf[:n]), from); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// question reads the name and the type of a query (RFC 1035, 4.1.2).
func question(msg []byte) (name string, kind int) {
	var labels []string
	at := 12
	for msg[at] != 0 {
		n := int(msg[at])
		labels = append(labels, string(msg[at+1:at+1+n]))
		at += n + 1
	}
	return strings.Join(labels, "."), int(msg[at+2])
}

func TestANameIsResolvedBeforeItIsChecked(t *testing.T) {
	const name = "game.example.com"
	cfg := socket.Config{Resolver: answers(t, name, netip.MustParseAddr("127.0.0.1")), Listen: networks("127.0.0.1/32")}
	both(t, cfg, func(t *testing.T, r *rig) {
		a := r.start("tool")
		r.want(`{"127.0.0.1"}`, a, "call", "resolve", name)
		r.want(`{"::1"}`, a, "call", "resolve", "::1")
		r.wantError("no such host", a, "call", "resolve", "other.example.com")
		r.wantError("a host is expected, got nil", a, "call", "resolve", nil)
		got := r.call(a, "call", "listen", name, 0)
		var id, port int
		if _, err := fmt.Sscanf(got, `%d "127.0.0.1" %d`, &id, &port); err != nil {
			t.Fatalf("got %s", got)
		}
		r.number(a, "accept", id)
		open := r.number(a, "call", "open", name, port)
		r.want("true", a, "call", "write", open, "x")
	})
	cfg.Connect = networks("10.0.0.0/8")
	both(t, cfg, func(t *testing.T, r *rig) {
		a := r.start("tool")
		r.want(`nil "socket: not allowed by the node's configuration: connect to 127.0.0.1:1"`, a, "call", "open", name, 1)
		r.wantError("not allowed by the node's configuration: connect to 127.0.0.1:1", a, "udp_dial", name, 1)
		r.wantError("no such host", a, "udp_dial", "other.example.com", 1)
	})
}

func TestAConnectThatNobodyAnswersTimesOut(t *testing.T) {
	// A name server that is silent stands for a network that is.
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	var mu sync.Mutex
	var conns []net.Conn
	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", pc.LocalAddr().String())
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, c)
		}
		return c, err
	}}
	defer func() { // the resolver goes on to wait by itself when nobody does any more
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	}()
	both(t, socket.Config{Resolver: silent, ConnectTimeout: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		r.want(`nil "connection timed out after 100ms"`, a, "call", "open", "game.example.com", 1)
		r.wantError("i/o timeout", a, "call", "resolve", "game.example.com")
	})
}

func TestNetstatTellsOfAllSocketsOfTheNode(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		listener, addr := r.serve(a)
		id, p := r.accepted(a, addr)
		r.want(fmt.Sprint(id), a, "call", "start", id)
		p.write("12345")
		r.want(`"123"`, a, "call", "read", id, 3)
		r.want("true", a, "call", "write", id, "1234567")
		p.read("1234567")
		me := r.number(a, "me")
		r.want(fmt.Sprintf(`"LISTEN" %d %q 1`, me, addr), b, "stat", listener, "type", "address", "sock", "accept")
		r.until("all is counted", func() bool { return r.call(b, "stat", id, "writing") == "false" })
		r.want(fmt.Sprintf(`"TCP" %d %q 5 7 2 0 true false`, me, p.c.LocalAddr()), b, "stat", id,
			"type", "address", "peer", "read", "write", "rbuffer", "wbuffer", "reading", "writing")
		now := r.number(b, "now")
		for _, name := range []string{"rtime", "wtime"} {
			if at := r.number(b, "stat", id, name); at > now || at < now-int64(patience/(10*time.Millisecond)) {
				t.Errorf("%s is %d, now is %d", name, at, now)
			}
		}
		r.want("true", a, "fill", id, 32<<20)
		r.want("", a, "call", "close", id)
		r.want(`"CLOSING"`, b, "stat", id, "type")
		p.close()
		r.until("it is gone", func() bool { return r.call(b, "stat", id, "type") == `"none"` })
	})
}

func TestANodeWithoutTheServiceSaysSo(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a := r.start("tool")
		keeper, ok := r.sys.Lookup(socket.ServiceName)
		if !ok {
			t.Fatal("it has no name")
		}
		if _, err := r.sys.Ask(t.Context(), keeper, "hello"); err == nil || !strings.Contains(err.Error(), "takes no messages") {
			t.Errorf("got %v", err)
		}
		r.sys.Stop(keeper, nil)
		<-r.sys.Ended(keeper)
		r.wantError(`this node has no service "socket", which closes sockets`, a, "call", "listen", "127.0.0.1", 0)
	})
}
