// Rooms that are watched or published to: what outlives connections of them. Each connection opens them anew.
import type { Environment } from "./environment.js";
import { ProtocolError, RoomError, SkuaError } from "./errors.js";
import type { Track, TrackInit } from "./codecs.js";
import { Pieces, channelOf, encodeControl, encodeFrame, type MediaControl, type MediaFrame, type MediaOffer } from "./media.js";

/** A frame as it comes: what an EncodedVideoChunk or EncodedAudioChunk is made of, and whose it is. */
export interface Frame {
  readonly type: "key" | "delta";
  readonly timestamp: number; // when it is shown, in µs
  readonly data: Uint8Array;
  readonly track: Track; // another object when its parameters have changed: configure the decoder anew
  readonly dts: number; // when it is decoded, in µs
}

/** A frame to publish. */
export interface FrameInit {
  type: "key" | "delta";
  timestamp: number; // µs
  dts?: number; // µs; without it the timestamp: of encoders that don't reorder
  data: Uint8Array;
}

/** What encoders of WebCodecs give. */
export interface EncodedChunk {
  readonly type: "key" | "delta";
  readonly timestamp: number;
  readonly byteLength: number;
  copyTo(into: Uint8Array): void;
}

/** What happens to a room beside its frames. */
export type RoomEvent =
  | { name: "away" } // the connection is lost; the room is opened again with the next one
  | { name: "back" } // it is: a viewer goes on at the newest key frame, a publisher has to begin with one
  | { name: "waiting" } // the publisher has gone, and is waited for
  | { name: "live" } // there is one again
  | { name: "muted"; kind: "video" | "audio"; on: boolean }
  | { name: "skipped"; frames: number } // which were left out, since this client is too slow
  | { name: "ended"; reason: SkuaError };

export interface WatchOptions {
  /** What the room's rules are shown: a token, or a signature. */
  query?: Record<string, string> | string;
  onFrame?: (frame: Frame) => void;
  onEvent?: (event: RoomEvent) => void;
}

export interface PublishOptions {
  tracks: readonly TrackInit[];
  query?: Record<string, string> | string;
  onEvent?: (event: RoomEvent) => void;
}

/** A room that is watched. */
export interface Watch {
  readonly room: string;
  readonly ended: SkuaError | null;
  close(): void;
}

/** A room that is published to. */
export interface Publish extends Watch {
  /**
   * Sends a frame of a track. False: it was left out, as there is no connection or too much waits to be sent; pictures then have to go on with a key frame, and
   * are left out until there is one. It throws the reason once the room has ended.
   */
  write(track: number, frame: FrameInit | EncodedChunk): boolean;
  /** Tells new parameters of a track, which its frames have from here on. */
  configure(track: number, init: TrackInit): void;
}

interface Room {
  readonly name: string;
  readonly query: string;
  readonly watch: WatchOptions | null;
  readonly onEvent: ((event: RoomEvent) => void) | undefined;
  tracks: readonly TrackInit[];
  id: number; // of this connection; 0: it has not asked
  channel: number; // -1: none
  seen: Map<number, Track>;
  keyless: Set<number>; // tracks of pictures that have to go on with a key frame
  open: boolean;
  settle: { resolve: () => void; reject: (error: SkuaError) => void } | null; // until it has been open
  ended: SkuaError | null;
}

const MAX_UNSENT = 1 << 20; // bytes of frames that wait
const SOCKET = 64 << 10; // bytes in the socket, with which others have to wait for
const PAUSE = 5; // ms between looks at the socket
const MAX_TIME = 2 ** 52 - 1; // µs
const MAX_OFFSET = 2 ** 31 - 1; // µs

export interface RoomsOwner {
  send(pkg: Uint8Array): void;
  buffered(): number;
  call(f: () => void): void; // a handler of the application
}

/** The rooms of a client. */
export class Rooms {
  readonly #env: Environment;
  readonly #owner: RoomsOwner;
  readonly #rooms = new Set<Room>();
  #offer: MediaOffer | null = null;
  #open = false;
  #last = 0; // id
  #pieces = new Pieces();
  #queue: Uint8Array[] = [];
  #unsent = 0;
  #pump: (() => void) | null = null;

  constructor(env: Environment, owner: RoomsOwner) {
    this.#env = env;
    this.#owner = owner;
  }

  watch(name: string, options: WatchOptions): Promise<Watch> {
    const room = this.#room(name, options, options.query, options.onEvent, []);
    const handle: Watch = {
      room: name,
      get ended() {
        return room.ended;
      },
      close: () => this.#close(room),
    };
    return this.#enter(room).then(() => handle);
  }

  publish(name: string, options: PublishOptions): Promise<Publish> {
    const room = this.#room(name, null, options.query, options.onEvent, options.tracks);
    const handle: Publish = {
      room: name,
      get ended() {
        return room.ended;
      },
      close: () => this.#close(room),
      write: (track, frame) => this.#write(room, track, frame),
      configure: (track, init) => this.#configure(room, track, init),
    };
    return this.#enter(room).then(() => handle);
  }

