// Command bench measures Skua beside bare baselines and its peers. It is a module of its own, so that the peers are no dependencies of the product.
//
//	go -C tools/bench run . -only net/
//
// Standard output gets one line of JSON for each benchmark, standard error everything else. Exit codes: 0 done, 1 a benchmark failed, 2 wrong use.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/skua-go/skua/lua/gopher"

	"github.com/skua-go/skua/internal/heap"
	"github.com/skua-go/skua/tools/bench/actors"
	"github.com/skua-go/skua/tools/bench/bare"
	"github.com/skua-go/skua/tools/bench/clients"
	"github.com/skua-go/skua/tools/bench/luas"
	"github.com/skua-go/skua/tools/bench/measure"
	"github.com/skua-go/skua/tools/bench/nodes"
	"github.com/skua-go/skua/tools/bench/peers"
	"github.com/skua-go/skua/tools/bench/rooms"
	"github.com/skua-go/skua/tools/bench/stores"
	"github.com/skua-go/skua/tools/bench/streams"
)

// benchmarks is the table. The references are baselines measured for themselves; they run only with -only bare/.
func benchmarks(programs *peers.Programs, botsFor time.Duration) []measure.Benchmark {
	return slices.Concat(
		actorBenchmarks(programs), luaBenchmarks(luas.Default(), ""), luaBenchmarks(luas.Gopher(), "/"+gopher.Name), reloadBenchmarks(luas.Default(), ""),
		reloadBenchmarks(luas.Gopher(), "/"+gopher.Name), storeBenchmarks(), clusterBenchmarks(), mediaBenchmarks(), webrtcBenchmarks(), otherBenchmarks(botsFor))
}

// actorBenchmarks are the actor runtime's, beside channels and beside what other runtimes do with their own defaults.
func actorBenchmarks(programs *peers.Programs) []measure.Benchmark {
	const (
		channel     = "base: buffered channel, one sender, one receiver, same run"
		channels    = "base: goroutines on channels, same run"
		pingpong    = "base: our ping-pong, same run"
		hollywood   = "base: Hollywood v1.0.5 with its defaults, in a process of its own, same run"
		protoactor  = "base: protoactor-go 2024-08-22 with its defaults, in a process of its own, same run"
		ask         = "one request at a time from actor to actor: ours in a continuation, protoactor-go's waiting in the handler, its faster way; "
		outside     = "one request at a time from a goroutine that waits for each answer; "
		spawn       = "one goroutine starts and stops actors, until all have ended, at most 1,088 at a time"
		spawnPeer   = spawn + "; ours waits for each Start, protoactor-go's does not; "
		idle        = "resident memory an actor, with 1,000,000 that have handled one message each"
		few         = "the same with 250,000; "
		fanout      = "all have handled a message before the next one; base: goroutines on a channel each, same run"
		timerCreate = "After and Cancel, with 100,000 other timers outstanding in the actor"
		timerBytes  = "resident memory a timer, with 1,000,000 outstanding in one actor"
		timerIdle   = "the whole process, 2 s, with 1,000,000 timers outstanding of which none is due"
	)
	peer := programs.Figure
	return []measure.Benchmark{
		{ID: "actor/send", Unit: "ns/op", Ours: actors.Send, Base: bare.ChannelSend, Note: channel},
		{ID: "actor/send-hollywood", Unit: "ns/op", Ours: actors.Send, Base: peer(peers.Hollywood, "send"), Note: hollywood},
		{ID: "actor/send-protoactor", Unit: "ns/op", Ours: actors.Send, Base: peer(peers.Protoactor, "send"), Note: protoactor},
		{ID: "actor/send-allocs", Unit: "allocs/op", Ours: actors.SendAllocs, Note: "of a pointer"},
		{ID: "actor/pingpong-1", Unit: "ns/op", Ours: actors.PingPong(1), Base: bare.ChannelPingPong(1), Note: channels},
		{ID: "actor/pingpong-100", Unit: "ns/op", Ours: actors.PingPong(100), Base: bare.ChannelPingPong(100), Note: channels},
		{ID: "actor/pingpong-hollywood", Unit: "ns/op", Ours: actors.PingPong(1), Base: peer(peers.Hollywood, "pingpong"), Note: hollywood},
		{ID: "actor/pingpong-protoactor", Unit: "ns/op", Ours: actors.PingPong(1), Base: peer(peers.Protoactor, "pingpong"), Note: protoactor},
		{ID: "actor/ask-1", Unit: "ns/op", Ours: actors.Ask(1), Base: actors.PingPong(1), Note: pingpong},
		{ID: "actor/ask-100", Unit: "ns/op", Ours: actors.Ask(100), Base: actors.PingPong(100), Note: pingpong},
		{ID: "actor/ask-protoactor", Unit: "ns/op", Ours: actors.Ask(1), Base: peer(peers.Protoactor, "ask"), Note: ask + protoactor},
		{ID: "actor/ask-outside-protoactor", Unit: "ns/op", Ours: actors.AskOutside, Base: peer(peers.Protoactor, "ask-outside"), Note: outside + protoactor},
		{ID: "actor/ask-allocs", Unit: "allocs/op", Ours: actors.AskAllocs, Note: "a request and its answer, with the continuation"},
		{ID: "actor/spawn", Unit: "op/s", Ours: actors.Spawn, Note: spawn},
		{ID: "actor/spawn-protoactor", Unit: "op/s", Ours: actors.Spawn, Base: peer(peers.Protoactor, "spawn"), Note: spawnPeer + protoactor},
		{ID: "actor/idle-bytes", Unit: "B/actor", Ours: actors.IdleBytes(), Note: idle},
		{ID: "actor/idle-bytes-protoactor", Unit: "B/actor", Ours: actors.IdleBytesOfFew(), Base: peer(peers.Protoactor, "idle-bytes-250k"), Note: few + protoactor},
		{ID: "actor/fanout-1000", Unit: "deliveries/s", Ours: actors.Fanout(1000), Base: bare.ChannelFanout(1000), Note: fanout},
		{ID: "actor/fanout-allocs", Unit: "allocs/delivery", Ours: actors.FanoutAllocs(1000), Note: "of a pointer to 1,000 actors"},
		{ID: "actor/timer-create", Unit: "ns/op", Ours: actors.TimerCreate(100_000), Note: timerCreate},
		{ID: "actor/timer-bytes", Unit: "B", Ours: actors.TimerBytes(), Note: timerBytes},
		{ID: "actor/timer-idle-cpu", Unit: "% of a core", Ours: actors.TimerIdleCPU(), Note: timerIdle},
	}
}

