package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/reload"
)

const playConfig = `
[gate]
agent = "agent"
agent_vm = "AGENTS"
[login]
methods = ["guest"]
[cluster]
beat = "100ms"
suspect = "10s" # no node fails in these tests
dead = "20s"
[reload]
canary_time = "2s" # in which a group of four plays enough on a busy machine, too
canary_slower = 50
canary_messages = 5
`

// playScripts are those of a version: an agent that counts how often its player has played, and the rules that it asks.
func playScripts(version, fault, hook string) map[string]string {
	return map[string]string{
		"rules.lua": "local M = {}\nfunction M.next(n) return n + 1 end\nM.version = '" + version + "'\nreturn M\n",
		"agent.lua": "local rules = require 'rules'\nlocal M = { client = {} }\nfunction M.start(self) self.n = 0 end\nfunction M.connect(self) end\nfunction M.disconnect(self) end\n" +
			"function M.client.play(self) " + fault + " self.n = rules.next(self.n) return { n = self.n, version = '" + version + "', rules = rules.version } end\n" + hook + "return M\n",
	}
}

// playProject is a game whose agents have VMs of their own, or share them.
func playProject(t *testing.T, agents string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, configFile), strings.Replace(playConfig, "AGENTS", agents, 1))
	put(t, filepath.Join(dir, "scripts", "main.lua"), "return {}\n")
	putVersion(t, dir, "one", "", "")
	return dir
}

func putVersion(t *testing.T, dir, version, fault, hook string) {
	t.Helper()
	for name, text := range playScripts(version, fault, hook) {
		put(t, filepath.Join(dir, "scripts", name), text)
	}
}

// played is what a player is answered.
type played struct {
	N              int
	Version, Rules string
}

// player is a client who plays, and knows what each answer has to be.
type player struct {
	c   *client.Client
	uid string
	n   int
}

func enterGame(t *testing.T, url, name string) *player {
	t.Helper()
	c, err := client.Dial(t.Context(), url, client.Options{RequestTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var in client.LoginAnswer
	if err := c.Request(t.Context(), "login", map[string]string{"method": "guest", "name": name}, &in); err != nil {
		t.Fatal(err)
	}
	return &player{c: c, uid: in.UID}
}

// play asks once. The answer is checked: nothing that was counted may be lost.
func (p *player) play(ctx context.Context) (played, error) {
	var got played
	err := p.c.Request(ctx, "play", nil, &got)
	if err != nil {
		return got, err
	}
	if p.n++; got.N != p.n {
		return got, fmt.Errorf("the count is %d, expected %d: state is lost", got.N, p.n)
	}
	return got, nil
}

// audience is all who play while versions change.
type audience struct {
	t        *testing.T
	requests atomic.Int64

	mu     sync.Mutex
	round  int
	broken map[int]map[string]bool // the rounds whose canary is broken, with the players whose requests have failed
	failed int
}

// begins says that a round has begun.
func (a *audience) begins(round int, broken bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.round = round; broken {
		a.broken[round] = map[string]bool{}
	}
}

func (a *audience) current() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.round
}

// play has a player play until ctx ends. A request may fail only by what a broken canary has raised.
func (a *audience) play(ctx context.Context, p *player, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.requests.Add(1)
		asked := a.current()
		if _, err := p.play(context.WithoutCancel(ctx)); err != nil && !a.meant(p, asked, err) {
			a.t.Errorf("%s: a request has failed in round %d: %v", p.uid, asked, err)
			return
		}
	}
}

// meant notes a failure, and tells whether it is of a broken canary that was tried between the request and its answer.
func (a *audience) meant(p *player, asked int, err error) bool {
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != "internal" {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed++
	for round := asked; round <= a.round; round++ {
		if who := a.broken[round]; who != nil {
			who[p.uid] = true
			return true
		}
	}
	return false
}

// heap is a profile of a node's heap, when what is not in use has been collected.
func (p *program) heap(query string) []byte {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.addrs["admin"]+"/debug/pprof/heap?gc=1"+query, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("the profile of the heap: %s %v %.200s", resp.Status, err, text)
	}
	return text
}

