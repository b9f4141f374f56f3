import assert from "node:assert/strict";
import { test } from "node:test";
import { BacklogError } from "../src/index.js";
import { join, play, watch, type Play } from "./play.js";
import { Server, pack, varint } from "./server.js";
import type { Cut } from "./world.js";

const REQUESTS = 10;

interface Game extends Play {
  answers: ReturnType<typeof watch<any>>[];
  pushed: number[];
}

/** Ten requests and notifies in turn, every few ms; each is followed by pushes that count, which go on while the client is away. */
function game(cuts: Cut[], piece = 0): Game {
  const server = new Server({ dict: { count: 1, p: 2 }, heartbeat: 1 });
  server.world.cuts = [...cuts];
  server.world.piece = piece;
  let pushes = 0;
  server.options.handle = (s, m) => {
    server.push(s, "n", ++pushes);
    if (m.kind === "request") server.world.after(3, () => server.answer(s, m.id, { double: 2 * m.body.i }));
    if (m.body.i % 2) server.world.after(7, () => server.push(s, "n", ++pushes));
  };
  const p = join(server);
  const g: Game = { ...p, answers: [], pushed: [] };
  p.client.on("n", (n) => g.pushed.push(n));
  for (let i = 0; i < REQUESTS; i++) {
    server.world.after(2 * i, () => {
      g.answers.push(watch(p.client.request("count", { i })));
      p.client.notify("note", { i });
    });
  }
  return g;
}

/** Plays to the end, and says what is wrong. Both ends are held against what was sent, each once and in order. */
async function finish(g: Game, what: string): Promise<void> {
  const { server, client } = g;
  await server.world.until(() => g.answers.length === REQUESTS && g.answers.every((a) => a.done) && server.world.now > 2500 && g.client.online);
  await server.world.pass(2500); // a heartbeat, and with it what is still on its way
  const alive = server.sessions.filter((s) => s.handled.length > 0);
  assert.equal(alive.length, 1, `${what}: one session handles all`);
  const handled = alive[0]!.handled;
  assert.deepEqual(handled.map((m) => `${m.kind} ${m.body.i}`), Array.from({ length: 2 * REQUESTS },
    (_, i) => `${i % 2 ? "notify" : "request"} ${i >> 1}`), what);
  assert.deepEqual(g.answers.map((a) => a.error).filter(Boolean), [], what);
  assert.deepEqual(g.answers.map((a) => a.value?.double), Array.from({ length: REQUESTS }, (_, i) => 2 * i), what);
  assert.deepEqual(g.pushed, Array.from({ length: 2 * REQUESTS + REQUESTS }, (_, i) => i + 1), what);
  assert.deepEqual(g.errors, [], what);
  assert.equal(client.stats.late, 0, what);
  client.close();
}

test("a connection that is cut at any byte loses nothing and doubles nothing, in either direction", async () => {
  const whole = game([]);
  await finish(whole, "without a cut");
  const { up, down } = whole.server.world.connections[0]!;
  assert.ok(up > 400 && down > 600, `${up} bytes up, ${down} down`);
  let resumed = 0;
  for (let k = 1; k <= up; k++) {
    const g = game([{ up: k }]);
    await finish(g, `cut after ${k} bytes from the client`);
    resumed += g.client.stats.resumed;
  }
  for (let k = 1; k <= down; k++) {
    const g = game([{ down: k }], k % 3);
    await finish(g, `cut after ${k} bytes from the server`);
    resumed += g.client.stats.resumed;
  }
  assert.ok(resumed > up + down - 350, `only ${resumed} of ${up + down} were resumed, the others were cut in their first handshake`);
});

test("connections that are cut again and again, also while they resume, lose nothing", async () => {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 300; round++) {
    const cuts = Array.from({ length: 1 + random(6) }, (): Cut => (random(2) ? { up: 1 + random(700) } : { down: 1 + random(1200) }));
    const g = game([{ down: 300 + random(800) }, ...cuts], random(5));
    await finish(g, `round ${round}: ${JSON.stringify(cuts)}`);
  }
});

test("the client says where it is, is away, and comes back without a new enter", async () => {
  let entered = 0;
  const { server, client, names, states } = play({ enter: () => void entered++ });
  await server.world.until(() => client.online);
  const a = watch(client.request("x", 1));
  await server.world.until(() => a.done);
  assert.deepEqual(server.lines[0]!.hello.sys.resume, {});
  server.line.connection.cut();
  const b = watch(client.request("x", 2));
  assert.equal(client.state.name, "away");
  assert.deepEqual({ ...states.at(-1), reason: 0 }, { name: "away", attempt: 1, retryIn: 100, reason: 0, window: 60_000 });
  await server.world.until(() => b.done);
  assert.equal(b.value, 2);
  assert.deepEqual(server.line.hello.sys.resume, { token: "token-1", received: 1 });
  assert.equal(names(), "connecting connected away resumed");
  assert.deepEqual([entered, client.stats.resumed, client.stats.connections], [1, 1, 2]);
  client.close();
});

