package grain

import (
	"strconv"

	"github.com/skua-go/skua/actor"
)

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
