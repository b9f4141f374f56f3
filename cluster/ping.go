package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// What may wait for the answer to pings: more than a cluster of nodes asks at once, and no more than a stranger may take.
const (
	maxPings     = 1024
	maxPingBytes = 256 << 10
)

// Info is what a node tells about itself.
type Info struct {
	Name        string    `json:"name"`
	Incarnation uint64    `json:"incarnation"`
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
}

// Info is what this node answers to pings.
func (n *Node) Info() Info {
	return Info{Name: n.cfg.Name, Incarnation: n.Lease().Incarnation, Version: n.cfg.Version, Started: n.started}
}

func pingSubject(name string) string { return "skua.node." + name + ".ping" }

// isInbox tells whether an answer may go to a subject: not to those that mean something to NATS, to JetStream or to nodes, where whoever asks may not publish himself.
func isInbox(subject string) bool {
	return subject != "" && !strings.HasPrefix(subject, "$") && !strings.HasPrefix(subject, "skua.")
}

// answerPings answers whatever is sent, since a ping has no content.
func (n *Node) answerPings() error {
	sub, err := n.conn.Subscribe(pingSubject(n.cfg.Name), func(m *nats.Msg) {
		if !isInbox(m.Reply) {
			n.metrics.event("bad_ping")
			return
		}
		text, err := json.Marshal(n.Info())
		if err == nil {
			err = m.Respond(text)
		}
		if err != nil {
			n.log.Debug("cluster: ping not answered", "err", err)
		}
	})
	if err != nil {
		return fmt.Errorf("cluster: subscribing to pings: %w", err)
	}
	n.ping = sub
	if err := sub.SetPendingLimits(maxPings, maxPingBytes); err != nil {
		return fmt.Errorf("cluster: subscribing to pings: %w", err)
	}
	// Whoever finds the name in the bucket may ping it: the server must know of the subscription by now.
	if err := n.conn.FlushTimeout(connectTimeout); err != nil {
		return fmt.Errorf("cluster: subscribing to pings: %w", err)
	}
	return nil
}

// Ping asks a node about itself. ErrNoNode (wrapped) comes at once when nobody of that name is connected; ctx, which needs a
// deadline, bounds the wait for one that is but does not answer.
func (n *Node) Ping(ctx context.Context, name string) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	reply, err := n.conn.RequestWithContext(ctx, pingSubject(name), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return Info{}, fmt.Errorf("%w: %s", ErrNoNode, name)
	}
	if err != nil {
		return Info{}, fmt.Errorf("cluster: pinging %s: %w", name, err)
	}
	var info Info
	if err := json.Unmarshal(reply.Data, &info); err != nil {
		return Info{}, fmt.Errorf("cluster: pinging %s: the answer is not a node's: %w", name, err)
	}
	if info.Name != name {
		return Info{}, fmt.Errorf("cluster: pinging %s: the answer is from %q", name, info.Name)
	}
	return info, nil
}
