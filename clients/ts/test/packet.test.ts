import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ProtocolError } from "../src/errors.js";
import { decodeWelcome, encodeHello } from "../src/handshake.js";
import { inflate } from "../src/inflate.js";
import {
  DATA, Dictionary, PUSH, RESPONSE, Splitter, decodeAck, decodeMessage, decodeReason, decodeVarint, encodeMessage, encodePackage, encodeVarint, text, utf8,
} from "../src/packet.js";
import { varint } from "./server.js";

const dictionary = new Dictionary();
dictionary.add("arena.move", 1);
dictionary.add("arena.chat", 2);

/** The examples of docs/protocol.md: what each says of itself, and its bytes. */
function examples(): { says: string; bytes: Uint8Array }[] {
  const doc = readFileSync(new URL("../../../../docs/protocol.md", import.meta.url), "utf8");
  return [...doc.matchAll(/^```hex (.*)\n([^]*?)\n```/gm)].map(([, says, lines]) => {
    const digits = lines!.split("\n").map((line) => line.replace(/#.*/, "").replace(/\s/g, "")).join("");
    return { says: says!, bytes: Uint8Array.from(digits.match(/../g)!, (pair) => parseInt(pair, 16)) };
  });
}

test("the examples of the protocol's page mean what it says", async () => {
  const seen = new Set<string>();
  for (const { says, bytes } of examples()) {
    const [kind = "", what = "", ...rest] = says.split(" ");
    const packages: [number, Uint8Array][] = [];
    new Splitter(1 << 16).push(bytes, (type, body) => packages.push([type, body]) > 0);
    assert.equal(packages.length, 1, says);
    const [type, body] = packages[0]!;
    seen.add(kind === "data" ? what : kind);
    if (kind !== "data") {
      if (kind === "handshake" && what.startsWith('{"code":200')) {
        const { heartbeat, resume } = JSON.parse(says.slice(kind.length)).sys;
        const w = decodeWelcome(body);
        assert.deepEqual([w.heartbeat, w.resume?.token], [1000 * (heartbeat ?? 0), resume?.token], says);
      }
      if (kind === "kick") {
        const { code, msg } = JSON.parse(says.slice(kind.length));
        assert.deepEqual(decodeReason(body), { code, message: msg }, says);
      }
      if (kind === "ack") assert.equal(decodeAck(body), Number(what), says);
      continue;
    }
    assert.equal(type, DATA, says);
    if (what === "request" || what === "notify") {
      const id = what === "request" ? Number(rest.shift()) : 0;
      const route = rest.shift()!;
      assert.deepEqual(encodeMessage({ id, route, body: utf8(rest.join(" ")) }, dictionary), bytes, says);
      continue;
    }
    const m = decodeMessage(body, dictionary);
    const plain = text(m.compressed ? await inflate(m.body, 1 << 16) : m.body);
    if (what === "error") assert.equal(rest.shift(), "response");
    assert.equal(m.error, what === "error", says);
    assert.equal(m.type, what === "push" ? PUSH : RESPONSE, says);
    assert.equal(what === "push" ? m.route : String(m.id), rest.shift(), says);
    assert.equal(plain, rest.join(" "), says);
  }
  for (const kind of ["handshake", "heartbeat", "request", "notify", "response", "error", "push", "kick"]) {
    assert.ok(seen.has(kind), `no example of ${kind}`);
  }
});

test("ids are exact up to 2^53 - 1, and refused beyond", () => {
  for (const n of [0, 1, 127, 128, 300, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 42 + 12345, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 2,
    2 ** 53 - 1]) {
    const bytes = encodeVarint(n);
    assert.deepEqual(bytes, varint(n), `${n}`);
    assert.deepEqual(decodeVarint(Uint8Array.of(7, ...bytes, 9), 1), [n, bytes.length + 1]);
  }
  const all = (n: bigint) => {
    const out: number[] = [];
    for (; n >= 128n; n >>= 7n) out.push(Number(n & 127n) | 128);
    return Uint8Array.of(...out, Number(n));
  };
  for (const n of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) assert.throws(() => decodeVarint(all(n), 0), ProtocolError, `${n}`);
  assert.throws(() => decodeVarint(new Uint8Array(11).fill(0x80), 0), ProtocolError);
  assert.throws(() => decodeVarint(Uint8Array.of(0x80), 0), ProtocolError);
});

test("a stream means the same however it is cut", () => {
  const stream = Uint8Array.from([
    ...encodePackage(1, utf8("{}")), ...encodePackage(3), ...encodePackage(4, utf8("x".repeat(300))), ...encodePackage(6, Uint8Array.of(1)),
    ...encodePackage(5),
  ]);
  const cut = (size: number) => {
    const got: string[] = [];
    const splitter = new Splitter(1000);
    for (let at = 0; at < stream.length; at += size) splitter.push(stream.slice(at, at + size), (type, body) => got.push(`${type} ${text(body)}`) > 0);
    return got;
  };
  const whole = cut(stream.length);
  assert.equal(whole.length, 5);
  for (let size = 1; size < stream.length; size++) assert.deepEqual(cut(size), whole, `pieces of ${size}`);
});

test("a header that announces too much, or nothing known, is refused before its body is there", () => {
  for (const head of [[4, 0, 1, 1], [0, 0, 0, 0], [8, 0, 0, 0], [255, 0, 0, 0]]) {
    assert.throws(() => new Splitter(256).push(Uint8Array.from(head), () => true), ProtocolError, String(head));
  }
  new Splitter(256).push(Uint8Array.from([4, 0, 1, 0]), () => assert.fail("there is no body yet"));
});

test("broken messages are protocol errors that say what was found", () => {
  for (const [hex, says] of [
    ["", /empty/], ["c4", /bits/], ["00", /type 0/], ["02", /type 1/], ["0e", /type 7/], ["04", /middle/], ["0480", /middle/], ["07", /route code/],
    ["0700", /route code/],
    ["070009", /route code 9/], ["06", /length/], ["060361", /3 bytes, found 1/], ["0601ff", /UTF-8/],
  ] as const) {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    assert.throws(() => decodeMessage(bytes, dictionary), (e) => e instanceof ProtocolError && says.test(e.message), hex);
  }
});

test("random bytes are messages or protocol errors, and nothing else", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647);
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: random() % 20 }, () => (random() % 3 ? random() : random() % 8));
    try {
      const m = decodeMessage(bytes, dictionary);
      assert.ok(m.body.length <= bytes.length);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
    }
    try {
      new Splitter(64).push(bytes, () => true);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
    }
  }
});

