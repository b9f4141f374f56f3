// Rooms: the packages, and against a real node, whose WebSocket address SKUA_URL has (`go test ./clients/ts` starts one).
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { ProtocolError, RoomError, audioConfig, codecString, connect, videoConfig, type Client, type Frame, type Publish, type RoomEvent, type Track } from "../src/index.js";
import type { Environment } from "../src/environment.js";
import { Pieces, channelOf, decodeOffer, encodeControl, encodeFrame, type MediaFrame } from "../src/media.js";
import { HEADER } from "../src/packet.js";
import { Rooms } from "../src/rooms.js";
import { play } from "./play.js";

const url = process.env["SKUA_URL"] ?? "";
const skip = url ? false : "SKUA_URL names no node; go test ./clients/ts starts one";

const bodies = (f: MediaFrame, piece: number) => encodeFrame(f, piece).map((p) => p.subarray(HEADER));
const frame = (size: number, more: Partial<MediaFrame> = {}): MediaFrame => ({
  channel: 0xffff_fffe, track: 200, key: true, dts: -5_000_000_000, offset: -40_000, data: Uint8Array.from({ length: size }, (_, i) => i * 7), ...more,
});

test("a frame in pieces is what it was", () => {
  for (const size of [1, 99, 100, 101, 1000]) {
    const pieces = new Pieces();
    const all = bodies(frame(size), 100);
    assert.equal(all.length, Math.ceil(size / 100));
    all.forEach((body, i) => {
      assert.equal(channelOf(body), 0xffff_fffe);
      const { frame: got } = pieces.decode(body);
      assert.equal(got !== undefined, i === all.length - 1);
      if (got) assert.deepEqual({ ...got, data: [...got.data] }, { ...frame(size), data: [...frame(size).data] });
    });
  }
});

test("media packages that make no sense are protocol errors", () => {
  const [first, second] = bodies(frame(300), 100) as [Uint8Array, Uint8Array];
  for (const send of [
    [new Uint8Array(0)], [Uint8Array.of(3)], [Uint8Array.of(0x81, 0, 0, 0, 0, 0, 0)], [Uint8Array.of(0, 0x7b)], [Uint8Array.of(0, 0x7b, 0x7d)], [first.subarray(0, 22)],
    [second], [first, first], [first, second.subarray(0, 6)], [bodies(frame(150), 100)[0]!, second],
    [...Array(40).keys()].map((channel) => bodies(frame(300, { channel }), 100)[0]!),
  ]) {
    const pieces = new Pieces();
    assert.throws(() => send.forEach((body) => pieces.decode(body)), ProtocolError);
  }
});

test("random bytes are media packages or protocol errors, and nothing else", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647);
  for (let n = 0; n < 20_000; n++) {
    const body = Uint8Array.from({ length: random() % 60 }, random);
    if (body.length > 0) body[0] = random() % 8;
    try {
      new Pieces().decode(body);
    } catch (e) {
      assert.ok(e instanceof ProtocolError, String(e));
    }
  }
});

test("tracks are named as WebCodecs wants them", () => {
  const track = (codec: string, config: number[] = [], more: Partial<Track> = {}): Track => ({
    id: 0, kind: "video", codec, config: Uint8Array.from(config), group: 0, layer: 0, width: 0, height: 0, sampleRate: 0, channels: 0, ...more,
  });
  for (const [t, want] of [
    [track("h264", [1, 0x64, 0, 0x1f, 0xff]), "avc1.64001f"],
    [track("h265", [1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93]), "hvc1.1.6.L93.B0"],
    [track("av1", [0x81, 0x04, 0x0c, 0]), "av01.0.04M.08"],
    [track("vp9", [1, 0, 0, 0, 2, 31, 0xa0]), "vp09.02.31.10"],
    [track("vp8"), "vp8"],
    [track("aac", [0x12, 0x10]), "mp4a.40.2"],
    [track("aac", [0x2b, 0x92, 0x08]), "mp4a.40.5"],
    [track("opus"), "opus"],
  ] as const) {
    assert.equal(codecString(t), want);
  }
  assert.deepEqual(videoConfig(track("vp8", [], { width: 640, height: 360 })), { codec: "vp8", codedWidth: 640, codedHeight: 360 });
  assert.deepEqual(audioConfig(track("aac", [0x12, 0x10], { sampleRate: 44100, channels: 2 })), { codec: "mp4a.40.2", sampleRate: 44100, numberOfChannels: 2, description: Uint8Array.of(0x12, 0x10) });
});

