package reload

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The times of follow.
const (
	lookEvery = time.Second
	readEvery = 5 // looks
	readTime  = 5 * time.Second
)

// follow has the node come to the current version, until ctx ends.
func (s *Service) follow(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var news <-chan jetstream.KeyValueEntry
	watch, err := s.kept.kv.Watch(ctx, currentKey)
	if err == nil {
		news = watch.Updates()
		defer func() { _ = watch.Stop() }() // the connection may be gone
	} else {
		s.log.Debug("reload: the current version is asked for, and not watched", "error", err)
	}
	var failed attempt
	for looks := 1; ; looks++ {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-news:
			if !ok {
				news = nil
			}
			if e == nil {
				continue
			}
			s.come(ctx, &failed)
			continue
		case <-tick.C:
		}
		s.part.settle(ctx)
		s.resolve(ctx)
		if looks%readEvery == 0 {
			s.come(ctx, &failed)
		}
	}
}

// attempt is the last version that could not be adopted.
type attempt struct {
	id string
	at time.Time
}

// come reads what is current, and comes to it.
func (s *Service) come(ctx context.Context, failed *attempt) {
	ctx, cancel := context.WithTimeout(ctx, readTime+2*s.cfg.Timeout)
	defer cancel()
	reading, done := context.WithTimeout(ctx, readTime)
	current, err := s.kept.current(reading)
	done()
	switch {
	case err != nil:
		s.log.Warn("reload: it is not known which version is current", "error", err)
		return
	case current == nil || failed.id == current.ID && time.Since(failed.at) < s.cfg.TryEvery:
		return
	}
	if err := s.adopt(ctx, current); err != nil {
		*failed = attempt{current.ID, time.Now()}
		s.part.mu.Lock()
		s.part.behind = fmt.Sprintf("it can't come over to version %s: %v", current.ID, err)
		s.part.mu.Unlock()
		s.metrics.isBehind(true)
		s.log.Error("reload: the node does not run the version of the cluster, and tries again", "version", current.ID, "after", s.cfg.TryEvery, "error", err)
		return
	}
	failed.id = ""
}

// adopt brings the node to the current version, unless it is there.
func (s *Service) adopt(ctx context.Context, current *Current) error {
	if id := s.refused.Load(); id != nil {
		if *id == current.ID {
			return nil
		}
		s.refused.Store(nil)
		s.metrics.fallback(false)
	}
	c, applied, epoch := s.part.underWay() // if another change is prepared from here on, its epoch is newer, and this one gives way
	if c != nil {
		if applied && c.to.ID() == current.ID {
			return s.part.commit(ctx, c.epoch)
		}
		return nil // resolve ends it
	}
	now := s.cfg.Runtime.Version()
	if now.ID() == current.ID {
		s.part.mu.Lock()
		s.part.behind = ""
		s.part.mu.Unlock()
		s.metrics.isBehind(false)
		return nil
	}
	to, err := s.kept.load(ctx, current.ID, current.Sum)
	if err != nil {
		return err
	}
	if _, err := s.part.prepare(ctx, epoch, to, s.wasBefore(ctx, now.ID(), to.ID()), true, nil); err != nil {
		return err
	}
	done, err := s.part.apply(ctx, epoch)
	if err != nil {
		return err
	}
	s.log.Info("reload: the node has come to the version of the cluster", "version", to.ID(), "before", now.ID(), "vms", done.VMs)
	s.metrics.isBehind(false)
	return s.part.commit(ctx, epoch)
}

// wasBefore tells whether a version was current before another one was.
func (s *Service) wasBefore(ctx context.Context, from, to string) bool {
	history, err := s.kept.history(ctx)
	if err != nil {
		return false
	}
	for i := range history {
		if e := &history[i]; e.Outcome == "done" && e.ID == to {
			return e.Action == "rollback" && e.From == from
		}
	}
	return false
}

// resolve ends a change whose leader is gone: by the record of what is current, which the leader has written last, or has not.
func (s *Service) resolve(ctx context.Context) {
	c, applied, _ := s.part.underWay()
	if c == nil || time.Since(c.since) < s.cfg.Timeout/2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTime+s.cfg.Timeout)
	defer cancel()
	reading, done := context.WithTimeout(ctx, readTime)
	defer done()
	if s.isLed(reading, c.epoch) {
		return
	}
	current, err := s.kept.current(reading)
	if err != nil || current == nil {
		s.log.Warn("reload: whoever led a change is gone, and what is current is not known", "version", c.to.ID(), "error", err)
		return
	}
	stays := applied && current.ID == c.to.ID()
	if stays {
		err = s.part.commit(ctx, c.epoch)
	} else {
		err = s.part.undo(ctx, c.epoch)
	}
	log := s.log.With("version", current.ID, "change_to", c.to.ID())
	if err != nil {
		log = log.With("error", err)
	}
	log.Warn("reload: whoever led a change is gone: the node runs what is current")
	if !stays {
		s.noteOrphan(ctx, c)
	}
}

// noteOrphan adds a change to the history that was undone as its leader is gone, who would have. Of the nodes that are left, one does: the first by name.
func (s *Service) noteOrphan(ctx context.Context, c *change) {
	for _, other := range s.others() {
		if other.Name < s.cfg.Name {
			return
		}
	}
	e := HistoryEntry{Action: "reload", Outcome: "undone", ID: c.to.ID(), From: c.from.ID(), Files: changes(c.from, c.to, false), Error: "the node that led it is gone"}
	if c.down {
		e.Action = "rollback"
	}
	if holder, err := s.cfg.Leases.Holder(ctx, leaseKey()); err == nil && holder.Epoch == c.epoch {
		e.Node = holder.Node
	}
	if err := s.kept.note(ctx, &e); err != nil {
		s.log.Error("reload: the history can't be written", "id", e.ID, "outcome", e.Outcome, "error", err)
	}
}

// isLed tells whether the node that leads a change still does.
func (s *Service) isLed(ctx context.Context, epoch uint64) bool {
	holder, err := s.cfg.Leases.Holder(ctx, leaseKey())
	if err != nil {
		return true // as far as it is known
	}
	if holder.Node == "" || holder.Epoch != epoch {
		return false
	}
	leader, known := s.cfg.Members.Find(holder.Node)
	return known && leader.Incarnation == holder.Incarnation && leader.State.Reachable()
}
