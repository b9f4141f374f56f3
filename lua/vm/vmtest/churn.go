package vmtest

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// churnMemory is what the VM of a test of churn may keep.
const churnMemory = 64 << 20

// churnKeys is how many keys come and go in each test of churn: SKUA_CHURN says so (20000000 for the full run, minutes), by default few.
func churnKeys(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("SKUA_CHURN"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("SKUA_CHURN: %v", err)
		}
		return n
	}
	if testing.Short() {
		return 100_000
	}
	return 500_000
}

// churns are chunks through which keys come and go, 1,000 of which live: n in each of ten rounds.
func churns() map[string]string {
	return map[string]string{
		"ids that grow": `local n = ... players = {} local id = 0
			for round = 1, 10 do
			  for i = 1, n do id = id + 1 players[id] = { id = id } players[id - 1000] = nil end
			  pause()
			end`,
		"sparse ids": `local n = ... players = {} local id = 0
			for round = 1, 10 do
			  for i = 1, n do id = id + 7919 players[id] = i players[id - 1000 * 7919] = nil end
			  pause()
			end`,
		"ids far apart": `local n = ... players = {} local ring, id = {}, 0
			for round = 1, 10 do
			  for i = 1, n do
			    local at = i % 1000 + 1
			    if ring[at] then players[ring[at]] = nil end
			    id = (id * 16807 + 12345) % 2147483647
			    ring[at] = id * 1000 + at
			    players[ring[at]] = i
			  end
			  pause()
			end`,
		"names": `local n = ... players = {} local id = 0
			for round = 1, 10 do
			  for i = 1, n do id = id + 1 players["player" .. id] = i players["player" .. id - 1000] = nil end
			  pause()
			end`,
		"tables as keys": `local n = ... players = {} local ring = {}
			for round = 1, 10 do
			  for i = 1, n do local at = i % 1000 + 1 if ring[at] then players[ring[at]] = nil end ring[at] = {} players[ring[at]] = i end
			  pause()
			end`,
		"a queue": `local n = ... players = {} local head = 1
			for i = 1, 1000 do players[i] = i end
			for round = 1, 10 do
			  for i = 1, n do players[head + 1000] = i players[head] = nil head = head + 1 end
			  pause()
			end`,
	}
}

// Churn has keys come to tables of 1,000 live ones and leave them, in handlers that wait: neither memory nor the time of a key grows.
func Churn(t *testing.T, e vm.Engine) {
	t.Helper()
	for name, source := range churns() {
		t.Run(name, func(t *testing.T) { churn(t, e, source) })
	}
}

func churn(t *testing.T, e vm.Engine, source string) {
	t.Helper()
	const rounds = 10
	m, th := started(t, e, source)
	th.PushInt(int64(churnKeys(t) / rounds))
	var took [rounds]time.Duration
	var before int64
	for round := range rounds {
		began := time.Now()
		n := 0
		if round == 0 {
			n = 1
		}
		if th.Resume(n) != vm.Yielded {
			t.Fatal(th.Text(-1))
		}
		th.SetTop(0)
		took[round] = time.Since(began)
		if round == 2 {
			before = heap()
		}
	}
	// The quickest of some rounds, since others work on this machine, too; a table that turns from a list into a map is slower once and for all.
	if first, last := slices.Min(took[1:4]), slices.Min(took[rounds-3:]); last > 3*first+200*time.Millisecond {
		t.Errorf("the last rounds took %v, the first %v", last, first)
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("%d MB have been added by what has gone", grown>>20)
	}
	if size := m.Memory(); size > churnMemory {
		t.Errorf("the VM takes %d MB", size>>20)
	}
	seen := m.Main().NewThread()
	if err := seen.Load("seen.lua", `local n = 0 for _ in pairs(players) do n = n + 1 end return n`); err != nil {
		t.Fatal(err)
	}
	if seen.Resume(0) != vm.Finished || seen.Text(1) != "1000" {
		t.Errorf("%s keys live", seen.Text(-1))
	}
}

// LargeStrings has megabytes go through gsub and concat: they leave nothing behind.
func LargeStrings(t *testing.T, e vm.Engine) {
	t.Helper()
	_, th := started(t, e, `
local s = ("hello world "):rep(87382) -- a megabyte
local parts = {}
for i = 1, 1000 do parts[i] = s:sub(i * 1000, i * 1000 + 1000) end
while true do
  local a = s:gsub("o", "00")
  local b = s:gsub("%w+", { hello = "bye" })
  local c = s:gsub("l+", function(l) return #l end)
  local d = table.concat(parts, ",") .. a
  assert(#a > #s and #b < #s and #c < #s and #d > #a)
  pause()
end`)
	round := func(n int) {
		for range n {
			if th.Resume(0) != vm.Yielded {
				t.Fatal(th.Text(-1))
			}
			th.SetTop(0)
		}
	}
	round(2)
	before := heap()
	round(max(4, churnKeys(t)/100_000)) // a full run has 200 of them
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d MB are left of megabytes that went through gsub and concat", grown>>20)
	}
}

// started is a VM that may keep churnMemory, and a thread that is about to run a chunk, in which pause() goes back to the host.
func started(t *testing.T, e vm.Engine, source string) (vm.VM, vm.State) {
	t.Helper()
	m := e.New(vm.Options{})
	t.Cleanup(m.Close)
	m.SetMemoryLimit(churnMemory)
	m.Main().PushFunc("pause", func(s vm.State) int { return s.Yield(0) })
	m.Main().SetGlobal("pause")
	th := m.Main().NewThread()
	if err := th.Load("main.lua", source); err != nil {
		t.Fatal(err)
	}
	return m, th
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