// luaBenchmarks are those of services in Lua on one engine, whose ids end in suffix.
func luaBenchmarks(on luas.Suite, suffix string) []measure.Benchmark {
	const (
		ask       = "; base: Ask and its answer between actors in Go, same run"
		call1     = "skynet.call with a number there and back, one caller" + ask
		call100   = "the same with 100 calls in flight" + ask
		callTable = "skynet.call with a table of 4 fields there and back, one caller" + ask
		send      = "skynet.send of a number, until all are handled; base: Send to an actor in Go, same run"
		spawn     = "newservice of an empty service by one caller, its end not counted; base: actors in Go started and stopped, same run"
		idle      = "resident memory a service, with 10,000 that have handled one message each"
		agents    = "resident memory an agent of a script of 300 lines, with 10,000 that share VMs"
		killed    = "resident memory that is left of each of 10,000 services when they have been killed: once it is a tenth, or after a minute"
		fanout    = "bursts of 50, all handled before the next one; base: Publish to actors in Go, same run"
		create    = "skynet.timeout of a new function, up to 100,000 outstanding in the service; base: After and Cancel of an actor in Go, same run"
		timer     = "resident memory a timer and its function, with 100,000 in one service"
		burst     = "100,000 timers of one service due at the same moment, until all have run"
		waits     = "resident memory a handler that waits in skynet.call, with 10,000 in one service"
		sleeps    = "the same in skynet.sleep"
	)
	all := []measure.Benchmark{
		{ID: "lua/call-1", Unit: "op/s", Ours: on.Call(1), Base: measure.PerSecond(actors.Ask(1)), Note: call1},
		{ID: "lua/call-100", Unit: "op/s", Ours: on.Call(100), Base: measure.PerSecond(actors.Ask(100)), Note: call100},
		{ID: "lua/call-table", Unit: "op/s", Ours: on.CallTable(), Base: measure.PerSecond(actors.Ask(1)), Note: callTable},
		{ID: "lua/send", Unit: "op/s", Ours: on.Send(), Base: measure.PerSecond(actors.Send), Note: send},
		{ID: "lua/spawn", Unit: "op/s", Ours: on.Spawn(), Base: actors.Spawn, Note: spawn},
		{ID: "lua/idle-bytes", Unit: "B/service", Ours: on.IdleBytes(), Note: idle},
		{ID: "lua/shared-agent-bytes", Unit: "B/agent", Ours: on.AgentBytes(), Note: agents},
		{ID: "lua/killed-bytes", Unit: "B/service", Ours: on.KilledBytes(), Note: killed},
		{ID: "lua/multicast-1000", Unit: "deliveries/s", Ours: on.Multicast(1000), Base: actors.Fanout(1000), Note: fanout},
		{ID: "lua/timer-create", Unit: "µs", Ours: measure.Microseconds(on.TimerCreate()), Base: measure.Microseconds(actors.TimerCreate(100_000)), Note: create},
		{ID: "lua/timer-bytes", Unit: "B", Ours: on.TimerBytes(), Note: timer},
		{ID: "lua/timer-burst", Unit: "s", Ours: on.TimerBurst(), Note: burst},
		{ID: "lua/wait-bytes", Unit: "B/handler", Ours: on.WaitBytes(), Note: waits},
		{ID: "lua/sleep-bytes", Unit: "B/handler", Ours: on.SleepBytes(), Note: sleeps},
	}
	for i := range all {
		all[i].ID += suffix
	}
	return all
}

