package rtc

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Config says where the node listens and how much it takes on. The zero value listens on a free port of 127.0.0.1 and admits nobody: Rules are needed.
type Config struct {
	// Rules decide who comes in. Needed.
	Rules Rules

	// UDP is the address for media, host:port. Default 127.0.0.1:0. With a host such as 0.0.0.0 each address of the machine gets a socket of its own, and the port must be named.
	UDP string
	// TCP is the address for clients whose network lets no UDP through; empty: none. Costs such a client latency when packets are lost.
	TCP string
	// Hosts are the addresses that clients are told instead of the node's own: those outside of a NAT that maps ports 1:1. Default: what the node listens on.
	Hosts []netip.Addr

	// ICEServers are told to clients (Link headers), which may need them; the node itself needs none.
	ICEServers []ICEServer

	// Origins are those of pages that may come in besides the node's own; "*" is all of them, which is the default: what protects a room is its token.
	Origins []string

	// MaxSessions bounds publishers and viewers together. Default 5,000. Each takes some 20 to 40 KB, and 90 KB more with data channels.
	MaxSessions int
	// MaxConnecting bounds those of them that have not got through to the node yet. Default 512.
	MaxConnecting int
	// MaxRooms bounds the rooms. Default 1,000.
	MaxRooms int
	// MaxPublishers bounds those of one room. Default 100.
	MaxPublishers int
	// MaxSlots bounds the lines of one kind, audio or video, that one viewer is served. Default 16.
	MaxSlots int

	// ConnectTimeout is how long a session may take to get through to the node. Default 15 s.
	ConnectTimeout time.Duration
	// Silence is after how long without a packet a session has ended. Default 10 s; some 2 s more pass until it is noticed.
	Silence time.Duration
	// KeyInterval is the least time between two key frames that are asked of a publisher for one track, however many viewers want one. Default 500 ms.
	KeyInterval time.Duration

	// Buffer is asked of the system for each UDP socket, in bytes, for reading and for writing. Default 4 MiB.
	Buffer int

	// Metrics, when set, is where the server counts.
	Metrics *Metrics
	// Log is for what an operator should know. Default: nothing is logged.
	Log *slog.Logger
}

// ICEServer is a STUN or TURN server that clients are told of.
type ICEServer struct {
	// URL as of RFC 7064 and 7065: stun:host:port, turn:host:port?transport=udp, turns:...
	URL string
	// Username and Credential are for TURN, fixed ones.
	Username, Credential string
	// Secret instead of these is what the TURN server has in common with the node (coturn's static-auth-secret): each client gets credentials of its own, which expire after TTL.
	Secret string
	// TTL defaults to an hour.
	TTL time.Duration
}

const (
	defaultSocketBuffer = 4 << 20
	// tcpBacklog is how many bytes may wait to be written to one client over TCP; what comes then is dropped, as a network would.
	tcpBacklog = 512 << 10
	maxSDP     = 128 << 10 // a hundred lines of media as browsers write them
	maxFrag    = 16 << 10
)

func (c Config) withDefaults() (Config, error) {
	if c.Rules == nil {
		return c, fmt.Errorf("rtc: config without rules: nobody could come in")
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&c.MaxSessions, 5000}, {&c.MaxConnecting, 512}, {&c.MaxRooms, 1000}, {&c.MaxPublishers, 100}, {&c.MaxSlots, 16}, {&c.Buffer, defaultSocketBuffer},
	} {
		if *d.field < 0 {
			return c, fmt.Errorf("rtc: a bound of %d, expected 1 or more, or 0 for the default", *d.field)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct{ field, value *time.Duration }{
		{&c.ConnectTimeout, ptr(15 * time.Second)}, {&c.Silence, ptr(10 * time.Second)}, {&c.KeyInterval, ptr(500 * time.Millisecond)},
	} {
		if *d.field < 0 {
			return c, fmt.Errorf("rtc: a time of %v, expected more than 0, or 0 for the default", *d.field)
		}
		if *d.field == 0 {
			*d.field = *d.value
		}
	}
	if c.UDP == "" {
		c.UDP = "127.0.0.1:0"
	}
	if len(c.Origins) == 0 {
		c.Origins = []string{"*"}
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := listenAddress(c.UDP); err != nil {
		return c, err
	}
	return c, nil
}

// listenAddress reads host:port, with an address as the host.
func listenAddress(addr string) (netip.AddrPort, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("rtc: address %q: %w", addr, err)
	}
	resolved, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("rtc: address %q: %w", addr, err)
	}
	if host == "" {
		resolved.IP = net.IPv4zero
	}
	ap := resolved.AddrPort()
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	if ap.Addr().IsUnspecified() && ap.Port() == 0 {
		return ap, fmt.Errorf("rtc: address %q: expected a port, since each address of the machine has a socket with the same one", addr)
	}
	return ap, nil
}

func ptr[T any](v T) *T { return &v }
