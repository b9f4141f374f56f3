package kcp

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"
)

// Config has KCP's knobs under their usual names, and what a listener admits. The zero value is the fast profile with a window of 128 packets and an MTU
// of 1200 bytes. Both ends choose for themselves what they send with; FEC, Crypt, Key and Raw must be the same at both.
type Config struct {
	// NoDelay, Interval, Resend and NC are the arguments of ikcp_nodelay: 1 retransmits sooner (2: and backs off more slowly); milliseconds that an
	// acknowledgement waits for data that it can travel with; resend after so many acknowledgements skipped a packet (0: never); 1 ignores congestion.
	// Interval 0 means all four of the fast profile, 1, 10, 2, 1, and Repeat.
	NoDelay, Interval, Resend, NC int

	// SndWnd and RcvWnd are the windows in packets. Default 128. Larger ones carry more on long links and hold more memory. SndWnd also bounds what Write
	// queues before it blocks.
	SndWnd, RcvWnd int

	// MTU is the largest datagram in bytes, without the UDP header. Default 1200, which passes nearly everywhere.
	MTU int

	// AckNoDelay acknowledges each packet at once: a little less latency for twice the packets of a peer that mostly receives.
	AckNoDelay bool

	// Repeat sends small segments (up to 256 bytes) once more in the next datagram with new data, if that follows within 200 ms and has room, so that a loss costs
	// no timeout. It costs no datagrams, and up to twice the bytes where messages follow each other. Dial does so only without forward error correction.
	Repeat bool

	// DataShards and ParityShards turn on forward error correction, as of kcp-go: ParityShards more datagrams behind each DataShards of them, any
	// DataShards of which are enough. 0 and 0: none. Costs ParityShards/DataShards more traffic; helps dense streams on links that lose.
	DataShards, ParityShards int

	// Crypt encrypts each datagram with Key, which both ends know, as kcp-go does: "none" (the default), "aes" (16, 24 or 32 bytes of key), "aes-128", "aes-192",
	// "aes-256", "salsa20" (32 bytes), each with a checksum that finds accidents and no forgeries, or "aes-gcm" (16, 24 or 32 bytes), which finds both.
	// One key for all clients protects from passers-by, not from other clients: TLS over the connection does.
	Crypt string
	Key   []byte

	// ReadBuffer and WriteBuffer are asked of the system for each socket, in bytes; it grants what net.core.rmem_max allows. Default 4 MiB for listeners.
	ReadBuffer, WriteBuffer int

	// DSCP is the class of the datagrams, 0 to 63 (46: expedited forwarding). Default 0.
	DSCP int

	// Sockets is how many sockets share the listener's port (SO_REUSEPORT), each with a reading goroutine and a lock of its own. Default: one a core, at most 8.
	// Where the system does not spread datagrams over them (all but Linux) there is one.
	Sockets int

	// Raw admits clients without a handshake, on a listener: plain kcp-go and the reference ikcp, which choose their conversation's number themselves. Their
	// addresses are not proven, so MaxRaw bounds them. For Dial: be such a client.
	Raw bool

	// MaxSessions is how many sessions a listener holds. Default 100,000.
	MaxSessions int
	// MaxPerPrefix is how many of them may come from one IPv4 /24 or IPv6 /48. 0: no limit.
	MaxPerPrefix int
	// MaxRaw is how many of them may be raw ones. Default 4,096.
	MaxRaw int
	// Backlog is how many sessions wait for Accept; further ones are refused. Default 4,096.
	Backlog int

	// Ping is after how much silence a client asks whether the server is there; one whose data stays without an answer asks after 2 s already. Default 12 s, so that
	// heartbeats each 10 s above make pings unnecessary; less, two fifths of Silence, where that is less.
	Ping time.Duration
	// Silence is after how long without a datagram of the peer a session has failed, with ErrSilence. Default 30 s. Raw clients don't ping: they have twice as long.
	Silence time.Duration

	// Stats, when set, is where a listener counts. One Stats may serve several.
	Stats *Stats
}

