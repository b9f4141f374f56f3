package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// watchAgain is the pause before the bucket of names is watched anew.
	watchAgain = 500 * time.Millisecond
	// maxEnded is how many names a node takes away at a time, twenty times a lease: others do so, too.
	maxEnded = 64
	// endTimeout bounds two round trips to JetStream.
	endTimeout = 5 * time.Second
)

// sightings are the names that other nodes have, as this one has seen them.
type sightings struct {
	mu   sync.Mutex
	seen map[string]sighting
}

// sighting is the newest revision of a name. Its holder began to write it before this node has seen it, and trusts it for less than its lease from then on.
type sighting struct {
	revision uint64
	at       time.Time
	lease    time.Duration
}

func (s *sightings) note(name string, seen sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.seen[name]
	if ok && known.revision == seen.revision || !ok && len(s.seen) >= maxMembers {
		return
	}
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	s.seen[name] = seen
}

// again has a revision count from a time on, if no other one was seen meanwhile.
func (s *sightings) again(name string, revision uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.seen[name]; ok && known.revision == revision {
		known.at = at
		s.seen[name] = known
	}
}

// forget forgets a name, if nothing newer than a revision was seen.
func (s *sightings) forget(name string, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[name].revision <= revision {
		delete(s.seen, name)
	}
}

// overdue are names that were not renewed for their leases.
func (s *sightings) overdue(now time.Time) map[string]sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]sighting{}
	for name, seen := range s.seen {
		if len(all) == maxEnded {
			break
		}
		if now.Sub(seen.at) >= seen.lease {
			all[name] = seen
		}
	}
	return all
}

// watchNames keeps the sightings up to date until ctx ends.
func (n *Node) watchNames(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.WatchBucket(ctx, n.kv, n.sawName); err != nil && ctx.Err() == nil {
			n.log.Debug("cluster: the names of nodes are not watched, it is tried again", "err", err)
		}
		if pause(ctx, watchAgain) != nil {
			return
		}
	}
}

func (n *Node) sawName(e jetstream.KeyValueEntry) {
	if e == nil || CheckName(e.Key()) != nil {
		return
	}
	content := parseEntry(e.Revision(), e.Value())
	if e.Operation() != jetstream.KeyValuePut || content.Life == n.life { // its own is renewed, or another's soon
		n.sighted.forget(e.Key(), e.Revision())
		return
	}
	n.sighted.note(e.Key(), sighting{e.Revision(), time.Now(), n.leaseOf(content)})
}

// leaseOf is how long a name is kept that is not renewed. One that does not say it has not been written by a node that renews it.
func (n *Node) leaseOf(e entry) time.Duration {
	if e.Lease <= 0 || e.Lease > math.MaxInt64/int64(time.Second) {
		return n.cfg.Lease
	}
	return time.Duration(e.Lease) * time.Second
}

// sweep takes names away that their holders don't renew, until ctx ends: who waits for one gets it, and what their nodes had is free.
//
// JetStream could do that, by a TTL. But when one ends, the leader of the stream writes a mark without asking for a revision: a renewal that was accepted and is not stored yet then is gone a moment later,
// although it was acknowledged (nats-server 2.15, handleRemovalOrSdm), and a node that trusts its name would be taken for fenced. A node takes away the revision that it knows, or nothing.
func (n *Node) sweep(ctx context.Context) {
	tick := time.NewTicker(n.cfg.Lease / 20)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for name, seen := range n.sighted.overdue(time.Now()) {
			if err := n.endName(ctx, name, seen); err != nil {
				if ctx.Err() == nil {
					n.log.Debug("cluster: a name that was not renewed is not taken away yet", "member", name, "err", err)
				}
				break
			}
		}
	}
}

// endName takes a name away if it still has the revision that was seen for as long as its lease, and is not JetStream's to end.
func (n *Node) endName(ctx context.Context, name string, seen sighting) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	// What is watched may be behind, and does not tell of TTLs.
	r, err := n.read(ctx, name)
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	now := time.Now()
	switch {
	case r.incarnation == 0: // it has ended
		n.sighted.forget(name, max(seen.revision, r.revision))
		return nil
	case r.revision != seen.revision:
		n.sighted.note(name, sighting{r.revision, now, r.lease})
		return nil
	case r.expires: // a node of an older version renews it
		n.sighted.again(name, seen.revision, now)
		return nil
	}
	// The mark that it leaves ends by a TTL: JetStream removes one by its revision.
	err = n.kv.Purge(ctx, name, jetstream.LastRevision(r.revision), jetstream.PurgeTTL(n.cfg.Lease))
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		n.sighted.again(name, seen.revision, now) // it was renewed, or another node was faster: the watch tells
		return nil
	}
	if err != nil {
		return err
	}
	n.sighted.forget(name, seen.revision)
	n.log.Info("cluster: a node has not renewed its name, which is free now", "member", name, "incarnation", r.incarnation, "lease", seen.lease)
	return nil
}
