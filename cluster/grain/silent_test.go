package grain_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
)

// unfenced has nobody take over what a dead node had, for longer than a test takes: it might be cut off, and live.
func unfenced(r *rig) { r.cut = 5 * time.Minute }

// believed has a node that has died be believed to live, for longer than a test takes.
func believed(int) cluster.MembersConfig {
	return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 4 * time.Minute, Dead: 5 * time.Minute}
}

// patient has requests wait for longer than a busy machine takes.
func patient(_ int, cfg *actor.Config) { cfg.CallTimeout = 20 * time.Second }

// spread starts grains from a node, and returns those that are on each node.
func (r *rig) spread(from, ids int) map[string][]string {
	r.t.Helper()
	at := map[string][]string{}
	for i := range ids {
		id := fmt.Sprint(i)
		r.call(from, "counter", id, 1)
		who := r.call(from, "counter", id, "who").(string)
		at[who] = append(at[who], id)
	}
	for i := range r.Nodes {
		if len(at[fmt.Sprint("n", i)]) == 0 || r.gauge(i, "skua_grain_shards") == 0 {
			r.t.Fatalf("n%d has no grains, or keeps no shards: %v", i, at)
		}
	}
	return at
}

// taken is how often a shard was taken, and how many grains were started.
func (r *rig) taken() [2]float64 {
	return [2]float64{r.total("skua_grain_claims_total"), r.total("skua_grain_activations_total")}
}

// answered asks all grains of some nodes from one that has not spoken to them.
func (r *rig) answered(from int, at map[string][]string, nodes ...string) {
	r.t.Helper()
	for _, n := range nodes {
		for _, id := range at[n] {
			if v := r.call(from, "counter", id, 1); v != 2 {
				r.t.Errorf("counter/%s is %v, expected 2", id, v)
			}
			if who := r.call(from, "counter", id, "who"); who != n {
				r.t.Errorf("counter/%s is on %v, it was on %s, which lives", id, who, n)
			}
		}
	}
}

// notAnswered asks some grains that nobody may start yet.
func (r *rig) notAnswered(from int, ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(r.t.Context(), 200*time.Millisecond)
		v, err := r.of(from).Call(ctx, "counter", id, 1)
		cancel()
		if err == nil {
			r.t.Errorf("counter/%s has answered %v: it may live on a node that is not fenced", id, v)
		}
	}
}

// keptBy are some ids of grains that are nowhere, of shards that a node keeps.
func (r *rig) keptBy(node string, n int) (ids []string) {
	for i := 0; len(ids) < n && i < 10_000; i++ {
		if id := fmt.Sprint("new", i); r.of(0).KeeperOf("counter", id) == node {
			ids = append(ids, id)
		}
	}
	if len(ids) < n {
		r.t.Fatalf("%s keeps %d of 10,000 grains", node, len(ids))
	}
	return ids
}

// killed kills a node and waits until the others know.
func (r *rig) killed(i int) {
	r.t.Helper()
	dead := r.Nodes[i]
	incarnation := dead.Node.Lease().Incarnation
	dead.Kill()
	for j, n := range r.Nodes {
		if j != i {
			clustertest.Eventually(r.t, "the node is known to be dead", func() bool { return !n.Mesh.Reaches(dead.Name, incarnation) })
		}
	}
}

// keeps tells of how many grains on some nodes another one keeps the shards; it is a failure if there are none.
func (r *rig) keeps(keeper string, at map[string][]string, nodes ...string) (n int) {
	r.t.Helper()
	for _, node := range nodes {
		for _, id := range at[node] {
			if r.of(0).KeeperOf("counter", id) == keeper {
				n++
			}
		}
	}
	if n == 0 {
		r.t.Fatalf("%s keeps no shard of a grain on %v", keeper, nodes)
	}
	return n
}

func TestGrainsOfLivingNodesAnswerWhileADirectoryIsSilent(t *testing.T) {
	r := start(t, 3, clustertest.Config{Members: believed, System: patient}, unfenced)
	at := r.spread(0, 60)
	lost := r.keeps("n2", at, "n0", "n1")
	before := r.taken()
	r.Nodes[2].Kill()
	r.answered(1, at, "n0", "n1")
	if after := r.taken(); after != before {
		t.Errorf("shards were taken, or grains started: %v, before %v", after, before)
	}
	if found := r.Nodes[1].Metric("skua_grain_inquiries_total"); int(found) < lost {
		t.Errorf("%v grains were asked for at all nodes, the dead one kept %d", found, lost)
	}
}

func TestGrainsOfLivingNodesAnswerWhileTheirShardWaitsForADeadNodeToBeFenced(t *testing.T) {
	r := start(t, 3, clustertest.Config{System: patient}, unfenced)
	at := r.spread(0, 60)
	r.keeps("n2", at, "n0", "n1")
	lost := r.keptBy("n2", 3)
	before := r.taken()
	r.killed(2)
	r.answered(1, at, "n0", "n1")
	r.notAnswered(1, append(lost, at["n2"][0])...)
	if after := r.taken(); after != before {
		t.Errorf("shards were taken from a node that is not fenced, or grains started: %v, before %v", after, before)
	}
}

func TestGrainsOfLivingNodesAnswerWhileTheirNewDirectoryWaitsForOthers(t *testing.T) {
	r := start(t, 4, clustertest.Config{System: patient}, unfenced)
	at := r.spread(0, 80)
	r.keeps("n2", at, "n0", "n1")
	lost := r.keptBy("n2", 3)
	before := r.taken()
	r.killed(3)        // it can't be asked what it has
	r.Nodes[2].Leave() // its shards are taken at once, but others may be on the other dead node
	clustertest.Eventually(t, "shards are taken", func() bool {
		r.notAnswered(0, lost...)
		return r.taken()[0] > before[0]
	})
	r.answered(1, at, "n0", "n1")
	r.notAnswered(1, append(lost, at["n3"][0])...)
	if after := r.taken(); after[1] != before[1] {
		t.Errorf("%v grains were started, before %v: a node that is not fenced may have them", after[1], before[1])
	}
}