  /** There is a connection whose session is the application's. */
  opened(offer: MediaOffer | null): void {
    this.#offer = offer;
    this.#open = true;
    this.#last = 0;
    this.#pieces = new Pieces();
    for (const room of [...this.#rooms]) this.#ask(room);
  }

  /** The connection is lost. */
  away(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#queue = [];
    this.#unsent = 0;
    this.#pump?.();
    this.#pump = null;
    for (const room of [...this.#rooms]) {
      room.id = 0;
      room.channel = -1;
      if (!room.open) continue;
      room.open = false;
      if (!room.watch) room.tracks.forEach((_, track) => room.keyless.add(track)); // what was on its way nobody has
      this.#tell(room, { name: "away" });
    }
  }

  /** The client has ended. */
  end(reason: SkuaError): void {
    for (const room of [...this.#rooms]) this.#end(room, reason);
  }

  /** A media package has come. */
  receive(body: Uint8Array): void {
    const channel = channelOf(body);
    if (channel >= 0 && !this.#watched(channel)) {
      this.#pieces.forget(channel);
      return; // it was on its way when that ended
    }
    const { control, frame } = this.#pieces.decode(body);
    if (control) this.#control(control);
    else if (frame) this.#deliver(frame);
  }

  #room(name: string, watch: WatchOptions | null, query: PublishOptions["query"], onEvent: Room["onEvent"], tracks: readonly TrackInit[]): Room {
    return {
      name, watch, onEvent, tracks: [...tracks], query: typeof query === "string" ? query : new URLSearchParams(query ?? {}).toString(),
      id: 0, channel: -1, seen: new Map(), keyless: new Set(), open: false, settle: null, ended: null,
    };
  }

  #enter(room: Room): Promise<void> {
    return new Promise((resolve, reject) => {
      room.settle = { resolve, reject };
      this.#rooms.add(room);
      if (this.#open) this.#ask(room);
    });
  }

  #ask(room: Room): void {
    if (!this.#offer) {
      this.#end(room, new RoomError(room.name, "no_rooms", "the server has no rooms"));
      return;
    }
    room.id = ++this.#last;
    const m: MediaControl = { op: room.watch ? "watch" : "publish", id: room.id, room: room.name };
    if (room.query) m["query"] = room.query;
    if (!room.watch) m["tracks"] = room.tracks.map(wireTrack);
    this.#owner.send(encodeControl(m));
  }

  #close(room: Room): void {
    if (room.ended) return;
    // Behind the frames that wait.
    if (this.#open && room.id > 0) this.#stream([encodeControl({ op: "close", id: room.id })]);
    this.#end(room, new RoomError(room.name, "closed", "the room was closed"));
  }

  #end(room: Room, reason: SkuaError): void {
    if (room.ended) return;
    room.ended = reason;
    this.#rooms.delete(room);
    if (room.channel >= 0) this.#pieces.forget(room.channel);
    if (room.settle) room.settle.reject(reason);
    else this.#tell(room, { name: "ended", reason });
    room.settle = null;
  }

  #tell(room: Room, event: RoomEvent): void {
    const { onEvent } = room;
    if (onEvent) this.#owner.call(() => onEvent(event));
  }

  // --- In ---

  #watched(channel: number): Room | undefined {
    for (const room of this.#rooms) if (room.watch && room.channel === channel) return room;
    return undefined;
  }

  #control(m: MediaControl): void {
    const room = [...this.#rooms].find((r) => r.id === m.id);
    if (!room) return; // it was closed here
    switch (m.op) {
      case "opened":
        this.#opened(room, m);
        break;
      case "track": {
        const track = readTrack(m["tracks"]);
        room.seen.set(track.id, track);
        break;
      }
      case "skipped":
        this.#tell(room, { name: "skipped", frames: Number(m["frames"]) });
        break;
      case "waiting":
      case "live":
        this.#tell(room, { name: m.op });
        break;
      case "muted":
        this.#tell(room, { name: "muted", kind: m["kind"] === "audio" ? "audio" : "video", on: m["on"] === true });
        break;
      case "ended":
        this.#end(room, new RoomError(room.name, String(m["code"] ?? ""), String(m["msg"] ?? "")));
        break;
    }
  }

  #opened(room: Room, m: MediaControl): void {
    room.open = true;
    if (room.watch) room.channel = Number(m["channel"]);
    room.seen.clear();
    if (!room.settle) {
      this.#tell(room, { name: "back" });
      return;
    }
    room.settle.resolve();
    room.settle = null;
  }

