package gopher_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// churnKeys is how many keys come and go in a test of churn: SKUA_CHURN says so (20000000 for the full run, a minute), by default few.
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

// A table of 1,000 live keys that others come to and leave, in handlers that wait and in one that does not: neither memory nor the time of a key grows.
func TestChurnLeavesNothingBehindAndTakesLinearTime(t *testing.T) {
	const rounds = 10
	for name, source := range map[string]string{
		"ids that grow": `local n = ... players = {} local id = 0
			for round = 1, 10 do
			  for i = 1, n do id = id + 1 players[id] = { id = id } players[id - 1000] = nil end
			  coroutine.yield()
			end`,
		"sparse ids": `local n = ... players = {} local id = 0
			for round = 1, 10 do
			  for i = 1, n do id = id + 7919 players[id] = i players[id - 1000 * 7919] = nil end
			  coroutine.yield()
			end`,
		"names": `local n = ... players = {} local id = 0
			for round = 1, 10 do
			  for i = 1, n do id = id + 1 players["player" .. id] = i players["player" .. id - 1000] = nil end
			  coroutine.yield()
			end`,
		"tables as keys": `local n = ... players = {} local ring = {}
			for round = 1, 10 do
			  for i = 1, n do local at = i % 1000 + 1 if ring[at] then players[ring[at]] = nil end ring[at] = {} players[ring[at]] = i end
			  coroutine.yield()
			end`,
	} {
		t.Run(name, func(t *testing.T) {
			m := limited(t, 64<<20, vm.Options{})
			th := load(t, m, source)
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
			if size := m.Memory(); size > 64<<20 {
				t.Errorf("the VM takes %d MB", size>>20)
			}
			seen := load(t, m, `local n = 0 for _ in pairs(players) do n = n + 1 end return n`)
			if seen.Resume(0) != vm.Finished || seen.Text(1) != "1000" {
				t.Errorf("%s keys live", seen.Text(-1))
			}
		})
	}
}

func TestLargeStringsLeaveNothingBehind(t *testing.T) {
	m := limited(t, 64<<20, vm.Options{})
	th := load(t, m, `
local s = ("hello world "):rep(87382) -- a megabyte
local parts = {}
for i = 1, 1000 do parts[i] = s:sub(i * 1000, i * 1000 + 1000) end
while true do
  local a = s:gsub("o", "00")
  local b = s:gsub("%w+", { hello = "bye" })
  local c = s:gsub("l+", function(l) return #l end)
  local d = table.concat(parts, ",") .. a
  assert(#a > #s and #b < #s and #c < #s and #d > #a)
  coroutine.yield()
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
	round(4)
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d MB are left of megabytes that went through gsub and concat", grown>>20)
	}
}
