package lease

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/cluster"
)

// What others may ask for at once: a message of each node for each lease that is held here, and no more than a stranger may take.
const (
	maxWants     = 1 << 16
	maxWantBytes = 16 << 20
	maxWantSize  = 2 << 10
	// maxLine is how many nodes may stand in line for one lease: more than a cluster has.
	maxLine = 1024
	maxWait = 24 * time.Hour
)

// want is a node that waits for a lease.
type want struct {
	incarnation uint64
	waiter      uint64
	since       time.Time // by this node's clock
	heard       time.Time
}

// wanted is how a node tells the holder that it waits.
type wanted struct {
	V           int    `json:"v"`
	Key         string `json:"key"`
	Node        string `json:"node"`
	Incarnation uint64 `json:"inc"`
	Waiter      uint64 `json:"waiter"`
	Waited      int64  `json:"us"`
}

func (l *Leases) wantSubject(node string) string { return "skua.want." + l.cfg.Bucket + "." + node }

// listen hears of those who wait for what this node holds.
func (l *Leases) listen() (*nats.Subscription, error) {
	conn := l.node.Conn()
	sub, err := conn.Subscribe(l.wantSubject(l.node.Name()), l.hearWant)
	if err == nil {
		err = sub.SetPendingLimits(maxWants, maxWantBytes)
	}
	if err == nil {
		err = conn.FlushTimeout(closeTimeout)
	}
	if err != nil {
		return sub, fmt.Errorf("lease: subscribing to those who wait: %w", err)
	}
	return sub, nil
}

// sayWant tells a holder that somebody here waits.
func (l *Leases) sayWant(key, holder string, waiter uint64, waited time.Duration) {
	if cluster.CheckName(holder) != nil {
		return
	}
	l.mu.Lock()
	incarnation := l.incarnation
	l.mu.Unlock()
	text, err := json.Marshal(wanted{1, key, l.node.Name(), incarnation, waiter, waited.Microseconds()})
	if err == nil {
		err = l.node.Conn().Publish(l.wantSubject(holder), text)
	}
	if err != nil { // it is told again
		l.log.Debug("lease: the holder was not told that somebody waits", "key", key, "error", err)
	}
}

func (l *Leases) hearWant(m *nats.Msg) {
	var w wanted
	if len(m.Data) > maxWantSize || json.Unmarshal(m.Data, &w) != nil || w.V != 1 || checkKey(w.Key) != nil || cluster.CheckName(w.Node) != nil ||
		w.Incarnation == 0 || w.Waited < 0 || w.Waited > maxWait.Microseconds() {
		l.metrics.refused.WithLabelValues("bad_want").Inc()
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.lines[w.Key]
	if ln == nil || ln.lease == nil || w.Node == l.node.Name() {
		return // it will find out
	}
	if ln.wants == nil {
		ln.wants = map[string]want{}
	}
	before, known := ln.wants[w.Node]
	if !known && len(ln.wants) >= maxLine {
		l.metrics.refused.WithLabelValues("wants").Inc()
		return
	}
	since := now.Add(-time.Duration(w.Waited) * time.Microsecond)
	if known && before.waiter == w.Waiter && before.incarnation == w.Incarnation && before.since.Before(since) {
		since = before.since // what it said first has come faster
	}
	ln.wants[w.Node] = want{w.Incarnation, w.Waiter, since, now}
}

// heir is who has waited longest for a lease that was given up: another node, or somebody of this one.
func (l *Leases) heir(x *Lease) (other *place, local bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.lineOf(x.key)
	var since time.Time
	if len(ln.queue) > 0 && !l.ended {
		since, local = ln.queue[0].since, true
	}
	now := time.Now()
	for name, w := range ln.wants {
		if now.Sub(w.heard) > 3*l.cfg.again() {
			delete(ln.wants, name) // it waits no more
			continue
		}
		if (!local && other == nil) || w.since.Before(since) {
			since, local, other = w.since, false, &place{name, w.incarnation}
		}
	}
	if other != nil {
		ln.wants = nil // they tell the new holder
	}
	if !l.ours(x.entry(1)) {
		local = false // it is an entry of a former incarnation of this node
	}
	return other, local
}
