// A server of the protocol, resume included, written from docs/protocol.md and not from the client's code: what the tests hold the client against.
import { World, type Connection, type Peer } from "./world.js";

export interface Received {
  kind: "request" | "notify";
  id: number;
  route: string;
  body: any;
}

interface Session {
  tokens: string[]; // the newest, and before it the one whose handshake the client has acknowledged
  received: number; // data packages of the client
  sent: Uint8Array[]; // data packages that are not acknowledged
  acked: number;
  connection: Line | null;
  ended: string; // why, if it has
  handled: Received[];
}

export interface ServerOptions {
  resume?: boolean;
  heartbeat?: number; // seconds
  dict?: Record<string, number>;
  ring?: { packages: number; bytes: number };
  welcome?: (answer: any) => any; // changes the handshake's answer
  handle?: (session: Session, m: Received, server: Server) => void; // default: echo
}

const utf8 = (s: string) => new TextEncoder().encode(s);
const text = (b: Uint8Array) => new TextDecoder().decode(b);

export function pack(type: number, body: Uint8Array | string = ""): Uint8Array {
  const b = typeof body === "string" ? utf8(body) : body;
  return Uint8Array.of(type, b.length >> 16, (b.length >> 8) & 255, b.length & 255, ...b);
}

export function varint(n: number): number[] {
  const out: number[] = [];
  for (let v = BigInt(n); ; v >>= 7n) {
    const low = Number(v & 127n);
    if (v < 128n) return [...out, low];
    out.push(low | 128);
  }
}

/** The body of a data package of a server. */
export function response(id: number, body: unknown, flags = 0): Uint8Array {
  return Uint8Array.of(0x04 | flags, ...varint(id), ...(body instanceof Uint8Array ? body : utf8(JSON.stringify(body))));
}

export function push(route: string, body: unknown, flags = 0): Uint8Array {
  const name = utf8(route);
  return Uint8Array.of(0x06 | flags, name.length, ...name, ...(body instanceof Uint8Array ? body : utf8(JSON.stringify(body))));
}

export class Server {
  readonly world: World;
  readonly options: ServerOptions;
  readonly sessions: Session[] = [];
  readonly lines: Line[] = [];

  constructor(options: ServerOptions = {}) {
    this.options = options;
    this.world = new World((c) => {
      const line = new Line(this, c);
      this.lines.push(line);
      return line;
    });
  }

  get line(): Line {
    return this.lines.at(-1)!;
  }

  get session(): Session {
    return this.sessions.at(-1)!;
  }

  /** Sends a data package in a session, now or when it is resumed. */
  data(s: Session, body: Uint8Array): void {
    const out = pack(4, body);
    if (this.options.resume !== false) s.sent.push(out);
    s.connection?.write(out);
  }

  answer(s: Session, id: number, body: unknown): void {
    this.data(s, response(id, body));
  }

  push(s: Session, route: string, body: unknown): void {
    this.data(s, push(route, body));
  }

  begin(): Session {
    const s: Session = { tokens: [], received: 0, sent: [], acked: 0, connection: null, ended: "", handled: [] };
    this.sessions.push(s);
    return s;
  }

  handle(s: Session, m: Received): void {
    s.handled.push(m);
    if (this.options.handle) this.options.handle(s, m, this);
    else if (m.kind === "request") this.answer(s, m.id, m.body ?? null);
  }
}

/** One connection at the server. */
export class Line implements Peer {
  readonly connection: Connection;
  readonly acks: number[] = []; // from the client
  readonly types: number[] = []; // of its packages
  hello: any = null;
  code = 0; // of the close
  onData: ((body: Uint8Array) => void) | null = null; // instead of handling
  silent = false; // heartbeats are not answered
  readonly #server: Server;
  #buffer = new Uint8Array(0);
  #session: Session | null = null;

  constructor(server: Server, connection: Connection) {
    this.#server = server;
    this.connection = connection;
  }

  write(bytes: Uint8Array): void {
    this.connection.write(bytes);
  }

  kick(code: string, msg = "", addresses?: string[]): void {
    this.write(pack(5, JSON.stringify({ code, msg, addresses })));
    this.connection.close(1000);
  }

