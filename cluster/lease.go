package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	bucketName = "skua_nodes"
	// gone is how long a holder of the name must be without a connection before it is taken for dead. Reconnecting takes well
	// under a second. Were it alive after all, its next renewal fails, and whatever it writes under its incarnation is old.
	gone = 3 * time.Second
	// askAgain is the pause between two questions to a former holder of the name.
	askAgain = 250 * time.Millisecond
	// closeTimeout bounds what Close waits for servers.
	closeTimeout = 2 * time.Second
)

// Lease is a node's right to its name.
type Lease struct {
	// Incarnation rises with each registration of the name in the cluster and is never used twice: it fences.
	Incarnation uint64
	// Held is true while the node may trust it: no other node can have been given the name. It turns false by itself when
	// nothing could be renewed for three quarters of Config.Lease, and true again, possibly with a new Incarnation, when the cluster is back.
	Held bool
	// Renewed is when the last renewal that the servers have acknowledged began; zero where nothing needs be renewed.
	Renewed time.Time
}

// lease is what the node knows of its entry in the bucket.
type lease struct {
	mu          sync.Mutex
	incarnation uint64
	revision    uint64 // of the entry as last written
	held        bool
	until       time.Time // zero: for ever
}

// entry is the value of a node's key. Its incarnation is 0 in the first revision, which is the incarnation then.
type entry struct {
	Incarnation uint64    `json:"incarnation,omitempty"`
	Life        string    `json:"life,omitempty"`  // of whoever wrote it: a random one each Node
	Lease       int64     `json:"lease,omitempty"` // in seconds; 0 if it is not renewed, as by a node that is alone, or if JetStream ends it, as nodes of older versions have it
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
}

// Lease tells whether the node may act under its name, and as which incarnation.
func (n *Node) Lease() Lease {
	l := &n.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	lease := Lease{Incarnation: l.incarnation, Held: l.held && (l.until.IsZero() || time.Now().Before(l.until))}
	if !l.until.IsZero() {
		lease.Renewed = l.until.Add(-n.cfg.Lease / 4 * 3)
	}
	return lease
}

// wrote notes a revision that the server has acknowledged for a write that began at begun, and whose incarnation it has.
func (n *Node) wrote(revision, incarnation uint64, begun time.Time) {
	l := &n.lease
	l.mu.Lock()
	former := l.incarnation
	l.revision, l.incarnation, l.held = revision, incarnation, true
	if !n.alone() {
		l.until = begun.Add(n.cfg.Lease / 4 * 3)
	}
	l.mu.Unlock()
	if former == incarnation {
		return
	}
	if former != 0 {
		n.log.Warn("cluster: the lease had ended, the name is registered anew", "former_incarnation", former, "incarnation", incarnation)
	}
	n.news.tell(incarnation)
}

func (n *Node) drop() {
	n.lease.mu.Lock()
	defer n.lease.mu.Unlock()
	n.lease.held = false
}

func (n *Node) revision() (revision, incarnation uint64) {
	n.lease.mu.Lock()
	defer n.lease.mu.Unlock()
	return n.lease.revision, n.lease.incarnation
}

// openBucket opens the bucket of node names.
func (n *Node) openBucket(ctx context.Context) (err error) {
	n.kv, err = n.Bucket(ctx, jetstream.KeyValueConfig{
		Bucket:         bucketName,
		Description:    "Names of Skua nodes, with the incarnation of each",
		MaxValueSize:   4 << 10,
		LimitMarkerTTL: n.cfg.Lease, // lets the marks of names that were taken away have a TTL, and the names of nodes of older versions
	})
	return err
}

// create writes the first entry of a name that nobody holds; it fails with jetstream.ErrKeyExists otherwise.
func (n *Node) create(ctx context.Context) error {
	text, err := n.entry(0)
	if err != nil {
		return err
	}
	begun := time.Now()
	revision, err := n.kv.Create(ctx, n.cfg.Name, text)
	if err != nil {
		return conflict(err) // of a name that was given back, Create tells as it comes
	}
	n.wrote(revision, revision, begun)
	return nil
}

// put replaces the entry if its revision is still the newest, else it fails with jetstream.ErrKeyExists. With incarnation 0 it is
// a new registration.
func (n *Node) put(ctx context.Context, revision, incarnation uint64) error {
	text, err := n.entry(incarnation)
	if err != nil {
		return err
	}
	begun := time.Now()
	written, err := n.kv.Update(ctx, n.cfg.Name, text, revision)
	if err != nil {
		return conflict(err)
	}
	if incarnation == 0 {
		incarnation = written
	}
	n.wrote(written, incarnation, begun)
	return nil
}

// conflict makes the second form in which servers refuse a compare-and-set, used by replicated streams, look like the first.
func conflict(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant {
		return fmt.Errorf("%w: %w", jetstream.ErrKeyExists, err)
	}
	return err
}

func (n *Node) entry(incarnation uint64) ([]byte, error) {
	e := entry{Incarnation: incarnation, Life: n.life, Version: n.cfg.Version, Started: n.started}
	if !n.alone() {
		e.Lease = int64(n.cfg.Lease / time.Second)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("cluster: entry of %s: %w", n.cfg.Name, err)
	}
	return text, nil
}