test("messages that no package carries are refused when they are made", () => {
  const long = "r".repeat(256);
  assert.throws(() => new Dictionary().add(long, 0), ProtocolError);
  assert.throws(() => {
    const d = new Dictionary();
    d.add("a", 1);
    d.add("b", 1);
  }, /same code/);
});

test("a client that can inflate says so", () => {
  const hello = () => JSON.parse(text(encodeHello({ name: "js", version: "1", user: undefined, resume: null }))).sys;
  assert.deepEqual(hello(), { type: "js", version: "1", gzip: true, resume: {} });
  const real = globalThis.DecompressionStream;
  Reflect.deleteProperty(globalThis, "DecompressionStream");
  try {
    assert.deepEqual(hello(), { type: "js", version: "1", resume: {} });
  } finally {
    globalThis.DecompressionStream = real;
  }
});

test("a handshake is checked field by field", () => {
  const resume = { token: "t", window: 60, received: 0, resumed: false, ring: { packages: 1, bytes: 1 } };
  const good = { code: 200, sys: { heartbeat: 5, dict: { a: 1 }, serializer: "json", resume }, user: { motd: "hi" } };
  const w = decodeWelcome(utf8(JSON.stringify(good)));
  assert.deepEqual([w.heartbeat, w.dictionary.code("a"), w.serializer, w.resume?.token, w.resume?.window, w.user],
    [5000, 1, "json", "t", 60_000, { motd: "hi" }]);
  assert.equal(decodeWelcome(utf8('{"code":200}')).heartbeat, 0);
  const bad: [unknown, RegExp][] = [
    ["no json", /not JSON/], [[], /array/], [null, /null/], [{ code: 200, sys: 3 }, /sys is 3/], [{ code: 200, sys: { heartbeat: "5" } }, /heartbeat/],
    [{ code: 200, sys: { heartbeat: -1 } }, /heartbeat/], [{ code: 200, sys: { heartbeat: 1e9 } }, /heartbeat/],
    [{ code: 200, sys: { dict: { a: 0 } } }, /dict/],
    [{ code: 200, sys: { dict: { a: 70000 } } }, /dict/], [{ code: 200, sys: { dict: { a: 1.5 } } }, /1\.5/],
    [{ code: 200, sys: { dict: { a: 1, b: 1 } } }, /same code/],
    [{ code: 200, sys: { dict: { ["x".repeat(256)]: 1 } } }, /255 bytes/], [{ code: 200, sys: { serializer: 3 } }, /serializer/],
    [{ code: 200, sys: { resume: true } }, /resume is boolean/], [{ code: 200, sys: { resume: { ...resume, token: "" } } }, /token/],
    [{ code: 200, sys: { resume: { ...resume, token: "x".repeat(201) } } }, /token/], [{ code: 200, sys: { resume: { ...resume, received: -1 } } }, /received/],
    [{ code: 200, sys: { resume: { ...resume, received: 2 ** 53 } } }, /received/], [{ code: 200, sys: { resume: { ...resume, ring: {} } } }, /packages/],
    [{ code: 500 }, /code 500/], [{ code: 501, msg: "get a new one" }, /too old: get a new one/], [{}, /refused/],
  ];
  for (const [answer, says] of bad) assert.throws(() => decodeWelcome(utf8(typeof answer === "string" ? answer : JSON.stringify(answer))), says);
  assert.equal(decodeWelcome(utf8('{"code":200,"sys":{"dict":{"__proto__":7,"constructor":8}}}')).dictionary.code("constructor"), 8);
});

test("a reason is read from whatever a kick has", () => {
  for (const [body, code, message] of [
    ["", "", ""], ["{}", "", ""], ['{"code":"a","msg":"b"}', "a", "b"], ['{"reason":"r"}', "", "r"], ["bye", "", "bye"], ["[1]", "", ""],
    ["null", "", "null"], ['{"code":4}', "4", ""],
  ]) assert.deepEqual(decodeReason(utf8(body!)), { code, message }, body);
  assert.deepEqual(decodeReason(Uint8Array.of(0xff)), { code: "", message: "" });
  assert.equal(decodeReason(utf8("x".repeat(1000))).message.length, 256);
});