// reloadBenchmarks are those of replacing code under load, on one engine.
func reloadBenchmarks(on luas.Suite, suffix string) []measure.Benchmark {
	const (
		load    = "10,000 agents of a script of 300 lines that answer 20,000 requests a second, "
		own     = load + "each in a VM of its own, "
		share   = load + "in VMs of 256, "
		changed = "until all have another version, in which each function is changed; checking and compiling it are counted"
		delay   = "p99 of the requests while all get another version, less that before"
	)
	all := []measure.Benchmark{
		{ID: "reload/10000-agents", Unit: "s", Ours: on.Reload(false), Note: own + changed},
		{ID: "reload/10000-agents-shared", Unit: "s", Ours: on.Reload(true), Note: share + changed},
		{ID: "reload/handler-delay-p99", Unit: "ms", Ours: on.ReloadDelay(false), Note: own + delay},
		{ID: "reload/handler-delay-p99-shared", Unit: "ms", Ours: on.ReloadDelay(true), Note: share + delay},
	}
	for i := range all {
		all[i].ID += suffix
	}
	return all
}

// clusterBenchmarks are messages between nodes.
func clusterBenchmarks() []measure.Benchmark {
	const (
		two  = "two nodes in one process, each with its connection to a NATS server on loopback; "
		ask  = two + "base: nats.go request and reply on connections of its own, same run"
		send = two + "one actor to another"
		call = two + "skynet.call of a service in Lua to one of the other node; base: nats.go request and reply on connections of its own, same run"

		three         = "three nodes in one process; "
		activate      = three + "p50 of first requests to grains of another node, one after the other, with their answers"
		warm          = two + "an actor to a grain of the other node; base: to a plain actor of it, same run"
		again         = three + "100,000 grains on them; from the death of one node until all grains have answered, 200 requests at a time; it takes 4 s to be sure of the death"
		p99           = three + "p99 of requests to grains of the other two nodes meanwhile, one begun each millisecond, whether those before are answered or not"
		clusterLogins = ", new connections and logins by token as in net/login-tcp, at the gates of three nodes of one process in turns; base: the same with one node, same run"
		hops          = two + "client, gate on one, its Lua agent on the other and back, over TCP, 100 connections; base: a bare TCP echo, same run"
	)
	on := luas.Default()
	return []measure.Benchmark{
		{ID: "cluster/ask-1", Unit: "µs", Ours: measure.Microseconds(nodes.Ask(1)), Base: measure.Microseconds(nodes.BareAsk(1)), Note: ask},
		{ID: "cluster/ask-100", Unit: "op/s", Ours: measure.PerSecond(nodes.Ask(100)), Base: measure.PerSecond(nodes.BareAsk(100)), Note: ask},
		{ID: "cluster/client-two-hops-100", Unit: "req/s", Ours: clients.TwoHops(100), Base: bare.TCPEcho(100), Note: hops},
		{ID: "cluster/lua-call-1", Unit: "µs", Ours: measure.Microseconds(on.CallAcross(1)), Base: measure.Microseconds(nodes.BareAsk(1)), Note: call},
		{ID: "cluster/lua-call-100", Unit: "op/s", Ours: measure.PerSecond(on.CallAcross(100)), Base: measure.PerSecond(nodes.BareAsk(100)), Note: call},
		{ID: "cluster/send", Unit: "msg/s", Ours: measure.PerSecond(nodes.Send), Note: send},
		{ID: "cluster/login-3", Unit: "logins/s", Ours: clients.ClusterLogins(3, true, 6000), Base: clients.ClusterLogins(1, true, 6000), Note: "agent in Lua" + clusterLogins},
		{ID: "cluster/login-go-3", Unit: "logins/s", Ours: clients.ClusterLogins(3, false, 6000), Base: clients.ClusterLogins(1, false, 6000), Note: "handler in Go" + clusterLogins},
		{ID: "cluster/activate", Unit: "ms", Ours: nodes.Activate, Note: activate},
		{ID: "cluster/grain-ask-1", Unit: "µs", Ours: measure.Microseconds(nodes.AskGrain(1)), Base: measure.Microseconds(nodes.Ask(1)), Note: warm},
		{ID: "cluster/grain-ask-100", Unit: "op/s", Ours: measure.PerSecond(nodes.AskGrain(100)), Base: measure.PerSecond(nodes.Ask(100)), Note: warm},
		{ID: "cluster/grains-again", Unit: "s", Ours: nodes.Again, Note: again},
		{ID: "cluster/grains-again-p99", Unit: "ms", Ours: nodes.AgainP99, Note: p99},
	}
}

