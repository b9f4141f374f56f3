package acceptance_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// errCut is what users of a connection see that has been cut.
var errCut = errors.New("cut")

// fate is how a connection ends that is cut.
type fate int

const (
	closed    fate = iota // as a program closes it: TCP ends its half, KCP says so
	reset                 // TCP forgets what was on its way; KCP as closed
	abandoned             // nothing is said: the server finds out by itself, or when the client comes back. The old connection lasts on for a while
	fates
)

// knife decides where connections are cut.
type knife struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	blunt  atomic.Bool // no more cuts
	cuts   [fates]atomic.Int64
	graves sync.WaitGroup // abandoned connections that are still there
}

// around gives a connection its place and kind of end.
func (k *knife) around(nc net.Conn) net.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &doomed{Conn: nc, knife: k, fate: fate(k.rnd.IntN(int(fates))), grave: time.Duration(k.rnd.Int64N(int64(2 * time.Second)))}
	c.up.Store(math.MaxInt64)
	c.down.Store(math.MaxInt64)
	if k.blunt.Load() {
		return c
	}
	// Even over the orders of magnitude, so that handshakes are cut as often as what follows them.
	at := int64(math.Exp(k.rnd.Float64() * math.Log(8_000)))
	if k.rnd.IntN(2) == 0 {
		c.up.Store(at)
	} else {
		c.down.Store(at)
	}
	return c
}

// doomed is a connection that breaks when so many bytes have gone up, or come down, to the byte.
type doomed struct {
	net.Conn
	knife    *knife
	fate     fate
	grave    time.Duration
	up, down atomic.Int64
	once     sync.Once
	cut      atomic.Bool
}

func (c *doomed) Write(p []byte) (int, error) {
	left := c.up.Load()
	if c.cut.Load() {
		return 0, errCut
	}
	if int64(len(p)) < left {
		n, err := c.Conn.Write(p)
		c.up.Add(-int64(n))
		return n, err
	}
	n, err := c.Conn.Write(p[:left])
	c.fall()
	if err == nil {
		err = errCut
	}
	return n, err
}

func (c *doomed) Read(p []byte) (int, error) {
	left := c.down.Load()
	if left <= 0 {
		c.fall()
	}
	if c.cut.Load() {
		return 0, errCut
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.down.Add(-int64(n))
	if n == 0 && c.cut.Load() {
		err = errCut
	}
	return n, err
}

// fall cuts.
func (c *doomed) fall() {
	c.once.Do(func() {
		c.cut.Store(true)
		c.knife.cuts[c.fate].Add(1)
		if c.fate == abandoned {
			_ = c.SetReadDeadline(time.Unix(1, 0)) // for whoever reads just now
			c.knife.graves.Add(1)
			time.AfterFunc(c.grave, func() {
				_ = c.Conn.Close()
				c.knife.graves.Done()
			})
			return
		}
		if tcp, ok := c.Conn.(*net.TCPConn); ok && c.fate == reset {
			_ = tcp.SetLinger(0)
		}
		_ = c.Conn.Close()
	})
}

// Close is of the user, who need not know that the connection has been cut.
func (c *doomed) Close() error {
	err := os.ErrClosed
	c.once.Do(func() {
		c.cut.Store(true)
		err = c.Conn.Close()
	})
	return err
}