// register takes the name, or fails with ErrNameTaken.
func (n *Node) register(ctx context.Context) error {
	var goneSince time.Time
	held := false // when it was asked last, somebody had the name
	for {
		// One that was written without being acknowledged is found, and replaced.
		err := n.Persist(ctx, func(ctx context.Context) error {
			err := n.create(ctx)
			if errors.Is(err, jetstream.ErrKeyExists) {
				err = n.replace(ctx, &goneSince)
			}
			return err
		})
		if err == nil {
			n.log.Debug("cluster: registered", "incarnation", n.Lease().Incarnation)
			return nil
		}
		// Servers that have just come need a moment to agree on who keeps the bucket.
		switch {
		case errors.Is(err, errHeld):
			held = true
		case held && ctx.Err() != nil: // the end of ctx has cut this question short, and the one before is what is known
			return stillHeld(n.cfg.Name, err)
		case ctx.Err() != nil || n.alone() || !passing(err):
			return fmt.Errorf("cluster: registering %s: %w", n.cfg.Name, err)
		default:
			held = false
			n.log.Warn("cluster: the name is not registered yet", "err", err)
		}
		select {
		case <-ctx.Done():
			if held {
				return stillHeld(n.cfg.Name, ctx.Err())
			}
			return fmt.Errorf("cluster: registering %s: %w: %w", n.cfg.Name, ctx.Err(), err)
		case <-time.After(askAgain):
		}
	}
}

func stillHeld(name string, err error) error {
	return fmt.Errorf("%w: %s: the holder did not answer, but its lease has not ended: %w", ErrNameTaken, name, err)
}

// errHeld says that the name may still have a living holder: ask again.
var errHeld = errors.New("held")

// replace takes over the entry of a former holder that is not there any more. goneSince is when it was first found without a connection.
func (n *Node) replace(ctx context.Context, goneSince *time.Time) error {
	found, err := n.kv.Get(ctx, n.cfg.Name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return errHeld // it has just gone: create it in the next turn
	}
	if err != nil {
		return err
	}
	// Where nobody else reaches the server the entry is that of our own former self. One that this node has written is a registration whose acknowledgement was lost: nobody else would end it, or answer for it.
	if !n.alone() && parseEntry(found.Revision(), found.Value()).Life != n.life {
		if err := n.checkGone(ctx, found, goneSince); err != nil {
			return err
		}
		n.log.Warn("cluster: taking over the name of a node that is gone", "its_revision", found.Revision())
	}
	if err := n.put(ctx, found.Revision(), 0); errors.Is(err, jetstream.ErrKeyExists) {
		return errHeld // it was renewed, or another is faster
	} else if err != nil {
		return err
	}
	return nil
}

// checkGone is nil when the holder has had no connection for long enough, ErrNameTaken when it answers, errHeld in between.
func (n *Node) checkGone(ctx context.Context, found jetstream.KeyValueEntry, goneSince *time.Time) error {
	ask, cancel := context.WithTimeout(ctx, askAgain*2)
	defer cancel()
	holder, err := n.Ping(ask, n.cfg.Name)
	switch {
	case err == nil:
		return fmt.Errorf("%w: %s runs since %s as incarnation %d; give this node another name (key name, SKUA_NAME)",
			ErrNameTaken, n.cfg.Name, holder.Started.Format(time.RFC3339), holder.Incarnation)
	case !errors.Is(err, ErrNoNode): // connected but mute: paused, or the network is bad
		*goneSince = time.Time{}
		return errHeld
	case goneSince.IsZero():
		*goneSince = time.Now()
		n.log.Info("cluster: the name has a holder that is not connected, waiting for it", "its_revision", found.Revision(), "for", gone)
		return errHeld
	case time.Since(*goneSince) < gone:
		return errHeld
	default:
		return nil
	}
}

// renew keeps the lease until ctx ends or another node has the name.
func (n *Node) renew(ctx context.Context) {
	interval := n.cfg.Lease / 5
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, interval)
		err := n.renewOnce(attempt)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrNameTaken):
			n.drop()
			n.log.Error("cluster: another node has taken this node's name", "err", err)
			n.end(err)
			return
		default:
			n.log.Warn("cluster: lease not renewed", "held", n.Lease().Held, "err", err)
		}
	}
}

// renewOnce writes the entry again. If it has ended meanwhile, the name is registered anew, under a new incarnation.
func (n *Node) renewOnce(ctx context.Context) error {
	revision, incarnation := n.revision()
	err := n.put(ctx, revision, incarnation)
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	// The entry is not the one that we wrote. An attempt whose acknowledgement was lost wrote it, or it has ended, or it is another's. A leader that is about to write such an attempt refuses all others
	// already, and still has what was there before, which says nothing.
	found, err := n.read(ctx, n.cfg.Name)
	switch {
	case err != nil:
		return err
	case found.revision > revision && found.life == n.life && found.incarnation != 0:
		return n.put(ctx, found.revision, found.incarnation) // possibly a new registration
	case found.revision != 0 && found.revision <= revision:
		return fmt.Errorf("%w: revision %d, %d was written", errStale, found.revision, revision)
	case found.incarnation != 0:
		return fmt.Errorf("%w: %s: revision %d is not this node's", ErrNameTaken, n.cfg.Name, found.revision)
	}
	n.drop()
	return n.create(ctx)
}

// release gives the name back, so that the next holder need not wait. It gives back nothing that is another's. Where that fails
// others end the lease, so it is no error of Close.
func (n *Node) release() {
	revision, _ := n.revision()
	n.drop()
	if revision == 0 || n.kv == nil || !n.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := n.kv.Delete(ctx, n.cfg.Name, jetstream.LastRevision(revision))
	if err != nil {
		n.log.Warn("cluster: name not given back", "err", err)
	}
}