// Profile returns the knobs of a named profile; everything else is zero.
//
//   - "fast" (1, 10, 2, 1): for action games. Resends after 30 ms at the earliest, or when two acknowledgements skip a packet; no congestion window;
//     repeats small segments.
//   - "normal" (1, 20, 2, 1): acknowledgements wait longer for company: fewer packets, some 10 ms more on a lossy link.
//   - "thrifty" (0, 40, 2, 0): doubles its timeouts from 100 ms and yields to congestion: least packets; for chat and turns, and bulk.
func Profile(name string) (Config, error) {
	switch name {
	case "fast", "":
		return Config{NoDelay: 1, Interval: 10, Resend: 2, NC: 1, Repeat: true}, nil
	case "normal":
		return Config{NoDelay: 1, Interval: 20, Resend: 2, NC: 1}, nil
	case "thrifty":
		return Config{NoDelay: 0, Interval: 40, Resend: 2, NC: 0}, nil
	}
	return Config{}, fmt.Errorf("kcp: profile %q, expected fast, normal or thrifty", name)
}

const (
	minMTU = 64   // with FEC and a cipher there is still room for data
	maxMTU = 1500 // of kcp-go, which cuts off the rest of a longer datagram
	maxWnd = 1 << 15

	maxSockets   = 8
	maxShards    = 128
	socketBuffer = 4 << 20
)

func (c Config) withDefaults() (Config, error) {
	if c.Interval == 0 {
		if c.NoDelay != 0 || c.Resend != 0 || c.NC != 0 {
			return c, fmt.Errorf("kcp: interval is 0 but nodelay %d, resend %d, nc %d are set, expected an interval of 10 to 5000 ms", c.NoDelay, c.Resend, c.NC)
		}
		c.NoDelay, c.Interval, c.Resend, c.NC, c.Repeat = 1, 10, 2, 1, true
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&c.SndWnd, 128},
		{&c.RcvWnd, 128},
		{&c.MTU, 1200},
		{&c.Sockets, min(runtime.NumCPU(), maxSockets)},
		{&c.MaxSessions, 100_000},
		{&c.MaxRaw, 4096},
		{&c.Backlog, 4096},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Silence == 0 {
		c.Silence = 30 * time.Second
	}
	if c.Ping == 0 {
		c.Ping = min(12*time.Second, c.Silence*2/5)
	}
	if c.Stats == nil {
		c.Stats = new(Stats)
	}
	err := c.check()
	return c, err
}

func (c *Config) check() error {
	for _, k := range []struct {
		name        string
		is, min, to int
	}{
		{"nodelay", c.NoDelay, 0, 2},
		{"interval", c.Interval, 10, 5000},
		{"resend", c.Resend, 0, 255},
		{"nc", c.NC, 0, 1},
		{"sndwnd", c.SndWnd, 1, maxWnd},
		{"rcvwnd", c.RcvWnd, 1, maxWnd},
		{"mtu", c.MTU, minMTU, maxMTU},
		{"data shards", c.DataShards, 0, maxShards},
		{"parity shards", c.ParityShards, 0, maxShards},
		{"read buffer", c.ReadBuffer, 0, 1 << 30},
		{"write buffer", c.WriteBuffer, 0, 1 << 30},
		{"dscp", c.DSCP, 0, 63},
		{"sockets", c.Sockets, 1, 64},
		{"max sessions", c.MaxSessions, 1, 1 << 24},
		{"max per prefix", c.MaxPerPrefix, 0, 1 << 24},
		{"max raw", c.MaxRaw, 1, 1 << 24},
		{"backlog", c.Backlog, 1, 1 << 20},
	} {
		if k.is < k.min || k.is > k.to {
			return fmt.Errorf("kcp: %s is %d, expected %d to %d", k.name, k.is, k.min, k.to)
		}
	}
	if (c.DataShards == 0) != (c.ParityShards == 0) {
		return fmt.Errorf("kcp: %d data shards and %d parity shards, expected both or none", c.DataShards, c.ParityShards)
	}
	if c.Ping < 10*time.Millisecond || c.Silence < 2*c.Ping || c.Silence > time.Hour {
		return fmt.Errorf("kcp: ping is %s and silence %s, expected at least 10 ms, and twice that to an hour", c.Ping, c.Silence)
	}
	return nil
}

// prefixOf is what MaxPerPrefix counts by.
func prefixOf(ip netip.Addr) netip.Prefix {
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	p, _ := ip.Prefix(bits) // fails only on bits that are too many
	return p
}