test("an offer is one of this version, or none", () => {
  assert.deepEqual(decodeOffer({ version: 1, piece: 16000, frame: 1 << 20, rooms: 8 }), { piece: 16000, frame: 1 << 20 });
  for (const v of [undefined, null, 1, {}, { version: 2, piece: 1, frame: 1 }, { version: 1, piece: 0, frame: 1 }, { version: 1, piece: 1, frame: 1e12 }]) assert.equal(decodeOffer(v), null);
});

test("a server without rooms says so", async () => {
  const p = play();
  const watching = p.client.watch("arena");
  watching.catch(() => {}); // it is looked at below
  await p.server.world.until(() => p.client.online);
  await assert.rejects(watching, (e) => e instanceof RoomError && e.code === "no_rooms");
  p.client.close();
});

let names = 0;

function enter(): Client {
  const name = `viewer${process.pid}-${++names}`;
  return connect(url, {
    WebSocket: WebSocket as any, timeout: 60_000, handshakeTimeout: 60_000,
    enter: (session) => session.login({ name, password: `secret of ${name}` }),
  });
}

const picture = (n: number, size: number) => {
  const data = new Uint8Array(size).fill(n);
  return { type: n % 10 === 0 ? ("key" as const) : ("delta" as const), timestamp: n * 20_000 + 40_000, dts: n * 20_000, data };
};

async function until(met: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !met(); await new Promise((r) => setTimeout(r, 2))) assert.ok(Date.now() < end, "not in time");
}

test("frames come to a viewer as they were published", { skip }, async () => {
  const [publisher, viewer] = [enter(), enter()];
  const room = `frames-${process.pid}`;
  const events: RoomEvent[] = [];
  const p: Publish = await publisher.publish(room, { tracks: [{ codec: "vp8", width: 640, height: 360 }, { codec: "opus" }] });
  const frames: Frame[] = [];
  const w = await viewer.watch(room, { onFrame: (f) => frames.push({ ...f, data: f.data.slice() }), onEvent: (e) => events.push(e) });
  const sizes = [1, 900, 6000, 50_000];
  for (let n = 0; n < 40; n++) {
    assert.ok(p.write(0, picture(n, sizes[n % 4]!)));
    assert.ok(p.write(1, { type: "key", timestamp: n * 20_000, data: Uint8Array.of(n) }));
  }
  await until(() => frames.length === 80);
  const pictures = frames.filter((f) => f.track.codec === "vp8");
  const began = pictures[0]!.dts;
  pictures.forEach((f, n) => {
    const want = picture(n, sizes[n % 4]!);
    assert.deepEqual([f.type, f.timestamp - began, f.dts - began, f.data.length], [want.type, want.timestamp, want.dts, want.data.length]);
    assert.ok(f.data.every((b) => b === n), `the bytes of picture ${n}`);
  });
  assert.deepEqual(frames.filter((f) => f.track.kind === "audio").map((f) => f.data[0]), [...Array(40).keys()]);
  assert.deepEqual([pictures[0]!.track.width, pictures[0]!.track.height], [640, 360]);

  p.configure(0, { codec: "vp8", width: 1280, height: 720 });
  p.write(0, picture(50, 10));
  await until(() => frames.at(-1)!.track.width === 1280);
  p.close();
  assert.throws(() => p.write(0, picture(60, 10)), RoomError);
  await until(() => events.some((e) => e.name === "waiting"));
  w.close();
  assert.equal(w.ended?.code, "closed");
  await assert.rejects(viewer.watch("../etc"), (e) => e instanceof RoomError && e.code === "bad_name");
  await assert.rejects(publisher.publish(room, { tracks: [] }), (e) => e instanceof RoomError && e.code === "bad_request");
  publisher.close();
  viewer.close();
});