test("acknowledgements come after 32 packages, after 16 KiB, and before a heartbeat", async () => {
  const { server, client } = play({}, { heartbeat: 5 });
  await server.world.until(() => client.online);
  await server.world.pass(5);
  const s = server.session;
  for (let i = 0; i < 70; i++) server.push(s, "p", i);
  await server.world.pass(5);
  assert.deepEqual(server.line.acks, [32, 64]);
  server.push(s, "p", "x".repeat(17_000));
  await server.world.pass(5);
  assert.deepEqual(server.line.acks, [32, 64, 71]);
  server.push(s, "p", 1);
  await server.world.pass(4500);
  assert.deepEqual(server.line.acks, [32, 64, 71]);
  await server.world.pass(500);
  assert.deepEqual(server.line.acks, [32, 64, 71, 72]);
  assert.deepEqual(server.line.types.slice(-2), [6, 3]);
  await server.world.pass(5000);
  assert.deepEqual(server.line.acks, [32, 64, 71, 72], "no news, no ack");
  client.close();
});

test("when the session is gone, what was in flight fails, what waits goes on, and enter runs again", async () => {
  const log: string[] = [];
  const { server, client, names, states } = play({
    enter: async (session) => {
      const { uid } = await session.login({ name: "ann" });
      log.push(`entered as ${uid}`);
    },
  }, { handle: (s, m, srv) => m.route === "login" && srv.answer(s, m.id, { uid: `u${srv.sessions.length}`, name: "ann" }) });
  await server.world.until(() => client.online);
  const flying = watch(client.request("x"));
  await server.world.until(() => server.session.handled.length === 2);
  for (const code of ["resume_unknown", "resume_overflow", "resume_ended"]) {
    server.session.ended = code;
    const lost = watch(client.request("y"));
    server.line.connection.cut();
    const away = watch(client.request("z"));
    await server.world.until(() => states.at(-1)?.name === "connected");
    for (const p of [lost, away]) assert.deepEqual([p.error?.name, p.error?.code, p.error?.message], ["SessionLostError", code, `no: ${code}`]);
  }
  assert.equal(flying.error.code, "resume_unknown");
  assert.equal(names(), `connecting connected${" away lost connected".repeat(3)}`);
  assert.deepEqual(log, ["entered as u1", "entered as u2", "entered as u3", "entered as u4"]);
  assert.equal(client.stats.lost, 3);
  client.close();
});

test("a server that keeps no sessions loses them with their connections", async () => {
  let entered = 0;
  const { server, client, names } = play({ enter: () => void entered++ }, { resume: false, handle: () => {} });
  await server.world.until(() => client.online);
  const p = watch(client.request("x"));
  await server.world.pass(20);
  server.line.connection.cut();
  const next = watch(client.request("y"));
  await server.world.until(() => client.online);
  assert.equal(p.error.code, "no_resume");
  await server.world.until(() => server.session.handled.length === 1);
  assert.equal(next.done, false, "what was asked behind the loss waits for the next session");
  assert.equal(names(), "connecting connected lost connecting connected");
  assert.equal(entered, 2);
  client.close();
});

test("a login whose answer was lost with the connection is answered by the replay", async () => {
  const { server, client, names } = play({ enter: (session) => session.login({ name: "ann" }) }, { handle: () => {} });
  await server.world.until(() => server.sessions[0]?.handled.length === 1);
  server.line.connection.cut();
  server.answer(server.session, 1, { uid: "7", name: "ann" });
  const p = watch(client.request("first"));
  await server.world.until(() => client.online);
  assert.equal(names(), "connecting connected", "never away: the application was not in yet");
  await server.world.until(() => server.session.handled.length === 2);
  assert.equal(server.session.handled[1]!.route, "first");
  assert.equal(p.done, false);
  client.close();
});

test("enter that is through while there is no connection is told when there is one", async () => {
  let go = () => {};
  const { server, client, names } = play({ enter: () => new Promise<void>((resolve) => (go = resolve)) });
  await server.world.until(() => server.lines[0]?.types.includes(2) ?? false);
  server.line.connection.cut();
  go();
  const p = watch(client.request("x", 1));
  await server.world.until(() => p.done);
  assert.equal(names(), "connecting connected");
  client.close();
});

test("a session that was refused before enter was through begins anew without a word of loss", async () => {
  let tries = 0;
  const { server, client, names } = play({ enter: (session) => session.login({ try: ++tries }) }, {
    handle: (s, m, srv) => tries > 1 && srv.answer(s, m.id, { uid: "7" }),
  });
  await server.world.until(() => server.sessions[0]?.handled.length === 1);
  server.session.ended = "resume_unknown"; // it was not logged in
  server.line.connection.cut();
  await server.world.until(() => client.online);
  assert.equal(tries, 2);
  assert.equal(names(), "connecting connected");
  client.close();
});

