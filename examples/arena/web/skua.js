// The client of Skua as one file. Made from clients/ts/src by `npm run bundle` in clients/ts; don't change it here.

// src/addresses.ts
var Addresses = class {
  #own;
  #all;
  // tried in turn
  #turn = 0;
  // the one to try next
  #detours = [];
  // where a server has sent us to: tried first, each once
  #at;
  constructor(own) {
    this.#own = this.#all = own;
    this.#at = own[0];
  }
  /** The one of the connection, or of the last attempt. */
  get at() {
    return this.#at;
  }
  /** Goes on to the next one. */
  next() {
    this.#at = this.#detours.shift() ?? this.#all[this.#turn++ % this.#all.length];
    return this.#at;
  }
  /** The present one has answered, and knows others: it comes first next time, and the others come behind our own. */
  answered(others, random) {
    this.#all = [.../* @__PURE__ */ new Set([...this.#own, this.#at, ...fitting(this.#at, others, random)])];
    this.#turn = this.#all.indexOf(this.#at);
    this.#detours = [];
  }
  /** The present one sends us away, to these. */
  moved(others, random) {
    this.#detours = fitting(this.#at, others, random);
  }
};
function fitting(from, addresses, random) {
  const fit = addresses.filter((a) => a !== from && (a.startsWith("wss://") || a.startsWith("ws://") && !from.startsWith("wss://")));
  const first = Math.floor(random * fit.length);
  return [...fit.slice(first), ...fit.slice(0, first)];
}

// src/errors.ts
var SkuaError = class extends Error {
  /** For programs; which codes there are is with each class. */
  code;
  constructor(code, message, options) {
    super(message || code, options);
    this.name = "SkuaError";
    this.code = code;
  }
};
var RequestError = class extends SkuaError {
  route;
  constructor(route, code, message) {
    super(code || "error", message);
    this.name = "RequestError";
    this.route = route;
  }
};
var TimeoutError = class extends SkuaError {
  route;
  /** How long it was waited for, in ms. */
  timeout;
  constructor(route, timeout) {
    super("timeout", `no answer to "${route}" within ${timeout} ms`);
    this.name = "TimeoutError";
    this.route = route;
    this.timeout = timeout;
  }
};
var BacklogError = class extends SkuaError {
  constructor(message) {
    super("backlog", message);
    this.name = "BacklogError";
  }
};
var SessionLostError = class extends SkuaError {
  constructor(code, message, options) {
    super(code, message, options);
    this.name = "SessionLostError";
  }
};
var KickedError = class extends SkuaError {
  /** Where the client goes on after the code `moved`; it goes there by itself. */
  addresses;
  constructor(code, message, addresses = []) {
    super(code || "kicked", message || "the server gives no reason");
    this.name = "KickedError";
    this.addresses = addresses;
  }
};
var ConnectionError = class extends SkuaError {
  constructor(code, message, options) {
    super(code, message, options);
    this.name = "ConnectionError";
  }
};
var ServerClosedError = class extends ConnectionError {
  /** The WebSocket's close code; 1006 when it broke off. */
  closeCode;
  constructor(closeCode, reason) {
    super("server_closed", `the connection was closed with code ${closeCode}${reason ? `: ${reason}` : ""}`);
    this.name = "ServerClosedError";
    this.closeCode = closeCode;
  }
};
var HandshakeError = class extends SkuaError {
  /** The `code` of the server's handshake, 501 for a client that is too old. */
  status;
  constructor(code, status, message) {
    super(code, message);
    this.name = "HandshakeError";
    this.status = status;
  }
};
var ProtocolError = class extends SkuaError {
  constructor(message, options) {
    super(options?.code ?? "protocol", message, options);
    this.name = "ProtocolError";
  }
};
var ClosedError = class extends SkuaError {
  constructor(code, message, options) {
    super(code, message, options);
    this.name = "ClosedError";
  }
};
var RoomError = class extends SkuaError {
  room;
  constructor(room, code, message, options) {
    super(code || "ended", message, options);
    this.name = "RoomError";
    this.room = room;
  }
};

// src/calls.ts
var LONGEST = 2 ** 31 - 1;
function checkTimeout(ms) {
  if (!(ms > 0 && ms <= LONGEST)) throw new RangeError(`a deadline of ${ms} ms, expected more than 0 and at most ${LONGEST}`);
  return ms;
}
var Calls = class {
  #env;
  #calls = /* @__PURE__ */ new Map();
  #last = 0;
  constructor(env) {
    this.#env = env;
  }
  get size() {
    return this.#calls.size;
  }
  /** A new request; gaveUp is called when its deadline or its signal has ended it. */
  add(route, timeout, signal, gaveUp) {
    const id = ++this.#last;
    const promise = new Promise((resolve, reject) => {
      const aborted = () => giveUp(signal?.reason);
      const cancel = this.#env.after(timeout, () => giveUp(new TimeoutError(route, timeout)));
      const call = {
        route,
        settle: (f) => {
          cancel();
          signal?.removeEventListener("abort", aborted);
          f(resolve, reject);
        }
      };
      const giveUp = (error) => {
        this.#calls.delete(id);
        call.settle(() => reject(error));
        gaveUp(id);
      };
      signal?.addEventListener("abort", aborted, { once: true });
      this.#calls.set(id, call);
    });
    return { id, promise };
  }
  /** The request with that id, which is no longer here then. */
  take(id) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }
  /** Fails all, or those that are meant. */
  fail(error, meant = () => true) {
    for (const [id, call] of [...this.#calls]) {
      if (!meant(id)) continue;
      this.#calls.delete(id);
      call.settle((_, reject) => reject(error));
    }
  }
};