// storeBenchmarks are those of documents and their databases.
func storeBenchmarks() []measure.Benchmark {
	const (
		engine   = "the bare engine with the same rows as whole documents, each "
		bulk     = "documents of 2 KB in batches of 500, "
		bulkBase = "; base: " + engine + "500 in a transaction, same run"
		mongo    = bulk + "whole; base: the bare driver's unordered bulkWrite of 500, w majority, j, by _id, same run. FerretDB, where MONGO_URI names no server, is " +
			"a process with SQLite, has 50 documents in a command on one connection, and base by _id and version, since it reads all documents for anything but _id"
		commit = "p50 of a commit, 100 owners of a document of 2 KB each that commit one changed field of 50 after the other; base: p50 of " +
			engine + "in a transaction of its own, one after the other, same run"
		paced     = "the same of 100 owners that pause 50 to 150 ms after each commit; base: as of commit-100"
		bareGroup = "commit-100; base: p50 of 100 goroutines that each give 60 bytes to one which inserts all that wait as a row of the bare engine and answers, without actors, " +
			"documents, versions or checks, same run"
		barePaced = "commit-paced; base: p50 of " + engine + "in a transaction of its own, with a pause of 1 ms behind each, same run"
		group     = "what is committed by these 100 owners, who share transactions; base: the same by one owner, same run"
		load      = "store.load of a document of 4 KB past the cache, one script, one after the other; base: read from the bare engine and decode into a Go struct, same run"
		access    = " of a field of a field of an open document; base: of a plain table, same run"
		bytes     = "bytes that the embedded store writes as patches by those that it writes as whole documents of 2 KB, checkpoints included, one of 50 fields " +
			"changed at 10,000 a second, two or three changes a save; a tenth of the players at ten times the pace"
		cpu = "% of a core of a process with 10,000 owners in Go that each change one of 50 fields a second, autosave 2 s, embedded store; a refused or late save fails it"
	)
	var wire stores.Mongo
	return []measure.Benchmark{
		{ID: "store/save-bulk-embedded", Unit: "docs/s", Ours: stores.SaveBulk(false), Base: stores.BareBulk, Note: bulk + "whole" + bulkBase},
		{ID: "store/save-bulk-patches", Unit: "docs/s", Ours: stores.SaveBulk(true), Base: stores.BareBulk, Note: bulk + "as the patch of one field of 50" + bulkBase},
		{ID: "store/save-bulk-mongo", Unit: "docs/s", Ours: wire.SaveBulk, Base: wire.BareBulk, Note: mongo, On: wire.Server},
		{ID: "store/commit-100", Unit: "µs", Ours: stores.CommitLatency(100, 0), Base: stores.BareWrite(0), Note: commit},
		{ID: "store/commit-100-bare-group", Unit: "µs", Ours: stores.CommitLatency(100, 0), Base: stores.BareGroup(100), Note: bareGroup},
		{ID: "store/commit-paced", Unit: "µs", Ours: stores.CommitLatency(100, 100*time.Millisecond), Base: stores.BareWrite(0), Note: paced},
		{ID: "store/commit-paced-bare", Unit: "µs", Ours: stores.CommitLatency(100, 100*time.Millisecond), Base: stores.BareWrite(time.Millisecond), Note: barePaced},
		{ID: "store/commit-group", Unit: "op/s", Ours: stores.CommitRate(100), Base: stores.CommitRate(1), Note: group},
		{ID: "store/load-table", Unit: "µs", Ours: measure.Microseconds(stores.LoadTable), Base: measure.Microseconds(stores.BareLoad), Note: load},
		{ID: "store/track-read", Unit: "ns/op", Ours: stores.Access("read", true), Base: stores.Access("read", false), Note: "reading" + access},
		{ID: "store/track-write", Unit: "ns/op", Ours: stores.Access("write", true), Base: stores.Access("write", false), Note: "writing" + access},
		{ID: "store/autosave-bytes", Unit: "share", Ours: stores.AutosaveShare, Once: true, Note: bytes},
		{ID: "store/autosave-cpu", Unit: "% of a core", Ours: stores.AutosaveCPU(), Once: true, Note: cpu},
	}
}

