// What the two ends tell each other before they talk: docs/protocol.md, "Handshake" and the part on resume. Every field of the server's is checked.
import { HandshakeError, ProtocolError } from "./errors.js";
import { inflates } from "./inflate.js";
import { decodeOffer, type MediaOffer } from "./media.js";
import { Dictionary, shown, text, utf8, MAX_ROUTE } from "./packet.js";

const DAY = 24 * 60 * 60;
const MAX_TOKEN = 200; // bytes
const MAX_RING_PACKAGES = 1 << 16;
const MAX_RING_BYTES = 16 << 20;
const MAX_ADDRESSES = 8;

/** How many packages without an acknowledgement, and of how many bytes in all, an end keeps. */
export interface Bounds {
  readonly packages: number;
  readonly bytes: number;
}

/** The server's word on resume. */
export interface Resume {
  readonly token: string;
  readonly window: number; // ms
  readonly received: number; // data packages of ours
  readonly resumed: boolean;
  readonly bounds: Bounds;
  readonly refused: { readonly code: string; readonly message: string } | null;
  readonly addresses: readonly string[]; // of other gates, which have the session if this one does not answer
}

/** A server's handshake that lets us in. */
export interface Welcome {
  readonly heartbeat: number; // ms; 0: none
  readonly dictionary: Dictionary;
  readonly serializer: string; // "": it does not say
  readonly resume: Resume | null; // null: it keeps no sessions
  readonly media: MediaOffer | null; // null: it has no rooms
  readonly user: unknown;
}

/** What a client says of itself. */
export interface Hello {
  readonly name: string;
  readonly version: string;
  readonly user: unknown;
  readonly resume: { token: string; received: number } | null; // null: a new session
}

/** The body of the client's handshake. */
export function encodeHello(h: Hello): Uint8Array {
  const gzip = inflates() ? true : undefined; // which JSON leaves out
  return utf8(JSON.stringify({ sys: { type: h.name, version: h.version, gzip, resume: h.resume ?? {} }, user: h.user }));
}

/** Reads the body of the server's. A refusal is a HandshakeError. */
export function decodeWelcome(body: Uint8Array): Welcome {
  let answer: unknown;
  try {
    answer = JSON.parse(text(body));
  } catch (cause) {
    throw new ProtocolError("the handshake is not JSON", { cause });
  }
  const { code, msg, sys, user } = object(answer, "the handshake");
  if (code !== 200) throw refusal(code, msg);
  const { heartbeat, dict, serializer, resume, media } = sys === undefined ? {} : object(sys, "sys");
  return {
    heartbeat: heartbeat === undefined ? 0 : 1000 * number(heartbeat, "sys.heartbeat", 0, DAY),
    dictionary: dictionary(dict),
    serializer: serializer === undefined ? "" : string(serializer, "sys.serializer"),
    resume: resume === undefined || resume === null ? null : decodeResume(object(resume, "sys.resume")),
    media: decodeOffer(media),
    user,
  };
}

function refusal(code: unknown, msg: unknown): HandshakeError {
  const status = typeof code === "number" ? code : 0;
  const why = typeof msg === "string" && msg ? msg : "the server gives no reason";
  if (status === 501) return new HandshakeError("client_too_old", status, `this client is too old: ${why}`);
  return new HandshakeError("refused", status, `the handshake was refused with code ${status}: ${why}`);
}

function dictionary(dict: unknown): Dictionary {
  const d = new Dictionary();
  if (dict === undefined || dict === null) return d;
  for (const [route, code] of Object.entries(object(dict, "sys.dict"))) {
    if (utf8(route).length > MAX_ROUTE) throw new ProtocolError(`the dictionary's route "${shown(route)}" is longer than ${MAX_ROUTE} bytes`);
    d.add(route, number(code, "a code of sys.dict", 1, 0xffff));
  }
  return d;
}

function decodeResume(r: Record<string, unknown>): Resume {
  const ring = object(r["ring"], "sys.resume.ring");
  const token = string(r["token"], "sys.resume.token");
  if (!token || utf8(token).length > MAX_TOKEN) throw new ProtocolError(`a resume token of ${token.length} characters, expected 1 to ${MAX_TOKEN} bytes`);
  const resumed = r["resumed"] === true;
  const refused = r["refused"] === undefined || r["refused"] === null ? null : object(r["refused"], "sys.resume.refused");
  return {
    token,
    resumed,
    window: 1000 * number(r["window"], "sys.resume.window", 0, DAY),
    received: integer(r["received"] ?? 0, "sys.resume.received", Number.MAX_SAFE_INTEGER),
    // More than these we don't keep, whatever the server offers.
    bounds: {
      packages: Math.min(MAX_RING_PACKAGES, integer(ring["packages"], "sys.resume.ring.packages", Number.MAX_SAFE_INTEGER)),
      bytes: Math.min(MAX_RING_BYTES, integer(ring["bytes"], "sys.resume.ring.bytes", Number.MAX_SAFE_INTEGER)),
    },
    refused: refused && { code: String(refused["code"] ?? ""), message: String(refused["msg"] ?? "") },
    addresses: Array.isArray(r["addresses"]) ? r["addresses"].slice(0, MAX_ADDRESSES).filter((a) => typeof a === "string") : [],
  };
}

function object(v: unknown, what: string): Record<string, unknown> {
  if (typeof v !== "object" || v === null || Array.isArray(v)) throw new ProtocolError(`${what} is ${kind(v)}, expected an object`);
  return v as Record<string, unknown>;
}

function string(v: unknown, what: string): string {
  if (typeof v !== "string") throw new ProtocolError(`${what} is ${kind(v)}, expected a string`);
  return v;
}

function number(v: unknown, what: string, least: number, most: number): number {
  if (typeof v !== "number" || !(v >= least && v <= most)) throw new ProtocolError(`${what} is ${kind(v)}, expected a number from ${least} to ${most}`);
  return v;
}

function integer(v: unknown, what: string, most: number): number {
  const n = number(v, what, 0, most);
  if (!Number.isInteger(n)) throw new ProtocolError(`${what} is ${n}, expected a whole number`);
  return n;
}

function kind(v: unknown): string {
  return typeof v === "number" ? String(v) : v === null ? "null" : Array.isArray(v) ? "an array" : typeof v;
}