// src/environment.ts
function environment(own = {}, constructor) {
  return {
    connect(url) {
      const Socket = constructor ?? globalThis.WebSocket;
      if (!Socket) {
        throw new SkuaError("unsupported", "this platform has no WebSocket: pass one as options.WebSocket (in Node below 22 that of the package ws)");
      }
      return new Socket(url);
    },
    now: () => performance.now(),
    after(ms, f) {
      const timer = setTimeout(f, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    watch: watchPage,
    ...own
  };
}
function watchPage(wake, offline) {
  if (typeof globalThis.addEventListener !== "function") return () => {
  };
  const page = typeof document === "object" ? document : null;
  const visible = () => {
    if (page?.visibilityState === "visible") wake();
  };
  globalThis.addEventListener("online", wake);
  globalThis.addEventListener("offline", offline);
  globalThis.addEventListener("pageshow", wake);
  page?.addEventListener("visibilitychange", visible);
  return () => {
    globalThis.removeEventListener("online", wake);
    globalThis.removeEventListener("offline", offline);
    globalThis.removeEventListener("pageshow", wake);
    page?.removeEventListener("visibilitychange", visible);
  };
}

// src/inflate.ts
var inflates = () => typeof DecompressionStream === "function";
async function inflate(body, limit) {
  const format = formatOf(body);
  if (!inflates()) {
    throw new SkuaError("unsupported", `a body is compressed (${format}), and this platform has no DecompressionStream: turn compression off at the server`);
  }
  const stream = new DecompressionStream(format);
  const writer = stream.writable.getWriter();
  writer.write(body).then(() => writer.close()).catch(() => {
  });
  const reader = stream.readable.getReader();
  const pieces = [];
  let length = 0;
  for (; ; ) {
    let piece;
    try {
      piece = (await reader.read()).value;
    } catch (cause) {
      throw new ProtocolError(`a compressed body (${format}) is broken`, { cause, code: "body" });
    }
    if (!piece) return join(pieces, length);
    length += piece.length;
    if (length > limit) {
      reader.cancel().catch(() => {
      });
      throw new ProtocolError(`a compressed body of ${body.length} bytes holds more than ${limit}`);
    }
    pieces.push(piece);
  }
}
function formatOf(body) {
  const [a = 0, b = 0] = body;
  if (a === 31 && b === 139) return "gzip";
  if ((a & 15) === 8 && (a << 8 | b) % 31 === 0) return "deflate";
  throw new ProtocolError("a compressed body is neither gzip nor zlib", { code: "body" });
}
function join(pieces, length) {
  if (pieces.length === 1) return pieces[0];
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

// src/packet.ts
var HEADER = 4;
var MAX_BODY = 16777215;
var MAX_ROUTE = 255;
var HANDSHAKE = 1;
var HANDSHAKE_ACK = 2;
var HEARTBEAT = 3;
var DATA = 4;
var KICK = 5;
var ACK = 6;
var MEDIA = 7;
var REQUEST = 0;
var NOTIFY = 1;
var RESPONSE = 2;
var PUSH = 3;
var FLAG_ROUTE = 1;
var FLAG_TYPE = 14;
var FLAG_COMPRESSED = 16;
var FLAG_ERROR = 32;
var FLAG_UNKNOWN = 192;
var encoder = new TextEncoder();
var decoder = new TextDecoder("utf-8", { fatal: true });
function utf8(text2) {
  return encoder.encode(text2);
}
function text(bytes) {
  return decoder.decode(bytes);
}
var Dictionary = class {
  #codes = /* @__PURE__ */ new Map();
  #routes = /* @__PURE__ */ new Map();
  add(route, code) {
    if (!Number.isInteger(code) || code < 1 || code > 65535) throw new ProtocolError(`the route "${shown(route)}" has the code ${code}, expected 1 to 65535`);
    const other = this.#routes.get(code);
    if (other !== void 0) throw new ProtocolError(`the routes "${shown(other)}" and "${shown(route)}" have the same code ${code}`);
    this.#codes.set(route, code);
    this.#routes.set(code, route);
  }
  code(route) {
    return this.#codes.get(route);
  }
  route(code) {
    return this.#routes.get(code);
  }
};
function encodePackage(type, body = new Uint8Array(0)) {
  const out = new Uint8Array(HEADER + body.length);
  header(out, type);
  out.set(body, HEADER);
  return out;
}
function header(out, type) {
  const length = out.length - HEADER;
  out[0] = type;
  out[1] = length >> 16;
  out[2] = length >> 8 & 255;
  out[3] = length & 255;
}
function size(m) {
  return HEADER + 1 + 8 + 1 + 3 * m.route.length + m.body.length;
}
function encodeMessage(m, dictionary2) {
  const id = m.id > 0 ? encodeVarint(m.id) : [];
  const code = dictionary2.code(m.route);
  let route;
  if (code === void 0) {
    const name = utf8(m.route);
    route = new Uint8Array(1 + name.length);
    route[0] = name.length;
    route.set(name, 1);
  } else {
    route = Uint8Array.of(code >> 8, code & 255);
  }
  const out = new Uint8Array(HEADER + 1 + id.length + route.length + m.body.length);
  header(out, DATA);
  out[HEADER] = (m.id > 0 ? REQUEST : NOTIFY) << 1 | (code === void 0 ? 0 : FLAG_ROUTE);
  out.set(id, HEADER + 1);
  out.set(route, HEADER + 1 + id.length);
  out.set(m.body, HEADER + 1 + id.length + route.length);
  return out;
}
function checkMessage(m) {
  const bytes = utf8(m.route).length;
  if (bytes > MAX_ROUTE) throw new RangeError(`the route "${shown(m.route)}" has ${bytes} bytes, at most ${MAX_ROUTE} fit`);
  if (size(m) > MAX_BODY) throw new RangeError(`the message to "${m.route}" has ${m.body.length} bytes, a package carries at most ${MAX_BODY}`);
}
function decodeMessage(bytes, dictionary2) {
  const flag = bytes[0];
  if (flag === void 0) throw new ProtocolError("an empty data package, expected at least a flag byte");
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
    [route, at] = codedRoute(bytes, at, dictionary2);
  } else {
    [route, at] = plainRoute(bytes, at);
  }
  return { type, id, route, error: (flag & FLAG_ERROR) !== 0, compressed: (flag & FLAG_COMPRESSED) !== 0, body: bytes.subarray(at) };
}
function codedRoute(bytes, at, dictionary2) {
  const high = bytes[at];
  const low = bytes[at + 1];
  if (high === void 0 || low === void 0) throw new ProtocolError("a push ends inside its route code");
  const route = dictionary2.route(high << 8 | low);
  if (route === void 0) throw new ProtocolError(`a push with the route code ${high << 8 | low}, which the dictionary does not have`);
  return [route, at + 2];
}
function plainRoute(bytes, at) {
  const length = bytes[at];
  if (length === void 0) throw new ProtocolError("a push ends before the length of its route");
  const end = at + 1 + length;
  if (end > bytes.length) throw new ProtocolError(`a push announces a route of ${length} bytes, found ${bytes.length - at - 1}`);
  try {
    return [text(bytes.subarray(at + 1, end)), end];
  } catch (cause) {
    throw new ProtocolError("the route of a push is not UTF-8", { cause });
  }
}
function encodeVarint(n) {
  const out = [];
  for (; n >= 128; n = Math.floor(n / 128)) out.push(n % 128 | 128);
  out.push(n);
  return out;
}
function decodeVarint(bytes, at) {
  let value = 0;
  for (let i = 0, scale = 1; i < 10; i++, scale *= 128) {
    const byte = bytes[at + i];
    if (byte === void 0) throw new ProtocolError("a number ends in its middle, expected a byte below 0x80");
    value += (byte & 127) * scale;
    if (value > Number.MAX_SAFE_INTEGER) throw new ProtocolError("a number of 2^53 or more");
    if (byte < 128) return [value, at + i + 1];
  }
  throw new ProtocolError("a number of more than 10 bytes");
}
function decodeAck(body) {
  const [n, end] = decodeVarint(body, 0);
  if (end !== body.length) throw new ProtocolError(`an ack of ${body.length} bytes, its number has ${end}`);
  return n;
}
function decodeReason(body) {
  const longest = 256;
  let said;
  try {
    said = text(body);
  } catch {
    return { code: "", message: "" };
  }
  try {
    const r = JSON.parse(said);
    if (typeof r === "object" && r !== null) {
      const { code, msg, reason } = r;
      const message = typeof msg === "string" && msg ? msg : reason;
      return { code: code === void 0 ? "" : String(code), message: typeof message === "string" ? message : "" };
    }
  } catch {
  }
  return { code: "", message: said.slice(0, longest) };
}
function decodeAddresses(body) {
  try {
    const r = JSON.parse(text(body));
    const { addresses } = r;
    return Array.isArray(addresses) ? addresses.filter((a) => typeof a === "string").slice(0, 8) : [];
  } catch {
    return [];
  }
}
var Splitter = class {
  #limit;
  #head = new Uint8Array(HEADER);
  #have = 0;
  // bytes of the head, then of the body
  #body = null;
  // of the package that is being gathered
  constructor(limit) {
    this.#limit = limit;
  }
  /**
   * Calls each with the packages that bytes complete; a false from it ends the cutting. A body may lie in the memory of bytes. What is gathered is never longer
   * than the limit, and a header that announces more, or an unknown type, is a ProtocolError at once.
   */
  push(bytes, each) {
    let at = 0;
    while (at < bytes.length) {
      if (!this.#body) {
        const n2 = Math.min(HEADER - this.#have, bytes.length - at);
        this.#head.set(bytes.subarray(at, at + n2), this.#have);
        this.#have += n2;
        at += n2;
        if (this.#have < HEADER) return;
        const length = this.#announced();
        this.#have = 0;
        if (bytes.length - at >= length) {
          const body2 = bytes.subarray(at, at + length);
          at += length;
          if (!each(this.#head[0], body2)) return;
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
      if (!each(this.#head[0], body)) return;
    }
  }
  #announced() {
    const [type, a, b, c] = this.#head;
    if (type < HANDSHAKE || type > MEDIA) throw new ProtocolError(`a package of type ${type}, expected ${HANDSHAKE} to ${MEDIA}`);
    const length = a << 16 | b << 8 | c;
    if (length > this.#limit) throw new ProtocolError(`a package of ${length} bytes, at most ${this.#limit} are accepted`);
    return length;
  }
};
function shown(s) {
  return s.length > 40 ? `${s.slice(0, 40)}...` : s;
}

// src/media.ts
var CONTROL = 0;
var BEGINS = 1;
var GOES_ON = 2;
var KIND = 3;
var KEY = 4;
var PIECE = 6;
var FRAME = PIECE + 16;
var MAX_FRAME = 16 << 20;
var MAX_PARTS = 32;
function decodeOffer(v) {
  if (typeof v !== "object" || v === null) return null;
  const { version, piece, frame } = v;
  const size2 = (n) => typeof n === "number" && Number.isInteger(n) && n > 0 && n <= MAX_FRAME;
  return version === 1 && size2(piece) && size2(frame) ? { piece, frame } : null;
}
function encodeControl(m) {
  const json2 = utf8(JSON.stringify(m));
  const body = new Uint8Array(1 + json2.length);
  body[0] = CONTROL;
  body.set(json2, 1);
  return encodePackage(MEDIA, body);
}
function encodeFrame(f, piece) {
  const packages = [];
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
function channelOf(body) {
  if (body.length < PIECE || (body[0] & KIND) === CONTROL) return -1;
  return new DataView(body.buffer, body.byteOffset).getUint32(1);
}
var Pieces = class {
  #parts = /* @__PURE__ */ new Map();
  // by channel and track
  #held = 0;
  /** Reads a package's body: a control, a frame that is whole now, or neither yet. */
  decode(body) {
    const first = body[0];
    if (first === CONTROL) return { control: control(body.subarray(1)) };
    if (first === BEGINS || first === (BEGINS | KEY)) return this.#begin(body);
    if (first === GOES_ON) return this.#goOn(body);
    throw new ProtocolError(first === void 0 ? "an empty media package" : `a media package that begins with 0x${first.toString(16)}`);
  }
  /** Drops what has come of frames of a channel. */
  forget(channel) {
    for (const [key, part] of this.#parts) {
      if (part.channel !== channel) continue;
      this.#held -= part.have;
      this.#parts.delete(key);
    }
  }
  #begin(body) {
    if (body.length <= FRAME) throw new ProtocolError(`the first piece of a frame has ${body.length} bytes, expected more than ${FRAME}`);
    const view = new DataView(body.buffer, body.byteOffset);
    const [channel, track, size2] = [view.getUint32(1), body[5], view.getUint32(PIECE)];
    const data = body.subarray(FRAME);
    const frame = { channel, track, key: (body[0] & KEY) !== 0, dts: Number(view.getBigInt64(PIECE + 4)), offset: view.getInt32(PIECE + 12), data };
    if (size2 > MAX_FRAME || data.length > size2) throw new ProtocolError(`a piece of ${data.length} bytes of a frame of ${size2}`);
    if (data.length === size2) return { frame };
    const key = channel * 256 + track;
    if (this.#parts.has(key)) throw new ProtocolError(`a frame of channel ${channel} begins before the one before it is whole`);
    if (this.#parts.size >= MAX_PARTS) throw new ProtocolError(`more than ${MAX_PARTS} frames are on their way in pieces`);
    this.#hold(data.length);
    this.#parts.set(key, { ...frame, size: size2, have: data.length, pieces: [data.slice()] });
    return {};
  }
  #goOn(body) {
    if (body.length <= PIECE) throw new ProtocolError(`a piece of a frame has ${body.length} bytes, expected more than ${PIECE}`);
    const view = new DataView(body.buffer, body.byteOffset);
    const key = view.getUint32(1) * 256 + body[5];
    const part = this.#parts.get(key);
    if (!part) throw new ProtocolError(`a piece of channel ${view.getUint32(1)}, of which no frame has begun`);
    return this.#add(key, part, body.subarray(PIECE));
  }
  #add(key, part, data) {
    const size2 = part.size;
    if (part.have + data.length > size2) throw new ProtocolError(`a piece of ${data.length} bytes of a frame that lacks ${size2 - part.have}`);
    this.#hold(data.length);
    part.pieces.push(data.slice());
    part.have += data.length;
    if (part.have < size2) return {};
    this.#parts.delete(key);
    this.#held -= size2;
    const whole = new Uint8Array(size2);
    let at = 0;
    for (const piece of part.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    const { channel, track, key: isKey, dts, offset } = part;
    return { frame: { channel, track, key: isKey, dts, offset, data: whole } };
  }
  #hold(bytes) {
    this.#held += bytes;
    if (this.#held > MAX_FRAME) throw new ProtocolError(`more than ${MAX_FRAME} bytes of frames are on their way in pieces`);
  }
};
function control(json2) {
  let m;
  try {
    m = JSON.parse(text(json2));
  } catch (cause) {
    throw new ProtocolError("what the server tells of a room is not JSON", { cause });
  }
  const { op, id } = typeof m === "object" && m !== null ? m : {};
  if (typeof op !== "string" || typeof id !== "number") throw new ProtocolError("what the server tells of a room has no op or id");
  return m;
}

// src/handshake.ts
var DAY = 24 * 60 * 60;
var MAX_TOKEN = 200;
var MAX_RING_PACKAGES = 1 << 16;
var MAX_RING_BYTES = 16 << 20;
var MAX_ADDRESSES = 8;
function encodeHello(h) {
  const gzip = inflates() ? true : void 0;
  return utf8(JSON.stringify({ sys: { type: h.name, version: h.version, gzip, resume: h.resume ?? {} }, user: h.user }));
}
function decodeWelcome(body) {
  let answer;
  try {
    answer = JSON.parse(text(body));
  } catch (cause) {
    throw new ProtocolError("the handshake is not JSON", { cause });
  }
  const { code, msg, sys, user } = object(answer, "the handshake");
  if (code !== 200) throw refusal(code, msg);
  const { heartbeat, dict, serializer, resume, media } = sys === void 0 ? {} : object(sys, "sys");
  return {
    heartbeat: heartbeat === void 0 ? 0 : 1e3 * number(heartbeat, "sys.heartbeat", 0, DAY),
    dictionary: dictionary(dict),
    serializer: serializer === void 0 ? "" : string(serializer, "sys.serializer"),
    resume: resume === void 0 || resume === null ? null : decodeResume(object(resume, "sys.resume")),
    media: decodeOffer(media),
    user
  };
}
function refusal(code, msg) {
  const status = typeof code === "number" ? code : 0;
  const why = typeof msg === "string" && msg ? msg : "the server gives no reason";
  if (status === 501) return new HandshakeError("client_too_old", status, `this client is too old: ${why}`);
  return new HandshakeError("refused", status, `the handshake was refused with code ${status}: ${why}`);
}
function dictionary(dict) {
  const d = new Dictionary();
  if (dict === void 0 || dict === null) return d;
  for (const [route, code] of Object.entries(object(dict, "sys.dict"))) {
    if (utf8(route).length > MAX_ROUTE) throw new ProtocolError(`the dictionary's route "${shown(route)}" is longer than ${MAX_ROUTE} bytes`);
    d.add(route, number(code, "a code of sys.dict", 1, 65535));
  }
  return d;
}
function decodeResume(r) {
  const ring = object(r["ring"], "sys.resume.ring");
  const token = string(r["token"], "sys.resume.token");
  if (!token || utf8(token).length > MAX_TOKEN) throw new ProtocolError(`a resume token of ${token.length} characters, expected 1 to ${MAX_TOKEN} bytes`);
  const resumed = r["resumed"] === true;
  const refused = r["refused"] === void 0 || r["refused"] === null ? null : object(r["refused"], "sys.resume.refused");
  return {
    token,
    resumed,
    window: 1e3 * number(r["window"], "sys.resume.window", 0, DAY),
    received: integer(r["received"] ?? 0, "sys.resume.received", Number.MAX_SAFE_INTEGER),
    // More than these we don't keep, whatever the server offers.
    bounds: {
      packages: Math.min(MAX_RING_PACKAGES, integer(ring["packages"], "sys.resume.ring.packages", Number.MAX_SAFE_INTEGER)),
      bytes: Math.min(MAX_RING_BYTES, integer(ring["bytes"], "sys.resume.ring.bytes", Number.MAX_SAFE_INTEGER))
    },
    refused: refused && { code: String(refused["code"] ?? ""), message: String(refused["msg"] ?? "") },
    addresses: Array.isArray(r["addresses"]) ? r["addresses"].slice(0, MAX_ADDRESSES).filter((a) => typeof a === "string") : []
  };
}
function object(v, what) {
  if (typeof v !== "object" || v === null || Array.isArray(v)) throw new ProtocolError(`${what} is ${kind(v)}, expected an object`);
  return v;
}
function string(v, what) {
  if (typeof v !== "string") throw new ProtocolError(`${what} is ${kind(v)}, expected a string`);
  return v;
}
function number(v, what, least, most) {
  if (typeof v !== "number" || !(v >= least && v <= most)) throw new ProtocolError(`${what} is ${kind(v)}, expected a number from ${least} to ${most}`);
  return v;
}
function integer(v, what, most) {
  const n = number(v, what, 0, most);
  if (!Number.isInteger(n)) throw new ProtocolError(`${what} is ${n}, expected a whole number`);
  return n;
}
function kind(v) {
  return typeof v === "number" ? String(v) : v === null ? "null" : Array.isArray(v) ? "an array" : typeof v;
}

// src/inbox.ts
var Inbox = class {
  #events;
  #maxBody;
  // inflated
  #maxBytes;
  // that wait
  #queue = [];
  #bytes = 0;
  #busy = null;
  // who is at it; another one after clear
  constructor(maxBody, maxBytes, events) {
    this.#maxBody = maxBody;
    this.#maxBytes = maxBytes;
    this.#events = events;
  }
  /** Takes a message. A ProtocolError tells that too much waits behind bodies that are being inflated. */
  push(message) {
    if (this.#bytes > 0 && this.#bytes + message.body.length > this.#maxBytes) {
      throw new ProtocolError(`more than ${this.#maxBytes} bytes wait for compressed bodies before them`);
    }
    this.#bytes += message.body.length;
    this.#queue.push(message);
    this.#start();
  }
  /** The connection has ended. */
  end(reason) {
    this.#queue.push(reason);
    this.#start();
  }
  /** Forgets what waits. */
  clear() {
    this.#queue = [];
    this.#bytes = 0;
    this.#busy = null;
  }
  #start() {
    if (!this.#busy) this.#drain(this.#busy = {});
  }
  // Runs until the queue is empty or something has to be waited for, and then goes on by itself.
  #drain(me) {
    for (let at = 0; this.#busy === me; ) {
      const item = this.#queue[at++];
      if (item === void 0) {
        this.#queue = [];
        this.#busy = null;
        return;
      }
      if (item instanceof SkuaError) {
        this.#events.ended(item);
        continue;
      }
      this.#bytes -= item.body.length;
      if (item.compressed) {
        this.#queue = this.#queue.slice(at);
        this.#inflate(item, me);
        return;
      }
      if (this.#events.deliver(item, item.body) && at < this.#queue.length && this.#busy === me) {
        this.#queue = this.#queue.slice(at);
        queueMicrotask(() => this.#drain(me));
        return;
      }
    }
  }
  #inflate(message, me) {
    inflate(message.body, this.#maxBody).then(
      (plain) => this.#busy === me && void this.#events.deliver(message, plain),
      (cause) => {
        if (this.#busy !== me) return;
        const error = cause instanceof SkuaError ? cause : new ProtocolError("a compressed body can't be read", { cause, code: "body" });
        if (error.code === "protocol") this.#events.broken(error);
        else this.#events.unreadable(message, error);
      }
    ).then(() => this.#drain(me));
  }
};

// src/link.ts
var GOODBYE = 1e3;
var DROPPED = 4e3;
var PROBE = 5e3;
var Link = class {
  #env;
  #config;
  #events;
  #socket;
  #splitter;
  #stage = "connecting";
  #trouble = "";
  // what the socket said of an error
  #heard = 0;
  // when the last package came
  #beaten = null;
  // when the heartbeat that is not answered yet was sent
  #answers = false;
  // the server answers heartbeats
  #opened = 0;
  // when the handshake was over
  #interval = 0;
  // of heartbeats, ms
  #timers = /* @__PURE__ */ new Map();
  bytesIn = 0;
  bytesOut = 0;
  /** Connects. It throws what the environment throws for a URL that is none. */
  constructor(env, config, events) {
    this.#env = env;
    this.#config = config;
    this.#events = events;
    this.#splitter = new Splitter(config.maxPackage);
    this.#socket = env.connect(config.url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#stage = "shaking";
      this.#write(encodePackage(HANDSHAKE, config.hello));
    };
    this.#socket.onmessage = (event) => this.#guard(() => this.#receive(event.data));
    this.#socket.onerror = (event) => {
      this.#trouble = typeof event?.message === "string" ? event.message : "";
    };
    this.#socket.onclose = (event) => this.#closed(Number(event?.code ?? 1006), String(event?.reason ?? ""));
    this.#timer("handshake", config.handshakeTimeout, () => {
      this.#end(new ConnectionError("handshake_timeout", `no handshake from the server within ${config.handshakeTimeout} ms`));
    });
  }
  /** The handshake is over, data may flow. */
  get open() {
    return this.#stage === "open";
  }
  /** For how long, in ms. */
  get age() {
    return this.#opened > 0 ? this.#env.now() - this.#opened : 0;
  }
  /** What the socket has not sent yet, in bytes. */
  get buffered() {
    return this.#socket.bufferedAmount;
  }
  /** Ends the handshake: from here on data goes both ways, and heartbeats each interval (0: none). */
  acknowledge(heartbeat) {
    this.#cancel("handshake");
    this.#stage = "open";
    this.#opened = this.#heard = this.#env.now();
    this.#write(encodePackage(HANDSHAKE_ACK));
    this.#interval = heartbeat;
    if (heartbeat === 0 || !this.open) return;
    this.#beaten = this.#env.now();
    this.#timer("heartbeat", heartbeat, () => this.#heartbeat());
    this.#timer("silence", 2 * heartbeat, () => this.#silence());
  }
  /** Sends a package as encodeMessage and the like made it, when the link is open. */
  send(message) {
    if (this.open) this.#write(message);
  }
  /** Tells the server that its data packages have arrived up to number n. */
  ack(n) {
    if (this.open) this.#write(encodePackage(ACK, Uint8Array.from(encodeVarint(n))));
  }
  /** Finds out soon whether the server is still there, if it is one that answers heartbeats. */
  probe() {
    if (!this.open || !this.#answers || this.#timers.has("probe")) return;
    const asked = this.#env.now();
    this.#beat();
    this.#timer("probe", PROBE, () => {
      if (this.#heard < asked) this.#silent(PROBE);
    });
  }
  /** Ends the link without an event; goodbye: for good, and the server may forget us. */
  close(goodbye) {
    if (this.#stage === "ended") return;
    this.#stage = "ended";
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.onerror = () => {
    };
    try {
      this.#socket.close(goodbye ? GOODBYE : DROPPED);
    } catch {
    }
  }
  #end(reason) {
    if (this.#stage === "ended") return;
    this.close(false);
    this.#events.ended(reason);
  }
  #closed(code, reason) {
    const connecting = this.#stage === "connecting";
    const why = this.#trouble ? `: ${this.#trouble}` : "";
    this.#end(connecting ? new ConnectionError("unreachable", `can't connect to ${this.#config.url}${why}`) : new ServerClosedError(code, reason));
  }
  #guard(f) {
    try {
      f();
    } catch (error) {
      this.#end(error instanceof SkuaError ? error : new ProtocolError(`the server's bytes make no sense: ${String(error)}`, { cause: error }));
    }
  }
  #write(bytes) {
    this.bytesOut += bytes.length;
    try {
      this.#socket.send(bytes);
    } catch (cause) {
      this.#end(new ConnectionError("unsendable", `the socket does not send: ${String(cause)}`, { cause }));
    }
  }
  // The messages of the WebSocket are pieces of a stream of packages.
  #receive(data) {
    const bytes = bytesOf(data);
    this.bytesIn += bytes.length;
    this.#splitter.push(bytes, (type, body) => {
      if (this.#stage === "ended") return false;
      this.#heard = this.#env.now();
      this.#package(type, body);
      return true;
    });
  }
  #package(type, body) {
    if (type === KICK) {
      const { code, message } = decodeReason(body);
      this.#end(new KickedError(code, message, decodeAddresses(body)));
      return;
    }
    if (type === HANDSHAKE) {
      if (this.#stage !== "shaking") throw new ProtocolError("a second handshake from the server");
      this.#stage = "welcomed";
      this.#welcome(body);
      return;
    }
    if (type === HEARTBEAT) {
      this.#answered();
      return;
    }
    if (!this.open) throw new ProtocolError(`a package of type ${type} (${HEADER + body.length} bytes) before the handshake is over`);
    if (type === DATA) this.#events.data(body);
    else if (type === ACK) this.#events.ack(decodeAck(body));
    else if (type === MEDIA) this.#events.media(body);
    else throw new ProtocolError(`a server sent a package of type ${type}, which only clients send`);
  }
  #welcome(body) {
    const blanks = [32, 9, 10, 13];
    const first = body.find((byte) => !blanks.includes(byte));
    if (first === 123) {
      this.#events.welcome(decodeWelcome(body));
      return;
    }
    inflate(body, this.#config.maxPackage).then(
      (plain) => {
        if (this.#stage === "welcomed") this.#guard(() => this.#events.welcome(decodeWelcome(plain)));
      },
      (error) => this.#end(error instanceof SkuaError ? error : new ProtocolError("the handshake can't be read", { cause: error }))
    );
  }
  #heartbeat() {
    this.#events.beat();
    this.#beat();
    if (this.open) this.#timer("heartbeat", this.#interval, () => this.#heartbeat());
  }
  #beat() {
    this.#beaten = this.#env.now();
    this.#write(encodePackage(HEARTBEAT));
  }
  #answered() {
    if (this.#beaten === null) return;
    this.#answers = true;
    this.#events.rtt(this.#env.now() - this.#beaten);
    this.#beaten = null;
  }
  // Every package is a sign of life, so this looks again as long after the last one as the server may be silent.
  #silence() {
    const most = 2 * this.#interval;
    const left = this.#heard + most - this.#env.now();
    if (left > 0) this.#timer("silence", left, () => this.#silence());
    else this.#silent(most);
  }
  #silent(ms) {
    this.#end(new ConnectionError("silent", `not a sign of the server for ${ms} ms`));
  }
  #timer(name, ms, f) {
    this.#cancel(name);
    this.#timers.set(name, this.#env.after(ms, () => {
      this.#timers.delete(name);
      f();
    }));
  }
  #cancel(name) {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }
};
function bytesOf(data) {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (Object.prototype.toString.call(data) === "[object ArrayBuffer]") return new Uint8Array(data);
  throw new ProtocolError("a text message on the WebSocket, expected binary ones");
}

