import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ClosedError, ConnectionError, HandshakeError, KickedError, ProtocolError, ServerClosedError, connect, type State } from "../src/index.js";
import { environment } from "../src/environment.js";
import { join, play, watch } from "./play.js";
import { Server, pack, push, response } from "./server.js";
import { settled } from "./world.js";

const reason = (s: State) => (s as { reason?: any }).reason;

test("attempts come after 100 ms, twice as long each time up to 5 s, within a half of it", async () => {
  for (const [random, factor] of [[0, 0.5], [0.5, 1], [0.999, 1.499]] as const) {
    const server = new Server();
    server.world.random = random;
    server.world.cuts = Array(9).fill("refused");
    const { client, states } = join(server);
    await server.world.until(() => client.online);
    const waits = states.slice(1, -1).map((s) => (s as { retryIn: number }).retryIn);
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000].map((ms) => ms * factor));
    assert.deepEqual([reason(states[1]!).name, reason(states[1]!).code, reason(states[1]!).message],
      ["ConnectionError", "unreachable", "can't connect to ws://server/ws: the line broke"]);
    client.close();
  }
});

test("a connection that has held resets the back-off, one that breaks at once does not", async () => {
  const server = new Server();
  const { client, states } = join(server);
  const waits = () => states.filter((s) => s.name === "away").map((s) => s.retryIn);
  for (let i = 0; i < 4; i++) {
    await server.world.until(() => client.online);
    server.line.connection.cut();
  }
  assert.deepEqual(waits(), [100, 200, 400, 800]);
  await server.world.until(() => client.online);
  await server.world.pass(6000);
  server.line.connection.cut();
  assert.equal(waits().at(-1), 100);
  client.close();
});

test("the network's or the window's return tries at once, and asks a silent connection whether it lives", async () => {
  const server = new Server({ heartbeat: 30 });
  const { client, states } = join(server);
  await server.world.until(() => client.online);
  await server.world.pass(10);
  server.world.cuts = Array(6).fill("refused");
  server.line.connection.cut();
  await server.world.until(() => states.at(-1)?.name === "away" && (states.at(-1) as any).retryIn === 3200);
  server.world.cuts = [];
  const before = server.world.now;
  server.world.wake();
  server.world.wake(); // events come in flocks
  await server.world.until(() => client.online);
  assert.ok(server.world.now - before < 10);
  assert.equal(client.state.name, "resumed");

  const beats = () => server.line.types.filter((t) => t === 3).length;
  await server.world.pass(5);
  server.world.wake();
  server.world.offline();
  await server.world.pass(5000);
  assert.deepEqual([beats(), client.state.name], [1, "resumed"], "one question, and it was answered");
  server.line.silent = true;
  server.world.offline();
  await server.world.pass(5001);
  assert.equal(client.state.name, "away");
  assert.equal(reason(client.state).code, "silent");
  client.close();
});

test("heartbeats keep the interval, give the round trip, and end a connection that is silent for two of them", async () => {
  const { server, client } = play({}, { heartbeat: 10 });
  await server.world.until(() => client.online);
  await server.world.pass(5);
  assert.equal(client.rtt, 2, "the server's heartbeat after the ack");
  await server.world.pass(30_000);
  assert.deepEqual(server.line.types, [1, 2, 3, 3, 3]);
  server.line.silent = true;
  const told = server.world.now;
  server.push(server.session, "p", 1); // any package is a sign of life
  await server.world.until(() => !client.online);
  assert.ok(Math.abs(server.world.now - told - 20_000) < 10, `${server.world.now - told} ms`);
  assert.deepEqual([reason(client.state) instanceof ConnectionError, reason(client.state).code, client.rtt], [true, "silent", 0]);
  client.close();

  const none = play({}, { heartbeat: 0 });
  await none.server.world.until(() => none.client.online);
  await none.server.world.pass(3_600_000);
  assert.deepEqual([none.server.line.types, none.client.online], [[1, 2], true]);
  none.client.close();
});

