import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  BacklogError, ClosedError, ProtocolError, RequestError, SessionLostError, TimeoutError, connect, raw, type Routes, type Serializer,
} from "../src/index.js";
import { join, play, watch } from "./play.js";
import { Server, pack, push, response } from "./server.js";
import { settled } from "./world.js";

test("requests are answered with their own answers, whatever the order", async () => {
  const { server, client } = play({}, { dict: { echo: 7 }, handle: () => {} });
  const answers = Array.from({ length: 100 }, (_, i) => watch(client.request("echo", { i })));
  await server.world.until(() => server.sessions[0]?.handled.length === 100);
  const { handled } = server.session;
  assert.deepEqual(handled.map((m) => [m.route, m.body.i]), Array.from({ length: 100 }, (_, i) => ["echo", i]));
  for (const m of [...handled].reverse()) server.answer(server.session, m.id, m.body);
  await server.world.until(() => answers.every((a) => a.done));
  assert.deepEqual(answers.map((a) => a.value.i), handled.map((m) => m.body.i));
  assert.equal(client.stats.answers, 100);
  client.close();
  assert.equal(server.world.timers, 0, "nothing runs on behind close");
});

test("pushes go to their handlers in order, and an awaited answer goes on before what came behind it", async () => {
  const { server, client, errors } = play({}, { dict: { chat: 1 } });
  const got: string[] = [];
  const off = client.on("chat", (body) => got.push(`chat ${body}`));
  client.on("chat", () => {
    throw new Error("a handler with a fault");
  });
  client.onAny((route, body) => got.push(`any ${route} ${body}`));
  const p = (async () => {
    await client.request("x");
    got.push("answered");
  })();
  await server.world.until(() => server.sessions[0]?.handled.length === 1);
  const all = [response(1, null), push("chat", 2), push("other", 3)].map((b) => pack(4, b));
  server.line.write(Uint8Array.from(all.flatMap((b) => [...b]))); // all in one message of the WebSocket, and the server's own answer before it
  await server.world.until(() => got.length === 4);
  await p;
  assert.deepEqual(got, ["answered", "chat 2", "any chat 2", "any other 3"]);
  assert.equal(String(errors[0]), "Error: a handler with a fault");
  off();
  server.push(server.session, "chat", 9);
  await server.world.until(() => got.length === 5);
  assert.equal(got[4], "any chat 9");
  client.close();
});

test("errors of the game are RequestErrors with its code", async () => {
  const { server, client } = play({}, { handle: (s, m, srv) => srv.data(s, response(m.id, m.body, 0x20)) });
  const refused = watch(client.request("buy", { code: "poor", msg: "not enough gold" }));
  const odd = watch(client.request("odd", "no reason at all"));
  await server.world.until(() => odd.done);
  assert.ok(refused.error instanceof RequestError);
  assert.deepEqual([refused.error.code, refused.error.message, refused.error.route], ["poor", "not enough gold", "buy"]);
  assert.deepEqual([odd.error.code, odd.error.name], ["error", "RequestError"]);
  client.close();
});

test("a request without an answer ends at its deadline, also before there is a session", async () => {
  const { server, client } = play({ timeout: 3000 }, { handle: () => {} });
  const slow = watch(client.request("slow"));
  const fast = watch(client.request("fast", undefined, { timeout: 100 }));
  const started = server.world.now;
  await server.world.until(() => fast.done);
  assert.ok(fast.error instanceof TimeoutError);
  assert.deepEqual([fast.error.timeout, fast.error.route, server.world.now - started], [100, "fast", 100]);
  await server.world.until(() => slow.done);
  assert.equal(server.world.now - started, 3000);
  server.answer(server.session, 1, "late");
  await server.world.pass(10);
  assert.equal(client.stats.late, 1);
  client.close();

  const down = new Server();
  down.world.cuts = Array(50).fill("refused");
  const away = join(down);
  const never = watch(away.client.request("x", 1, { timeout: 1000 }));
  await away.server.world.until(() => never.done);
  assert.ok(never.error instanceof TimeoutError);
  away.server.world.cuts = [];
  await away.server.world.until(() => away.client.online);
  await away.server.world.pass(50);
  assert.equal(away.server.session.handled.length, 0, "a request that was given up was sent later");
  away.client.close();
  for (const timeout of [0, -1, NaN, Infinity, 2 ** 31]) await assert.rejects(client.request("x", 1, { timeout }), RangeError);
  assert.throws(() => connect("ws://x", { timeout: 0, environment: server.world.environment() }), RangeError);
});

