package reload_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// game is a script whose state is how often somebody has played.
func game(version, fault, hook string) string {
	return "local n = 0\nlocal M = {}\nfunction M.play() " + fault + " n = n + 1 return n end\nfunction M.version() return '" + version + "' end\n" + hook + "return M\n"
}

// bot plays with one agent, and knows what each answer has to be.
type bot struct {
	n      *node
	ref    actor.Ref
	played int
	hit    map[string]bool // the broken versions that it has met
}

// bots are some on each node.
type bots struct {
	t        *testing.T
	all      []*bot
	mu       sync.Mutex
	broken   map[string]int // how many bots have met a broken version
	requests atomic.Int64
	failed   atomic.Int64
}

func (b *bots) play(ctx context.Context, one *bot, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.requests.Add(1)
		answer, err := one.n.try(one.ref, "play")
		if err == nil {
			if one.played++; answer != fmt.Sprint(one.played) {
				b.t.Errorf("the answer is %s, expected %d: state is lost", answer, one.played)
				return
			}
			continue
		}
		b.failed.Add(1)
		_, of, meant := strings.Cut(err.Error(), "broken version ")
		if !meant {
			b.t.Errorf("a request has failed: %v", err)
			return
		}
		of, _, _ = strings.Cut(of, ";")
		if !one.hit[of] {
			one.hit[of] = true
			b.mu.Lock()
			b.broken[of]++
			b.mu.Unlock()
		}
	}
}

// Players play on two nodes while versions change: good ones, broken ones, and canaries of both. Nobody's request fails but in the group of a canary that is broken; no
// state is lost, all run one version in the end, and no memory is left behind. With SKUA_ACCEPTANCE=full these are 200 players and 100 changes in a minute.
func TestPlayersPlayOnWhileVersionsChange(t *testing.T) {
	each, rounds, every, watched := 20, 20, 200*time.Millisecond, 2*time.Second // in which a group of four plays enough on a busy machine, too
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		each, rounds, every, watched = 100, 100, 600*time.Millisecond, 300*time.Millisecond
	}
	r := rig{change: func(cfg *reload.Config) {
		cfg.CanaryTime, cfg.Limits = watched, reload.Limits{Margin: 0.02, Slower: 50, Messages: 10}
	}}
	nodes := r.nodes(t, clustertest.Start(t, 2, clustertest.Config{}), "agent.lua", game("begin", "", ""))
	players := &bots{t: t, broken: map[string]int{}}
	ctx, end := context.WithCancel(t.Context())
	var playing sync.WaitGroup
	for _, n := range nodes {
		for range each {
			one := &bot{n: n, ref: n.launch("agent", false), hit: map[string]bool{}}
			players.all = append(players.all, one)
			playing.Go(func() { players.play(ctx, one, 50*time.Millisecond) })
		}
	}
	defer playing.Wait()
	defer end()

	groups := map[string]int{} // of broken canaries: how many VMs
	outcomes := map[string]int{}
	last := "begin"
	var memory []uint64 // after each quarter
	var goroutines []int
	began := time.Now()
	pace := time.NewTicker(every)
	defer pace.Stop()
	for i := range rounds {
		name := fmt.Sprint("v", i)
		text, canary, want := game(name, "", ""), "", reload.Done
		switch i % 5 {
		case 1:
			text, want = "local = 1", reload.Undone
		case 2: // it fails in actors, when others have gone over
			text, want = game(name, "", "function M.on_upgrade() if n > 0 then error('no') end end\n"), reload.Undone
		case 3:
			text, canary, want = game(name, "if true then error('broken version "+name+";') end", ""), "5%", reload.Undone
		case 4:
			canary = "10%"
		}
		lead := nodes[i%2]
		lead.folder.put("agent.lua", text)
		c := lead.do(reload.Order{Who: "anna", Canary: canary})
		kind := "reload " + c.State
		if c.Canary != nil {
			kind = "canary " + c.Canary.Outcome
		}
		outcomes[kind]++
		if c.State != want {
			t.Errorf("round %d: %s, expected %s: %s", i, c.State, want, c.Error)
		}
		switch {
		case c.State == reload.Done:
			last = name
		case c.Canary != nil:
			groups[name] = c.Canary.VMs
		}
		if (i+1)%(rounds/4) == 0 {
			memory, goroutines = append(memory, live()>>10), append(goroutines, runtime.NumGoroutine())
		}
		<-pace.C
	}
	took := time.Since(began)
	end()
	playing.Wait()

	for name, hit := range players.broken {
		if hit > groups[name] {
			t.Errorf("%s: requests of %d players have failed, and %d were of the group", name, hit, groups[name])
		}
	}
	if memory[3] > memory[0]+16<<10 || goroutines[3] > goroutines[0]+100 {
		t.Errorf("after each quarter of the rounds %v KiB are in use, and there are %v goroutines", memory, goroutines)
	}
	v := nodes[0].versions()
	for _, runs := range v.Nodes {
		if runs.Version != v.Current || len(runs.Old) != 0 || runs.Error != "" || runs.Canary != nil {
			t.Errorf("the cluster runs %s, and %+v", v.Current, runs)
		}
		for _, count := range runs.Actors {
			if count.Version != v.Current {
				t.Errorf("%s: %+v, and the cluster runs %s", runs.Node, count, v.Current)
			}
		}
	}
	for _, one := range players.all {
		if got := one.n.call(one.ref, "version"); got != last {
			t.Errorf("a player's agent runs %s, expected %s", got, last)
		}
	}
	t.Logf("%d players on %d nodes, %d changes in %v: %v", len(players.all), len(nodes), rounds, took.Round(time.Millisecond), outcomes)
	t.Logf("%d requests; %d have failed, all in the groups of %d broken canaries; after each quarter %v KiB in use, %v goroutines", players.requests.Load(), players.failed.Load(), len(groups), memory, goroutines)
}

// live is what is in use when what is not has been collected: the least of some looks, as in heap.
func live() uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc)
	}
	return least
}
