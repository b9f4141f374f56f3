package reload_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// Under load good and broken reloads fail no request, lose no state, and leave all actors on one version and no memory behind; agents come and go meanwhile.
func TestRequestsDoNotFailWhileVersionsChange(t *testing.T) {
	nodes := rig{}.nodes(t, clustertest.Start(t, 2, clustertest.Config{}), "agent.lua", counter("0"))
	const agents, rounds = 4, 12
	var answered, asked atomic.Int64
	stop := make(chan struct{})
	var players sync.WaitGroup
	refs := map[*node][]actor.Ref{}
	for _, n := range nodes {
		for i := range agents {
			ref := n.launch("agent", i%2 == 0)
			refs[n] = append(refs[n], ref)
			players.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					asked.Add(1)
					if _, err := n.try(ref, "add"); err != nil {
						t.Errorf("a request has failed: %v", err)
						return
					}
					answered.Add(1)
				}
			})
		}
		players.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ref := n.launch("agent", false)
				if _, err := n.try(ref, "version"); err != nil {
					t.Errorf("a new agent: %v", err)
				}
				n.System.Stop(ref, nil)
			}
		})
	}
	var before uint64
	done := 0
	for i := range rounds {
		lead := nodes[i%2]
		text, want := counter(fmt.Sprint(i)), reload.Done
		switch i % 3 {
		case 1:
			text, want = "local = 1", reload.Undone
		case 2: // it fails in some agents, when others have gone over
			text, want = strings.Replace(text, "return M\n", "function M.on_upgrade() if n > 0 then error('no') end end\nreturn M\n", 1), reload.Undone
		}
		lead.folder.put("agent.lua", text)
		c := lead.do(reload.Order{Who: "anna"})
		if c.State != want {
			t.Errorf("round %d: %s, want %s: %s", i, c.State, want, c.Error)
		}
		if c.State == reload.Done {
			done++
		}
		if i == rounds/3 {
			before = heap()
		}
	}
	after := heap()
	close(stop)
	players.Wait()
	if answered.Load() != asked.Load() || answered.Load() == 0 {
		t.Errorf("%d of %d requests are answered", answered.Load(), asked.Load())
	}
	if after > before+16<<20 {
		t.Errorf("%d KiB in use after a third of the rounds, %d KiB at the end", before>>10, after>>10)
	}
	v := nodes[0].versions()
	for _, runs := range v.Nodes {
		for _, count := range runs.Actors {
			if count.Version != v.Current {
				t.Errorf("%s: %+v, and the cluster runs %s", runs.Node, count, v.Current)
			}
		}
		if len(runs.Old) != 0 || runs.Error != "" {
			t.Errorf("%+v", runs)
		}
	}
	for _, n := range nodes {
		for _, ref := range refs[n] {
			if got := n.call(ref, "version"); got != "9" {
				t.Errorf("%s runs %s", n.Name, got)
			}
		}
	}
	t.Logf("%d reloads done of %d, %d requests", done, rounds, answered.Load())
}

// heap is what is in use: the least of some looks, because those who play go on between a collection and the look behind it, on a busy machine for long.
func heap() uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapInuse)
	}
	return least
}
