package lease

import (
	"errors"
	"time"
)

// maxSwept is how many keys a node takes away at a time, eight times a TTL: others do so, too.
const maxSwept = 64

// sweep takes keys away that were not renewed for a TTL and that nobody here waits for, until the Leases are closed: no key of a node that is gone stays for ever, and who watches hears of the end.
func (l *Leases) sweep() {
	tick := time.NewTicker(l.cfg.renewal())
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		for key, revision := range l.overdue(time.Now()) {
			at, err := l.purge(l.ctx, key, revision)
			if errors.Is(err, errConflict) {
				continue // another node was faster, or it was renewed, and the news are on the way
			}
			if err != nil {
				l.log.Debug("lease: a key that has ended is not taken away yet", "key", key, "error", err)
				break
			}
			l.mu.Lock()
			l.see(key, nil, at)
			l.mu.Unlock()
		}
	}
}

// overdue are keys, with their revisions, that were not renewed for a TTL and a while in which those who wait come first.
func (l *Leases) overdue(now time.Time) map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]uint64{}
	for key, ln := range l.lines {
		if len(all) == maxSwept {
			break
		}
		if ln.entry != nil && ln.lease == nil && len(ln.queue) == 0 && !l.isMine(ln.entry) && !now.Before(ln.at.Add(l.cfg.TTL+l.cfg.renewal())) {
			all[key] = ln.revision
		}
	}
	return all
}
