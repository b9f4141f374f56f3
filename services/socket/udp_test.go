package socket_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/socket"
)

// port gives the port of a UDP socket.
func (r *rig) port(a func() string) int {
	r.Helper()
	at, err := netip.ParseAddrPort(strings.Trim(a(), `"`))
	if err != nil {
		r.Fatal(err)
	}
	return int(at.Port())
}

// datagram waits for a datagram of a service, and gives from where it is, as scripts know it.
func (r *rig) datagram(a func() string, text string) string {
	r.Helper()
	got := a()
	from, ok := strings.CutPrefix(got, fmt.Sprintf(`"datagram" %q `, text))
	if !ok {
		r.Fatalf("got %s, want the datagram %q", short(got), text)
	}
	return from
}

func TestDatagramsGoBothWays(t *testing.T) {
	for _, local := range []string{"127.0.0.1", "::1"} {
		t.Run(local, func(t *testing.T) {
			both(t, socket.Config{}, func(t *testing.T, r *rig) {
				server, client := r.start("udp"), r.start("tool")
				port := r.number(server, "listen", local)
				id := r.number(client, "udp_dial", local, port)
				for n := range 20 {
					text := fmt.Sprintf("hello %d", n)
					r.want("true", client, "call", "write", id, text)
					r.want(fmt.Sprintf(`%q %q %d`, text, local, r.portOf(client, id)), server, "got")
					r.datagram(func() string { return r.call(client, "event") }, "OK "+text)
				}
				r.want("true", client, "call", "write", id, []any{"in ", "parts"})
				r.datagram(func() string { return r.call(client, "event") }, "OK in parts")
				r.want(fmt.Sprintf(`"UDP" %q`, netip.AddrPortFrom(netip.MustParseAddr(local), uint16(port))), client, "stat", id, "type", "peer")
				r.want("", client, "call", "close", id)
				r.want("false", client, "call", "write", id, "x")
			})
		})
	}
}

// portOf gives the port of a UDP socket.
func (r *rig) portOf(ref actor.Ref, id int64) int {
	r.Helper()
	return r.port(func() string { return r.call(ref, "stat", id, "sock") })
}

func TestAUDPSocketWithoutAddressSendsFirst(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		server := r.number(a, "udp", "127.0.0.1", 0)
		client := r.number(b, "udp")
		r.want("false", b, "call", "write", client, "to nobody")
		r.want("", b, "udp_connect", client, "localhost", r.portOf(a, server))
		r.want("true", b, "call", "write", client, "ping")
		r.datagram(func() string { return r.call(a, "event") }, "ping")
		r.wantError("is not a TCP connection", a, "call", "read", server)
		r.wantError("there is no UDP socket 77", b, "udp_connect", 77, "127.0.0.1", 1)
		r.wantError("no address of the socket's protocol", b, "udp_connect", client, "::1", 1)
		r.wantError("an address as the function of a UDP socket gets it is expected", b, "call", "sendto", client, "127.0.0.1", "x")
		r.wantError("an address as the function of a UDP socket gets it is expected", b, "call", "udp_address", "x")
		v6 := "\x02\x00\x01" + strings.Repeat("\x00", 15) + "\x01"
		r.want(`"::1" 1`, b, "call", "udp_address", v6)
		r.want("false", b, "call", "sendto", client, v6, "x")
		r.want("false", b, "call", "sendto", 99, v6, "x")
		r.want("false", b, "call", "write", client, strings.Repeat("x", 64<<10))
		r.wantError("address already in use", b, "udp_listen", "127.0.0.1", r.portOf(a, server))
	})
}

func TestAUDPSocketGoesToAnotherService(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("tool"), r.start("tool")
		id := r.number(a, "udp_listen", "127.0.0.1", 0)
		c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", r.portOf(a, id)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "one")
		r.datagram(func() string { return r.call(a, "event") }, "one")
		r.want(fmt.Sprint(id), b, "udp_start", id)
		fmt.Fprint(c, "two")
		r.datagram(func() string { return r.call(b, "event") }, "two")
		r.want("0", a, "events")
		r.want("true", a, "call", "invalid", id)
		r.want("", b, "call", "abandon", id)
		fmt.Fprint(c, "three")
		r.want(fmt.Sprint(id), a, "udp_start", id)
		r.datagram(func() string { return r.call(a, "event") }, "three")
	})
}

func TestDatagramsThatWaitForABusyServiceAreBounded(t *testing.T) {
	both(t, socket.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("busy"), r.start("tool")
		id := r.number(a, "udp")
		c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", r.portOf(b, id)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		busy := make(chan string, 1)
		go func() { busy <- r.call(a, "compute", 1000) }()
		const bound, size = 256 << 10, 10_000
		send := func() { fmt.Fprint(c, strings.Repeat("x", size)) }
		r.until("much waits", func() bool {
			send()
			return r.number(b, "stat", id, "rbuffer") >= bound
		})
		for range 100 {
			send()
		}
		if got := r.number(b, "stat", id, "rbuffer"); got > bound+size+100 {
			t.Errorf("%d bytes wait", got)
		}
		if got := <-busy; got != "" {
			t.Error(got)
		}
		r.until("what was kept is heard", func() bool { return r.number(a, "heard") >= bound/(size+100) })
	})
}
