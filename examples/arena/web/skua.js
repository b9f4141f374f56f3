// skua.js speaks the Pomelo packet protocol over a WebSocket: handshake, heartbeats, requests with answers, pushes, kicks, and a way back after a
// lost connection. It has no dependencies. docs/protocol.md tells the bytes.
//
//   const client = new Client("ws://host/ws", {
//     enter: async (client) => { await client.request("login", { name, password }); },   // after each connect
//     onPush: (route, body) => {},
//     onState: (state, detail) => {},   // connecting, online, reconnecting, kicked, refused, closed
//   });
//   client.connect();
//   const answer = await client.request("move", { dx: 1, dy: 0 });

const HEADER = 4;
const HANDSHAKE = 1, HANDSHAKE_ACK = 2, HEARTBEAT = 3, DATA = 4, KICK = 5;
const REQUEST = 0, NOTIFY = 1, RESPONSE = 2, PUSH = 3;
const FLAG_ROUTE = 0x01, FLAG_GZIP = 0x10, FLAG_ERROR = 0x20;
const MAX_BODY = 1 << 20; // of a package from the server, in bytes
const SLACK = 3000; // ms that a heartbeat may be late

// Kicks after which coming back at once makes sense; after others the server does not want us, or somebody else has taken our place.
const WELCOME_BACK = new Set(["shutdown", "idle", "slow", "backlog", "internal", "agent_ended", "handshake_timeout", "full"]);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** An answer that is an error: what the server's handler meant the client to know. */
export class AnswerError extends Error {
  constructor(route, code, message) {
    super(message || code);
    this.name = "AnswerError";
    this.route = route;
    this.code = code;
  }
}

/** The connection ended before the answer came, or was not there. */
export class ConnectionError extends Error {
  constructor(message) {
    super(message);
    this.name = "ConnectionError";
  }
}

/** The answer did not come in time. */
export class TimeoutError extends Error {
  constructor(route, ms) {
    super(`no answer to "${route}" within ${ms} ms`);
    this.name = "TimeoutError";
    this.route = route;
  }
}

export class Client {
  /**
   * @param {string} url ws:// or wss://
   * @param {object} options enter(client), onPush(route, body), onState(state, detail), timeout in ms (10000), retry (true: come back after a loss)
   */
  constructor(url, options = {}) {
    this.url = url;
    this.options = { timeout: 10000, retry: true, onPush() {}, onState() {}, async enter() {}, ...options };
    this.state = "closed";
    this.rtt = 0; // ms, smoothed; 0 while unknown
    this.attempt = 0; // connections that have failed in a row
    this.link = null;
    this.timer = null;
  }

  connect() {
    if (this.link || this.timer) return;
    this.open();
  }

  /** Ends the connection for good. */
  close() {
    this.finish("closed", {});
  }

  /** Sends a request; the promise is the answer's body, or AnswerError, TimeoutError, ConnectionError. */
  request(route, body = {}, timeout = this.options.timeout) {
    if (!this.link) return Promise.reject(new ConnectionError("there is no connection"));
    return this.link.request(route, body, timeout);
  }

  /** Sends a message that is not answered. */
  notify(route, body = {}) {
    if (!this.link) throw new ConnectionError("there is no connection");
    this.link.send(NOTIFY, 0, route, body);
  }

  open() {
    this.timer = null;
    const link = new Link(this.url, {
      ready: async () => {
        try {
          await this.options.enter(this);
          if (this.link !== link) return;
          this.attempt = 0;
          this.set("online", {});
        } catch (error) {
          if (this.link !== link) return;
          if (error instanceof AnswerError) this.finish("refused", { error });
          else link.end({ message: error.message });
        }
      },
      push: (route, message) => this.options.onPush(route, message),
      rtt: (ms) => {
        this.rtt = this.rtt ? 0.8 * this.rtt + 0.2 * ms : ms;
      },
      ended: (why) => {
        if (this.link === link) this.lost(why);
      },
    });
    this.link = link;
    this.set(this.attempt === 0 ? "connecting" : "reconnecting", { attempt: this.attempt });
  }

