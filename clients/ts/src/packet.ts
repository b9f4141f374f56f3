// The packages of the wire and the messages in them, byte by byte as docs/protocol.md has them. Nothing here keeps state or trusts its input.
import { ProtocolError } from "./errors.js";

export const HEADER = 4; // bytes before a package's body: type, and three of length
export const MAX_BODY = 0xff_ff_ff;
export const MAX_ROUTE = 255;

export const HANDSHAKE = 1;
export const HANDSHAKE_ACK = 2;
export const HEARTBEAT = 3;
export const DATA = 4;
export const KICK = 5;
export const ACK = 6;
export const MEDIA = 7;

export const REQUEST = 0;
export const NOTIFY = 1;
export const RESPONSE = 2;
export const PUSH = 3;

const FLAG_ROUTE = 0x01;
const FLAG_TYPE = 0x0e;
const FLAG_COMPRESSED = 0x10;
const FLAG_ERROR = 0x20;
const FLAG_UNKNOWN = 0xc0;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The UTF-8 of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of UTF-8, or a TypeError. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A route dictionary: codes in place of routes, in both directions. */
export class Dictionary {
  readonly #codes = new Map<string, number>();
  readonly #routes = new Map<number, string>();

  add(route: string, code: number): void {
    if (!Number.isInteger(code) || code < 1 || code > 0xffff) throw new ProtocolError(`the route "${shown(route)}" has the code ${code}, expected 1 to 65535`);
    const other = this.#routes.get(code);
    if (other !== undefined) throw new ProtocolError(`the routes "${shown(other)}" and "${shown(route)}" have the same code ${code}`);
    this.#codes.set(route, code);
    this.#routes.set(code, route);
  }

  code(route: string): number | undefined {
    return this.#codes.get(route);
  }

  route(code: number): string | undefined {
    return this.#routes.get(code);
  }
}

/** A whole package. */
export function encodePackage(type: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const out = new Uint8Array(HEADER + body.length);
  header(out, type);
  out.set(body, HEADER);
  return out;
}

function header(out: Uint8Array, type: number): void {
  const length = out.length - HEADER;
  out[0] = type;
  out[1] = length >> 16;
  out[2] = (length >> 8) & 0xff;
  out[3] = length & 0xff;
}

/** What a client sends: a request, or a notify (id 0). */
export interface Outgoing {
  readonly id: number;
  readonly route: string;
  readonly body: Uint8Array;
}

/** The bytes that a message takes at most, in a package. */
export function size(m: Outgoing): number {
  return HEADER + 1 + 8 + 1 + 3 * m.route.length + m.body.length;
}

/** A data package with a request or a notify in it. A RangeError tells of a route or a body that is too long. */
export function encodeMessage(m: Outgoing, dictionary: Dictionary): Uint8Array {
  const id = m.id > 0 ? encodeVarint(m.id) : [];
  const code = dictionary.code(m.route);
  let route: Uint8Array;
  if (code === undefined) {
    const name = utf8(m.route);
    route = new Uint8Array(1 + name.length);
    route[0] = name.length;
    route.set(name, 1);
  } else {
    route = Uint8Array.of(code >> 8, code & 0xff);
  }
  const out = new Uint8Array(HEADER + 1 + id.length + route.length + m.body.length);
  header(out, DATA);
  out[HEADER] = ((m.id > 0 ? REQUEST : NOTIFY) << 1) | (code === undefined ? 0 : FLAG_ROUTE);
  out.set(id, HEADER + 1);
  out.set(route, HEADER + 1 + id.length);
  out.set(m.body, HEADER + 1 + id.length + route.length);
  return out;
}

/** Refuses what no package can carry, with a RangeError. */
export function checkMessage(m: Outgoing): void {
  const bytes = utf8(m.route).length;
  if (bytes > MAX_ROUTE) throw new RangeError(`the route "${shown(m.route)}" has ${bytes} bytes, at most ${MAX_ROUTE} fit`);
  if (size(m) > MAX_BODY) throw new RangeError(`the message to "${m.route}" has ${m.body.length} bytes, a package carries at most ${MAX_BODY}`);
}

/** What a server sends: an answer (id) or a push (route). */
export interface Incoming {
  readonly type: typeof RESPONSE | typeof PUSH;
  readonly id: number;
  readonly route: string;
  readonly error: boolean;
  readonly compressed: boolean;
  readonly body: Uint8Array; // of the package's own memory
}

/** Reads the body of a data package from a server. */
export function decodeMessage(bytes: Uint8Array, dictionary: Dictionary): Incoming {
  const flag = bytes[0];
  if (flag === undefined) throw new ProtocolError("an empty data package, expected at least a flag byte");
  if (flag & FLAG_UNKNOWN) throw new ProtocolError(`flag byte 0x${flag.toString(16)} has bits that mean nothing`);
  const type = (flag & FLAG_TYPE) >> 1;
  let at = 1;
  let id = 0;
  let route = "";
  if (type === RESPONSE) {
    [id, at] = decodeVarint(bytes, at);
  } else if (type !== PUSH) {
    throw new ProtocolError(`a server sent a message of type ${type}, expected 2 (response) or 3 (push)`);
  } else if (flag & FLAG_ROUTE) {
    [route, at] = codedRoute(bytes, at, dictionary);
  } else {
    [route, at] = plainRoute(bytes, at);
  }
  return { type, id, route, error: (flag & FLAG_ERROR) !== 0, compressed: (flag & FLAG_COMPRESSED) !== 0, body: bytes.subarray(at) };
}