// mediaBenchmarks are those of live media.
func mediaBenchmarks() []measure.Benchmark {
	const (
		thousand = "1,000 viewers of one stream of 1.6 Mbps on loopback, gigabits a second for each core that the server uses; "
		hundreds = "300 viewers of one stream of 1.6 Mbps on loopback, over their connections, gigabits a second for each core that the server uses; "
		loop     = "base: a loop that writes the same bytes to as many connections, same run"
		bytes    = "resident memory of the server a viewer, with 1,000 more (RTSP: 300), without what the system keeps of their sockets"
		overKCP  = "1,000 viewers of one stream on loopback, at a fifth of its 1.6 Mbps, as their own work takes more than two cores otherwise; gigabits a second for each core that the server uses; base: a loop that writes the same bytes to as many sessions of net/kcp, same run"
		fanout   = "from the publisher into the hands of 1,000 viewers, a frame at a time, without sockets and without waking a goroutine"
		latency  = "from an encoder's socket, over RTMP, until a viewer has all of a frame, of 99 in 100 frames of 500 viewers, who read on the same cores; base: the same frames through a loop that writes each to all, same run"
		first    = "from the first packet of a viewer's connection until it has its first picture, which is a key frame, 95 in 100 of 150 viewers who come one after the other; key frames each second"
		behind   = "95 in 100 parts: the age of the newest when a player has it, and the distance from it that the playlist asks for; parts of 0.2 s, key frames each second"
	)
	base := streams.PerCore("media-bare", 1000, streams.Bare)
	return []measure.Benchmark{
		{ID: "media/fanout", Unit: "ns a frame and viewer", Ours: streams.FanOut(1000), Note: fanout},
		{ID: "media/flv-1000", Unit: "Gbps/core", Ours: streams.PerCore("media-flv", 1000, streams.FLV), Base: base, Note: thousand + loop},
		{ID: "media/rtmp-1000", Unit: "Gbps/core", Ours: streams.PerCore("media-rtmp", 1000, streams.RTMP), Base: base, Note: thousand + loop},
		{ID: "media/rtsp-300", Unit: "Gbps/core", Ours: streams.PerCore("media-rtsp", 300, streams.RTSP), Base: streams.PerCore("media-bare", 300, streams.Bare), Note: hundreds + loop},
		{ID: "media/own-tcp-1000", Unit: "Gbps/core", Ours: streams.PerCore("media-own-tcp", 1000, streams.Own), Base: base, Note: thousand + loop},
		{
			ID: "media/own-kcp-1000", Unit: "Gbps/core", Ours: streams.PerCoreOverKCP("media-own-kcp", 1000, streams.Own),
			Base: streams.PerCoreOverKCP("media-bare-kcp", 1000, streams.Hello), Note: overKCP,
		},
		{ID: "media/own-viewer-bytes", Unit: "B/viewer", Ours: streams.ViewerBytes("media-own-tcp", 1000, streams.Own), Note: bytes},
		{ID: "media/flv-viewer-bytes", Unit: "B/viewer", Ours: streams.ViewerBytes("media-flv", 1000, streams.FLV), Note: bytes},
		{ID: "media/rtmp-viewer-bytes", Unit: "B/viewer", Ours: streams.ViewerBytes("media-rtmp", 1000, streams.RTMP), Note: bytes},
		{ID: "media/rtsp-viewer-bytes", Unit: "B/viewer", Ours: streams.ViewerBytes("media-rtsp", 300, streams.RTSP), Note: bytes},
		{ID: "media/latency-p99/flv", Unit: "ms", Ours: streams.ByFLV.LatencyP99(500), Base: streams.ByBare.LatencyP99(500), Note: latency},
		{ID: "media/latency-p99/rtmp", Unit: "ms", Ours: streams.ByRTMP.LatencyP99(500), Base: streams.ByBare.LatencyP99(500), Note: latency},
		{ID: "media/latency-p99/own", Unit: "ms", Ours: streams.ByOwn.LatencyP99(500), Base: streams.ByBare.LatencyP99(500), Note: latency},
		{ID: "media/first-frame-p95/flv", Unit: "ms", Ours: streams.ByFLV.FirstFrameP95(), Note: first},
		{ID: "media/first-frame-p95/rtmp", Unit: "ms", Ours: streams.ByRTMP.FirstFrameP95(), Note: first},
		{ID: "media/first-frame-p95/own", Unit: "ms", Ours: streams.ByOwn.FirstFrameP95(), Note: first},
		{ID: "media/hls-behind-live", Unit: "s", Ours: streams.HLSBehind, Note: behind},
	}
}