test("a signal gives a request up with its own reason", async () => {
  const { server, client } = play({}, { handle: () => {} });
  const control = new AbortController();
  const p = watch(client.request("x", 1, { signal: control.signal }));
  await server.world.until(() => server.sessions[0]?.handled.length === 1);
  control.abort(new Error("the window was closed"));
  await settled();
  assert.equal(p.error.message, "the window was closed");
  await assert.rejects(client.request("x", 1, { signal: control.signal }), /the window was closed/);
  assert.equal(server.world.timers, 2, "heartbeat and silence, and no deadline");
  client.close();
});

test("too many requests, too much and too long are refused at once", async () => {
  const { server, client } = play({ maxPending: 3 }, { handle: () => {} });
  const three = [1, 2, 3].map((i) => watch(client.request("x", i)));
  await assert.rejects(client.request("x", 4), BacklogError);
  await server.world.until(() => client.online);
  await assert.rejects(client.request("x", 4), { code: "backlog", message: /3 requests wait/ });
  assert.throws(() => client.notify("x".repeat(256), 1), /256 bytes, at most 255/);
  assert.throws(() => client.notify("x", "y".repeat(1 << 24)), RangeError);
  client.notify("y", "z".repeat(200_000)); // is not acknowledged,
  assert.throws(() => client.notify("y", "z".repeat(100_000)), BacklogError); // so both would be more than the ring holds
  client.close();
  await settled();
  assert.ok(three.every((p) => p.error instanceof ClosedError));
  await assert.rejects(client.request("x"), ClosedError);
  assert.throws(() => client.notify("x"), ClosedError);
  client.close();

  const waiting = play();
  waiting.client.notify("a", "x".repeat(300_000)); // one may be as long as it wants
  assert.throws(() => waiting.client.notify("a", 1), BacklogError);
  waiting.client.close();
});

test("a client that waits for its session sends what it was given, in order", async () => {
  const { server, client } = play();
  client.notify("a", 1);
  const b = watch(client.request("b", 2));
  client.notify("c");
  await server.world.until(() => b.done);
  assert.deepEqual(server.session.handled.map((m) => [m.kind, m.route, m.body]), [["notify", "a", 1], ["request", "b", 2], ["notify", "c", undefined]]);
  client.close();
});

test("compressed answers and pushes keep their places", async () => {
  const { server, client, errors } = play({}, { handle: () => {} });
  const got: unknown[] = [];
  client.onAny((_, body) => got.push(body));
  const p = watch(client.request("x"));
  const broken = watch(client.request("y"));
  await server.world.until(() => server.sessions[0]?.handled.length === 2);
  const s = server.session;
  server.data(s, push("p", gzipSync(JSON.stringify("a".repeat(5000))), 0x10));
  server.push(s, "p", 2);
  server.data(s, response(1, gzipSync('"answer"'), 0x10));
  server.data(s, response(2, Uint8Array.of(1, 2), 0x10));
  server.data(s, push("p", Uint8Array.of(1, 2), 0x10));
  server.push(s, "p", 3);
  await server.world.really(() => got.length === 3);
  assert.deepEqual(got, ["a".repeat(5000), 2, 3]);
  assert.equal(p.value, "answer");
  assert.equal(broken.error.code, "body");
  assert.equal((errors[0] as any).code, "body");
  client.close();
});

test("a zip bomb ends the client, not the program", async () => {
  const { server, client, names } = play({ maxPackage: 1 << 16 });
  await server.world.until(() => client.online);
  server.data(server.session, push("p", gzipSync(Buffer.alloc(10 << 20)), 0x10));
  await server.world.really(() => client.state.name === "closed");
  assert.equal(names(), "connecting connected closed");
  assert.ok(client.state.name === "closed" && client.state.reason instanceof ProtocolError);
});

test("a body that can't be read fails its request, or is reported", async () => {
  const { server, client, errors } = play({}, { handle: (s, m, srv) => srv.data(s, response(m.id, Uint8Array.of(0x7b))) });
  client.on("p", () => assert.fail("it has no body"));
  const p = watch(client.request("x"));
  await server.world.until(() => p.done);
  assert.deepEqual([p.error.name, p.error.code], ["ProtocolError", "body"]);
  server.data(server.session, push("p", Uint8Array.of(0xff)));
  await server.world.until(() => errors.length === 1);
  assert.equal((errors[0] as any).code, "body");
  assert.ok(client.online);
  client.close();
});