test("kicks that pass are come back from, later than after a cut; others are the end", async () => {
  for (const code of ["shutdown", "idle", "full", "agent_ended", "unavailable", "internal", "slow", "too_slow"]) {
    const { server, client, names, states } = play();
    await server.world.until(() => client.online);
    await server.world.pass(5);
    server.line.kick(code, "later");
    await server.world.until(() => states.some((s) => s.name === "away"));
    assert.equal((client.state as any).retryIn, 800);
    assert.ok(reason(client.state) instanceof KickedError);
    await server.world.until(() => client.online);
    assert.equal(names(), "connecting connected away resumed", code);
    client.close();
  }
  for (const code of ["replaced", "bad_packet", "denied", "too_many_requests", "too_fast", "cheater", ""]) {
    const { server, client } = play();
    await server.world.until(() => client.online);
    await server.world.pass(5);
    server.line.kick(code);
    await server.world.until(() => client.state.name === "closed");
    assert.deepEqual([reason(client.state).name, reason(client.state).code], ["KickedError", code || "kicked"]);
    assert.deepEqual([server.world.timers, server.world.watched], [0, 0]);
  }
  const stubborn = play({ retry: (r) => (r.code === "cheater" ? true : undefined) });
  await stubborn.server.world.until(() => stubborn.client.online);
  await stubborn.server.world.pass(5);
  stubborn.server.line.kick("cheater");
  await stubborn.server.world.until(() => stubborn.client.state.name === "resumed");
  stubborn.client.close();
});

test("a client that is moved goes on at once at an address that it can use", async () => {
  const { server, client, names } = play();
  await server.world.until(() => client.online);
  await server.world.pass(5);
  const home = server.line.connection.url;
  server.line.kick("moved", "this node is drained", ["tcp://other:7000", "ws://other:7080/ws", home]);
  await server.world.until(() => client.state.name === "away");
  await server.world.until(() => client.online);
  assert.equal(server.line.connection.url, "ws://other:7080/ws");
  assert.equal(names(), "connecting connected away resumed");
  const p = watch(client.request("echo", 1));
  await server.world.until(() => p.done);
  assert.equal(p.value, 1);
  client.close();
});

test("a server that closes without a word is a ServerClosedError", async () => {
  const { server, client } = play({ retry: () => false });
  await server.world.until(() => client.online);
  server.line.connection.close(1011, "oops");
  await server.world.until(() => client.state.name === "closed");
  assert.ok(reason(client.state) instanceof ServerClosedError);
  assert.deepEqual([reason(client.state).closeCode, reason(client.state).message], [1011, "the connection was closed with code 1011: oops"]);
});

test("enter goes first, others wait for it, and its end is the session's begin", async () => {
  const { server, client, names } = play({
    enter: async (session) => {
      await session.login({ name: "ann" });
      session.notify("ready");
      await session.request("enter", 1);
    },
  });
  const p = watch(client.request("move", 1));
  await server.world.until(() => p.done);
  assert.deepEqual(server.session.handled.map((m) => m.route), ["login", "ready", "enter", "move"]);
  await client.ready();
  assert.equal(names(), "connecting connected");
  client.close();
  await assert.rejects(client.ready(), ClosedError);
});

test("enter that is refused ends the client; what is over soon is tried again", async () => {
  const failing = (code: string) => play({ enter: (session) => session.login({}) }, {
    handle: (s, m, srv) => (srv.sessions.length < 3 ? srv.data(s, response(m.id, { code, msg: code }, 0x20)) : srv.answer(s, m.id, {})),
  });
  for (const code of ["denied", "banned", "too_many"]) {
    const { server, client, names } = failing(code);
    const p = watch(client.request("x"));
    await server.world.until(() => p.done);
    assert.deepEqual([p.error.name, p.error.code, names()], ["RequestError", code, "connecting closed"]);
  }
  for (const code of ["busy", "unavailable", "shutdown"]) {
    const { server, client, names, states } = failing(code);
    const p = watch(client.request("x"));
    await server.world.until(() => p.done);
    assert.equal(names(), "connecting connected");
    assert.deepEqual(states.map((s) => reason(s)?.code), [undefined, code, code, undefined]);
    assert.equal(server.lines[0]!.code, 1000, "nobody needs the session");
    assert.deepEqual(server.session.handled.map((m) => m.route), ["login", "x"]);
    client.close();
  }
  const slow = play({ enter: (session) => session.login({}, { timeout: 100 }) }, { handle: (s, m, srv) => srv.sessions.length > 1 && srv.answer(s, m.id, {}) });
  await slow.server.world.until(() => slow.client.online);
  assert.equal(reason(slow.states[1]!).code, "timeout");
  slow.client.close();

  const faulty = play({ enter: () => (undefined as any).oops });
  await faulty.server.world.until(() => faulty.client.state.name === "closed");
  assert.deepEqual([reason(faulty.client.state).code, reason(faulty.client.state).cause.name], ["enter_failed", "TypeError"]);
});