// webrtcBenchmarks are those of rooms of WebRTC.
func webrtcBenchmarks() []measure.Benchmark {
	const (
		whep       = "300 viewers of one stream of 1.6 Mbps by WHEP, encrypted; what they got by the server's CPU time; base: the same packets written to a UDP socket, as they are, same run"
		memory     = "resident memory of the server for each of them, while it sends"
		firstFrame = "from the moment at which ICE has got through until a viewer has its first picture, which is a key frame, 95 in 100 of 100 viewers who come one after the other; the stream is one that came over RTMP, with a key frame each second"
		voice      = "cores for 200 rooms of 4 members, who all send Opus each 20 ms and hear the three others; measured with 100 rooms and multiplied by 2"
		voiceBytes = "resident memory of the server for each of the 800 members of 200 such rooms, who has a session that sends and one that hears the others, while they all speak, a packet each 100 ms"
	)
	return []measure.Benchmark{
		{ID: "media/whep-300", Unit: "Gbps/core", Ours: rooms.WHEP(300), Base: rooms.BareUDP(300), Note: whep},
		{ID: "media/whep-viewer-bytes", Unit: "B/viewer", Ours: rooms.WHEPBytes(300), Note: memory},
		{ID: "media/first-frame-p95/whep", Unit: "ms", Ours: rooms.FirstFrameP95(100), Note: firstFrame},
		{ID: "media/voice-200", Unit: "cores", Ours: rooms.Voice(100), Note: voice},
		{ID: "media/voice-member-bytes", Unit: "B/member", Ours: rooms.VoiceBytes(200), Note: voiceBytes},
	}
}