// src/ring.ts
var Ring = class {
  #bounds;
  #messages = [];
  #bytes = 0;
  #acked = 0;
  // number of the last message that is gone from here
  constructor(bounds) {
    this.#bounds = bounds;
  }
  /** How many messages were pushed since the begin. */
  get sent() {
    return this.#acked + this.#messages.length;
  }
  /** How many of them are not acknowledged. */
  get length() {
    return this.#messages.length;
  }
  /** The server may have changed its mind with a new handshake; what is in stays in. */
  set bounds(b) {
    this.#bounds = b;
  }
  /** Keeps a message, or throws a BacklogError. A ring that is empty takes any one message, however long. */
  push(m) {
    const n = this.#messages.length;
    const bytes = size(m);
    if (n >= this.#bounds.packages || n > 0 && this.#bytes + bytes > this.#bounds.bytes) {
      const { packages, bytes: most } = this.#bounds;
      throw new BacklogError(`${n} messages of ${this.#bytes} bytes are not acknowledged; ${packages} of ${most} bytes may be at once`);
    }
    this.#messages.push(m);
    this.#bytes += bytes;
  }
  /** The server has the messages up to number n. One that goes back is nothing new; one beyond what was sent is a ProtocolError. */
  acknowledge(n) {
    if (n > this.sent) throw new ProtocolError(`the server acknowledges ${n} messages, only ${this.sent} were sent`);
    if (n <= this.#acked) return;
    for (const m of this.#messages.splice(0, n - this.#acked)) this.#bytes -= size(m);
    this.#acked = n;
  }
  /** Says whether a server that has the messages up to number n can go on: those behind it have to be here. */
  reaches(n) {
    return n >= this.#acked && n <= this.sent;
  }
  /** The messages that are not acknowledged, in order. */
  [Symbol.iterator]() {
    return this.#messages[Symbol.iterator]();
  }
};

// src/numbering.ts
var ACK_PACKAGES = 32;
var ACK_BYTES = 16 << 10;
var Numbering = class {
  ring;
  #token;
  #window;
  #received = 0;
  #told = 0;
  // what of that the server knows
  #bytes = 0;
  // since then
  constructor(r) {
    this.ring = new Ring(r.bounds);
    this.#token = r.token;
    this.#window = r.window;
  }
  /** For how long the server keeps the session without a connection, in ms. */
  get window() {
    return this.#window;
  }
  /** What a client says to go on. */
  claim() {
    return { token: this.#token, received: this.#received };
  }
  /** The server has let us go on, knowing what claim said. */
  resume(r) {
    this.ring.acknowledge(r.received);
    this.ring.bounds = r.bounds;
    this.#token = r.token;
    this.#window = r.window;
    this.#told = this.#received;
    this.#bytes = 0;
  }
  /** Counts a data package of the server's, and says whether an acknowledgement is due. */
  count(bytes) {
    this.#received++;
    this.#bytes += bytes;
    return this.#received - this.#told >= ACK_PACKAGES || this.#bytes >= ACK_BYTES;
  }
  /** The number to acknowledge, or 0 if there is no news. The caller sends it. */
  news() {
    if (this.#told === this.#received) return 0;
    this.#told = this.#received;
    this.#bytes = 0;
    return this.#received;
  }
};

// src/state.ts
var WELCOME_BACK = /* @__PURE__ */ new Set([
  "shutdown",
  "moved",
  "idle",
  "slow",
  "too_slow",
  "expired",
  "internal",
  "unavailable",
  "agent_ended",
  "handshake_timeout",
  "login_timeout",
  "full",
  "too_many_connections"
]);
var STALE = /* @__PURE__ */ new Set(["bad_token", "expired", "revoked", "bad_request", "denied"]);
function stale(code) {
  return STALE.has(code);
}
var TEMPORARY = /* @__PURE__ */ new Set(["busy", "unavailable", "shutdown", "timeout", "internal"]);
function welcomeBack(code) {
  return WELCOME_BACK.has(code);
}
function temporary(code) {
  return TEMPORARY.has(code);
}
var FIRST = 100;
var LONGEST2 = 5e3;
function backoff(attempt, random) {
  return Math.min(LONGEST2, FIRST * 2 ** Math.min(attempt, 16)) * (0.5 + random);
}
var STABLE = LONGEST2;
var AFTER_KICK = 3;

// src/relogin.ts
var Relogin = class {
  #player = null;
  // who has logged in last, and what lets it in again
  #answer = null;
  // to the token, in this session
  /** There is a token. */
  get possible() {
    return this.#player !== null;
  }
  /** The token has let the player in, in this session. */
  get done() {
    return this.#answer !== null;
  }
  /** A new session begins. */
  begin() {
    this.#answer = null;
  }
  /** Notes what a login was answered by. One by token is answered by no new token. */
  admitted(answer) {
    const { uid, token } = typeof answer === "object" && answer !== null ? answer : {};
    if (typeof uid !== "string") return;
    if (typeof token === "string" && token) this.#player = { uid, token };
    else if (this.#player?.uid !== uid) this.#player = null;
  }
  /** Logs in by token if there is one and it is good, else by credentials. */
  async login(credentials, ask) {
    if (this.#answer) return this.#answer;
    const player = this.#player;
    if (player) {
      try {
        return this.#answer = await ask({ token: player.token });
      } catch (error) {
        if (!(error instanceof RequestError && stale(error.code))) throw error;
        if (this.#player === player) this.#player = null;
      }
    }
    return ask(typeof credentials === "function" ? await credentials() : credentials);
  }
};
var Nobody = class extends Error {
};
async function reenter(session) {
  try {
    await session.login(() => {
      throw new Nobody();
    });
  } catch (error) {
    if (!(error instanceof Nobody)) throw error;
  }
}

// src/rooms.ts
var MAX_UNSENT = 1 << 20;
var SOCKET = 64 << 10;
var PAUSE = 5;
var MAX_TIME = 2 ** 52 - 1;
var MAX_OFFSET = 2 ** 31 - 1;
var Rooms = class {
  #env;
  #owner;
  #rooms = /* @__PURE__ */ new Set();
  #offer = null;
  #open = false;
  #last = 0;
  // id
  #pieces = new Pieces();
  #queue = [];
  #unsent = 0;
  #pump = null;
  constructor(env, owner) {
    this.#env = env;
    this.#owner = owner;
  }
  watch(name, options) {
    const room = this.#room(name, options, options.query, options.onEvent, []);
    const handle = {
      room: name,
      get ended() {
        return room.ended;
      },
      close: () => this.#close(room)
    };
    return this.#enter(room).then(() => handle);
  }
  publish(name, options) {
    const room = this.#room(name, null, options.query, options.onEvent, options.tracks);
    const handle = {
      room: name,
      get ended() {
        return room.ended;
      },
      close: () => this.#close(room),
      write: (track, frame) => this.#write(room, track, frame),
      configure: (track, init) => this.#configure(room, track, init)
    };
    return this.#enter(room).then(() => handle);
  }
  /** There is a connection whose session is the application's. */
  opened(offer) {
    this.#offer = offer;
    this.#open = true;
    this.#last = 0;
    this.#pieces = new Pieces();
    for (const room of [...this.#rooms]) this.#ask(room);
  }
  /** The connection is lost. */
  away() {
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
      if (!room.watch) room.tracks.forEach((_, track) => room.keyless.add(track));
      this.#tell(room, { name: "away" });
    }
  }
  /** The client has ended. */
  end(reason) {
    for (const room of [...this.#rooms]) this.#end(room, reason);
  }
  /** A media package has come. */
  receive(body) {
    const channel = channelOf(body);
    if (channel >= 0 && !this.#watched(channel)) {
      this.#pieces.forget(channel);
      return;
    }
    const { control: control2, frame } = this.#pieces.decode(body);
    if (control2) this.#control(control2);
    else if (frame) this.#deliver(frame);
  }
  #room(name, watch, query, onEvent, tracks) {
    return {
      name,
      watch,
      onEvent,
      tracks: [...tracks],
      query: typeof query === "string" ? query : new URLSearchParams(query ?? {}).toString(),
      id: 0,
      channel: -1,
      seen: /* @__PURE__ */ new Map(),
      keyless: /* @__PURE__ */ new Set(),
      open: false,
      settle: null,
      ended: null
    };
  }
  #enter(room) {
    return new Promise((resolve, reject) => {
      room.settle = { resolve, reject };
      this.#rooms.add(room);
      if (this.#open) this.#ask(room);
    });
  }
  #ask(room) {
    if (!this.#offer) {
      this.#end(room, new RoomError(room.name, "no_rooms", "the server has no rooms"));
      return;
    }
    room.id = ++this.#last;
    const m = { op: room.watch ? "watch" : "publish", id: room.id, room: room.name };
    if (room.query) m["query"] = room.query;
    if (!room.watch) m["tracks"] = room.tracks.map(wireTrack);
    this.#owner.send(encodeControl(m));
  }
  #close(room) {
    if (room.ended) return;
    if (this.#open && room.id > 0) this.#stream([encodeControl({ op: "close", id: room.id })]);
    this.#end(room, new RoomError(room.name, "closed", "the room was closed"));
  }
  #end(room, reason) {
    if (room.ended) return;
    room.ended = reason;
    this.#rooms.delete(room);
    if (room.channel >= 0) this.#pieces.forget(room.channel);
    if (room.settle) room.settle.reject(reason);
    else this.#tell(room, { name: "ended", reason });
    room.settle = null;
  }
  #tell(room, event) {
    const { onEvent } = room;
    if (onEvent) this.#owner.call(() => onEvent(event));
  }
  // --- In ---
  #watched(channel) {
    for (const room of this.#rooms) if (room.watch && room.channel === channel) return room;
    return void 0;
  }
  #control(m) {
    const room = [...this.#rooms].find((r) => r.id === m.id);
    if (!room) return;
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
  #opened(room, m) {
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
  #deliver(f) {
    const room = this.#watched(f.channel);
    const track = room?.seen.get(f.track);
    const onFrame = room?.watch?.onFrame;
    if (!track || !onFrame) return;
    const frame = { type: f.key ? "key" : "delta", timestamp: f.dts + f.offset, data: f.data, track, dts: f.dts };
    this.#owner.call(() => onFrame(frame));
  }
  // --- Out ---
  #write(room, track, frame) {
    if (room.ended) throw room.ended;
    const init = room.tracks[track];
    if (!init) throw new RangeError(`track ${track} of room ${room.name}, there are ${room.tracks.length}`);
    const key = frame.type === "key";
    const pictures = !sound(init.codec);
    const size2 = "copyTo" in frame ? frame.byteLength : frame.data.length;
    if (size2 === 0) throw new RangeError(`a frame of room ${room.name} without data`);
    if (this.#offer && size2 > this.#offer.frame) throw new RangeError(`a frame of ${size2} bytes, the server takes ${this.#offer.frame}`);
    const dts = ("dts" in frame ? frame.dts : void 0) ?? frame.timestamp;
    const offset = frame.timestamp - dts;
    if (!(Math.abs(dts) < MAX_TIME && Math.abs(offset) < MAX_OFFSET)) throw new RangeError(`a frame of room ${room.name} at ${frame.timestamp} µs, which is decoded at ${dts} µs`);
    if (!this.#open || !room.open || !this.#offer || this.#unsent > 0 && this.#unsent + size2 > MAX_UNSENT) {
      room.keyless.add(track);
      return false;
    }
    if (pictures && !key && room.keyless.has(track)) return false;
    room.keyless.delete(track);
    const packages = encodeFrame({ channel: room.id, track, key: key || !pictures, dts, offset, data: bytesOf2(frame) }, this.#offer.piece);
    this.#stream(packages);
    return true;
  }
  #configure(room, track, init) {
    if (room.ended) throw room.ended;
    const before = room.tracks[track];
    if (!before) throw new RangeError(`track ${track} of room ${room.name}, there are ${room.tracks.length}`);
    const told = { ...init, group: before.group ?? 0, layer: before.layer ?? 0 };
    room.tracks = room.tracks.map((t, i) => i === track ? told : t);
    if (this.#open && room.open) this.#stream([encodeControl({ op: "track", id: room.id, tracks: [wireTrack(told, track)] })]);
  }
  // Sends packages while the socket has little to send, so that what else is sent does not wait behind them for long.
  #stream(packages) {
    for (const p of packages) {
      this.#queue.push(p);
      this.#unsent += p.length;
    }
    this.#pump?.();
    this.#flush();
  }
  #flush() {
    this.#pump = null;
    while (this.#queue.length > 0 && this.#owner.buffered() < SOCKET) {
      const p = this.#queue.shift();
      this.#unsent -= p.length;
      this.#owner.send(p);
    }
    if (this.#queue.length > 0) this.#pump = this.#env.after(PAUSE, () => this.#flush());
  }
};
var sound = (codec) => codec === "aac" || codec === "opus" || codec === "mp3";
function bytesOf2(frame) {
  if (!("copyTo" in frame)) return frame.data;
  const data = new Uint8Array(frame.byteLength);
  frame.copyTo(data);
  return data;
}
function wireTrack(t, track) {
  const { codec, config, group, layer, width, height, sampleRate, channels } = t;
  let base64;
  if (config) {
    const bytes = config instanceof Uint8Array ? config : ArrayBuffer.isView(config) ? new Uint8Array(config.buffer, config.byteOffset, config.byteLength) : new Uint8Array(config);
    base64 = btoa(String.fromCharCode(...bytes));
  }
  return { track, codec, config: base64, group, layer, width, height, rate: sampleRate, channels };
}
function readTrack(tracks) {
  const t = Array.isArray(tracks) && tracks.length === 1 ? tracks[0] : null;
  if (typeof t !== "object" || t === null || typeof t["codec"] !== "string") throw new ProtocolError("what the server tells of a track is none");
  const n = (v) => typeof v === "number" ? v : 0;
  const track = {
    id: n(t["track"]),
    kind: sound(t["codec"]) ? "audio" : "video",
    codec: t["codec"],
    group: n(t["group"]),
    layer: n(t["layer"]),
    width: n(t["width"]),
    height: n(t["height"]),
    sampleRate: n(t["rate"]),
    channels: n(t["channels"])
  };
  if (typeof t["config"] !== "string") return track;
  return { ...track, config: Uint8Array.from(atob(t["config"]), (c) => c.charCodeAt(0)) };
}

// src/serializer.ts
var json = {
  name: "json",
  encode: (body) => utf8(body === void 0 ? "" : JSON.stringify(body) ?? ""),
  decode: (bytes) => bytes.length > 0 ? JSON.parse(text(bytes)) : void 0
};
var raw = {
  name: "raw",
  encode(body) {
    if (body === void 0) return new Uint8Array(0);
    if (typeof body === "string") return utf8(body);
    throw new TypeError(`a body of type ${typeof body}, expected a Uint8Array or a string`);
  },
  decode: (bytes) => bytes.slice()
};

// src/waiting.ts
var Waiting = class {
  #bounds;
  #messages = /* @__PURE__ */ new Set();
  // in order
  #bytes = 0;
  constructor(bounds) {
    this.#bounds = bounds;
  }
  /** Keeps a message, or throws a BacklogError. One message may wait however long it is. */
  add(m) {
    const n = this.#messages.size;
    if (n >= this.#bounds.packages || n > 0 && this.#bytes + size(m) > this.#bounds.bytes) {
      throw new BacklogError(`${n} messages of ${this.#bytes} bytes wait for a session; ${this.#bounds.packages} of ${this.#bounds.bytes} bytes may`);
    }
    this.#messages.add(m);
    this.#bytes += size(m);
  }
  /** Says whether the request with that id is here. */
  has(id) {
    return this.#find(id) !== void 0;
  }
  /** A request that was given up need not be sent. */
  withdraw(id) {
    const m = this.#find(id);
    if (!m) return;
    this.#messages.delete(m);
    this.#bytes -= size(m);
  }
  /** All of them, in order, which are not here any more then. */
  take() {
    const all = [...this.#messages];
    this.#messages.clear();
    this.#bytes = 0;
    return all;
  }
  #find(id) {
    for (const m of this.#messages) if (m.id === id) return m;
    return void 0;
  }
};

// src/client.ts
var VERSION = "0.1.0";
var WAITING = { packages: 1024, bytes: 1 << 18 };
var MAX_UNSENT2 = 1 << 20;
var MAX_INBOX = 4 << 20;
function connect(url, options = {}) {
  return new Client(url, options);
}
var Client = class {
  #addresses;
  #relogin = new Relogin();
  #options;
  #env;
  #serializer;
  #inbox;
  #calls;
  #rooms;
  #offer = null;
  // of the connection
  #stats = {
    requests: 0,
    notifies: 0,
    answers: 0,
    late: 0,
    pushes: 0,
    unhandled: 0,
    connections: 0,
    resumed: 0,
    lost: 0,
    bytesIn: 0,
    bytesOut: 0
  };
  #handlers = /* @__PURE__ */ new Map();
  #anyHandlers = /* @__PURE__ */ new Set();
  #stateHandlers = /* @__PURE__ */ new Set();
  #state = { name: "connecting", attempt: 0, retryIn: 0, reason: null };
  #link = null;
  #retry = null;
  // cancels the next attempt
  #attempt = 0;
  #dictionary = new Dictionary();
  #numbering = null;
  // of the session, if the server keeps it
  #entered = false;
  // the session is the application's,
  #announced = false;
  // and it has been told so
  #session = 0;
  // goes up with each session
  #waiting = new Waiting(WAITING);
  #rtt = 0;
  #unwatch = () => {
  };
  /** Use connect. */
  constructor(url, options) {
    this.#addresses = new Addresses([url, ...options.also ?? []]);
    this.#options = { ...options };
    this.#env = environment(options.environment, options.WebSocket);
    this.#serializer = options.serializer ?? json;
    checkTimeout(options.timeout ?? 1);
    checkTimeout(options.handshakeTimeout ?? 1);
    this.#calls = new Calls(this.#env);
    this.#rooms = new Rooms(this.#env, {
      send: (pkg) => this.#link?.send(pkg),
      buffered: () => this.#link?.buffered ?? 0,
      call: (f) => this.#call(f)
    });
    this.#inbox = new Inbox(this.#maxPackage, Math.max(MAX_INBOX, this.#maxPackage), {
      deliver: (message, body) => this.#deliver(message, body),
      unreadable: (message, error) => this.#unreadable(message, error),
      broken: (error) => this.#finish(error),
      ended: (reason) => this.#ended(reason)
    });
    if (options.onState) this.#stateHandlers.add(options.onState);
    this.#link = this.#open();
    this.#unwatch = this.#env.watch(() => this.#wake(), () => this.#link?.probe());
    this.#set(this.#state);
  }
  /** What the client is doing. */
  get state() {
    return this.#state;
  }
  /** There is a session, and a connection. */
  get online() {
    return this.#state.name === "connected" || this.#state.name === "resumed";
  }
  /** Round trip of the last heartbeat, in ms; 0 while unknown. Servers that do not answer heartbeats leave it so. */
  get rtt() {
    return this.#rtt;
  }
  /** The counters so far, a copy. */
  get stats() {
    const { bytesIn = 0, bytesOut = 0 } = this.#link ?? {};
    return { ...this.#stats, bytesIn: this.#stats.bytesIn + bytesIn, bytesOut: this.#stats.bytesOut + bytesOut };
  }
  request(route, body, options = {}) {
    return this.#request(route, body, options, null);
  }
  notify(route, body) {
    this.#notify(route, body, null);
  }
  login(credentials, options = {}) {
    return this.#login(credentials, options, null);
  }
  /**
   * Watches a room over this connection: resolves when the server has let us in, rejects with a RoomError when it has not. Frames begin at the newest key frame, and do so again after a lost
   * connection.
   */
  watch(room, options = {}) {
    return this.#state.name === "closed" ? Promise.reject(this.#state.reason) : this.#rooms.watch(room, options);
  }
  /** Publishes to a room over this connection, likewise. */
  publish(room, options) {
    return this.#state.name === "closed" ? Promise.reject(this.#state.reason) : this.#rooms.publish(room, options);
  }
  /**
   * Calls handler with each push of a route, in the order of arrival, until the returned function is called. A route may have several. An await of an answer
   * that came before a push goes on before the push's handlers run.
   */
  on(route, handler) {
    const handlers = this.#handlers.get(route) ?? /* @__PURE__ */ new Set();
    this.#handlers.set(route, handlers);
    return listen(handlers, handler);
  }
  /** The same for all pushes, after the handlers of their routes. */
  onAny(handler) {
    return listen(this.#anyHandlers, handler);
  }
  /** Calls handler with each change of the state. */
  onState(handler) {
    return listen(this.#stateHandlers, handler);
  }
  /** Resolves when the client is online, at once if it is; rejects with the reason when it closes before. */
  ready() {
    return new Promise((resolve, reject) => {
      const settled = (state) => {
        if (this.online) resolve();
        else if (state.name === "closed") reject(state.reason);
        else return false;
        return true;
      };
      if (settled(this.#state)) return;
      const off = this.onState((state) => settled(state) && off());
    });
  }
  /**
   * Leaves for good: what waits for answers is rejected with a ClosedError, and the server forgets the session. It can't be told while there is no connection;
   * then the session waits there until its window is over. A second call does nothing.
   */
  close() {
    this.#finish(new ClosedError("closed", "the client was closed"));
  }
  // --- Out: session is the one of an `enter` that speaks, null the application ---
  #login(credentials, options, session) {
    return this.#relogin.login(credentials, (body) => this.#request("login", body, options, session));
  }
  #request(route, body, options, session) {
    try {
      const timeout = checkTimeout(options.timeout ?? this.#options.timeout ?? 1e4);
      options.signal?.throwIfAborted();
      this.#usable(session);
      const most = this.#options.maxPending ?? 128;
      if (this.#calls.size >= most) throw new BacklogError(`${most} requests wait for their answers already`);
      const bytes = this.#encode(body, "request", route);
      const { id, promise } = this.#calls.add(route, timeout, options.signal, (given) => this.#waiting.withdraw(given));
      try {
        this.#send({ id, route, body: bytes }, session !== null);
        this.#stats.requests++;
      } catch (error) {
        this.#calls.take(id)?.settle((_, reject) => reject(error));
      }
      return promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }
  #notify(route, body, session) {
    this.#usable(session);
    this.#send({ id: 0, route, body: this.#encode(body, "notify", route) }, session !== null);
    this.#stats.notifies++;
  }
  #usable(session) {
    if (this.#state.name === "closed") throw this.#state.reason;
    if (session !== null && session !== this.#session) throw new SessionLostError("no_resume", "the session that this speaks in has ended");
  }
  #encode(body, kind2, route) {
    return body instanceof Uint8Array ? body.slice() : this.#serializer.encode(body, { kind: kind2, route });
  }
  #send(m, first) {
    checkMessage(m);
    if (!this.#entered && !first) {
      this.#waiting.add(m);
      return;
    }
    if (this.#numbering) this.#numbering.ring.push(m);
    else if (this.#link && this.#link.buffered > MAX_UNSENT2) throw new BacklogError(`${this.#link.buffered} bytes wait in the socket`);
    this.#link?.send(encodeMessage(m, this.#dictionary));
  }
  #flush() {
    for (const m of this.#waiting.take()) {
      try {
        this.#send(m, false);
      } catch (error) {
        if (m.id > 0) this.#calls.take(m.id)?.settle((_, reject) => reject(error));
        else this.#report(error);
      }
    }
  }
  // --- In ---
  #data(body) {
    const message = decodeMessage(body, this.#dictionary);
    const due = this.#numbering?.count(HEADER + body.length) ?? false;
    this.#inbox.push(message);
    if (due) this.#tell();
  }
  // Acknowledges what has come, if there is news.
  #tell() {
    const n = this.#numbering?.news() ?? 0;
    if (n > 0) this.#link?.ack(n);
  }
  #deliver(message, bytes) {
    if (message.type === RESPONSE) return this.#answer(message, bytes);
    this.#stats.pushes++;
    const handlers = this.#handlers.get(message.route);
    if (!handlers?.size && !this.#anyHandlers.size) {
      this.#stats.unhandled++;
      return false;
    }
    let body;
    try {
      body = this.#serializer.decode(bytes, { kind: "push", route: message.route });
    } catch (cause) {
      this.#unreadable(message, new ProtocolError(`the body of the push "${message.route}" can't be read: ${String(cause)}`, { cause, code: "body" }));
      return false;
    }
    for (const handler of [...handlers ?? []]) this.#call(() => handler(body));
    for (const handler of [...this.#anyHandlers]) this.#call(() => handler(message.route, body));
    return false;
  }
  #answer(message, bytes) {
    const call = this.#calls.take(message.id);
    if (!call) {
      this.#stats.late++;
      return false;
    }
    this.#stats.answers++;
    const { route } = call;
    call.settle((resolve, reject) => {
      try {
        if (message.error) {
          const { code, message: msg } = this.#serializer.decodeError?.(bytes) ?? decodeReason(bytes);
          reject(new RequestError(route, code, msg));
          return;
        }
        const answer = this.#serializer.decode(bytes, { kind: "response", route });
        if (route === "login") this.#relogin.admitted(answer);
        resolve(answer);
      } catch (cause) {
        reject(new ProtocolError(`the body of the answer to "${route}" can't be read: ${String(cause)}`, { cause, code: "body" }));
      }
    });
    return true;
  }
  #unreadable(message, error) {
    const call = message.type === RESPONSE ? this.#calls.take(message.id) : void 0;
    if (call) call.settle((_, reject) => reject(error));
    else this.#report(error);
  }
  // --- Connections and sessions ---
  #open() {
    const { name = "skua-ts", version = VERSION, user, handshakeTimeout = 1e4 } = this.#options;
    const hello = encodeHello({ name, version, user, resume: this.#numbering?.claim() ?? null });
    const config = { url: this.#addresses.next(), hello, maxPackage: this.#maxPackage, handshakeTimeout };
    const link = new Link(this.#env, config, {
      welcome: (w) => this.#welcome(link, w),
      data: (body) => this.#data(body),
      media: (body) => this.#rooms.receive(body),
      ack: (n) => {
        if (!this.#numbering) throw new ProtocolError("an ack from a server that keeps no sessions");
        this.#numbering.ring.acknowledge(n);
      },
      beat: () => this.#tell(),
      rtt: (ms) => {
        this.#rtt = ms;
      },
      ended: (reason) => this.#inbox.end(reason)
    });
    return link;
  }
  get #maxPackage() {
    return this.#options.maxPackage ?? 1 << 20;
  }
  #welcome(link, w) {
    if (w.serializer && w.serializer !== this.#serializer.name) {
      throw new HandshakeError("serializer", 200, `the server's bodies are ${w.serializer}, this client's ${this.#serializer.name}`);
    }
    this.#addresses.answered(w.resume?.addresses ?? [], this.#env.random());
    this.#offer = w.media;
    const before = this.#numbering;
    if (w.resume?.resumed) {
      if (!before) throw new ProtocolError("the server resumes a session that there was not");
      this.#resume(link, w, w.resume, before);
      return;
    }
    if (w.resume?.refused?.code === "resume_replaced") {
      this.#finish(new KickedError("replaced", w.resume.refused.message));
      return;
    }
    if (before) {
      this.#lose(refusal2(w.resume));
      if (this.#link !== link) return;
    }
    this.#dictionary = w.dictionary;
    this.#numbering = w.resume && new Numbering(w.resume);
    link.acknowledge(w.heartbeat);
    this.#stats.connections++;
    this.#enter();
  }
  #resume(link, w, r, numbering) {
    if (!numbering.ring.reaches(r.received)) {
      throw new ProtocolError(`the server resumes with ${r.received} of our messages, of which it had acknowledged more or which were not sent`);
    }
    this.#dictionary = w.dictionary;
    numbering.resume(r);
    link.acknowledge(w.heartbeat);
    for (const m of numbering.ring) link.send(encodeMessage(m, w.dictionary));
    this.#stats.connections++;
    this.#stats.resumed++;
    this.#openRooms();
    if (this.#announced && this.#link === link && link.open) this.#set({ name: "resumed" });
    else this.#announce();
  }
  #enter() {
    const session = ++this.#session;
    this.#relogin.begin();
    const { enter = this.#relogin.possible && this.#options.relogin !== false ? reenter : void 0 } = this.#options;
    if (!enter) {
      this.#opened();
      return;
    }
    const speak = {
      request: (route, body, options = {}) => this.#request(route, body, options, session),
      notify: (route, body) => this.#notify(route, body, session),
      login: (credentials, options = {}) => this.#login(credentials, options, session)
    };
    (async () => enter(speak))().then(
      () => session === this.#session && this.#opened(),
      (error) => session === this.#session && this.#notEntered(error)
    );
  }
  #opened() {
    this.#entered = true;
    this.#flush();
    this.#openRooms();
    this.#announce();
  }
  #openRooms() {
    if (this.#entered && this.#link?.open) this.#rooms.opened(this.#offer);
  }
  #announce() {
    if (!this.#entered || this.#announced || !this.#link?.open) return;
    this.#announced = true;
    this.#set(this.#relogin.done ? { name: "connected", relogin: true } : { name: "connected" });
  }
  #notEntered(error) {
    if (!(error instanceof SkuaError)) {
      this.#finish(new ClosedError("enter_failed", `enter has failed: ${String(error)}`, { cause: error }));
      return;
    }
    if (!(error instanceof TimeoutError) && !(error instanceof RequestError && temporary(error.code))) {
      this.#finish(error);
      return;
    }
    this.#lose(new SessionLostError("no_resume", `enter has failed: ${error.message}`, { cause: error }));
    this.#drop(true);
    this.#later(error);
  }
  #ended(reason) {
    const stable = (this.#link?.age ?? 0) >= STABLE;
    this.#drop(false);
    const otherwise = reason instanceof KickedError ? welcomeBack(reason.code) : reason instanceof ConnectionError;
    if (!(this.#options.retry?.(reason) ?? otherwise)) {
      this.#finish(reason);
      return;
    }
    if (!this.#numbering) this.#lose(new SessionLostError("no_resume", `the server keeps no sessions, and ${reason.message}`, { cause: reason }));
    if (this.#state.name === "closed") return;
    if (stable) this.#attempt = 0;
    if (reason instanceof KickedError && reason.code === "moved") {
      this.#addresses.moved(reason.addresses, this.#env.random());
      this.#attempt = 0;
    } else if (reason instanceof KickedError) this.#attempt = Math.max(this.#attempt, AFTER_KICK);
    this.#later(reason);
  }
  // Ends the session: what was sent in it fails, what was not waits on.
  #lose(reason) {
    const announced = this.#announced;
    this.#numbering = null;
    this.#entered = this.#announced = false;
    this.#session++;
    this.#inbox.clear();
    this.#calls.fail(reason, (id) => !this.#waiting.has(id));
    if (!announced) return;
    this.#stats.lost++;
    this.#set({ name: "lost", reason });
  }
  #drop(goodbye) {
    const link = this.#link;
    this.#link = null;
    this.#rtt = 0;
    this.#rooms.away();
    if (!link) return;
    this.#stats.bytesIn += link.bytesIn;
    this.#stats.bytesOut += link.bytesOut;
    link.close(goodbye);
  }
  #later(reason) {
    const wait = backoff(this.#attempt, this.#env.random());
    this.#attempt++;
    this.#retry?.();
    this.#retry = this.#env.after(wait, () => this.#again());
    const trying = { attempt: this.#attempt, retryIn: wait, reason };
    if (this.#announced && this.#numbering) this.#set({ name: "away", ...trying, window: this.#numbering.window });
    else this.#set({ name: "connecting", ...trying });
  }
  #again() {
    this.#retry = null;
    try {
      this.#link = this.#open();
    } catch (cause) {
      this.#later(new ConnectionError("unreachable", `can't connect to ${this.#addresses.at}: ${String(cause)}`, { cause }));
    }
  }
  // The network or the page's window is back.
  #wake() {
    if (!this.#retry) {
      this.#link?.probe();
      return;
    }
    this.#retry();
    this.#attempt = 0;
    this.#again();
  }
  #finish(reason) {
    if (this.#state.name === "closed") return;
    this.#retry?.();
    this.#retry = null;
    this.#unwatch();
    this.#drop(true);
    this.#numbering = null;
    this.#entered = this.#announced = false;
    this.#session++;
    this.#inbox.clear();
    this.#waiting.take();
    this.#state = { name: "closed", reason };
    this.#calls.fail(reason);
    this.#rooms.end(reason);
    this.#set(this.#state);
  }
  // --- The application's handlers ---
  // Calls the handlers of the state. It is the last thing that its callers do: a handler may close the client.
  #set(state) {
    this.#state = state;
    for (const handler of [...this.#stateHandlers]) {
      if (this.#state !== state) return;
      this.#call(() => handler(state));
    }
  }
  #call(f) {
    try {
      f();
    } catch (error) {
      this.#report(error);
    }
  }
  #report(error) {
    if (this.#options.onError) {
      try {
        this.#options.onError(error);
        return;
      } catch (worse) {
        error = worse;
      }
    }
    queueMicrotask(() => {
      throw error;
    });
  }
};
function listen(handlers, handler) {
  if (typeof handler !== "function") throw new TypeError(`a handler of type ${typeof handler}, expected a function`);
  handlers.add(handler);
  return () => void handlers.delete(handler);
}
function refusal2(r) {
  if (!r) return new SessionLostError("no_resume", "the server keeps no sessions any more");
  return new SessionLostError(r.refused?.code || "resume_unknown", r.refused?.message || "the server does not know the session");
}

// src/codecs.ts
function videoConfig(t) {
  const config = { codec: codecString(t) };
  if (t.width > 0 && t.height > 0) Object.assign(config, { codedWidth: t.width, codedHeight: t.height });
  if ((t.codec === "h264" || t.codec === "h265") && t.config) config.description = t.config;
  return config;
}
function audioConfig(t) {
  const config = { codec: codecString(t), sampleRate: t.sampleRate || 48e3, numberOfChannels: t.channels || 2 };
  if (t.codec !== "mp3" && t.config?.length) config.description = t.config;
  return config;
}
function codecString(t) {
  const c = t.config ?? new Uint8Array(0);
  switch (t.codec) {
    case "h264":
      return c.length >= 4 ? `avc1.${hex(c[1])}${hex(c[2])}${hex(c[3])}` : "avc1.42e01e";
    case "h265":
      return c.length >= 13 ? hevc(c) : "hvc1.1.6.L93.B0";
    case "av1":
      return c.length >= 4 ? av1(c) : "av01.0.04M.08";
    case "vp9":
      return c.length >= 7 ? `vp09.${two(c[4])}.${two(c[5])}.${two(c[6] >> 4)}` : "vp09.00.10.08";
    case "aac":
      return `mp4a.40.${c.length >= 2 ? objectType(c) : 2}`;
    default:
      return t.codec;
  }
}
var hex = (n) => n.toString(16).padStart(2, "0");
var two = (n) => String(n).padStart(2, "0");
function hevc(c) {
  const space = ["", "A", "B", "C"][c[1] >> 6];
  let flags = 0;
  for (let i = 0; i < 32; i++) flags += c[2 + (i >> 3)] >> 7 - (i & 7) & 1 ? 2 ** i : 0;
  let constraints = [...c.subarray(6, 12)];
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const tail = constraints.map((b) => `.${b.toString(16).toUpperCase()}`).join("");
  return `hvc1.${space}${c[1] & 31}.${flags.toString(16).toUpperCase()}.${c[1] & 32 ? "H" : "L"}${c[12]}${tail}`;
}
function av1(c) {
  const [profile, level, tier] = [c[1] >> 5, c[1] & 31, c[2] >> 7 ? "H" : "M"];
  const depth = c[2] & 64 ? profile === 2 && c[2] & 32 ? 12 : 10 : 8;
  return `av01.${profile}.${two(level)}${tier}.${two(depth)}`;
}
function objectType(c) {
  const type = c[0] >> 3;
  return type === 31 ? 32 + ((c[0] & 7) << 3 | c[1] >> 5) : type;
}
export {
  BacklogError,
  ClosedError,
  ConnectionError,
  HandshakeError,
  KickedError,
  ProtocolError,
  RequestError,
  RoomError,
  ServerClosedError,
  SessionLostError,
  SkuaError,
  TimeoutError,
  audioConfig,
  codecString,
  connect,
  json,
  raw,
  videoConfig
};