function codedRoute(bytes: Uint8Array, at: number, dictionary: Dictionary): [string, number] {
  const high = bytes[at];
  const low = bytes[at + 1];
  if (high === undefined || low === undefined) throw new ProtocolError("a push ends inside its route code");
  const route = dictionary.route((high << 8) | low);
  if (route === undefined) throw new ProtocolError(`a push with the route code ${(high << 8) | low}, which the dictionary does not have`);
  return [route, at + 2];
}

function plainRoute(bytes: Uint8Array, at: number): [string, number] {
  const length = bytes[at];
  if (length === undefined) throw new ProtocolError("a push ends before the length of its route");
  const end = at + 1 + length;
  if (end > bytes.length) throw new ProtocolError(`a push announces a route of ${length} bytes, found ${bytes.length - at - 1}`);
  try {
    return [text(bytes.subarray(at + 1, end)), end];
  } catch (cause) {
    throw new ProtocolError("the route of a push is not UTF-8", { cause });
  }
}

/** A number from 0 to 2^53 - 1, 7 bits a byte, least significant first. */
export function encodeVarint(n: number): number[] {
  const out: number[] = [];
  // Divided, not shifted: JavaScript's shifts have 32 bits.
  for (; n >= 128; n = Math.floor(n / 128)) out.push((n % 128) | 0x80);
  out.push(n);
  return out;
}

/** Such a number at a place in bytes, and the place behind it. Numbers from 2^53 on are refused: a client never made such an id. */
export function decodeVarint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let i = 0, scale = 1; i < 10; i++, scale *= 128) {
    const byte = bytes[at + i];
    if (byte === undefined) throw new ProtocolError("a number ends in its middle, expected a byte below 0x80");
    value += (byte & 0x7f) * scale;
    if (value > Number.MAX_SAFE_INTEGER) throw new ProtocolError("a number of 2^53 or more");
    if (byte < 0x80) return [value, at + i + 1];
  }
  throw new ProtocolError("a number of more than 10 bytes");
}

/** The body of an ack package: one number and nothing else. */
export function decodeAck(body: Uint8Array): number {
  const [n, end] = decodeVarint(body, 0);
  if (end !== body.length) throw new ProtocolError(`an ack of ${body.length} bytes, its number has ${end}`);
  return n;
}

/** Why, as kicks and errors say it: JSON with `code` and `msg` (Pomelo: `reason`), or anything at all. It never fails. */
export function decodeReason(body: Uint8Array): { code: string; message: string } {
  const longest = 256;
  let said: string;
  try {
    said = text(body);
  } catch {
    return { code: "", message: "" };
  }
  try {
    const r: unknown = JSON.parse(said);
    if (typeof r === "object" && r !== null) {
      const { code, msg, reason } = r as Record<string, unknown>;
      const message = typeof msg === "string" && msg ? msg : reason;
      return { code: code === undefined ? "" : String(code), message: typeof message === "string" ? message : "" };
    }
  } catch {
    // What is no JSON is the message itself.
  }
  return { code: "", message: said.slice(0, longest) };
}

/** The addresses of a kick: where the client goes on. It never fails. */
export function decodeAddresses(body: Uint8Array): string[] {
  try {
    const r: unknown = JSON.parse(text(body));
    const { addresses } = r as Record<string, unknown>;
    return Array.isArray(addresses) ? addresses.filter((a) => typeof a === "string").slice(0, 8) : [];
  } catch {
    return [];
  }
}

/** Cuts a stream of bytes, which comes in pieces of any length, into packages. */
export class Splitter {
  readonly #limit: number;
  readonly #head = new Uint8Array(HEADER);
  #have = 0; // bytes of the head, then of the body
  #body: Uint8Array | null = null; // of the package that is being gathered

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Calls each with the packages that bytes complete; a false from it ends the cutting. A body may lie in the memory of bytes. What is gathered is never longer
   * than the limit, and a header that announces more, or an unknown type, is a ProtocolError at once.
   */
  push(bytes: Uint8Array, each: (type: number, body: Uint8Array) => boolean): void {
    let at = 0;
    while (at < bytes.length) {
      if (!this.#body) {
        const n = Math.min(HEADER - this.#have, bytes.length - at);
        this.#head.set(bytes.subarray(at, at + n), this.#have);
        this.#have += n;
        at += n;
        if (this.#have < HEADER) return;
        const length = this.#announced();
        this.#have = 0;
        if (bytes.length - at >= length) { // whole: no copy
          const body = bytes.subarray(at, at + length);
          at += length;
          if (!each(this.#head[0]!, body)) return;
          continue;
        }
        this.#body = new Uint8Array(length);
      }
      const n = Math.min(this.#body.length - this.#have, bytes.length - at);
      this.#body.set(bytes.subarray(at, at + n), this.#have);
      this.#have += n;
      at += n;
      if (this.#have < this.#body.length) return;
      const body = this.#body;
      this.#body = null;
      this.#have = 0;
      if (!each(this.#head[0]!, body)) return;
    }
  }

  #announced(): number {
    const [type, a, b, c] = this.#head as unknown as [number, number, number, number];
    if (type < HANDSHAKE || type > MEDIA) throw new ProtocolError(`a package of type ${type}, expected ${HANDSHAKE} to ${MEDIA}`);
    const length = (a << 16) | (b << 8) | c;
    if (length > this.#limit) throw new ProtocolError(`a package of ${length} bytes, at most ${this.#limit} are accepted`);
    return length;
  }
}

/** A string from outside, short enough for a message. */
export function shown(s: string): string {
  return s.length > 40 ? `${s.slice(0, 40)}...` : s;
}