// otherBenchmarks are those of what stands on the actors, and the references.
func otherBenchmarks(botsFor time.Duration) []measure.Benchmark {
	const (
		agents    = "agent in Lua a connection, in VMs of 256 (gate.agent_vm is shared), JSON of 64 bytes, closed loop; base: "
		ownVMs    = "agent in Lua a connection, each in a VM of its own (gate.agent_vm is own), JSON of 64 bytes, closed loop; base: "
		handler   = "handler in Go in the session's actor, JSON of 64 bytes, closed loop; base: "
		tcpEcho   = "bare TCP echo of 64 bytes, same run"
		kcpEcho   = "bare kcp-go server's echo of 64 bytes, same run"
		webSocket = "our TCP through Lua, same run"
		idle      = "resident memory of the server a session that has shaken hands and had a request answered by a handler in Go, with 15,000; base: "
		idleTCP   = "a bare connection that has had an echo, same run"
		idleKCP   = "a session of a bare kcp-go server, with 2,000, same run"
		idleCPU   = "the server with 10,000 sessions, heartbeats each 10 s and KCP's pings, five windows of 7 s"
		broadcast = "100 bytes to 10,000 sessions over TCP, 25 at once, encoded once each, until all are in the connections' queues; clients read what they got then"
		logins    = "a new connection, the handshakes and a login by token, each of another player, 64 at a time, handler in Go"
		loss      = "p99 of requests of 64 bytes over KCP, 30 a second of each of 60 clients, 50 ms round trip, handler in Go, loss of "
		bots      = "% of a core that a node with a Lua agent a session uses for 10,000 clients over KCP and 10,000 over TCP, in four processes, a request each 10 s; an error fails it"
	)
	return []measure.Benchmark{
		{ID: "net/tcp-go-100", Unit: "req/s", Ours: clients.GoEcho("tcp", 100), Base: bare.TCPEcho(100), Note: handler + tcpEcho},
		{ID: "net/tcp-go-1000", Unit: "req/s", Ours: clients.GoEcho("tcp", 1000), Base: bare.TCPEcho(1000), Note: handler + tcpEcho},
		{ID: "net/tcp-lua-100", Unit: "req/s", Ours: clients.LuaEcho("tcp", 100), Base: bare.TCPEcho(100), Note: agents + tcpEcho},
		{ID: "net/tcp-lua-1000", Unit: "req/s", Ours: clients.LuaEcho("tcp", 1000), Base: bare.TCPEcho(1000), Note: agents + tcpEcho},
		{ID: "net/tcp-own-vm-100", Unit: "req/s", Ours: clients.OwnVMEcho(100), Base: bare.TCPEcho(100), Note: ownVMs + tcpEcho},
		{ID: "net/tcp-own-vm-1000", Unit: "req/s", Ours: clients.OwnVMEcho(1000), Base: bare.TCPEcho(1000), Note: ownVMs + tcpEcho},
		{ID: "net/kcp-lua-100", Unit: "req/s", Ours: clients.LuaEcho("kcp", 100), Base: bare.KCPEcho(100), Note: agents + kcpEcho},
		{ID: "net/kcp-lua-1000", Unit: "req/s", Ours: clients.LuaEcho("kcp", 1000), Base: bare.KCPEcho(1000), Note: agents + kcpEcho},
		{ID: "net/ws-lua-100", Unit: "req/s", Ours: clients.LuaEcho("ws", 100), Base: clients.LuaEcho("tcp", 100), Note: agents + webSocket},
		{ID: "net/idle-tcp", Unit: "B/session", Ours: clients.IdleBytes("tcp", 15_000), Base: bare.TCPIdleBytes(15_000), Note: idle + idleTCP},
		{ID: "net/idle-ws", Unit: "B/session", Ours: clients.IdleBytes("ws", 15_000), Base: bare.WebSocketIdleBytes(15_000), Note: idle + idleTCP},
		{ID: "net/idle-kcp", Unit: "B/session", Ours: clients.IdleBytes("kcp", 15_000), Base: bare.KCPIdleBytes(2_000), Note: idle + idleKCP},
		{ID: "net/kcp-idle-cpu", Unit: "% of a core", Ours: clients.IdleCPU(10_000, 7*time.Second), Once: true, Note: idleCPU},
		{ID: "net/broadcast-10000", Unit: "deliveries/s", Ours: clients.Broadcast(10_000), Note: broadcast},
		{ID: "net/login-tcp", Unit: "op/s", Ours: clients.Logins("tcp", 6000), Note: logins},
		{ID: "net/login-kcp", Unit: "op/s", Ours: clients.Logins("kcp", 6000), Note: logins},
		{ID: "net/bots-20000", Unit: "% of a core", Ours: clients.Bots(20_000, botsFor), Once: true, Note: bots},
		{ID: "net/kcp-loss-5", Unit: "ms", Ours: clients.Lossy("fast", 5), Base: clients.Lossy("tcp", 5), Note: loss + "5 %; base: our TCP"},
		{ID: "net/kcp-loss-10", Unit: "ms", Ours: clients.Lossy("fast", 10), Base: clients.Lossy("tcp", 10), Note: loss + "10 %; base: our TCP"},
		{ID: "loss/normal-5", Unit: "ms", Ours: clients.Lossy("normal", 5), Base: clients.Lossy("fast", 5), Note: loss + "5 %, profile normal; base: profile fast"},
		{ID: "loss/thrifty-5", Unit: "ms", Ours: clients.Lossy("thrifty", 5), Base: clients.Lossy("fast", 5), Note: loss + "5 %, profile thrifty; base: profile fast"},
		{ID: "loss/normal-10", Unit: "ms", Ours: clients.Lossy("normal", 10), Base: clients.Lossy("fast", 10), Note: loss + "10 %, profile normal; base: profile fast"},
		{ID: "loss/thrifty-10", Unit: "ms", Ours: clients.Lossy("thrifty", 10), Base: clients.Lossy("fast", 10), Note: loss + "10 %, profile thrifty; base: profile fast"},

		{ID: "bare/channel-send", Unit: "ns/op", Ours: bare.ChannelSend, Note: "buffered channel of 1,024, one sender, one receiver"},
		{ID: "bare/channel-pingpong-1", Unit: "ns/op", Ours: bare.ChannelPingPong(1), Note: "two goroutines on channels"},
		{ID: "bare/channel-pingpong-100", Unit: "ns/op", Ours: bare.ChannelPingPong(100), Note: "100 pairs of goroutines on channels, time by all round trips"},
		{ID: "bare/tcp-100", Unit: "req/s", Ours: bare.TCPEcho(100), Note: "closed loop, 64 bytes, two processes"},
		{ID: "bare/tcp-1000", Unit: "req/s", Ours: bare.TCPEcho(1000), Note: "closed loop, 64 bytes, two processes"},
		{ID: "bare/kcp-100", Unit: "req/s", Ours: bare.KCPEcho(100), Note: "kcp-go at both ends, closed loop, 64 bytes, two processes"},
		{ID: "bare/kcp-1000", Unit: "req/s", Ours: bare.KCPEcho(1000), Note: "kcp-go at both ends, closed loop, 64 bytes, two processes"},
		{ID: "bare/ws-100", Unit: "req/s", Ours: bare.WebSocketEcho(100), Note: "gobwas/ws at both ends, closed loop, 64 bytes, two processes"},
	}
}