  closed(code: number): void {
    this.code = code;
    if (!this.#session || this.#session.connection !== this) return;
    this.#session.connection = null;
    if (code === 1000) this.#session.ended = "resume_unknown";
  }

  bytes(data: Uint8Array): void {
    const all = new Uint8Array(this.#buffer.length + data.length);
    all.set(this.#buffer);
    all.set(data, this.#buffer.length);
    let at = 0;
    while (all.length - at >= 4) {
      const length = all[at + 1]! * 65536 + all[at + 2]! * 256 + all[at + 3]!;
      if (all.length - at < 4 + length) break;
      this.#package(all[at]!, all.slice(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.#buffer = all.slice(at);
  }

  #package(type: number, body: Uint8Array): void {
    this.types.push(type);
    if (type === 1) this.#shake(JSON.parse(text(body)));
    else if (type === 2) this.#acknowledged();
    else if (type === 3) this.silent || this.write(pack(3));
    else if (type === 6) this.#ack(body);
    else if (type !== 4) throw new Error(`a client sent a package of type ${type}`);
    else if (this.onData) this.onData(body);
    else this.#data(body);
  }

  #shake(hello: any): void {
    this.hello = hello;
    const { options } = this.#server;
    const answer: any = { code: 200, sys: { heartbeat: options.heartbeat ?? 30, dict: options.dict, serializer: "json" } };
    if (options.resume === false) {
      this.#session = this.#server.begin();
    } else {
      const wanted = hello.sys.resume;
      const old = this.#server.sessions.find((s) => s.tokens.includes(wanted.token));
      const why = !wanted.token ? "" : !old ? "resume_unknown" : old.ended;
      const s = old && !why ? old : this.#server.begin();
      const resumed = s === old;
      if (resumed) {
        s.connection?.kick("resumed");
        s.connection = null;
        this.#acked(s, wanted.received);
      }
      const token = `token-${this.#server.lines.length}`;
      s.tokens = [...s.tokens.slice(0, 1), token];
      this.#session = s;
      answer.sys.resume = { token, window: 60, received: s.received, resumed, ring: options.ring ?? { packages: 1024, bytes: 262144 } };
      if (why) answer.sys.resume.refused = { code: why, msg: `no: ${why}` };
    }
    this.write(pack(1, JSON.stringify(options.welcome?.(answer) ?? answer)));
  }

  #acknowledged(): void {
    const s = this.#session!;
    s.connection = this;
    s.tokens = s.tokens.slice(-1);
    for (const p of s.sent) this.write(p);
    this.write(pack(3));
  }

  #ack(body: Uint8Array): void {
    let n = 0n;
    body.forEach((b, i) => (n |= BigInt(b & 127) << BigInt(7 * i)));
    this.acks.push(Number(n));
    this.#acked(this.#session!, Number(n));
  }

  #acked(s: Session, n: number): void {
    if (n > s.acked + s.sent.length) throw new Error(`a client acknowledges ${n} of ${s.acked + s.sent.length}`);
    if (n < s.acked) throw new Error(`a client has ${n}, after it had ${s.acked}`);
    s.sent.splice(0, n - s.acked);
    s.acked = n;
  }

  #data(body: Uint8Array): void {
    const s = this.#session!;
    if (s.connection !== this) throw new Error("data on a connection that has no session, or not any more");
    s.received++;
    let at = 1;
    let id = 0n;
    const type = (body[0]! >> 1) & 7;
    if (type > 1) throw new Error(`a client sent a message of type ${type}`);
    if (type === 0) {
      for (let shift = 0n; ; shift += 7n) {
        const b = body[at++]!;
        id |= BigInt(b & 127) << shift;
        if (b < 128) break;
      }
    }
    let route: string;
    if (body[0]! & 1) {
      const code = body[at]! * 256 + body[at + 1]!;
      at += 2;
      route = Object.entries(this.#server.options.dict ?? {}).find(([, c]) => c === code)![0];
    } else {
      route = text(body.slice(at + 1, at + 1 + body[at]!));
      at += 1 + body[at]!;
    }
    const rest = body.slice(at);
    this.#server.handle(s, { kind: type === 0 ? "request" : "notify", id: Number(id), route, body: rest.length ? JSON.parse(text(rest)) : undefined });
    if (s.received % 32 === 0) this.write(pack(6, Uint8Array.from(varint(s.received))));
  }
}
