package gopher_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
)

func TestSparseKeysBelowTheLengthOfAListTakeNoArray(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	before := heap()
	th := load(t, m, `
rooms = {}
for i = 1, 100 do rooms[i] = { [200000 + i] = "constructed" } rooms[i][100000 + i] = "assigned" rawset(rooms[i], 150000 + i, "raw") end
for i = 1, 100 do
  local r = rooms[i]
  assert(r[200000 + i] == "constructed" and r[100000 + i] == "assigned" and rawget(r, 150000 + i) == "raw" and #r == 0, i)
  local n = 0
  for k, v in pairs(r) do n = n + 1 assert(r[k] == v) end
  assert(n == 3, n)
end
return rooms[100][100100], rooms[1][7]`)
	if status := th.Resume(0); status != vm.Finished || th.Text(1) != "assigned" || th.Text(2) != "nil" {
		t.Fatal(th.Text(-1))
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d KB for 300 keys in 100 tables", grown>>10)
	}
}

func TestSparseKeysObeyMetatables(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	th := load(t, m, `
local defaults = setmetatable({ [100001] = "default" }, { __index = function(_, k) return "made" .. k end })
local log = {}
local t = setmetatable({}, { __index = defaults, __newindex = function(t, k, v) log[#log + 1] = k rawset(t, k, v) end })
assert(t[100001] == "default" and t[100002] == "made100002" and t[1] == "made1")
t[100001] = "own"
t[100001] = "own again" -- is there: nobody is asked
assert(t[100001] == "own again" and #log == 1 and log[1] == 100001)
t[100001] = nil
assert(t[100001] == "default" and next(t) == nil)
local mirror = setmetatable({}, { __index = t, __newindex = t })
mirror[100003] = "through"
assert(rawget(mirror, 100003) == nil and mirror[100003] == "through")
return #log`)
	if status := th.Resume(0); status != vm.Finished || th.Text(1) != "2" {
		t.Fatal(th.Text(-1))
	}
}

// Whatever is set, by instructions and by functions of Go, is read and traversed as from a map.
func TestATableIsAMapWhateverItsKeysAre(t *testing.T) {
	racetest.SetAside(t)
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := engine(t).New(vm.Options{})
		s := m.Main()
		if err := s.Load("main.lua", `t = {}
return function(k, v) t[k] = v end, function(k) return t[k] end, function() local n, s = 0, 0 for k, v in pairs(t) do n = n + 1 s = s + v end return n, s end`); err != nil {
			t.Fatal(err)
		}
		s.Call(0, 3)
		model := map[int64]int64{}
		limit := []int64{50, 300, 5000, 400_000}[seed%4]
		for i := int64(1); i <= 4000; i++ {
			k, v := r.Int64N(limit)-5, i
			if r.IntN(4) == 0 {
				k = int64(len(model)) // as lists grow
			}
			remove := r.IntN(3) == 0
			if remove {
				delete(model, k)
			} else {
				model[k] = v
			}
			set(s, r.IntN(2) == 0, k, v, remove)
			if i%50 == 0 {
				k = r.Int64N(limit)
			}
			s.Copy(2)
			s.PushInt(k)
			s.Call(1, 1)
			want, there := model[k]
			if got, ok := s.Int(-1); ok != there || got != want {
				t.Fatalf("seed %d, step %d: t[%d] is %s, want %d", seed, i, k, s.Text(-1), want)
			}
			s.Pop(1)
			if i%500 == 0 {
				m.(interface{ Compact() }).Compact()
			}
			if i%100 == 0 {
				compare(t, s, model, fmt.Sprintf("seed %d, step %d", seed, i))
			}
		}
		m.Close()
	}
}

// set sets a key, by an instruction or by the seam.
func set(s vm.State, byScript bool, k, v int64, remove bool) {
	value := func() {
		if remove {
			s.PushNil()
		} else {
			s.PushInt(v)
		}
	}
	if byScript {
		s.Copy(1)
		s.PushInt(k)
		value()
		s.Call(2, 0)
		return
	}
	s.Global("t")
	value()
	s.RawSetInt(-2, k)
	s.Pop(1)
}

func compare(t *testing.T, s vm.State, model map[int64]int64, where string) {
	t.Helper()
	sum := int64(0)
	for _, v := range model {
		sum += v
	}
	s.Copy(3)
	s.Call(0, 2)
	n, _ := s.Int(-2)
	got, _ := s.Int(-1)
	s.Pop(2)
	if n != int64(len(model)) || got != sum {
		t.Fatalf("%s: a traversal finds %d values that sum up to %d, want %d and %d", where, n, got, len(model), sum)
	}
	s.Global("t")
	length := int64(s.Len(-1))
	s.Pop(1)
	if _, ok := model[length]; length > 0 && !ok {
		t.Fatalf("%s: the length %d is no border", where, length)
	}
	if _, ok := model[length+1]; ok {
		t.Fatalf("%s: the length %d is no border", where, length)
	}
}
