// How the bodies of requests, answers and pushes become bytes and back.
import { text, utf8 } from "./packet.js";

/** What a body belongs to, for serializers with a type a route. */
export interface BodyOf {
  readonly kind: "request" | "notify" | "response" | "push";
  readonly route: string; // of a response: that of its request
}

/**
 * Encodes and decodes bodies: MessagePack, protobuf and so on plug in here. Both may throw. Errors of the game (RequestError) are JSON unless decodeError says
 * otherwise. What is a Uint8Array already is sent as it is, past encode.
 */
export interface Serializer {
  /** As the server's handshake names it: "json", "msgpack", "protobuf", "raw". A server that names another is not for this client. */
  readonly name: string;
  encode(body: unknown, of: BodyOf): Uint8Array;
  decode(bytes: Uint8Array, of: BodyOf): unknown;
  decodeError?(bytes: Uint8Array): { code: string; message: string };
}

/** JSON, the default. `undefined` is an empty body, in both directions. Integers from 2^53 on lose digits: have them as strings. */
export const json: Serializer = {
  name: "json",
  encode: (body) => utf8(body === undefined ? "" : JSON.stringify(body) ?? ""),
  decode: (bytes) => (bytes.length > 0 ? JSON.parse(text(bytes)) : undefined),
};

/** Bytes as they are: bodies are sent from a Uint8Array, or from the UTF-8 of a string, and arrive as Uint8Array, which is yours. */
export const raw: Serializer = {
  name: "raw",
  encode(body) {
    if (body === undefined) return new Uint8Array(0);
    if (typeof body === "string") return utf8(body);
    throw new TypeError(`a body of type ${typeof body}, expected a Uint8Array or a string`);
  },
  decode: (bytes) => bytes.slice(),
};