test("other serializers plug in, and their name has to be the server's", async () => {
  const upper: Serializer = {
    name: "upper",
    encode: (body, of) => new TextEncoder().encode(`${of.kind} ${of.route} ${body}`.toUpperCase()),
    decode: (bytes, of) => `${of.kind} ${of.route} ${new TextDecoder().decode(bytes)}`,
    decodeError: (bytes) => ({ code: "own", message: new TextDecoder().decode(bytes) }),
  };
  const welcome = (name: string) => (answer: any) => ({ ...answer, sys: { ...answer.sys, serializer: name } });
  const bodies: string[] = [];
  const one = play({ serializer: upper }, { welcome: welcome("upper") });
  await one.server.world.until(() => one.client.online);
  one.server.line.onData = (body) => {
    bodies.push(new TextDecoder().decode(body.slice(6)));
    one.server.data(one.server.session, response(body[1]!, new TextEncoder().encode("hi"), bodies.length === 2 ? 0x20 : 0));
  };
  const a = watch(one.client.request("abc", "x"));
  const b = watch(one.client.request("abc", Uint8Array.of(0x79)));
  await one.server.world.until(() => b.done);
  assert.deepEqual(bodies, ["REQUEST ABC X", "y"]);
  assert.equal(a.value, "response abc hi");
  assert.deepEqual([b.error.code, b.error.message], ["own", "hi"]);
  one.client.close();

  const other = play({ serializer: upper });
  await other.server.world.until(() => other.client.state.name === "closed");
  assert.equal((other.client.state as any).reason.code, "serializer");

  const bytes = play({ serializer: raw }, { welcome: welcome("raw"), handle: (s, m, srv) => srv.data(s, response(m.id, Uint8Array.of(1, 2, 3))) });
  const c = watch(bytes.client.request("x"));
  await bytes.server.world.until(() => c.done);
  assert.deepEqual(c.value, Uint8Array.of(1, 2, 3));
  await assert.rejects(bytes.client.request("x", { a: 1 }), TypeError);
  bytes.client.close();
});

test("an answer of a session that is over goes to nobody", async () => {
  const { server, client } = play({}, { resume: false, handle: () => {} });
  const p = watch(client.request("x"));
  await server.world.until(() => server.sessions[0]?.handled.length === 1);
  server.line.connection.cut();
  await server.world.until(() => p.done);
  assert.ok(p.error instanceof SessionLostError);
  assert.equal(p.error.code, "no_resume");
  await server.world.until(() => client.online);
  const next = watch(client.request("y"));
  await server.world.until(() => server.session.handled.length === 1);
  assert.equal(server.session.handled[0]!.id, 2, "ids are never used twice");
  server.answer(server.session, 1, "of the dead");
  server.answer(server.session, 2, "mine");
  await server.world.until(() => next.done);
  assert.equal(next.value, "mine");
  client.close();
});

// What the compiler holds, more than what runs.
test("a game's routes are typed", async () => {
  interface Game extends Routes {
    requests: { move: { request: { dx: number }; response: { x: number } }; where: { request: undefined; response: { x: number } } };
    notifies: { look: number };
    pushes: { moved: { id: string } };
  }
  const { server } = play();
  const client = connect<Game>("ws://server/ws", {
    environment: server.world.environment(),
    enter: async (session) => void (await session.request("where")).x.toFixed(),
  });
  const unused = () => {
    const x: Promise<{ x: number }> = client.request("move", { dx: 1 }, { timeout: 5 });
    // @ts-expect-error no such route
    void client.request("mvoe", { dx: 1 });
    // @ts-expect-error another body
    void client.request("move", { dx: "1" });
    // @ts-expect-error no body
    void client.request("move");
    client.notify("look", 3);
    // @ts-expect-error another body
    client.notify("look", "3");
    client.on("moved", ({ id }) => id.trim());
    // @ts-expect-error no such push
    client.on("move", () => {});
    const any = connect("ws://x");
    const seat: Promise<{ seat: number }> = any.request<{ seat: number }>("enter", { any: 1 });
    any.on("whatever", (body) => body.anything);
    return [x, seat];
  };
  assert.equal(typeof unused, "function");
  client.close();
});
