package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	connectTimeout = 2 * time.Second // for each server of the URL
	pingInterval   = 5 * time.Second // a dead link is known after two
	reconnectWait  = 250 * time.Millisecond
	// dropReport is the least time between two log lines on dropped messages.
	dropReport = 5 * time.Second
)

// connect opens the connection. Publishing while it is down fails at once: a caller that is told can decide, one whose message
// is delivered minutes later can't.
func (n *Node) connect(ctx context.Context) error {
	proof, err := n.proof()
	if err != nil {
		return err
	}
	options := append([]nats.Option{
		nats.Name("skua " + n.cfg.Name),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait/2, reconnectWait),
		nats.ReconnectBufSize(-1),
		nats.ConnectHandler(func(*nats.Conn) { n.event("connected", nil) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.event("disconnected", err) }),
		nats.ReconnectHandler(func(*nats.Conn) { n.event("reconnected", nil) }),
		nats.ClosedHandler(func(c *nats.Conn) { n.event("closed", c.LastError()) }),
		nats.LameDuckModeHandler(func(*nats.Conn) { n.event("lame_duck", nil) }),
		nats.ErrorHandler(n.asyncError),
	}, proof...)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cluster: connecting: %w", err)
	}
	conn, err := nats.Connect(n.url(), options...)
	if err != nil {
		return fmt.Errorf("cluster: connecting to %s: %w", redact(n.url()), n.explain(err))
	}
	n.conn = conn
	n.js, err = jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("cluster: JetStream: %w", err)
	}
	return nil
}

// url is that of the servers, empty for the embedded one.
func (n *Node) url() string {
	if len(n.cfg.Join) == 0 {
		return n.cfg.URL
	}
	scheme := "nats://"
	if n.cfg.TLS != (TLS{}) {
		scheme = "tls://"
	}
	return scheme + strings.Join(n.cfg.Join, ","+scheme)
}

// proof is how the connection is made, and shows who the node is.
func (n *Node) proof() ([]nats.Option, error) {
	var options []nats.Option
	if n.cfg.URL == "" && n.cfg.Secret != "" && !n.alone() {
		pair, public, err := identity(n.cfg.Secret)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Nkey(public, pair.Sign))
	}
	if n.embedded() {
		return append(options, nats.InProcessServer(n.server)), nil
	}
	if n.cfg.TLS.CA != "" {
		options = append(options, nats.RootCAs(n.cfg.TLS.CA))
	}
	if n.cfg.TLS.Cert != "" {
		options = append(options, nats.ClientCert(n.cfg.TLS.Cert, n.cfg.TLS.Key))
	}
	if n.cfg.Login.Credentials != "" {
		options = append(options, nats.UserCredentials(n.cfg.Login.Credentials))
	}
	if n.cfg.Login.NKey != "" {
		seed, err := nats.NkeyOptionFromSeed(n.cfg.Login.NKey)
		if err != nil {
			return nil, fmt.Errorf("cluster: nkey in %s: %w", n.cfg.Login.NKey, err)
		}
		options = append(options, seed)
	}
	return options, nil
}

// explain says what is to be done about a connection that was refused.
func (n *Node) explain(err error) error {
	err = withoutPassword(n.url(), err)
	switch {
	case len(n.cfg.Join) == 0:
		return err
	case errors.Is(err, nats.ErrAuthorization) && n.cfg.Secret == "":
		return fmt.Errorf("%w: that node has a secret, and this one has none", err)
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w: the secret is not that node's", err)
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("%w: that node has no secret, and this one has one", err)
	default:
		return err
	}
}

// event counts and logs what happens to the connection. It runs on a goroutine of nats.go.
func (n *Node) event(name string, err error) {
	n.metrics.event(name)
	switch {
	case err != nil && name != "closed":
		n.log.Warn("cluster: connection "+name, "err", err)
	case name == "connected" || name == "closed":
		n.log.Debug("cluster: connection " + name)
	default:
		n.log.Info("cluster: connection " + name)
	}
}

// asyncError hears of what has no caller: a subscription that is too slow, above all. nats.go reports the first message of a row that it drops.
func (n *Node) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	n.metrics.event("error")
	if sub == nil || !errors.Is(err, nats.ErrSlowConsumer) {
		n.log.Warn("cluster: connection error", "err", err)
		return
	}
	n.metrics.dropping(sub)
	if n.metrics.mayReport(time.Now()) {
		n.log.Warn("cluster: a subscription is too slow, messages are dropped", "subject", sub.Subject, "dropped_total", n.metrics.droppedTotal())
	}
}

// closeConn closes the connection and waits until its handlers have run, so that nothing is logged after Close.
func (n *Node) closeConn() {
	closed := n.conn.StatusChanged(nats.CLOSED)
	if n.conn.IsClosed() {
		return
	}
	n.conn.Close()
	<-closed
}

// redact is the URL list as it may be shown.
func redact(urls string) string {
	if urls == "" {
		return "the embedded server"
	}
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		u, err := url.Parse(strings.TrimSpace(p))
		if err != nil {
			parts[i] = "(unreadable URL)"
			continue
		}
		parts[i] = u.Redacted()
	}
	return strings.Join(parts, ",")
}

// withoutPassword hides an error that quotes the URL, as the errors of url.Parse do.
func withoutPassword(urls string, err error) error {
	var bad *url.Error
	if urls != "" && errors.As(err, &bad) {
		return bad.Err
	}
	return err
}