test("a ring that is full refuses requests until it is acknowledged", async () => {
  const { server, client } = play({}, { ring: { packages: 40, bytes: 5000 }, handle: () => {} });
  await server.world.until(() => client.online);
  server.line.connection.cut();
  for (let i = 0; i < 40; i++) client.notify("x", i);
  assert.throws(() => client.notify("x", 40), BacklogError);
  await assert.rejects(client.request("x", 40), { code: "backlog", message: /40 messages of .* not acknowledged/ });
  await server.world.until(() => server.session.handled.length === 40);
  await server.world.pass(10); // the server's ack after 32
  for (let i = 40; i < 72; i++) client.notify("x", i);
  assert.throws(() => client.notify("x", 72), BacklogError);
  await server.world.pass(10);
  assert.deepEqual(server.session.handled.map((m) => m.body), Array.from({ length: 72 }, (_, i) => i));
  client.notify("big", "x".repeat(1000));
  await assert.rejects(client.request("big", "x".repeat(5000)), BacklogError);
  client.close();
});

test("a dictionary that changes between connections changes no message", async () => {
  const { server, client } = play({}, { dict: { a: 1, b: 2 } });
  await server.world.until(() => client.online);
  server.line.connection.cut();
  client.notify("a", 1);
  client.notify("b", 2);
  server.options.dict = { a: 2, c: 1 };
  await server.world.until(() => server.session.handled.length === 2);
  client.notify("a", 3);
  client.notify("c", 4);
  await server.world.until(() => server.session.handled.length === 4);
  assert.deepEqual(server.session.handled.map((m) => [m.route, m.body]), [["a", 1], ["b", 2], ["a", 3], ["c", 4]]);
  client.close();
});

test("close says goodbye, so that the server need not wait", async () => {
  const { server, client, names } = play();
  await server.world.until(() => client.online);
  client.close();
  await server.world.pass(10);
  assert.equal(server.line.code, 1000);
  assert.equal(server.session.ended, "resume_unknown");
  assert.equal(names(), "connecting connected closed");
  assert.deepEqual([server.world.timers, server.world.watched], [0, 0]);
});

test("a connection that the client gives up is no goodbye", async () => {
  const { server, client } = play({}, { heartbeat: 10 });
  await server.world.until(() => client.online);
  await server.world.pass(5);
  server.line.silent = true;
  const line = server.line;
  await server.world.until(() => client.state.name === "away");
  assert.equal((client.state as any).reason.code, "silent");
  await server.world.until(() => client.online);
  assert.equal(line.code, 4000);
  assert.equal(client.stats.resumed, 1);
  client.close();
});

test("servers that count wrong are found out", async () => {
  const wrong: [string, (p: Play) => void, RegExp][] = [
    ["acks what was not sent", ({ server }) => server.line.write(pack(6, Uint8Array.from(varint(5)))), /acknowledges 5 messages, only 0/],
    ["acks 2^53", ({ server }) => server.line.write(pack(6, Uint8Array.of(128, 128, 128, 128, 128, 128, 128, 16))), /2\^53/],
    ["acks more than a number", ({ server }) => server.line.write(pack(6, Uint8Array.of(0, 0))), /ack of 2 bytes/],
    ["acks without resume", ({ server }) => server.line.write(pack(6, Uint8Array.of(0))), /keeps no sessions/],
  ];
  for (const [what, act, says] of wrong) {
    const p = play({}, { resume: what !== "acks without resume" });
    await p.server.world.until(() => p.client.online);
    act(p);
    await p.server.world.until(() => p.client.state.name === "closed");
    assert.match((p.client.state as any).reason.message, says, what);
  }
  for (const [received, says] of [[99, /resumes with 99/], [0, /resumes with 0/]] as const) {
    const p = play({}, { handle: () => {} });
    await p.server.world.until(() => p.client.online);
    for (let i = 0; i < 40; i++) p.client.notify("x", i);
    await p.server.world.pass(10); // 32 are acknowledged
    p.server.options.welcome = (a) => ({ ...a, sys: { ...a.sys, resume: { ...a.sys.resume, received } } });
    p.server.line.connection.cut();
    await p.server.world.until(() => p.client.state.name === "closed");
    assert.match((p.client.state as any).reason.message, says);
  }
  const p = play({}, { welcome: (a) => ({ ...a, sys: { ...a.sys, resume: { ...a.sys.resume, resumed: true } } }) });
  await p.server.world.until(() => p.client.state.name === "closed");
  assert.match((p.client.state as any).reason.message, /resumes a session that there was not/);
});

test("an ack that goes back is nothing", async () => {
  const { server, client } = play();
  await server.world.until(() => client.online);
  for (let i = 0; i < 3; i++) client.notify("x", i);
  for (const n of [3, 1, 0, 2]) server.line.write(pack(6, Uint8Array.of(n)));
  await server.world.pass(10);
  assert.ok(client.online);
  client.close();
});

test("a session that somebody else has taken is the end, and says why", async () => {
  for (const code of ["replaced", "resumed", "banned"]) {
    const { server, client, names } = play({}, { handle: () => {} });
    await server.world.until(() => client.online);
    const p = watch(client.request("x"));
    await server.world.pass(10);
    server.line.kick(code, "somebody else");
    await server.world.until(() => p.done);
    assert.deepEqual([p.error.name, p.error.code, p.error.message], ["KickedError", code, "somebody else"]);
    assert.equal(names(), "connecting connected closed");
  }
});