// keepHeap writes the profile where SKUA_HEAPS says, for go tool pprof -base.
func (p *program) keepHeap(name string) {
	p.t.Helper()
	if dir := os.Getenv("SKUA_HEAPS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".pprof"), p.heap(""), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// memory is what is in use on a node when what is not has been collected, in KiB.
func (p *program) memory() int {
	p.t.Helper()
	text := p.heap("&debug=1")
	m := regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`).FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("no HeapAlloc in the profile: %.200s", text)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		p.t.Fatal(err)
	}
	return n >> 10
}

// change has a node change versions as its operators do, and gives what came of it.
func (r *running) change(args ...string) (c reload.Change) {
	r.t.Helper()
	_, out, failed := r.look(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		r.t.Fatalf("%v: %v: %s%s", args, err, out, failed)
	}
	return c
}

// Bots play on two nodes, over TCP and KCP, each with an agent behind its node's gate, while operators at both change versions: good ones, broken ones, and canaries of both. Nobody's request fails but in the
// group of a canary that is broken; nothing that was played is lost, all run one version in the end, and no memory is left behind. With SKUA_ACCEPTANCE=full these are 200 bots and 100 changes in a minute.
func TestBotsPlayOnWhileVersionsChange(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two nodes")
	}
	each, rounds, every := 10, 20, 200*time.Millisecond
	full := os.Getenv("SKUA_ACCEPTANCE") == "full"
	if full {
		each, rounds, every = 50, 100, 600*time.Millisecond
	}
	t.Setenv("SKUA_CLUSTER_SECRET", clusterSecret)
	bin, dir := buildProgram(t), playProject(t, "own")
	a := startProgram(t, bin, "run", dir, "--name", "a", "--data", t.TempDir(), "--listen-cluster", "127.0.0.1:0")
	b := startProgram(t, bin, "run", dir, "--name", "b", "--data", t.TempDir(), "--join", a.addrs["cluster"])
	nodes := []*program{a, b}
	operators := []*running{{t: t, addrs: a.addrs}, {t: t, addrs: b.addrs}}
	await(t, "both are there", func() bool { return operators[0].member("b") == "alive" && operators[1].member("a") == "alive" })

	all := &audience{t: t, broken: map[int]map[string]bool{}}
	ctx, end := context.WithCancel(t.Context())
	var bots []*player
	var playing sync.WaitGroup
	defer playing.Wait()
	defer end()
	for i, n := range nodes {
		for k := range each {
			bots = append(bots, enterGame(t, "tcp://"+n.addrs["tcp"], fmt.Sprint("tcp", i, ".", k)), enterGame(t, "kcp://"+n.addrs["kcp"], fmt.Sprint("kcp", i, ".", k)))
		}
	}
	for _, p := range bots {
		playing.Go(func() { all.play(ctx, p, 50*time.Millisecond) })
	}

	outcomes, groups, last := map[string]int{}, map[int]int{}, "one"
	var memory, goroutines []int
	began := time.Now()
	pace := time.NewTicker(every)
	defer pace.Stop()
	for i := range rounds {
		version, fault, hook, order, want := fmt.Sprint("v", i), "", "", []string{"reload"}, reload.Done
		switch i % 5 {
		case 1: // it does not compile
			fault, want = "local = 1", reload.Undone
		case 2: // it fails in agents, when others have gone over
			hook, want = "function M.on_upgrade(self) if self.n > 0 then error('no') end end\n", reload.Undone
		case 3:
			fault, order, want = "if self.n > 0 then error('broken') end", append(order, "--canary", "5%"), reload.Undone
		case 4:
			order = append(order, "--canary", "10%")
		}
		if full && i%5 >= 3 {
			order = append(order, "--canary-time", "300ms") // a hundred changes in a minute
		}
		all.begins(i, i%5 == 3)
		putVersion(t, dir, version, fault, hook)
		c := operators[i%2].change(order...)
		kind := c.Action + " " + c.State
		if c.Canary != nil {
			kind, groups[i] = "canary "+c.Canary.Outcome, c.Canary.VMs
		}
		if outcomes[kind]++; c.State != want {
			t.Errorf("round %d: %s, expected %s: %s", i, c.State, want, c.Error)
		}
		if c.State == reload.Done {
			last = version
		}
		if (i+1)%(rounds/4) == 0 {
			a.keepHeap(fmt.Sprint("a", len(memory)+1))
			b.keepHeap(fmt.Sprint("b", len(memory)+1))
			memory, goroutines = append(memory, a.memory()+b.memory()), append(goroutines, int(a.metric("go_goroutines")+b.metric("go_goroutines")))
		}
		<-pace.C
	}
	took := time.Since(began)
	if full {
		// The NATS server in node a keeps what was written to the bucket of versions in buffers of 256 KiB, 1 MiB and at last 4 MiB, which is its block, until nobody has used them for 10 s.
		settled := a.memory() + b.memory()
		for settled > memory[0]+2<<10 && time.Since(began)-took < 3*time.Minute {
			<-pace.C
			settled = a.memory() + b.memory()
		}
		if settled > memory[0]+2<<10 {
			t.Errorf("three minutes after the last change %d KiB are in use, and there were %d after the first quarter", settled, memory[0])
		}
		a.keepHeap("a-settled")
		b.keepHeap("b-settled")
		t.Logf("%d KiB are in use %v after the last change, while all play", settled, (time.Since(began) - took).Round(time.Second))
	}
	end()
	playing.Wait()

	for round, who := range all.broken {
		if len(who) == 0 || len(who) > groups[round] {
			t.Errorf("round %d: requests of %d players have failed, and %d VMs were of the group", round, len(who), groups[round])
		}
	}
	if memory[3] > memory[0]+16<<10 || goroutines[3] > goroutines[0]+50 {
		t.Errorf("after each quarter of the rounds %v KiB are in use on both nodes, and there are %v goroutines", memory, goroutines)
	}
	for _, o := range operators {
		o.runsOne(len(bots) / len(nodes))
	}
	for _, p := range bots {
		if got, err := p.play(t.Context()); err != nil || got.Version != last || got.Rules != last {
			t.Errorf("%s is answered by %+v, %v, expected version %s", p.uid, got, err, last)
		}
	}
	t.Logf("%d bots on %d nodes, %d changes in %v: %v", len(bots), len(nodes), rounds, took.Round(time.Millisecond), outcomes)
	t.Logf("%d requests; %d have failed, all in the groups of %d broken canaries; after each quarter %v KiB in use on both nodes, %v goroutines", all.requests.Load(), all.failed, len(all.broken), memory, goroutines)
	for _, n := range []*program{b, a} {
		n.stop()
	}
}

// runsOne checks that all nodes say that all run what is current, and how many agents that is on each.
func (r *running) runsOne(agents int) {
	r.t.Helper()
	var v reload.Versions
	r.found(&v, "versions")
	for _, runs := range v.Nodes {
		if runs.Version != v.Current || len(runs.Old) != 0 || runs.Error != "" || runs.Canary != nil || runs.Change != nil {
			r.t.Errorf("the cluster runs %s, and %+v", v.Current, runs)
		}
		for _, count := range runs.Actors {
			if count.Version != v.Current || count.Script == "agent" && count.Actors != agents {
				r.t.Errorf("%s: %+v, and the cluster runs %s, with %d agents on each node", runs.Node, count, v.Current, agents)
			}
		}
	}
}