test("who speaks in a session that is over is told so", async () => {
  let speak: any;
  const { server, client } = play({ enter: (session) => (speak = session, undefined) }, { resume: false });
  await server.world.until(() => client.online);
  server.line.connection.cut();
  const old = speak;
  await server.world.until(() => client.online);
  await assert.rejects(old.request("x"), { name: "SessionLostError" });
  assert.throws(() => old.notify("x"), { name: "SessionLostError" });
  await assert.rejects(old.login({}), { name: "SessionLostError" });
  client.close();
});

test("handlers of the state may close the client, whatever it is", async () => {
  for (const at of ["connecting", "connected", "away", "resumed", "lost"]) {
    const p = play({ onState: (s) => void (s.name === at && queueMicrotask(() => p.client.close())) });
    const now = play({});
    now.client.onState((s) => s.name === at && now.client.close());
    for (const { server, client } of [p, now]) {
      if (at === "connecting" && client === now.client) server.world.after(0, () => server.world.connections[0]!.cut());
      await server.world.until(() => client.online || client.state.name === "closed");
      await server.world.pass(5);
      server.line?.connection.cut();
      if (at === "lost") server.session.ended = "resume_ended";
      await server.world.until(() => client.state.name === "closed");
      assert.deepEqual([server.world.timers, server.world.watched], [0, 0], at);
    }
  }
});

test("servers that break the protocol are left, with what was found", async () => {
  const cases: [string, Uint8Array | string, RegExp][] = [
    ["a type that there is not", Uint8Array.of(9, 0, 0, 0), /type 9/],
    ["a package too long", Uint8Array.of(4, 0xff, 0xff, 0xff), /16777215 bytes, at most 1048576/],
    ["a second handshake", pack(1, "{}"), /second handshake/],
    ["a client's package", pack(2), /type 2, which only clients send/],
    ["an empty message", pack(4), /empty data package/],
    ["a client's message", pack(4, Uint8Array.of(0, 1)), /type 0, expected 2/],
    ["an unknown route code", pack(4, Uint8Array.of(7, 9, 9)), /route code 2313/],
    ["a text message", "hello", /text message/],
    ["an id beyond 2^53", pack(4, Uint8Array.of(4, ...Array(9).fill(0xff), 1)), /2\^53/],
  ];
  for (const [what, bytes, says] of cases) {
    const { server, client, names } = play();
    await server.world.until(() => client.online);
    const p = watch(client.request("x"));
    if (typeof bytes === "string") server.line.connection.writeRaw(bytes);
    else server.line.write(bytes);
    await server.world.until(() => p.done);
    assert.ok(p.error instanceof ProtocolError, what);
    assert.match(p.error.message, says, what);
    assert.equal(names(), "connecting connected closed");
    assert.equal(server.world.timers, 0);
  }
  for (const [bytes, says] of [
    [pack(1, "no json"), /neither gzip nor zlib/], [pack(1, '{"code":'), /not JSON/], [pack(4, push("x", 1)), /before the handshake is over/],
    [pack(1, gzipSync(Buffer.alloc(4 << 20))), /holds more than/], [pack(6, Uint8Array.of(0)), /before the handshake/],
    [new TextEncoder().encode("HTTP/1.1 200 OK"), /type 72/],
  ] as const) {
    const { server, client } = play();
    server.line.bytes = () => {}; // no handshake of its own
    await server.world.pass(5);
    server.line.write(bytes);
    await server.world.really(() => client.state.name === "closed");
    assert.match(reason(client.state).message, says);
  }
});

