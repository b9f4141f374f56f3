package grain

import (
	"math"
	"strconv"

	"github.com/skua-go/skua/cluster"
)

// Shards is how many shards there are: all nodes of a cluster must agree.
const Shards = 512

// hash is the same in each process: FNV-1a, and the end of MurmurHash3 so that all bits depend on all bytes.
func hash(a, b string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(a) {
		h = (h ^ uint64(a[i])) * 1099511628211
	}
	h = (h ^ 0xff) * 1099511628211
	for i := range len(b) {
		h = (h ^ uint64(b[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func shardOf(key string) int { return int(hash(key, "") % Shards) }

// winner is who of some nodes has a key, by rendezvous hashing: when a node comes or goes, only its own share moves. It is nil for none.
// Weights: Schindelhauer, Schomaker, Weighted Distributed Hash Tables (2005).
func winner(key string, nodes []*cluster.Member) (best *cluster.Member) {
	most := math.Inf(-1)
	for _, m := range nodes {
		u := (float64(hash(key, m.Name)>>11) + 0.5) / (1 << 53)
		if score := -weight(m) / math.Log(u); score > most {
			best, most = m, score
		}
	}
	return best
}

func weight(m *cluster.Member) float64 {
	text, ok := m.Labels[WeightLabel]
	if !ok {
		return 1
	}
	w, err := strconv.ParseFloat(text, 64)
	if err != nil || !(w > 0) || w > 1000 {
		return 1
	}
	return w
}