test("a viewer whose connection is lost goes on at the newest key frame", { skip }, async () => {
  const sockets: WebSocket[] = [];
  class Breakable extends WebSocket {
    constructor(at: string) {
      super(at);
      sockets.push(this);
    }
  }
  const publisher = enter();
  const room = `back-${process.pid}`;
  const p = await publisher.publish(room, { tracks: [{ codec: "vp8" }] });
  const name = `viewer${process.pid}-${++names}`;
  const viewer = connect(url, { WebSocket: Breakable as any, timeout: 60_000, handshakeTimeout: 60_000, enter: (s) => s.login({ name, password: `secret of ${name}` }) });
  const [seen, events]: [number[], string[]] = [[], []];
  await viewer.watch(room, { onFrame: (f) => seen.push(f.data[0]!), onEvent: (e) => events.push(e.name) });
  for (let n = 0; n < 13; n++) p.write(0, picture(n, 100));
  await until(() => seen.length === 13);
  sockets.at(-1)!.terminate();
  await until(() => events.includes("back"));
  await until(() => seen.length === 16);
  assert.deepEqual(seen.slice(13), [10, 11, 12]);
  assert.deepEqual(events, ["away", "back"]);
  assert.equal(viewer.stats.resumed, 1);
  viewer.close();
  publisher.close();
});

test("a publisher whose connection is lost goes on with a key frame", { skip }, async () => {
  const sockets: WebSocket[] = [];
  class Breakable extends WebSocket {
    constructor(at: string) {
      super(at);
      sockets.push(this);
    }
  }
  const name = `viewer${process.pid}-${++names}`;
  const publisher = connect(url, { WebSocket: Breakable as any, timeout: 60_000, handshakeTimeout: 60_000, enter: (s) => s.login({ name, password: `secret of ${name}` }) });
  const events: string[] = [];
  const p = await publisher.publish(`again-${process.pid}`, { tracks: [{ codec: "vp8" }, { codec: "opus" }], onEvent: (e) => events.push(e.name) });
  assert.ok(p.write(0, picture(0, 100)));
  assert.ok(p.write(0, picture(1, 100)));
  sockets.at(-1)!.terminate();
  await until(() => events.includes("back"));
  assert.equal(p.write(0, picture(2, 100)), false, "nobody has what came before it");
  assert.ok(p.write(1, { type: "delta", timestamp: 40_000, data: Uint8Array.of(1) }), "sound goes on");
  assert.ok(p.write(0, picture(10, 100)));
  assert.ok(p.write(0, picture(11, 100)));
  publisher.close();
});

// aRoom is one that is published to, over a socket that is looked at by nobody: no timer ever comes.
async function aRoom() {
  const socket = { sent: [] as Uint8Array[], buffered: 0 };
  const env = { after: () => () => {} } as unknown as Environment;
  const rooms = new Rooms(env, { send: (p) => socket.sent.push(p), buffered: () => socket.buffered, call: (f) => f() });
  rooms.opened({ piece: 1000, frame: 1 << 20 });
  const publishing = rooms.publish("stage", { tracks: [{ codec: "vp8" }] });
  rooms.receive(encodeControl({ op: "opened", id: 1, channel: 1 }).subarray(HEADER));
  return { socket, p: await publishing };
}

test("what waits goes out with what is written next, when timers are late as in a page in the background", async () => {
  const { socket, p } = await aRoom();
  socket.buffered = 1 << 20;
  const before = socket.sent.length;
  assert.ok(p.write(0, picture(0, 100)));
  assert.equal(socket.sent.length, before);
  socket.buffered = 0;
  assert.ok(p.write(0, picture(1, 100)));
  assert.equal(socket.sent.length, before + 2);
});

test("times that no package has are refused here", async () => {
  const { socket, p } = await aRoom();
  const before = socket.sent.length;
  assert.ok(p.write(0, { type: "key", timestamp: Date.now() * 1000, data: Uint8Array.of(1) }), "a clock may count from 1970");
  assert.equal(socket.sent.length, before + 1);
  for (const [timestamp, dts] of [[2 ** 52, 2 ** 52], [-(2 ** 52), -(2 ** 52)], [NaN, NaN], [2 ** 31, 0], [0, 2 ** 31]] as const) {
    assert.throws(() => p.write(0, { type: "key", timestamp, dts, data: Uint8Array.of(1) }), RangeError);
  }
  assert.equal(socket.sent.length, before + 1);
});
