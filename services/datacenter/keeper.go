package datacenter

import (
	"context"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// keeper is the part of a tree's actor that has changes kept by the cluster. An answer, also one to who only reads, is given when all is kept that it is made of: else the next node that has
// the tree could contradict it.
type keeper struct {
	record        *record
	giveUp        context.CancelFunc // ends what loads the tree
	line          line               // what came before the tree was there
	written, kept uint64             // changes
	bytes         int                // of the records of what is in the tree
	batch         []change
	flushing      bool
	held          []held
}

// change is one that is to be kept.
type change struct {
	path   path
	data   []byte
	branch bool // there was a branch
	gone   bool // there is nothing, and nothing kept before says otherwise
}

// held is an answer that waits for changes.
type held struct {
	behind uint64
	give   func()
}

// Start has the tree loaded that another node had.
func (d *service) Start(c *actor.Context) error {
	k := d.keep
	if k == nil {
		return nil
	}
	d.waits.out = k.out
	loading, giveUp := context.WithCancel(context.Background())
	k.giveUp = giveUp
	c.Go(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(loading, cancel)()
		return k.record.load(ctx)
	}, func(v any, err error) {
		switch {
		case loading.Err() != nil:
			return
		case err != nil:
			k.fail(c, err)
			return
		}
		giveUp()
		d.root, _ = v.(*node)
		d.count, k.bytes = d.root.size()-1, d.root.records()
		k.line.open = true
		k.line.next()
	})
	return nil
}

// Stop waits for what is being recorded, and not for a tree that nobody will read here.
func (d *service) Stop(*actor.Context, error) {
	if d.keep != nil {
		d.keep.giveUp()
	}
}

// fail ends the actor: the next one, here or on another node, loads what has been kept.
func (k *keeper) fail(c *actor.Context, err error) {
	c.Log().Error("datacenter: the tree is given up, and loaded anew", "error", err)
	k.held = nil // who waits for them gets the actor's end
	c.Stop(c.Self(), err)
}

// out gives an answer when all changes so far are kept.
func (k *keeper) out(give func()) {
	if k.written == k.kept {
		give()
		return
	}
	k.held = append(k.held, held{k.written, give})
}

// set changes the tree and begins to keep that.
func (k *keeper) set(c *actor.Context, d *service, p path, raw []value.Value, v value.Value) (value.Value, error) {
	old, err := d.root.find(p)
	if err != nil {
		return value.Value{}, err
	}
	if old == nil && v.IsNil() {
		return value.Value{}, nil
	}
	data, err := k.record.encode(raw, v)
	if err != nil {
		return value.Value{}, err
	}
	size, was := sizeOf(p, data), 0
	if old != nil {
		was = old.records()
	}
	switch {
	case len(data) > maxRecord:
		return value.Value{}, fmt.Errorf("%w: a value of %d bytes with its path, expected at most %d", ErrFull, len(data), maxRecord)
	case !v.IsNil() && k.bytes-was+int(size) > maxRecords:
		return value.Value{}, fmt.Errorf("%w: it has %d of %d bytes", ErrFull, k.bytes, maxRecords)
	}
	k.written++ // so that those who have waited for it wait a little longer
	before, err := d.set(p, v)
	if err != nil {
		k.written--
		return value.Value{}, err
	}
	k.bytes -= was
	ch := change{path: p, data: data, branch: old != nil && old.kids != nil, gone: v.IsNil() && !d.root.inWhole(p)}
	if above := p[:len(p)-1]; v.IsNil() && len(above) > 0 && d.root.isEmpty(above) {
		// Nothing below tells any more that there is this branch.
		if ch.data, err = k.record.encode(raw[:len(above)], value.Of(map[string]any{}).At(0)); err != nil {
			return value.Value{}, err
		}
		ch.path, ch.branch, ch.gone = above, true, false
	}
	if n, _ := d.root.find(ch.path); n != nil {
		k.bytes -= int(n.kept)
		n.kept = sizeOf(ch.path, ch.data)
		k.bytes += int(n.kept)
	}
	k.batch = append(k.batch, ch)
	k.flush(c)
	return before, nil
}

// flush keeps what is to be kept, all of it in one go. What comes meanwhile is in the next one.
func (k *keeper) flush(c *actor.Context) {
	if k.flushing || len(k.batch) == 0 {
		return
	}
	batch := k.batch
	k.batch, k.flushing = nil, true
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) { return nil, k.record.write(ctx, batch) }, func(_ any, err error) {
			k.flushing = false
			if err != nil {
				k.fail(c, err)
				return
			}
			k.kept += uint64(len(batch))
			n := 0
			for n < len(k.held) && k.held[n].behind <= k.kept {
				k.held[n].give()
				n++
			}
			k.held = append(k.held[:0], k.held[n:]...)
			k.flush(c)
		})
	})
}
