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

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// drainKind is the kind of letter by which a node is told to give what it has to others. It is answered by lines of progress.
const (
	drainKind = "drain"
	// controlBeat is how often a node that drains says that it is still there, and controlSilence how long it may say nothing.
	controlBeat    = time.Second
	controlSilence = 10 * time.Second
)

// control is a node's part in orders between nodes.
type control struct {
	n     *node
	inbox *inbox
	log   *slog.Logger
	life  context.Context //nolint:containedctx // of drains, which outlive the message that began them
}

// openControl has the node take orders of others, as soon as its inbox is served, until ctx ends.
func (n *node) openControl(ctx context.Context) error {
	var err error
	if n.inbox, err = n.newInbox(); err != nil {
		return err
	}
	n.control = &control{n: n, inbox: n.inbox, log: n.inbox.log, life: ctx}
	n.inbox.kinds[drainKind] = letterKind{take: n.control.take}
	return nil
}

// take runs on the goroutine of the inbox.
func (c *control) take(m *nats.Msg, l *letter) (reason string, err error) {
	var o admin.DrainOrder
	if err := json.Unmarshal(l.Body, &o); err != nil {
		return "order", errors.New("expected an order to drain")
	}
	if o.Timeout <= 0 || o.Timeout > admin.MaxDrain.Milliseconds() {
		return "order", fmt.Errorf("a time of up to %v is expected", admin.MaxDrain)
	}
	c.log.Info("drain: ordered by another node", "from", l.From, "within", time.Duration(o.Timeout)*time.Millisecond, "stay", o.Stay)
	return c.inbox.begin(func() { c.drain(m.Reply, o) })
}

// drain does it, and tells whoever has asked.
func (c *control) drain(reply string, o admin.DrainOrder) {
	ctx, done := context.WithCancel(c.life)
	var beats sync.WaitGroup
	defer beats.Wait()
	defer done()
	beats.Go(func() {
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

// order has another node do something, and hears how far that is.
func (c *control) order(ctx context.Context, o admin.DrainOrder, tell func(admin.DrainProgress)) error {
	if c.inbox.seal.key == nil {
		return errNoSecret
	}
	to, ok := c.n.members.Find(o.Node)
	if !ok || !to.State.Reachable() {
		return fmt.Errorf("no node %q is alive: `skua cluster status` lists them", o.Node)
	}
	data, err := c.inbox.write(&to, drainKind, o)
	if err != nil {
		return err
	}
	conn := c.n.peers.Conn()
	answers := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(answers)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be gone
	if err := conn.PublishRequest(inboxSubject(o.Node), answers, data); err != nil {
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
		if err := refusal(m); err != nil {
			return fmt.Errorf("%s: %w", to.Name, err)
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
