package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// A node takes orders from others at skua.ctl.NAME: HMAC-SHA256 of the rest by a key made of cluster.secret, then JSON. It names the incarnation that is meant, so that an order that somebody has seen is of no use against
// a successor. Who may publish there without the secret is refused, counted, and logged once in 5 s.
const (
	controlVersion = 1
	maxControl     = 4 << 10
	maxControls    = 64 // that wait
	controlReport  = 5 * time.Second
	// controlBeat is how often a node that drains says that it is still there, and controlSilence how long it may say nothing.
	controlBeat    = time.Second
	controlSilence = 10 * time.Second
)

func controlSubject(name string) string { return "skua.ctl." + name }

// controlOrder is what one node tells another.
type controlOrder struct {
	V           int              `json:"v"`
	From        string           `json:"from"`
	Incarnation uint64           `json:"inc"` // of the node that is told
	Drain       admin.DrainOrder `json:"drain"`
}

var errNoSecret = errors.New("nodes take orders of each other only where both have cluster.secret (SKUA_CLUSTER_SECRET): ask the node itself, at its listen.admin")

// control is a node's part in orders between nodes.
type control struct {
	n    *node
	seal seal
	log  *slog.Logger
	life context.Context //nolint:containedctx // of drains, which outlive the message that began them
	sub  *nats.Subscription

	tasks   sync.WaitGroup
	refused *prometheus.CounterVec
	mu      sync.Mutex
	told    time.Time
}

// controlFlush bounds the wait for the server to know the subscription.
const controlFlush = 5 * time.Second

// openControl takes orders of other nodes until stop is called.
func (n *node) openControl(ctx context.Context) (stop func() error, err error) {
	c := &control{n: n, log: n.log.With("part", "control"), life: ctx}
	c.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skua_control_refused_total", Help: "Orders of other nodes that were not taken, by reason.",
	}, []string{"reason"})
	if err := n.metrics.Register(c.refused); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if c.seal, err = n.newSeal("orders"); err != nil {
		return nil, err
	}
	if c.sub, err = n.peers.Conn().Subscribe(controlSubject(n.project.cfg.Name), c.take); err == nil {
		err = c.sub.SetPendingLimits(maxControls, maxControls*maxControl)
	}
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	// Whoever reads that this node is ready may send orders over another connection. Without a connection the subscription goes out with the next one.
	_ = n.peers.Conn().FlushTimeout(controlFlush)
	n.control = c
	return func() error {
		err := c.sub.Unsubscribe()
		c.tasks.Wait()
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			return nil
		}
		return err
	}, nil
}

// read takes an order apart, or says why it is none.
func (c *control) read(data []byte) (o controlOrder, reason string, err error) {
	if c.seal.key == nil {
		return o, "no_secret", errNoSecret
	}
	text, err := c.seal.open(data[:min(len(data), maxControl+1)])
	if err != nil {
		return o, "signature", err
	}
	if err := json.Unmarshal(text, &o); err != nil || o.V != controlVersion {
		return o, "version", fmt.Errorf("expected an order of version %d", controlVersion)
	}
	if own := c.n.members.Self().Incarnation; o.Incarnation != own {
		return o, "incarnation", fmt.Errorf("it is for incarnation %d, this node is %d", o.Incarnation, own)
	}
	if o.Drain.Timeout <= 0 || o.Drain.Timeout > admin.MaxDrain.Milliseconds() {
		return o, "order", fmt.Errorf("a time of up to %v is expected", admin.MaxDrain)
	}
	return o, "", nil
}

// take runs on the goroutine of the subscription.
func (c *control) take(m *nats.Msg) {
	o, reason, err := c.read(m.Data)
	if err != nil {
		c.refuse(reason, err)
		c.answer(m.Reply, admin.DrainProgress{End: true, Error: err.Error()})
		return
	}
	c.log.Info("drain: ordered by another node", "from", o.From, "within", time.Duration(o.Drain.Timeout)*time.Millisecond, "stay", o.Drain.Stay)
	c.tasks.Go(func() { c.drain(m.Reply, o.Drain) })
}

