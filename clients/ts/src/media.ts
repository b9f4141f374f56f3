// Media packages: frames in pieces, and what the two ends tell each other of rooms. docs/protocol.md, "Media". Nothing here trusts its input.
import { ProtocolError } from "./errors.js";
import { MEDIA, encodePackage, text, utf8 } from "./packet.js";

const CONTROL = 0x00;
const BEGINS = 0x01;
const GOES_ON = 0x02;
const KIND = 0x03;
const KEY = 0x04;
const PIECE = 6; // bytes before a piece: kind, channel, track
const FRAME = PIECE + 16; // and before the first one: size, decoding time, offset
const MAX_FRAME = 16 << 20;
const MAX_PARTS = 32;

/** What a server that has rooms says of them in its handshake. */
export interface MediaOffer {
  readonly piece: number; // bytes of a frame in one package
  readonly frame: number; // bytes of the largest frame
}

/** Reads the offer; what is none, or of another version, is null. */
export function decodeOffer(v: unknown): MediaOffer | null {
  if (typeof v !== "object" || v === null) return null;
  const { version, piece, frame } = v as Record<string, unknown>;
  const size = (n: unknown): n is number => typeof n === "number" && Number.isInteger(n) && n > 0 && n <= MAX_FRAME;
  return version === 1 && size(piece) && size(frame) ? { piece, frame } : null;
}

/** A frame on its way. Times are in µs. */
export interface MediaFrame {
  channel: number;
  track: number;
  key: boolean;
  dts: number;
  offset: number; // of the time at which it is shown
  data: Uint8Array;
}

/** What is told of rooms. */
export interface MediaControl {
  op: string;
  id: number;
  [field: string]: unknown;
}

export function encodeControl(m: MediaControl): Uint8Array {
  const json = utf8(JSON.stringify(m));
  const body = new Uint8Array(1 + json.length);
  body[0] = CONTROL;
  body.set(json, 1);
  return encodePackage(MEDIA, body);
}

/** The packages of a frame, with so much of it in each at most. */
export function encodeFrame(f: MediaFrame, piece: number): Uint8Array[] {
  const packages: Uint8Array[] = [];
  for (let at = 0; at < f.data.length; at += piece) {
    const first = at === 0;
    const data = f.data.subarray(at, at + piece);
    const body = new Uint8Array((first ? FRAME : PIECE) + data.length);
    const view = new DataView(body.buffer);
    body[0] = first ? BEGINS | (f.key ? KEY : 0) : GOES_ON;
    view.setUint32(1, f.channel);
    body[5] = f.track;
    if (first) {
      view.setUint32(PIECE, f.data.length);
      view.setBigInt64(PIECE + 4, BigInt(Math.round(f.dts)));
      view.setInt32(PIECE + 12, Math.round(f.offset));
    }
    body.set(data, first ? FRAME : PIECE);
    packages.push(encodePackage(MEDIA, body));
  }
  return packages;
}

/** The channel of a piece of a frame; -1 of what is none. */
export function channelOf(body: Uint8Array): number {
  if (body.length < PIECE || (body[0]! & KIND) === CONTROL) return -1;
  return new DataView(body.buffer, body.byteOffset).getUint32(1);
}

interface Part extends MediaFrame {
  size: number;
  have: number;
  pieces: Uint8Array[];
}

/** Puts frames together. What is announced costs nothing: memory goes with what has come. */
export class Pieces {
  readonly #parts = new Map<number, Part>(); // by channel and track
  #held = 0;

  /** Reads a package's body: a control, a frame that is whole now, or neither yet. */
  decode(body: Uint8Array): { control?: MediaControl; frame?: MediaFrame } {
    const first = body[0];
    if (first === CONTROL) return { control: control(body.subarray(1)) };
    if (first === BEGINS || first === (BEGINS | KEY)) return this.#begin(body);
    if (first === GOES_ON) return this.#goOn(body);
    throw new ProtocolError(first === undefined ? "an empty media package" : `a media package that begins with 0x${first.toString(16)}`);
  }

  /** Drops what has come of frames of a channel. */
  forget(channel: number): void {
    for (const [key, part] of this.#parts) {
      if (part.channel !== channel) continue;
      this.#held -= part.have;
      this.#parts.delete(key);
    }
  }

  #begin(body: Uint8Array): { frame?: MediaFrame } {
    if (body.length <= FRAME) throw new ProtocolError(`the first piece of a frame has ${body.length} bytes, expected more than ${FRAME}`);
    const view = new DataView(body.buffer, body.byteOffset);
    const [channel, track, size] = [view.getUint32(1), body[5]!, view.getUint32(PIECE)];
    const data = body.subarray(FRAME);
    const frame = { channel, track, key: (body[0]! & KEY) !== 0, dts: Number(view.getBigInt64(PIECE + 4)), offset: view.getInt32(PIECE + 12), data };
    if (size > MAX_FRAME || data.length > size) throw new ProtocolError(`a piece of ${data.length} bytes of a frame of ${size}`);
    if (data.length === size) return { frame };
    const key = channel * 256 + track;
    if (this.#parts.has(key)) throw new ProtocolError(`a frame of channel ${channel} begins before the one before it is whole`);
    if (this.#parts.size >= MAX_PARTS) throw new ProtocolError(`more than ${MAX_PARTS} frames are on their way in pieces`);
    this.#hold(data.length);
    this.#parts.set(key, { ...frame, size, have: data.length, pieces: [data.slice()] });
    return {};
  }

  #goOn(body: Uint8Array): { frame?: MediaFrame } {
    if (body.length <= PIECE) throw new ProtocolError(`a piece of a frame has ${body.length} bytes, expected more than ${PIECE}`);
    const view = new DataView(body.buffer, body.byteOffset);
    const key = view.getUint32(1) * 256 + body[5]!;
    const part = this.#parts.get(key);
    if (!part) throw new ProtocolError(`a piece of channel ${view.getUint32(1)}, of which no frame has begun`);
    return this.#add(key, part, body.subarray(PIECE));
  }

  #add(key: number, part: Part, data: Uint8Array): { frame?: MediaFrame } {
    const size = part.size;
    if (part.have + data.length > size) throw new ProtocolError(`a piece of ${data.length} bytes of a frame that lacks ${size - part.have}`);
    this.#hold(data.length);
    part.pieces.push(data.slice());
    part.have += data.length;
    if (part.have < size) return {};
    this.#parts.delete(key);
    this.#held -= size;
    const whole = new Uint8Array(size);
    let at = 0;
    for (const piece of part.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    const { channel, track, key: isKey, dts, offset } = part;
    return { frame: { channel, track, key: isKey, dts, offset, data: whole } };
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    if (this.#held > MAX_FRAME) throw new ProtocolError(`more than ${MAX_FRAME} bytes of frames are on their way in pieces`);
  }
}

function control(json: Uint8Array): MediaControl {
  let m: unknown;
  try {
    m = JSON.parse(text(json));
  } catch (cause) {
    throw new ProtocolError("what the server tells of a room is not JSON", { cause });
  }
  const { op, id } = (typeof m === "object" && m !== null ? m : {}) as Record<string, unknown>;
  if (typeof op !== "string" || typeof id !== "number") throw new ProtocolError("what the server tells of a room has no op or id");
  return m as MediaControl;
}