// servers are what StartServer can start, with these arguments.
func servers(args []string) map[string]measure.Server {
	all := bare.Servers()
	maps.Copy(all, clients.Servers(args))
	maps.Copy(all, streams.Servers())
	all[rooms.WebRTCServer] = rooms.ServeWebRTC
	all[rooms.RelayServer] = rooms.ServeRelay
	return all
}

func main() {
	heap.KeepFloor(heap.DefaultFloor) // as a node does
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var programs peers.Programs
	table := func(bots time.Duration) []measure.Benchmark { return benchmarks(&programs, bots) }
	code := run(ctx, os.Args[1:], table, os.Stdout, os.Stderr)
	if err := programs.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, table func(bots time.Duration) []measure.Benchmark, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "run the benchmarks whose id begins so")
	runs := flags.Int("runs", 5, "measurements of each side; the median counts")
	ids := flags.Bool("list", false, "print the ids")
	bots := flags.Duration("bots", 20*time.Second, "how long net/bots-20000 plays")
	server := flags.String(measure.ServeFlag, "", "be this server until standard input ends; for the program itself")
	figure := flags.String(measure.FigureFlag, "", "measure this figure in this process and print it; for the program itself")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	all := table(*bots)
	if *runs < 1 || flags.NArg() > 0 && *server == "" {
		fmt.Fprintf(stderr, "bench: found -runs %d and arguments %q, expected at least 1 run and no arguments\n", *runs, flags.Args())
		return 2
	}
	if *server != "" {
		return serve(ctx, *server, flags.Args(), stdout, stderr)
	}
	if *figure != "" {
		return printFigure(ctx, *figure, stdout, stderr)
	}
	if *ids {
		for _, b := range all {
			fmt.Fprintf(stdout, "%s %s\n", b.ID, b.Unit)
		}
		return 0
	}
	chosen, err := measure.Select(all, *only)
	if err == nil {
		err = measure.Runner{Runs: *runs, JSON: stdout, Text: stderr}.Run(ctx, chosen)
	}
	switch {
	case errors.Is(err, measure.ErrNoMatch):
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// serve is the process that StartServer starts.
func serve(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	s, ok := servers(args)[name]
	if !ok {
		fmt.Fprintf(stderr, "bench: found -%s=%s, which is no server\n", measure.ServeFlag, name)
		return 2
	}
	stop, err := profile(name)
	if err == nil {
		err = errors.Join(measure.Serve(ctx, s, os.Stdin, stdout), stop())
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: server %s: %v\n", name, err)
		return 1
	}
	return 0
}

// figures are what InChild can measure.
func figures() map[string]measure.Func {
	all := actors.Figures()
	maps.Copy(all, luas.Figures())
	maps.Copy(all, clients.Figures())
	maps.Copy(all, stores.Figures())
	return all
}

// printFigure is the process that InChild starts.
func printFigure(ctx context.Context, name string, stdout, stderr io.Writer) int {
	err := measure.PrintFigure(ctx, figures(), name, stdout)
	switch {
	case errors.Is(err, measure.ErrNoFigure):
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "bench: figure %s: %v\n", name, err)
		return 1
	}
	return 0
}
