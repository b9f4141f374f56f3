package grain

import (
	"encoding/binary"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
)

// What the agents of nodes say to each other.
type (
	// find asks who keeps a grain's shard where it is, or to start it: answered by place. Over says up to which epoch activations are known to have ended.
	find struct {
		Key  string
		Over uint64
	}
	// place is where a grain is.
	place struct {
		Ref   actor.Ref
		Epoch uint64
	}
	// activate has a node start a grain on behalf of who has its shard under the epoch Owner: answered by place, that of an activation which is there already, too.
	activate struct {
		Key          string
		Epoch, Owner uint64
	}
	// inventory asks a node what it has of a shard, and makes it refuse what former owners of that want: answered by holdings.
	inventory struct {
		Shard int
		Owner uint64
	}
	holdings []holding
	holding  struct {
		Key       string
		Epoch, ID uint64
	}
	// held asks a node which of some grains it has: answered by the holdings of those. Without a grain it asks for a sign of life.
	held struct{ Keys []string }
	// forget tells who keeps a grain's shard that an activation has ended.
	forget struct {
		Key   string
		Epoch uint64
	}
	// moved tells a node that what it sends to Ref goes elsewhere from there: answered when it sends no more.
	moved struct {
		Key string
		Ref actor.Ref
	}
	// emptied tells a node that the one which sends it has no grains any more, and gets none: answered when nothing is sent there.
	emptied struct{}
	// chase goes to a grain behind all that was sent to it before, wherever that went: answered by place.
	chase struct{}
)

// WireTypes adds the messages that nodes send each other for their grains.
func WireTypes(t *wire.Types) {
	wire.AddSentinel(t, "grain.not_here", ErrNotHere)
	wire.AddSentinel(t, "grain.no_node", ErrNoNode)
	wire.AddSentinel(t, "grain.kind", ErrKind)
	wire.AddSentinel(t, "grain.start", ErrStart)
	wire.AddSentinel(t, "grain.not_mine", errNotMine)
	wire.AddSentinel(t, "grain.stale", errStale)
	wire.Add(t, "grain.find", func(_ *wire.Coder, dst []byte, m find) ([]byte, error) {
		return binary.AppendUvarint(wire.AppendString(dst, m.Key), m.Over), nil
	}, func(r *wire.Reader) (find, error) { return find{Key: readKey(r), Over: r.Uvarint()}, nil })
	wire.Add(t, "grain.place", func(c *wire.Coder, dst []byte, m place) ([]byte, error) {
		return binary.AppendUvarint(c.AppendRef(dst, m.Ref), m.Epoch), nil
	}, func(r *wire.Reader) (place, error) { return place{r.Ref(), r.Uvarint()}, nil })
	wire.Add(t, "grain.activate", func(_ *wire.Coder, dst []byte, m activate) ([]byte, error) {
		return binary.AppendUvarint(binary.AppendUvarint(wire.AppendString(dst, m.Key), m.Epoch), m.Owner), nil
	}, func(r *wire.Reader) (activate, error) {
		return activate{Key: readKey(r), Epoch: r.Uvarint(), Owner: r.Uvarint()}, nil
	})
	wire.Add(t, "grain.inventory", func(_ *wire.Coder, dst []byte, m inventory) ([]byte, error) {
		return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(m.Shard)), m.Owner), nil
	}, readInventory)
	wire.Add(t, "grain.holdings", func(_ *wire.Coder, dst []byte, m holdings) ([]byte, error) {
		dst = binary.AppendUvarint(dst, uint64(len(m)))
		for _, h := range m {
			dst = binary.AppendUvarint(binary.AppendUvarint(wire.AppendString(dst, h.Key), h.Epoch), h.ID)
		}
		return dst, nil
	}, readHoldings)
	wire.Add(t, "grain.held", func(_ *wire.Coder, dst []byte, m held) ([]byte, error) {
		dst = binary.AppendUvarint(dst, uint64(len(m.Keys)))
		for _, key := range m.Keys {
			dst = wire.AppendString(dst, key)
		}
		return dst, nil
	}, readHeld)
	wire.Add(t, "grain.forget", func(_ *wire.Coder, dst []byte, m forget) ([]byte, error) {
		return binary.AppendUvarint(wire.AppendString(dst, m.Key), m.Epoch), nil
	}, func(r *wire.Reader) (forget, error) { return forget{readKey(r), r.Uvarint()}, nil })
	wire.Add(t, "grain.moved", func(c *wire.Coder, dst []byte, m moved) ([]byte, error) {
		return c.AppendRef(wire.AppendString(dst, m.Key), m.Ref), nil
	}, func(r *wire.Reader) (moved, error) { return moved{readKey(r), r.Ref()}, nil })
	wire.Add(t, "grain.close", func(_ *wire.Coder, dst []byte, _ closeDown) ([]byte, error) { return dst, nil },
		func(*wire.Reader) (closeDown, error) { return closeDown{}, nil })
	wire.Add(t, "grain.emptied", func(_ *wire.Coder, dst []byte, _ emptied) ([]byte, error) { return dst, nil },
		func(*wire.Reader) (emptied, error) { return emptied{}, nil })
	wire.Add(t, "grain.chase", func(_ *wire.Coder, dst []byte, _ chase) ([]byte, error) { return dst, nil },
		func(*wire.Reader) (chase, error) { return chase{}, nil })
}

// readKey is the key of a grain, cut where none can be so long: there is no such kind then.
func readKey(r *wire.Reader) string {
	key := r.Bytes()
	return string(key[:min(len(key), maxKey)])
}

// maxKey is a kind, a slash and an id.
const maxKey = 64 + 1 + maxID

func readInventory(r *wire.Reader) (inventory, error) {
	n, owner := r.Uvarint(), r.Uvarint()
	if n >= Shards {
		return inventory{}, fmt.Errorf("grain: shard %d, there are %d", n, Shards)
	}
	return inventory{int(n), owner}, nil
}

func readHeld(r *wire.Reader) (held, error) {
	n := r.Uvarint()
	if n > maxHeld || n > uint64(r.Len()) {
		return held{}, fmt.Errorf("grain: asked for %d grains in %d bytes, expected at most %d", n, r.Len(), maxHeld)
	}
	m := held{make([]string, n)}
	for i := range m.Keys {
		m.Keys[i] = readKey(r)
	}
	return m, nil
}

func readHoldings(r *wire.Reader) (holdings, error) {
	n := r.Uvarint()
	if n > uint64(r.Len())/3 { // the shortest has three bytes
		return nil, fmt.Errorf("grain: %d holdings in %d bytes", n, r.Len())
	}
	all := make(holdings, n)
	for i := range all {
		all[i] = holding{readKey(r), r.Uvarint(), r.Uvarint()}
	}
	return all, nil
}
