package lua_test

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"
)

// soakWorker is one of many services: it answers, fails, waits, asks others, answers later or never.
const soakWorker = `
local skynet = require "skynet"
local CMD, SILENT = {}, {}
local lock = require "skynet.queue" ()
local kept, id = {}, 0

function CMD.echo(...) return ... end

function CMD.fail(text) error(text) end

function CMD.refuse(code) error({ code = code, message = "on purpose" }) end

function CMD.broken() local none return none.field end

function CMD.ask(other, depth)
  if depth == 0 then return 0 end
  return skynet.call(other, "lua", "ask", skynet.self(), depth - 1) + 1
end

function CMD.nap() skynet.sleep(1) return "rested" end

function CMD.locked(n) return lock(function() skynet.yield() return n end) end

function CMD.crowd(n)
  local left, sum, done = n, 0, {}
  for i = 1, n do
    skynet.fork(function()
      skynet.sleep(0)
      sum, left = sum + i, left - 1
      if left == 0 then skynet.wakeup(done) end
    end)
  end
  skynet.wait(done)
  return sum
end

function CMD.keys(n)
  for _ = 1, n do
    id = id + 1
    kept[id] = { id = id, name = "n" .. id }
    kept["n" .. id] = id
    kept[id - 50], kept["n" .. (id - 50)] = nil, nil
  end
  return n
end

function CMD.text(n)
  local s = ("hello world "):rep(n)
  return #table.concat({ (s:gsub("o", "00")), s })
end

function SILENT.later()
  local answer = skynet.response()
  skynet.timeout(1, function() answer(true, "later") end)
end

function SILENT.never() skynet.response() end

function SILENT.leave() skynet.exit() end

skynet.start(function()
  skynet.dispatch("lua", function(session, _, cmd, ...)
    if SILENT[cmd] then return SILENT[cmd](...) end
    local f = assert(CMD[cmd], cmd)
    if session == 0 then f(...) else skynet.ret(skynet.pack(f(...))) end
  end)
end)`

// soakAgent is a service whose like share VMs.
const soakAgent = `
local skynet = require "skynet"
local M = {}
function M.start(self, n) self.n = n end
function M.add(self, n) skynet.yield() self.n = self.n + n return self.n end
function M.fail() error("on purpose") end
function M.nap() skynet.sleep(100) end
function M.leave() skynet.exit() end
return M`

// soakBoss has many loops call the workers at random, expects of each call what it has to bring, and replaces workers that it has killed.
const soakBoss = `
local skynet = require "skynet"
require "skynet.manager"
local CMD, workers = {}, {}

local function any() local i = math.random(#workers) return workers[i], i end

-- Puts a new service in the place of one that has ended, unless another loop does.
local renewing = {}

local function replace(address, i)
  if workers[i] ~= address or renewing[i] then return end
  renewing[i] = true
  workers[i] = skynet.newservice("worker")
  renewing[i] = nil
end

-- Whether an error is that a service has ended, which another loop may have brought about.
local function gone(e)
  return type(e) == "table" and (e.code == "stopped" or e.code == "no_actor")
end

-- A call has to fail, and to say that, or because its callee has ended meanwhile.
local function failed(ok, e, what)
  return not ok and (gone(e) or tostring(e):find(what, 1, true) ~= nil)
end

local deeds = {}

function deeds.echo() return skynet.call(any(), "lua", "echo", 42) == 42 end

function deeds.table()
  local t = skynet.call(any(), "lua", "echo", { id = 1, name = "somebody", list = { 1, 2, { 3 } }, on = true })
  return t.list[3][1] == 3 and t.on
end

function deeds.send() skynet.send(any(), "lua", "echo", "one way") return true end

function deeds.fail() local ok, e = pcall(skynet.call, any(), "lua", "fail", "on purpose") return failed(ok, e, "on purpose") end

function deeds.fail_unheard() skynet.send(any(), "lua", "fail", "on purpose") return true end

function deeds.refuse() local ok, e = pcall(skynet.call, any(), "lua", "refuse", "no") return not ok and (gone(e) or e.code == "no" and e.message == "on purpose") end

function deeds.broken() local ok, e = pcall(skynet.call, any(), "lua", "broken") return failed(ok, e, "nil value") end

function deeds.ask() local depth = math.random(4) return skynet.call(any(), "lua", "ask", any(), depth) == depth end

function deeds.nap() return skynet.call(any(), "lua", "nap") == "rested" end

function deeds.locked() return skynet.call(any(), "lua", "locked", 7) == 7 end

function deeds.crowd() return skynet.call(any(), "lua", "crowd", 5) == 15 end

function deeds.keys() return skynet.call(any(), "lua", "keys", 20) == 20 end

function deeds.text() return skynet.call(any(), "lua", "text", 100) == 2600 end

function deeds.later() return skynet.call(any(), "lua", "later") == "later" end

function deeds.never() local ok, e = pcall(skynet.call_timeout, 1, any(), "lua", "never") return not ok and (gone(e) or e.code == "deadline") end

function deeds.leave()
  local address, i = any()
  local ok, e = pcall(skynet.call, address, "lua", "leave")
  replace(address, i)
  return not ok and gone(e)
end

function deeds.kill()
  local address, i = any()
  skynet.kill(address)
  local ok, e = pcall(skynet.call, address, "lua", "echo")
  replace(address, i)
  return not ok and gone(e)
end

function deeds.agent()
  local agent = skynet.newservice({ "agent", shard = true }, 40)
  skynet.send(agent, "lua", "nap")
  local ok, e = pcall(skynet.call, agent, "lua", "fail")
  local right = failed(ok, e, "on purpose") and skynet.call(agent, "lua", "add", 2) == 42
  if math.random(2) == 1 then skynet.kill(agent) else pcall(skynet.call, agent, "lua", "leave") end
  return right
end

local names = {}
for name in pairs(deeds) do names[#names + 1] = name end
table.sort(names)

function CMD.populate(n)
  for i = 1, n do workers[i] = skynet.newservice("worker") end
end

-- Does deeds for so many seconds, in_flight at a time. Returns how many were done, and of these how many failed because their callee had been killed by another.
function CMD.run(seconds, in_flight)
  local over = skynet.now() + seconds * 100
  local left, done, killed, token, wrong = in_flight, 0, 0, {}, nil
  for _ = 1, in_flight do
    skynet.fork(function()
      while skynet.now() < over and not wrong do
        local name = names[math.random(#names)]
        local ok, right = pcall(deeds[name])
        if not ok and not gone(right) then
          wrong = name .. ": " .. tostring(right)
        elseif not ok then
          killed = killed + 1
        elseif not right then
          wrong = name .. ": the answer is wrong"
        end
        done = done + 1
      end
      left = left - 1
      if left == 0 then skynet.wakeup(token) end
    end)
  end
  skynet.wait(token)
  if wrong then error(wrong) end
  skynet.sleep(5) -- for what was sent, and for timers
  return done, killed
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...) skynet.ret(skynet.pack(CMD[cmd](...))) end)
end)`

