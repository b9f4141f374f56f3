package kcp

import (
	"bytes"
	"net"
	"slices"
	"time"
)

// Machine is a control block for tests, which are its network and its clock.
type Machine struct {
	b    block
	mem  memory
	out  func(d []byte)
	Sent int
}

// NewMachine returns one for a conversation; out gets its datagrams.
func NewMachine(conv uint32, cfg Config, now uint32, out func(d []byte)) *Machine {
	cfg, err := cfg.withDefaults()
	if err != nil {
		panic(err)
	}
	m := &Machine{out: out}
	m.b.init(conv, newSettings(cfg, &m.mem, 0, 0), now)
	return m
}

func (m *Machine) emit(p *packet) {
	m.Sent++
	m.out(p.bytes)
	m.mem.done(p)
}

// Input takes a datagram.
func (m *Machine) Input(d []byte, now uint32) error {
	err := m.b.input(d, now, false)
	m.Run(now)
	return err
}

// Run does what is due, as the wheel has it done, and returns in how many milliseconds there is more; -1: not before something happens.
func (m *Machine) Run(now uint32) int {
	if wait, ok := m.b.next(now); ok && wait == 0 {
		m.b.flush(now, m)
	}
	wait, ok := m.b.next(now)
	if !ok {
		return -1
	}
	return int(wait)
}

// Write takes what there is room for.
func (m *Machine) Write(p []byte, now uint32) int {
	n := min(len(p), m.b.room())
	m.b.write(p[:n])
	m.b.flush(now, m)
	return n
}

// Read copies what is in order.
func (m *Machine) Read(p []byte, now uint32) int {
	n := m.b.read(p)
	m.Run(now)
	return n
}

// Waiting is segments that are not acknowledged, Dead whether the peer acknowledges nothing, Held all segments in memory.
func (m *Machine) Waiting() int { return m.b.waiting() }
func (m *Machine) Dead() bool   { return m.b.dead }
func (m *Machine) Held() int {
	return m.b.waiting() + m.b.rcvBuf.n + m.b.rcvQueue.n
}

// KindOf is the parser of control datagrams.
func KindOf(d []byte) (byte, bool) { return kindOf(d) }

// Feed gives a listener a datagram as if it came from an address.
func Feed(ln net.Listener, d []byte, from *net.UDPAddr) {
	l := ln.(*listener)
	r := newReceiver(l.shards[0])
	r.batch([]datagram{{d, from.AddrPort()}})
}

// Hurried gives a listener a datagram of its sessions and says whether its reader may not rest behind it. They were heard last so many milliseconds ago.
func Hurried(ln net.Listener, d []byte, from *net.UDPAddr, ago int64) bool {
	l := ln.(*listener)
	for _, sh := range l.shards {
		sh.mu.Lock()
		for _, c := range sh.raw {
			c.heard, c.earlier = c.heard-ago, c.earlier-ago
		}
		sh.mu.Unlock()
	}
	r := newReceiver(l.shards[0])
	r.batch([]datagram{{d, from.AddrPort()}})
	return r.active
}

// Slack is how many ticks too early a session may come up.
const Slack = slack

// Wheel is a wheel of numbered sessions.
type Wheel struct {
	w     wheel
	conns []*conn
}

// NewWheel returns one for sessions 0 to n-1.
func NewWheel(n int) *Wheel {
	w := &Wheel{}
	for range n {
		w.conns = append(w.conns, new(conn))
	}
	return w
}

// Arm, Disarm, Advance and Upcoming are wheel's.
func (w *Wheel) Arm(i int, at int64) { w.w.arm(w.conns[i], at) }
func (w *Wheel) Disarm(i int)        { w.w.disarm(w.conns[i]) }
func (w *Wheel) Advance(now int64, f func(i int)) {
	w.w.advance(now, func(c *conn) { f(slices.Index(w.conns, c)) })
}
func (w *Wheel) Upcoming() (int64, bool) { return w.w.upcoming() }

// AtRest says whether a client has nothing to do.
func AtRest(c net.Conn) bool {
	p := c.(*client).pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.awake
}

// NewRepeater returns what a client appends to its datagrams, given the number up to which all has arrived, for an MTU.
func NewRepeater(mtu int) func(d []byte, una uint32, now time.Time) []byte {
	r := &repeater{mtu: mtu}
	return func(d []byte, una uint32, now time.Time) []byte { return r.follow(bytes.Clone(d), d, una, now) }
}

// Age makes a listener's sessions older.
func Age(ln net.Listener, by time.Duration) {
	for _, sh := range ln.(*listener).shards {
		sh.mu.Lock()
		for _, c := range sh.raw {
			c.heard, c.earlier = c.heard-by.Milliseconds(), c.earlier-by.Milliseconds()
		}
		sh.mu.Unlock()
	}
}

// Company is where a client's acknowledgements wait, with an MTU; alone gets what has waited in vain.
type Company struct{ c company }

// NewCompany returns one.
func NewCompany(mtu int, alone func(d []byte)) *Company {
	c := &Company{company{mtu: mtu}}
	c.c.alone = func() {
		if d, _ := c.c.join(nil, 0); d != nil {
			alone(d)
		}
	}
	return c
}

// Send returns what leaves now because a datagram does.
func (c *Company) Send(d []byte) (datagrams [][]byte) {
	if c.c.keep(d) {
		return nil
	}
	before, full := c.c.join(nil, len(d))
	if full {
		return [][]byte{before, d}
	}
	return [][]byte{append(before, d...)}
}

// Stop is company's.
func (c *Company) Stop() { c.c.stop() }

// AckWait is how long they wait.
const AckWait = ackWait

// Waits says whether one of a client's waits.
func Waits(c net.Conn) bool {
	w := c.(*client).link.company
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waits
}
