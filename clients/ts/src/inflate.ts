// Compressed bodies: gzip (RFC 1952) and zlib (RFC 1950), told apart by their first two bytes.
import { ProtocolError, SkuaError } from "./errors.js";

/** Whether this platform can, as browsers since 2023 and Node do. */
export const inflates = (): boolean => typeof DecompressionStream === "function";

/** Inflates to at most limit bytes, whatever the sizes in the body claim; more is a ProtocolError, and so is what is neither. */
export async function inflate(body: Uint8Array, limit: number): Promise<Uint8Array> {
  const format = formatOf(body);
  if (!inflates()) {
    throw new SkuaError("unsupported", `a body is compressed (${format}), and this platform has no DecompressionStream: turn compression off at the server`);
  }
  const stream = new DecompressionStream(format);
  const writer = stream.writable.getWriter();
  // An error shows at the reading end; here it must only not go unhandled.
  writer.write(body as Uint8Array<ArrayBuffer>).then(() => writer.close()).catch(() => {});
  const reader = stream.readable.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    let piece: Uint8Array | undefined;
    try {
      piece = (await reader.read()).value;
    } catch (cause) {
      throw new ProtocolError(`a compressed body (${format}) is broken`, { cause, code: "body" });
    }
    if (!piece) return join(pieces, length);
    length += piece.length;
    if (length > limit) {
      reader.cancel().catch(() => {});
      throw new ProtocolError(`a compressed body of ${body.length} bytes holds more than ${limit}`);
    }
    pieces.push(piece);
  }
}

function formatOf(body: Uint8Array): "gzip" | "deflate" {
  const [a = 0, b = 0] = body;
  if (a === 0x1f && b === 0x8b) return "gzip";
  if ((a & 0x0f) === 8 && ((a << 8) | b) % 31 === 0) return "deflate"; // RFC 1950, 2.2: CM and FCHECK
  throw new ProtocolError("a compressed body is neither gzip nor zlib", { code: "body" });
}

function join(pieces: Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