// soakSize is how long the soak takes and how many services it has: by default little, in CI more, and SKUA_SOAK=10m says how long otherwise.
func soakSize(t *testing.T) (length time.Duration, services int) {
	t.Helper()
	length, services = 5*time.Second, 1000
	if os.Getenv("CI") == "true" {
		length, services = 20*time.Second, 10_000
	}
	if text := os.Getenv("SKUA_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("SKUA_SOAK: %v", err)
		}
		length, services = d, 10_000
	}
	if testing.Short() {
		length, services = time.Second, 200
	}
	if racetest.On {
		services /= 5 // each takes several times the memory and the time
	}
	return length, services
}

// usage is what a process has: bytes in use, goroutines, and the actors of its system.
type usage struct {
	heap       int64
	goroutines int
	actors     int64
}

func usageOf(sys *actor.System) usage {
	runtime.GC()
	runtime.GC() // what a sync.Pool holds goes in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{int64(m.HeapAlloc), goroutines(), sys.Stats().Actors}
}

// goroutines counts those that run, but for the actor system's idle workers, of which it keeps up to 256, and for those with which it watches busy ones.
func goroutines() int {
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		panic(err)
	}
	n := 0
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		if strings.Contains(stack, "actor.(*dispatcher).park") || strings.Contains(stack, "actor.(*monitor).run") {
			continue
		}
		for line := range strings.Lines(stack) {
			if count, _, ok := strings.Cut(line, " @ "); ok {
				some, _ := strconv.Atoi(count)
				n += some
			}
		}
	}
	return n
}

// Calls, errors, waits and kills over many services: once they are warm, neither memory nor the number of goroutines grows.
func TestASoakLeavesMemoryAndGoroutinesAsTheyWere(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		length, services := soakSize(t)
		log := slog.New(slog.DiscardHandler)
		rt, err := lua.NewRuntime(lua.Config{
			Engine: testEngine(t), Log: log, Budget: time.Minute, Library: scripts.FS(),
			Scripts: fstest.MapFS{"worker.lua": {Data: []byte(soakWorker)}, "agent.lua": {Data: []byte(soakAgent)}, "boss.lua": {Data: []byte(soakBoss)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		n := &node{t: t, rt: rt, sys: actor.New(actor.Config{Log: log, CallTimeout: 2 * time.Minute})}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := n.sys.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		})
		if _, err := n.sys.Spawn(rt.Launcher()); err != nil {
			t.Fatal(err)
		}
		boss := n.start("boss")
		order := func(cmd string, args ...any) value.List {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), length+2*time.Minute)
			defer cancel()
			v, err := n.sys.Ask(ctx, boss, lua.Command(cmd, args...))
			if err != nil {
				t.Fatalf("%s: %v", cmd, err)
			}
			return v.(value.List)
		}
		order("populate", services)
		order("run", length.Seconds()/3, services/10)
		warm := usageOf(n.sys)
		did := order("run", length.Seconds()*2/3, services/10)
		end := usageOf(n.sys)
		t.Logf("%d services, then %v deeds, of which %v met a service killed by another: %+v, at the end %+v", services, did.At(0), did.At(1), warm, end)
		if done, _ := did.At(0).Int(); done < int64(services) {
			t.Errorf("%d deeds were done in %v", done, length*2/3)
		}
		if end.heap > warm.heap+warm.heap/4+2<<20 {
			t.Errorf("%d KB are in use, %d KB were after warming up", end.heap>>10, warm.heap>>10)
		}
		for begun := time.Now(); end.goroutines > warm.goroutines && time.Since(begun) < 30*time.Second; {
			runtime.Gosched() // one may be about to end
			end.goroutines = goroutines()
		}
		if end.goroutines > warm.goroutines {
			t.Errorf("%d goroutines run, %d did after warming up", end.goroutines, warm.goroutines)
		}
		if want := int64(services) + 2; warm.actors != want || end.actors != want { // the boss and the launcher, too
			t.Errorf("%d services live after warming up and %d at the end, want %d", warm.actors, end.actors, want)
		}
	})
}