  lost(why) {
    this.link = null;
    this.rtt = 0;
    if (why.kick && !WELCOME_BACK.has(why.code)) {
      this.finish("kicked", why);
      return;
    }
    if (!this.options.retry) {
      this.finish("closed", why);
      return;
    }
    this.attempt++;
    // Twice as long each time up to 10 s, and never all clients at the same moment.
    const wait = Math.min(10000, 250 * 2 ** Math.min(this.attempt, 6)) * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), wait);
    this.set("reconnecting", { ...why, attempt: this.attempt, wait }); // last: onState may close us
  }

  finish(state, detail) {
    clearTimeout(this.timer);
    this.timer = null;
    const link = this.link;
    this.link = null;
    this.attempt = 0;
    if (link) link.end({ message: state });
    this.set(state, detail);
  }

  set(state, detail) {
    this.state = state;
    this.options.onState(state, detail);
  }
}

// Link is one connection.
class Link {
  constructor(url, events) {
    this.events = events;
    this.pending = new Map(); // id -> request
    this.last = 0;
    this.codes = new Map(); // route -> code
    this.routes = new Map(); // code -> route
    this.buffer = new Uint8Array(0);
    this.tail = null; // a body that is being inflated, which the next ones wait for
    this.beat = 0; // ms between heartbeats
    this.ended = false;
    this.deadline = setTimeout(() => this.end({ message: "the server does not answer" }), 10000);
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.write(HANDSHAKE, encoder.encode(JSON.stringify({ sys: { type: "skua-js", version: "1" } })));
    };
    this.socket.onmessage = (event) => {
      try {
        this.receive(new Uint8Array(event.data));
      } catch (error) {
        this.end({ message: `the server's bytes make no sense: ${error.message}` });
      }
    };
    this.socket.onclose = () => this.end({ message: "the connection was lost" });
  }

  end(why) {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.deadline);
    clearInterval(this.heartbeats);
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    for (const request of this.pending.values()) {
      clearTimeout(request.timer);
      request.reject(new ConnectionError(why.message || "the connection has ended"));
    }
    this.pending.clear();
    this.events.ended(why);
  }

  request(route, body, timeout) {
    return new Promise((resolve, reject) => {
      const id = ++this.last;
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new TimeoutError(route, timeout));
      }, timeout);
      this.pending.set(id, { route, resolve, reject, timer, sent: performance.now() });
      try {
        this.send(REQUEST, id, route, body);
      } catch (error) {
        clearTimeout(timer);
        this.pending.delete(id);
        reject(error);
      }
    });
  }

  send(type, id, route, body) {
    const head = [type << 1];
    if (type === REQUEST) {
      for (let n = id; ; n = Math.floor(n / 128)) {
        head.push(n < 128 ? n : (n % 128) | 128);
        if (n < 128) break;
      }
    }
    const code = this.codes.get(route);
    if (code === undefined) {
      const name = encoder.encode(route);
      if (name.length > 255) throw new RangeError(`the route "${route.slice(0, 20)}..." is longer than 255 bytes`);
      head.push(name.length, ...name);
    } else {
      head[0] |= FLAG_ROUTE;
      head.push(code >> 8, code & 255);
    }
    const payload = encoder.encode(JSON.stringify(body));
    const message = new Uint8Array(head.length + payload.length);
    message.set(head);
    message.set(payload, head.length);
    this.write(DATA, message);
  }

  write(type, body = new Uint8Array(0)) {
    if (this.socket.readyState !== WebSocket.OPEN) throw new ConnectionError("there is no connection");
    const out = new Uint8Array(HEADER + body.length);
    out.set([type, body.length >> 16, (body.length >> 8) & 255, body.length & 255]);
    out.set(body, HEADER);
    this.socket.send(out);
  }

  // The messages of the WebSocket are pieces of a stream: a package may be spread over several, and one may hold many.
  receive(bytes) {
    this.heard = performance.now();
    if (this.buffer.length > 0) {
      const joined = new Uint8Array(this.buffer.length + bytes.length);
      joined.set(this.buffer);
      joined.set(bytes, this.buffer.length);
      bytes = joined;
    }
    let at = 0;
    while (!this.ended && bytes.length - at >= HEADER) {
      const length = (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      if (length > MAX_BODY) throw new RangeError(`a package of ${length} bytes`);
      if (bytes.length - at < HEADER + length) break;
      this.packet(bytes[at], bytes.slice(at + HEADER, at + HEADER + length));
      at += HEADER + length;
    }
    this.buffer = bytes.slice(at);
  }

  packet(type, body) {
    switch (type) {
      case HANDSHAKE:
        this.welcome(JSON.parse(decoder.decode(body)));
        break;
      case HEARTBEAT:
        if (this.beaten) this.events.rtt(performance.now() - this.beaten);
        this.beaten = 0;
        break;
      case DATA:
        this.message(body);
        break;
      case KICK:
        this.end({ kick: true, ...reason(body) });
        break;
      default:
        throw new RangeError(`a package of type ${type}`);
    }
  }

  welcome(hello) {
    clearTimeout(this.deadline);
    if (hello.code !== 200) {
      this.end({ kick: true, code: "handshake", message: hello.msg || `the server refused the handshake (${hello.code})` });
      return;
    }
    const sys = hello.sys || {};
    for (const [route, code] of Object.entries(sys.dict || {})) {
      this.codes.set(route, code);
      this.routes.set(code, route);
    }
    this.write(HANDSHAKE_ACK);
    this.beat = (sys.heartbeat || 0) * 1000;
    if (this.beat > 0) this.heartbeats = setInterval(() => this.heartbeat(), this.beat);
    this.heartbeat();
    this.events.ready();
  }

  heartbeat() {
    if (this.beat > 0 && performance.now() - this.heard > 2 * this.beat + SLACK) {
      this.end({ message: "the server is silent" });
      return;
    }
    this.beaten = performance.now();
    this.write(HEARTBEAT);
  }

  message(bytes) {
    const flag = bytes[0], type = (flag >> 1) & 7;
    let at = 1, id = 0, route = "";
    if (type === RESPONSE) {
      for (let scale = 1; ; scale *= 128) {
        if (at >= bytes.length || scale > 2 ** 49) throw new RangeError("a message id without an end");
        id += (bytes[at] & 127) * scale;
        if (bytes[at++] < 128) break;
      }
    } else if (type !== PUSH) {
      throw new RangeError(`a message of type ${type}`);
    } else if (flag & FLAG_ROUTE) {
      route = this.routes.get((bytes[at] << 8) | bytes[at + 1]);
      at += 2;
    } else {
      route = decoder.decode(bytes.subarray(at + 1, at + 1 + bytes[at]));
      at += 1 + bytes[at];
    }
    const body = bytes.subarray(at);
    if (!this.tail && !(flag & FLAG_GZIP)) {
      this.deliver(flag, type, id, route, body);
      return;
    }
    // Inflating takes a moment: what comes behind waits, so that the order stays.
    this.tail = (this.tail || Promise.resolve())
      .then(() => (flag & FLAG_GZIP ? inflate(body) : body))
      .then((plain) => this.ended || this.deliver(flag, type, id, route, plain))
      .catch((error) => this.end({ message: `the server's bytes make no sense: ${error.message}` }));
  }

  deliver(flag, type, id, route, bytes) {
    const body = bytes.length > 0 ? JSON.parse(decoder.decode(bytes)) : null;
    if (type === PUSH) {
      this.events.push(route, body);
      return;
    }
    const request = this.pending.get(id);
    if (!request) return; // it has timed out
    this.pending.delete(id);
    clearTimeout(request.timer);
    this.events.rtt(performance.now() - request.sent);
    if (flag & FLAG_ERROR) request.reject(new AnswerError(request.route, body?.code || "error", body?.msg || ""));
    else request.resolve(body);
  }
}

function reason(body) {
  try {
    const r = JSON.parse(decoder.decode(body));
    return { code: r.code || "", message: r.msg || r.reason || "" };
  } catch {
    return { code: "", message: "" };
  }
}

async function inflate(bytes) {
  const format = bytes[0] === 0x1f ? "gzip" : "deflate";
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
