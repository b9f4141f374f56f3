// Package socket gives scripts the network: `require "skynet.socket"`, TCP and UDP as in Skynet. The verbs that scripts know are scripts/skynet/socket.lua and
// socketchannel.lua; this package is the module "skynet.socketdriver" below them.
//
// A socket has a number, which counts up from 1 on the whole node, and belongs to at most one service, which reads it and hears of it. Whoever knows the
// number may write to it and close it, as in Skynet. What arrives is kept for the owner up to Config.ReadAhead bytes; then the peer has to wait. While the
// owner waits for more than that (a line, all, n bytes) it is kept up to Config.MaxUnread. Writing never waits: what the peer does not take is kept up to
// Config.MaxUnwritten. What all sockets keep together is bounded by Config.MaxMemory. Whoever passes a bound loses the socket, not the node.
//
// # Which hosts a script may reach
//
// The scripts of a project are its studio's, so by default they may connect to any address and listen on any that they name: a script that listens on
// 0.0.0.0 means it, though nothing of the node itself does so unless its configuration says it. Config.Connect and Config.Listen narrow that down for scripts
// that are trusted less. They are lists of networks, and hold for TCP and UDP. A name is resolved first and each of its addresses is checked when it is used,
// so no name leads around them. 0.0.0.0 and :: are addresses like others there: listening on them needs a network that contains them, such as 0.0.0.0/0.
// A UDP socket that names no address of its own is a client, and is not listening.
//
// # What differs from Skynet
//
// Data that a service has not read when another one takes its socket over are read by the other one, and what is written to an accepted socket that nobody
// has started goes out. Reading n = 0 bytes gives "", and block returns at once while there is something to read. A full line that came before the end of a
// connection is read, even if both came at once. The callback of onclose runs however the connection ended. A backlog is the system's. Connections have
// TCP_NODELAY from the start. bind and stdin are errors: a script gets no descriptors of the node's process.
package socket

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/lua/owned"
)

// ServiceName is the name of the actor that closes the sockets of services that have ended.
const ServiceName = "socket"

// Errors of sockets.
var (
	ErrTooMany    = errors.New("socket: too many sockets on this node")
	ErrStopped    = errors.New("socket: the node stops")
	ErrNotAllowed = errors.New("socket: not allowed by the node's configuration")
)

// Config tells what sockets may do. The zero Config works.
type Config struct {
	// Connect are the networks that scripts may connect and send to. Default: all.
	Connect []netip.Prefix
	// Listen are the networks of the addresses that scripts may listen on. Default: all.
	Listen []netip.Prefix
	// MaxSockets bounds the sockets of a node, those that are being opened and those that still write what they were given before they were closed
	// among them. Default 10,000.
	MaxSockets int
	// ConnectTimeout bounds how long it takes to find a host and to connect to it. Default 10 s.
	ConnectTimeout time.Duration
	// ReadAhead is how many bytes a socket may hold that nobody waits for; then the peer has to wait. Default 64 KiB.
	ReadAhead int
	// MaxUnread is how many bytes a socket may hold while a script waits for a line, for the end, or for as many: more close it. Default 16 MiB.
	MaxUnread int
	// MaxUnwritten is how many bytes may wait to be taken by the peer: more close the socket. Default 64 MiB.
	MaxUnwritten int
	// MaxMemory bounds the bytes that all sockets hold, read or to be written: the socket that would pass it is closed. Default 1 GiB.
	MaxMemory int64
	// FlushTimeout bounds how long a socket that was closed may go on to write what it was given before. Default 30 s.
	FlushTimeout time.Duration
	// Resolver finds the addresses of hosts. Default net.DefaultResolver.
	Resolver *net.Resolver
	// Metrics counts. Default: nobody looks.
	Metrics *Metrics
	// Log gets what is wrong with connections. Default slog.Default().
	Log *slog.Logger
}

func (c *Config) fill() {
	c.MaxSockets = positive(c.MaxSockets, 10_000)
	c.ConnectTimeout = positive(c.ConnectTimeout, 10*time.Second)
	c.ReadAhead = positive(c.ReadAhead, 64<<10)
	c.MaxUnread = positive(c.MaxUnread, 16<<20)
	c.MaxUnwritten = positive(c.MaxUnwritten, 64<<20)
	c.MaxMemory = positive(c.MaxMemory, 1<<30)
	c.FlushTimeout = positive(c.FlushTimeout, 30*time.Second)
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

func positive[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Sockets are the sockets of a node. Its Module goes into the runtime of scripts, its Spec to the node's actors; the sockets are closed when that ends.
type Sockets struct {
	cfg    Config
	things owned.Things // by service
	pool   chunks
	held   atomic.Int64   // bytes, see Config.MaxMemory
	tasks  sync.WaitGroup // the goroutines of sockets, and the sockets: while one is there it may start more

	mu      sync.Mutex
	table   map[int64]sock // nil for one that is being opened
	last    int64          // the newest number
	stopped bool
}

// New makes a node's Sockets.
func New(cfg Config) *Sockets {
	cfg.fill()
	n := &Sockets{cfg: cfg, table: map[int64]sock{}}
	n.things = owned.Things{Name: ServiceName, Sort: "sockets", Module: "skynet.socket", Stop: func() { n.stop(owned.StopTimeout) }}
	return n
}

// sock is a socket of any kind.
type sock interface {
	head() *base
	close()                      // writes what it was given before, then it is gone
	abort(reason error)          // gone at once
	setOwner(u *user) bool       // false if the socket or the service has ended
	info(now time.Time) (i info) // for netstat
}

// base is what sockets of all kinds have.
type base struct {
	id   int64
	node *Sockets

	mu     sync.Mutex // taken before user.mu and Sockets.mu, never behind them
	owner  *user      // who reads it and hears of it; nil for nobody
	posted *user      // in whose queue it is
	read   traffic
	wrote  traffic
}

// traffic is what has passed a socket in one direction.
type traffic struct {
	bytes int64
	last  time.Time
}

func (t *traffic) add(n int) {
	t.bytes += int64(n)
	t.last = time.Now()
}

func (b *base) head() *base { return b }

// reserve takes a number for a socket that is to be: set or remove follows.
func (n *Sockets) reserve() (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return 0, ErrStopped
	}
	if len(n.table) >= n.cfg.MaxSockets {
		n.cfg.Metrics.refused.Inc()
		return 0, fmt.Errorf("%w: %d are open", ErrTooMany, len(n.table))
	}
	n.last++
	n.table[n.last] = nil
	n.tasks.Add(1)
	n.cfg.Metrics.open.Inc()
	return n.last, nil
}

// set puts a socket in the place of its number; false when the node stops.
func (n *Sockets) set(id int64, s sock) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return false
	}
	n.table[id] = s
	return true
}

// remove forgets a number. A second time does nothing.
func (n *Sockets) remove(id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.table[id]; ok {
		delete(n.table, id)
		n.tasks.Done()
		n.cfg.Metrics.open.Dec()
	}
}

// find gives the socket of a number, nil if there is none.
func (n *Sockets) find(id int64) sock {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.table[id]
}

// all are the sockets that are open.
func (n *Sockets) all() []sock {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]sock, 0, len(n.table))
	for _, s := range n.table {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// hold counts bytes that a socket keeps, fewer of them for a negative n; false if there are too many.
func (n *Sockets) hold(bytes int) bool {
	held := n.held.Add(int64(bytes))
	n.cfg.Metrics.held.Set(float64(held))
	return bytes <= 0 || held <= n.cfg.MaxMemory
}
