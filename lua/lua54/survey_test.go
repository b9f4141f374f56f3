package lua54_test

import (
	"strconv"
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// churn is a graph of some 6,000 tables with a function each at most, and a function that moves functions about in it, by all the ways that there are.
const churn = `
local seed, cells, tables, meta, threads = ..., {}, {}, {}, {}
local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n + 1 end
local function made(n) return function() return n end end
local function cell() local v return function() return v end, function(new) v = new end end
local function thread()
  return coroutine.wrap(function(new)
    local held
    while true do new, held = coroutine.yield(held), new end
  end)
end
for i = 1, 6000 do tables[i] = { at = made(i), link = {} } end
for i = 1, 200 do
  local get, set = cell()
  cells[i] = { get = get, set = set }
  meta[i] = {}
  threads[i] = thread()
  threads[i]()
end
local takes = {
  function(i) local t = tables[i] local f = t.at t.at = nil return f end,
  function(i) local t = tables[i].link local f = t[#t] t[#t] = nil return f end,
  function(i) local c = cells[i % 200 + 1] local f = c.get() c.set(nil) return f end,
  function(i) local m = getmetatable(meta[i % 200 + 1]) setmetatable(meta[i % 200 + 1], nil) return m and m.__index end,
  function(i) return threads[i % 200 + 1]() end,
}
local puts = {
  function(i, f) if tables[i].at then return f end tables[i].at = f end,
  function(i, f) table.insert(tables[i].link, f) end,
  function(i, f) local c = cells[i % 200 + 1] if c.get() then return f end c.set(f) end,
  function(i, f) if getmetatable(meta[i % 200 + 1]) then return f end setmetatable(meta[i % 200 + 1], { __index = f }) end,
  function(i, f) return threads[i % 200 + 1](f) end,
  function(i, f) tables[i] = { at = f, link = { tables[i].at, table.unpack(tables[i].link) } } end,
}
return function(n)
  for i = 1, n do
    local f = takes[random(#takes)](random(#tables))
    if f == nil and i % 7 == 0 then f = made(-i) end
    while f do f = puts[random(#puts)](random(#tables), f) end
  end
end`

// Between the parts of a walk the VM runs, and moves functions from where the walk has yet to come to where it has been.
func TestASurveyInPartsFindsWhatOneAtOnceFinds(t *testing.T) {
	for _, keep := range []bool{false, true} {
		for seed := int64(1); seed <= 8; seed++ {
			v := lua54.New().New(vm.Options{})
			s, p := v.Main(), v.(vm.Patcher)
			if err := s.Load("churn.lua", churn); err != nil {
				t.Fatal(err)
			}
			s.PushInt(seed)
			if err := s.PCall(1, 1); err != nil {
				t.Fatal(err)
			}
			run := s.Ref()
			want := func(chunk string) bool { return chunk == "churn.lua" }
			parts := 0
			for ; p.Ahead(&parts, want, 0); parts++ {
				s.Push(run)
				s.PushInt(300)
				if err := s.PCall(1, 0); err != nil {
					t.Fatal(err)
				}
			}
			if parts < 10 {
				t.Errorf("seed %d: %d parts: that shows nothing", seed, parts)
			}
			found, undo := p.Survey(&parts, want, keep)
			inParts := closures(found)
			undo.Done()
			found, undo = p.Survey(nil, want, false)
			atOnce := closures(found)
			undo.Done()
			if len(atOnce) < 5000 {
				t.Errorf("seed %d: %d functions: that shows nothing", seed, len(atOnce))
			}
			for c := range atOnce {
				if !inParts[c] {
					t.Fatalf("seed %d, keep %v: the walk in %d parts has missed one of %d functions", seed, keep, parts, len(atOnce))
				}
			}
			s.Push(run)
			s.PushInt(300)
			if err := s.PCall(1, 0); err != nil {
				t.Fatal(err)
			}
			v.Close()
		}
	}
}

func closures(found vm.Found) map[vm.Closure]bool {
	all := map[vm.Closure]bool{}
	for _, g := range found.Groups {
		for _, c := range g.Closures {
			all[c] = true
		}
	}
	return all
}

// What is undone is what the VM had when the walk ended, not when it began.
func TestWhatASurveyInPartsPutsBackIsWhatWasThereAtItsEnd(t *testing.T) {
	v := lua54.New().New(vm.Options{})
	defer v.Close()
	s, p := v.Main(), v.(vm.Patcher)
	const script = `
local all, plain = {}, 0
for i = 1, 6000 do all[i] = { n = 0, list = { 0 } } end
return function(n)
  for i = 1, #all, 7 do
    all[i].n, all[i].list[1] = n, n
    setmetatable(all[i], { __index = { of = n } })
  end
  plain = n
end, function()
  local seen = { plain }
  for i = 1, #all, 7 do
    if all[i].n ~= plain or all[i].list[1] ~= plain or all[i].of ~= plain then seen[#seen + 1] = i end
  end
  return table.concat(seen, " ")
end`
	if err := s.Load("main.lua", script); err != nil {
		t.Fatal(err)
	}
	if err := s.PCall(0, 2); err != nil {
		t.Fatal(err)
	}
	get, set := s.Ref(), s.Ref()
	write := func(n int64) {
		s.Push(set)
		s.PushInt(n)
		if err := s.PCall(1, 0); err != nil {
			t.Fatal(err)
		}
	}
	want := func(chunk string) bool { return chunk == "main.lua" }
	n := int64(0)
	for p.Ahead("it", want, 0) {
		n++
		write(n)
	}
	_, undo := p.Survey("it", want, true)
	write(n + 1)
	undo.Restore()
	for _, want := range []int64{n, n + 2} {
		s.Push(get)
		if err := s.PCall(0, 1); err != nil {
			t.Fatal(err)
		}
		is, _ := s.String(-1)
		s.Pop(1)
		if expected := strconv.FormatInt(want, 10); is != expected {
			t.Errorf("got %q, expected %q", is, expected)
		}
		write(n + 2)
	}
}
