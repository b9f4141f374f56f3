package grain

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// owner is who has a shard.
type owner struct {
	node        string
	incarnation uint64
	epoch       uint64 // the revision of the entry
}

// The value of a shard's key is node.incarnation.
func (o owner) text() []byte { return []byte(o.node + "." + strconv.FormatUint(o.incarnation, 10)) }

func parseOwner(e jetstream.KeyValueEntry) (owner, error) {
	name, number, _ := strings.Cut(string(e.Value()), ".")
	incarnation, err := strconv.ParseUint(number, 10, 64)
	if err != nil || name == "" {
		return owner{}, fmt.Errorf("grain: %s has %q, expected node.incarnation", e.Key(), e.Value())
	}
	return owner{name, incarnation, e.Revision()}, nil
}

func shardKey(n int) string { return "shard." + strconv.Itoa(n) }

func parseShardKey(key string) (n int, ok bool) {
	number, ok := strings.CutPrefix(key, "shard.")
	n, err := strconv.Atoi(number)
	return n, ok && err == nil && n >= 0 && n < Shards
}

// watchOwners follows the bucket. read is told when all that is there has been seen.
func (g *Grains) watchOwners(ctx context.Context, read chan<- error) {
	for {
		err := g.followOwners(ctx, read)
		select {
		case read <- err: // for Open, if that waits still
		default:
		}
		if ctx.Err() != nil || g.node.Conn().IsClosed() {
			return
		}
		g.log.Warn("grain: the owners of shards can't be followed, trying again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func (g *Grains) followOwners(ctx context.Context, read chan<- error) error {
	w, err := g.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer w.Stop() //nolint:errcheck // it ends with ctx, or the connection, at the latest
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Updates():
			if !ok {
				return errors.New("the watch has ended")
			}
			if e == nil {
				select {
				case read <- nil:
				default:
				}
				continue
			}
			g.sawOwner(e)
		}
	}
}

// sawOwner notes what the bucket has, or has had: only what is newer counts.
func (g *Grains) sawOwner(e jetstream.KeyValueEntry) {
	n, ok := parseShardKey(e.Key())
	if !ok {
		return
	}
	o := owner{epoch: e.Revision()} // nobody's
	if e.Operation() == jetstream.KeyValuePut {
		var err error
		if o, err = parseOwner(e); err != nil {
			g.log.Warn("grain: a shard's entry can't be read", "error", err)
			return
		}
	}
	g.noteOwner(n, o)
}

func (g *Grains) noteOwner(n int, o owner) {
	for {
		known := g.owners[n].Load()
		if known != nil && known.epoch >= o.epoch {
			return
		}
		if g.owners[n].CompareAndSwap(known, &o) {
			return
		}
	}
}

// seenEpoch is the newest revision that is known of a shard's entry: what an owner with a lower one wants is out of date.
func (g *Grains) seenEpoch(n int) uint64 {
	if o := g.owners[n].Load(); o != nil {
		return o.epoch
	}
	return 0
}

// disown notes that a node which was seen as the owner of a shard says that it is not: the bucket may be followed with a delay, after an outage above all.
func (g *Grains) disown(n int, node string) {
	if known := g.owners[n].Load(); known != nil && known.node == node {
		g.owners[n].CompareAndSwap(known, &owner{epoch: known.epoch})
	}
}

// ownerOf is who has a shard, as far as is known; false for nobody.
func (g *Grains) ownerOf(n int) (owner, bool) {
	o := g.owners[n].Load()
	if o == nil || o.node == "" {
		return owner{}, false
	}
	return *o, true
}

// readOwner asks the bucket. Its epoch is that of the entry, 0 if there is none.
func (g *Grains) readOwner(ctx context.Context, n int) (owner, error) {
	e, err := g.kv.Get(ctx, shardKey(n))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return owner{}, nil
	}
	if err != nil {
		return owner{}, err
	}
	g.sawOwner(e)
	return parseOwner(e)
}

// takeShard writes this node as the owner of a shard whose entry is that of epoch still, 0 for none, and returns the new epoch.
func (g *Grains) takeShard(ctx context.Context, n int, epoch uint64) (owner, error) {
	o := owner{node: g.node.Name(), incarnation: g.incarnation.Load()}
	var err error
	if epoch == 0 {
		o.epoch, err = g.kv.Create(ctx, shardKey(n), o.text())
	} else {
		o.epoch, err = g.kv.Update(ctx, shardKey(n), o.text(), epoch)
	}
	if err == nil {
		g.noteOwner(n, o)
	}
	return o, err
}

// leaveShard ends this node's ownership of a shard.
func (g *Grains) leaveShard(ctx context.Context, n int, epoch uint64) error {
	return g.kv.Delete(ctx, shardKey(n), jetstream.LastRevision(epoch))
}
