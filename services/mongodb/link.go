package mongodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/skua-go/skua/internal/mongouri"
	"github.com/skua-go/skua/internal/reach"
	"github.com/skua-go/skua/lua/owned"
)

// link is the connections to a deployment as one user, which all services with the same wish share.
type link struct {
	key   string
	refs  int // guarded by Clients.mu: handles, cursors, calls and lanes that write
	open  func() error
	clean mongouri.Scrubber

	// Set when open has returned without an error.

	client *driver.Client
	reads  *readpref.ReadPref // of the URI, for reads
}

// link finds the connections that a script wants, or makes them; release gives them back. It blocks while a mongodb+srv name is looked up. No server has been
// asked yet.
func (n *Clients) link(cfg *conf) (*link, error) {
	n.mu.Lock()
	l := n.links[cfg.key()]
	switch {
	case n.stopped:
		n.mu.Unlock()
		return nil, ErrStopped
	case l == nil && len(n.links) >= n.cfg.MaxClients:
		n.mu.Unlock()
		n.cfg.Metrics.refused.Inc()
		return nil, fmt.Errorf("%w clients on this node: %d", ErrTooMany, n.cfg.MaxClients)
	case l == nil:
		l = &link{key: cfg.key()}
		l.open = sync.OnceValue(func() error { return n.connect(l, cfg) })
		n.links[l.key] = l
		n.cfg.Metrics.clients.Inc()
	}
	l.refs++
	n.mu.Unlock()
	if err := l.open(); err != nil {
		n.release(l)
		return nil, err
	}
	return l, nil
}

// connect makes the driver's client, which connects in the background.
func (n *Clients) connect(l *link, cfg *conf) error {
	settings, clean, err := n.settings(cfg)
	if err != nil {
		return err
	}
	l.clean, l.reads = clean, settings.ReadPreference
	if l.client, err = driver.Connect(settings); err != nil {
		return fmt.Errorf("mongo: %w", clean.Error(err))
	}
	return nil
}

// retain is for one more call or cursor of a handle.
func (n *Clients) retain(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.refs++
}

// release takes a reference back; the last one closes the connections.
func (n *Clients) release(l *link) {
	n.mu.Lock()
	l.refs--
	last := l.refs == 0 && n.links[l.key] == l
	if last {
		delete(n.links, l.key)
		n.cfg.Metrics.clients.Dec()
	}
	stopped := n.stopped
	if last && !stopped {
		n.tasks.Go(func() { l.close(n.cfg.Timeout) })
	}
	n.mu.Unlock()
	if last && stopped {
		l.close(owned.StopTimeout) // by a task that the stop waits for
	}
}

// close ends the connections. It blocks until those that are being made have ended.
func (l *link) close(timeout time.Duration) {
	if l.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = l.client.Disconnect(ctx) // it can only be late, or have been done
}

// err is what a script is told of an error of the driver.
func (l *link) err(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return fmt.Errorf("mongo: %w", l.clean.Error(err))
}

// dialer connects scripts to the addresses that they may reach.
type dialer struct{ networks []netip.Prefix }

// DialContext is the driver's ContextDialer.
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	inner := net.Dialer{ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%s %q is no address of TCP, and nothing else is for scripts", network, address)
		}
		if !reach.Allowed(d.networks, at.Addr()) {
			return fmt.Errorf("not allowed by the node's configuration: connect to %s", at)
		}
		return nil
	}}
	return inner.DialContext(ctx, network, address)
}