test("random bytes from the server end the client or not, and never the program", async () => {
  let seed = 99;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  for (let i = 0; i < 500; i++) {
    const { server, client } = play({}, { dict: { p: 1 } });
    await server.world.until(() => client.online);
    const body = Uint8Array.from({ length: random(40) }, () => random(256));
    server.line.write(random(2) ? body : pack(1 + random(6), body));
    await server.world.pass(100);
    client.close();
    await server.world.pass(5);
    assert.equal(server.world.timers, 0);
  }
});

test("a handshake that is refused, or never comes, is told", async () => {
  for (const [answer, code] of [[{ code: 501 }, "client_too_old"], [{ code: 400, msg: "no" }, "refused"]] as const) {
    const { server, client } = play({}, { welcome: () => answer });
    await server.world.until(() => client.state.name === "closed");
    assert.ok(reason(client.state) instanceof HandshakeError);
    assert.deepEqual([reason(client.state).code, reason(client.state).status], [code, answer.code]);
  }
  const server = new Server();
  const { client, states } = join(server, { handshakeTimeout: 2000 });
  server.world.connections[0]!.socket.onopen = null; // opened, and nothing more
  await server.world.until(() => states.length === 2);
  assert.deepEqual([reason(states[1]!).code, server.world.now], ["handshake_timeout", 2000]);
  await server.world.until(() => client.online);
  client.close();
});

test("a compressed handshake is read, as Pitaya sends it", async () => {
  const server = new Server({ resume: false });
  const { client } = join(server);
  await server.world.until(() => server.lines.length === 1);
  server.line.bytes = () => {};
  server.line.write(pack(1, gzipSync('{"code":200,"sys":{"heartbeat":7}}')));
  await server.world.really(() => client.online);
  assert.ok(client.online);
  client.close();
});

test("what handlers throw is reported, and where nobody listens it is an uncaught error", async () => {
  const caught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (e) => caught.push(e));
  try {
    const server = new Server();
    const client = connect("ws://server/ws", { environment: server.world.environment() });
    client.on("p", () => {
      throw new Error("a fault");
    });
    await server.world.until(() => client.online);
    server.push(server.session, "p", 1);
    await server.world.pass(10);
    await settled();
    assert.ok(client.online);
    client.close();
    await server.world.pass(10);
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const l of listeners) process.on("uncaughtException", l as any);
  }
  assert.deepEqual(caught.map(String), ["Error: a fault"]);
});

test("a platform without WebSocket is told what to do", () => {
  const kept = globalThis.WebSocket;
  // @ts-expect-error a platform without one
  globalThis.WebSocket = undefined;
  try {
    assert.throws(() => connect("ws://127.0.0.1:1/ws"), { code: "unsupported", message: /options\.WebSocket/ });
  } finally {
    globalThis.WebSocket = kept;
  }
});

test("the page's events reach the client, and no longer after close", () => {
  const listeners = new Map<string, Set<() => void>>();
  const target = {
    addEventListener: (name: string, f: () => void) => void listeners.set(name, (listeners.get(name) ?? new Set()).add(f)),
    removeEventListener: (name: string, f: () => void) => void listeners.get(name)?.delete(f),
  };
  const fire = (name: string) => listeners.get(name)?.forEach((f) => f());
  const page = { ...target, visibilityState: "hidden" };
  Object.assign(globalThis, target, { document: page });
  try {
    const got: string[] = [];
    const off = environment().watch(() => got.push("wake"), () => got.push("offline"));
    for (const name of ["online", "offline", "pageshow", "visibilitychange"]) fire(name);
    page.visibilityState = "visible";
    fire("visibilitychange");
    assert.deepEqual(got, ["wake", "offline", "wake", "wake"]);
    off();
    assert.equal([...listeners.values()].reduce((n, s) => n + s.size, 0), 0);
  } finally {
    for (const name of ["addEventListener", "removeEventListener", "document"]) delete (globalThis as any)[name];
  }
});
