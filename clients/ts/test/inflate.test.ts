import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { inflate } from "../src/inflate.js";
import { text } from "../src/packet.js";

test("gzip and zlib are told apart and inflated", async () => {
  for (const level of [0, 1, 6, 9]) {
    for (const s of ["", "a", "hello ".repeat(5000)]) {
      assert.equal(text(await inflate(gzipSync(s, { level }), 30_000)), s);
      assert.equal(text(await inflate(deflateSync(s, { level }), 30_000)), s);
    }
  }
});

test("a bomb stops at the bound", async () => {
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  assert.ok(bomb.length < 70_000);
  await assert.rejects(inflate(bomb, 1 << 20), { code: "protocol", message: /holds more than 1048576/ });
  assert.equal((await inflate(gzipSync(Buffer.alloc(1000)), 1000)).length, 1000);
  await assert.rejects(inflate(gzipSync(Buffer.alloc(1001)), 1000), { code: "protocol" });
});

test("broken and foreign bodies are errors of the body", async () => {
  const whole = gzipSync("hello");
  for (const [body, says] of [
    [new Uint8Array(0), /neither/], [Uint8Array.of(0x1f), /neither/], [Uint8Array.of(1, 2, 3), /neither/], [deflateRawSync("hello"), /neither/],
    [whole.subarray(0, whole.length - 3), /broken/], [Uint8Array.of(0x1f, 0x8b, 9, 9, 9), /broken/], [Uint8Array.of(0x78, 0x9c, 0xff, 0xff), /broken/],
  ] as const) await assert.rejects(inflate(body, 1000), (e: any) => e.code === "body" && says.test(e.message), String(body));
});

test("without a DecompressionStream the error says so", async () => {
  const kept = globalThis.DecompressionStream;
  // @ts-expect-error a platform without one
  globalThis.DecompressionStream = undefined;
  try {
    await assert.rejects(inflate(gzipSync("hello"), 1000), { code: "unsupported", message: /no DecompressionStream/ });
  } finally {
    globalThis.DecompressionStream = kept;
  }
});
