// Against a real node, whose WebSocket address SKUA_URL has: `go test ./clients/ts` starts one.
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { KickedError, RequestError, connect, type Client, type Options, type Routes, type State } from "../src/index.js";

const url = process.env["SKUA_URL"] ?? "";
const skip = url ? false : "SKUA_URL names no node; go test ./clients/ts starts one";

interface Game extends Routes {
  requests: {
    count: { request: { i: number; pad?: number }; response: { i: number; n: number; pad: string } };
    chatter: { request: { count: number }; response: object };
    report: { request: undefined; response: { seen: number[]; pushed: number; connects: number; quiet: boolean } };
    refuse: { request: undefined; response: never };
    slow: { request: { cs: number }; response: { late: true } };
  };
  notifies: { note: { i: number } };
  pushes: { counted: { n: number } };
}

let names = 0;

function enter(at: string, options: Options<Game> = {}, name = `player${process.pid}-${++names}`): { client: Client<Game>; states: State[]; uids: string[] } {
  const states: State[] = [];
  const uids: string[] = [];
  const client = connect<Game>(at, {
    WebSocket: WebSocket as any,
    timeout: 60_000, // this machine may have much else to do
    handshakeTimeout: 60_000,
    enter: async (session) => {
      const { uid } = await session.login({ name, password: `secret of ${name}` });
      uids.push(uid);
    },
    ...options,
    onState: (s) => states.push(s),
  });
  return { client, states, uids };
}

/** A way to the node that breaks: after so many bytes of a connection, in either direction. */
class Line {
  readonly #server = net.createServer((c) => this.#accept(c));
  readonly #sockets = new Set<net.Socket>();
  readonly #target: URL;
  budget = () => Infinity;
  cuts = 0;

  constructor(target: string) {
    this.#target = new URL(target);
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `ws://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}${this.#target.pathname}`;
  }

  async close(): Promise<void> {
    for (const s of this.#sockets) s.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(a: net.Socket): void {
    const b = net.connect(Number(this.#target.port), this.#target.hostname);
    let left = this.budget();
    const end = () => {
      a.destroy();
      b.destroy();
    };
    for (const [from, to] of [[a, b], [b, a]] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("error", end);
      from.on("close", () => {
        this.#sockets.delete(from);
        end();
      });
      from.on("data", (data) => {
        if (data.length < left) {
          left -= data.length;
          to.write(data);
          return;
        }
        to.write(data.subarray(0, left)); // a cut is in the middle of anything
        left = 0;
        this.cuts++;
        to.end();
        from.destroy();
      });
    }
  }
}

let line: Line;
let broken = ""; // its address

before(async () => {
  if (skip) return;
  line = new Line(url);
  broken = await line.open();
});

after(async () => {
  if (!skip) await line.close();
});

test("a real node answers, pushes, refuses, and takes its time", { skip }, async () => {
  const { client, states, uids } = enter(url);
  const pushes: number[] = [];
  client.on("counted", ({ n }) => pushes.push(n));
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => client.request("count", { i })));
  assert.deepEqual(answers.map((a) => [a.i, a.n]), Array.from({ length: 100 }, (_, i) => [i, i + 1]));
  for (let i = 100; i < 110; i++) client.notify("note", { i });
  const { seen } = await client.request("report");
  assert.deepEqual(seen, Array.from({ length: 110 }, (_, i) => i));
  assert.deepEqual(pushes, Array.from({ length: 110 }, (_, i) => i + 1), "each push comes before the answer behind it");
  assert.equal((await client.request("count", { i: 0, pad: 60_000 })).pad.length, 60_000);
  await assert.rejects(client.request("refuse"), (e: any) => e instanceof RequestError && e.code === "poor" && e.message === "not enough gold");
  await assert.rejects(client.request("nobody" as any, undefined as any), { code: "not_found" });
  await assert.rejects(client.request("slow", { cs: 3000 }, { timeout: 50 }), { code: "timeout" });
  assert.deepEqual(states.map((s) => s.name), ["connecting", "connected"]);
  assert.equal(typeof uids[0], "string");
  assert.ok(client.rtt > 0);
  client.close();
});

test("a newer login of the same player closes the older client, with the reason", { skip }, async () => {
  const name = `twice${process.pid}`;
  const first = enter(url, {}, name);
  await first.client.ready();
  const closed = new Promise<State>((resolve) => first.client.onState((s) => s.name === "closed" && resolve(s)));
  const second = enter(url, {}, name);
  await second.client.ready();
  const { reason } = (await closed) as unknown as { reason: KickedError };
  assert.deepEqual([reason.name, reason.code], ["KickedError", "replaced"]);
  assert.deepEqual(first.uids, second.uids);
  second.client.close();
});

test("a wrong password closes the client with what the node says", { skip }, async () => {
  const name = `own${process.pid}`;
  const mine = enter(url, {}, name);
  await mine.client.ready();
  mine.client.close();
  const thief = connect(url, { WebSocket: WebSocket as any, timeout: 60_000, enter: (session) => session.login({ name, password: "a guess" }) });
  await assert.rejects(thief.ready(), { name: "RequestError", code: "denied" });
});

test("over a line that breaks again and again each request is handled once and each push comes once, in order", { skip }, async () => {
  let seed = 12345;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  line.budget = () => 300 + random(3000); // some don't even get through the handshake
  const { client, states, uids } = enter(broken, {
    environment: {
      watch: (wake) => { // a network that comes back at once, over and over, and does not wait for the back-off
        const timer = setInterval(wake, 20);
        return () => clearInterval(timer);
      },
    },
  });
  const pushes: number[] = [];
  client.on("counted", ({ n }) => pushes.push(n));
  await client.request("chatter", { count: 200 });
  const answers: { i: number; n: number }[] = [];
  let next = 0;
  const each = async () => {
    for (let i = next++; i < 300; i = next++) {
      if (i % 10 === 9) client.notify("note", { i });
      else answers.push(await client.request("count", { i, pad: random(600) }));
    }
  };
  await Promise.all(Array.from({ length: 8 }, each));
  line.budget = () => Infinity;
  let report = await client.request("report");
  while (!report.quiet) report = await client.request("report");
  assert.deepEqual(report.seen, Array.from({ length: 300 }, (_, i) => i), "each once, in the order sent");
  assert.equal(answers.length, 270);
  for (const a of answers) assert.equal(a.n, a.i + 1, "an answer belongs to its request");
  assert.equal(report.pushed, 500);
  assert.deepEqual(pushes, Array.from({ length: 500 }, (_, i) => i + 1), "each push once, in order");
  const { resumed, lost, late } = client.stats;
  assert.ok(resumed > 20, `${line.cuts} cuts, ${resumed} times resumed`);
  assert.deepEqual([lost, late, report.connects, new Set(uids).size], [0, 0, 1, 1]);
  assert.ok(states.every((s) => ["connecting", "connected", "away", "resumed"].includes(s.name)));
  console.log(`${line.cuts} cuts, ${resumed} times resumed, 300 requests and notifies, 500 pushes`);
  client.close();
});
