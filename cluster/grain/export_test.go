package grain

import (
	"strconv"

	"github.com/skua-go/skua/actor"
)

// KeeperOf is the node that keeps a grain's shard, as far as this one knows; empty for none.
func (g *Grains) KeeperOf(kind, id string) string {
	o, _ := g.ownerOf(shardOf(kind + "/" + id))
	return o.node
}

// Directory is a directory of so many grains on a node, as the node of their shards keeps it.
func Directory(n int, home *actor.Node) any {
	var shards [Shards]map[string]entry
	for i := range n {
		key := "player/" + strconv.Itoa(1_000_000_000+i)
		s := shardOf(key)
		if shards[s] == nil {
			shards[s] = map[string]entry{}
		}
		shards[s][key] = entry{home, uint64(i), uint64(i)}
	}
	return &shards
}

// WireSamples are messages that agents send each other, without Refs.
func WireSamples() []any {
	return []any{
		find{"player/42", 7},
		activate{"player/42", 1 << 40, 1 << 20},
		inventory{511, 9},
		holdings{{"player/42", 3, 4}, {"room/lobby", 1 << 50, 1 << 40}},
		held{[]string{"player/42", "room/lobby"}},
		held{[]string{}},
		forget{"player/42", 8},
		closeDown{},
		emptied{},
		chase{},
	}
}

// HeldOf asks for so many grains.
func HeldOf(n int) any {
	m := held{}
	for i := range n {
		m.Keys = append(m.Keys, "player/"+strconv.Itoa(i))
	}
	return m
}