  #deliver(f: MediaFrame): void {
    const room = this.#watched(f.channel);
    const track = room?.seen.get(f.track);
    const onFrame = room?.watch?.onFrame;
    if (!track || !onFrame) return;
    const frame: Frame = { type: f.key ? "key" : "delta", timestamp: f.dts + f.offset, data: f.data, track, dts: f.dts };
    this.#owner.call(() => onFrame(frame));
  }

  // --- Out ---

  #write(room: Room, track: number, frame: FrameInit | EncodedChunk): boolean {
    if (room.ended) throw room.ended;
    const init = room.tracks[track];
    if (!init) throw new RangeError(`track ${track} of room ${room.name}, there are ${room.tracks.length}`);
    const key = frame.type === "key";
    const pictures = !sound(init.codec);
    const size = "copyTo" in frame ? frame.byteLength : frame.data.length;
    if (size === 0) throw new RangeError(`a frame of room ${room.name} without data`);
    if (this.#offer && size > this.#offer.frame) throw new RangeError(`a frame of ${size} bytes, the server takes ${this.#offer.frame}`);
    const dts = ("dts" in frame ? frame.dts : undefined) ?? frame.timestamp;
    const offset = frame.timestamp - dts;
    if (!(Math.abs(dts) < MAX_TIME && Math.abs(offset) < MAX_OFFSET)) throw new RangeError(`a frame of room ${room.name} at ${frame.timestamp} µs, which is decoded at ${dts} µs`);
    if (!this.#open || !room.open || !this.#offer || (this.#unsent > 0 && this.#unsent + size > MAX_UNSENT)) {
      room.keyless.add(track);
      return false;
    }
    if (pictures && !key && room.keyless.has(track)) return false;
    room.keyless.delete(track);
    const packages = encodeFrame({ channel: room.id, track, key: key || !pictures, dts, offset, data: bytesOf(frame) }, this.#offer.piece);
    this.#stream(packages);
    return true;
  }

  #configure(room: Room, track: number, init: TrackInit): void {
    if (room.ended) throw room.ended;
    const before = room.tracks[track];
    if (!before) throw new RangeError(`track ${track} of room ${room.name}, there are ${room.tracks.length}`);
    const told = { ...init, group: before.group ?? 0, layer: before.layer ?? 0 };
    room.tracks = room.tracks.map((t, i) => (i === track ? told : t));
    if (this.#open && room.open) this.#stream([encodeControl({ op: "track", id: room.id, tracks: [wireTrack(told, track)] })]);
  }

  // Sends packages while the socket has little to send, so that what else is sent does not wait behind them for long.
  #stream(packages: readonly Uint8Array[]): void {
    for (const p of packages) {
      this.#queue.push(p);
      this.#unsent += p.length;
    }
    this.#pump?.(); // a page in the background is called late, but writes go on
    this.#flush();
  }

  #flush(): void {
    this.#pump = null;
    while (this.#queue.length > 0 && this.#owner.buffered() < SOCKET) {
      const p = this.#queue.shift()!;
      this.#unsent -= p.length;
      this.#owner.send(p);
    }
    if (this.#queue.length > 0) this.#pump = this.#env.after(PAUSE, () => this.#flush());
  }
}

const sound = (codec: string) => codec === "aac" || codec === "opus" || codec === "mp3";

function bytesOf(frame: FrameInit | EncodedChunk): Uint8Array {
  if (!("copyTo" in frame)) return frame.data;
  const data = new Uint8Array(frame.byteLength);
  frame.copyTo(data);
  return data;
}

function wireTrack(t: TrackInit, track: number): Record<string, unknown> {
  const { codec, config, group, layer, width, height, sampleRate, channels } = t;
  let base64: string | undefined;
  if (config) {
    const bytes = config instanceof Uint8Array ? config : ArrayBuffer.isView(config) ? new Uint8Array(config.buffer, config.byteOffset, config.byteLength) : new Uint8Array(config);
    base64 = btoa(String.fromCharCode(...bytes));
  }
  return { track, codec, config: base64, group, layer, width, height, rate: sampleRate, channels };
}

function readTrack(tracks: unknown): Track {
  const t = Array.isArray(tracks) && tracks.length === 1 ? (tracks[0] as Record<string, unknown>) : null;
  if (typeof t !== "object" || t === null || typeof t["codec"] !== "string") throw new ProtocolError("what the server tells of a track is none");
  const n = (v: unknown) => (typeof v === "number" ? v : 0);
  const track: Track = {
    id: n(t["track"]), kind: sound(t["codec"]) ? "audio" : "video", codec: t["codec"], group: n(t["group"]), layer: n(t["layer"]),
    width: n(t["width"]), height: n(t["height"]), sampleRate: n(t["rate"]), channels: n(t["channels"]),
  };
  if (typeof t["config"] !== "string") return track;
  return { ...track, config: Uint8Array.from(atob(t["config"]), (c) => c.charCodeAt(0)) };
}