// drain does it, and tells whoever has asked.
func (c *control) drain(reply string, o admin.DrainOrder) {
	ctx, done := context.WithCancel(c.life)
	defer done()
	c.tasks.Go(func() {
		tick := time.NewTicker(controlBeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.answer(reply, admin.DrainProgress{Node: c.n.project.cfg.Name})
			}
		}
	})
	last := admin.DrainProgress{Node: c.n.project.cfg.Name, End: true}
	if err := c.n.drainer.order(ctx, o, func(p admin.DrainProgress) { c.answer(reply, p) }); err != nil {
		last.Error = err.Error()
	}
	c.answer(reply, last)
}

func (c *control) answer(reply string, p admin.DrainProgress) {
	if reply == "" {
		return
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = c.n.peers.Conn().Publish(reply, text)
	}
	if err != nil {
		c.log.Debug("drain: whoever has asked is not told", "err", err)
	}
}

func (c *control) refuse(reason string, err error) {
	c.refused.WithLabelValues(reason).Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.told) > controlReport {
		c.told = now
		c.log.Warn("control: an order is refused", "reason", reason, "err", err)
	}
}

// order has another node do something, and hears how far that is.
func (c *control) order(ctx context.Context, o admin.DrainOrder, tell func(admin.DrainProgress)) error {
	if c.seal.key == nil {
		return errNoSecret
	}
	to, ok := c.n.members.Find(o.Node)
	if !ok || !to.State.Reachable() {
		return fmt.Errorf("no node %q is alive: `skua cluster status` lists them", o.Node)
	}
	body, err := json.Marshal(controlOrder{V: controlVersion, From: c.n.project.cfg.Name, Incarnation: to.Incarnation, Drain: o})
	if err != nil {
		return err
	}
	conn := c.n.peers.Conn()
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be gone
	if err := conn.PublishRequest(controlSubject(o.Node), inbox, c.seal.sign(body)); err != nil {
		return err
	}
	if err := c.follow(ctx, sub, to, tell); err != nil || o.Stay {
		return err
	}
	return c.awaitLeft(ctx, to, tell)
}

// follow passes on what the node tells.
func (c *control) follow(ctx context.Context, sub *nats.Subscription, to cluster.Member, tell func(admin.DrainProgress)) error {
	for {
		limited, cancel := context.WithTimeout(ctx, controlSilence)
		m, err := sub.NextMsgWithContext(limited)
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, nats.ErrNoResponders):
			return fmt.Errorf("%s takes no orders: it is about to stop, or of an older version", to.Name)
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("%s has told nothing for %v", to.Name, controlSilence)
		case err != nil:
			return err
		}
		if m.Header.Get("Status") == "503" && len(m.Data) == 0 {
			return fmt.Errorf("%s takes no orders: it is about to stop, or of an older version", to.Name)
		}
		var p admin.DrainProgress
		if err := json.Unmarshal(m.Data, &p); err != nil {
			return fmt.Errorf("%s: what it tells is unreadable", to.Name)
		}
		switch {
		case p.End && p.Error != "":
			return errors.New(p.Error)
		case p.End:
			return nil
		case p.Step != "":
			tell(p)
		}
	}
}

// awaitLeft waits until the node has said goodbye: its actors have ended by then, and saved.
func (c *control) awaitLeft(ctx context.Context, to cluster.Member, tell func(admin.DrainProgress)) error {
	begun := time.Now()
	tell(admin.DrainProgress{Node: to.Name, Step: "stop", State: "begun"})
	left := make(chan error, 1)
	cancel := c.n.members.Watch(func(e cluster.Event) {
		if e.Member.Name != to.Name {
			return
		}
		var verdict error
		switch {
		case e.Member.Incarnation == to.Incarnation && e.Member.State == cluster.Left:
		case e.Member.Incarnation == to.Incarnation && e.Member.State == cluster.Dead:
			verdict = fmt.Errorf("%s has ended without a goodbye: see its log", to.Name)
		case e.Member.Incarnation > to.Incarnation: // it is there again already
		default:
			return
		}
		select {
		case left <- verdict:
		default:
		}
	})
	defer cancel()
	if m, ok := c.n.members.Find(to.Name); ok && m.Incarnation == to.Incarnation && m.State == cluster.Left {
		select {
		case left <- nil:
		default: // it has been told meanwhile
		}
	}
	select {
	case err := <-left:
		if err == nil {
			tell(admin.DrainProgress{Node: to.Name, Step: "stop", State: "done", Took: time.Since(begun).Milliseconds()})
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s is drained, but has not stopped: %w", to.Name, context.Cause(ctx))
	}
}
