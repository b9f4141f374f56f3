// One connection: the socket, the packages on it, the handshake, heartbeats. It ends once, with a reason, and knows nothing of sessions.
import type { Environment, SocketLike } from "./environment.js";
import { ConnectionError, KickedError, ProtocolError, ServerClosedError, SkuaError } from "./errors.js";
import { decodeWelcome, type Welcome } from "./handshake.js";
import { inflate } from "./inflate.js";
import {
  ACK, DATA, HANDSHAKE, HANDSHAKE_ACK, HEARTBEAT, KICK, HEADER, MEDIA, Splitter, decodeAck, decodeAddresses, decodeReason, encodePackage, encodeVarint,
} from "./packet.js";

/** WebSocket close codes: the client leaves for good, or only gives up this connection and means to resume (4000 to 4999 are for applications). */
const GOODBYE = 1000;
const DROPPED = 4000;

/** How long the server may take to answer a heartbeat that asks whether it is still there, in ms. */
const PROBE = 5000;

/** Who owns a link, and what it is told. What these throw ends the link. */
export interface LinkEvents {
  /** The server lets us in. To go on, the owner calls acknowledge. */
  welcome(w: Welcome): void;
  /** The body of a data package. */
  data(body: Uint8Array): void;
  /** The body of a media package. */
  media(body: Uint8Array): void;
  /** The server has our data packages up to number n. */
  ack(n: number): void;
  /** A heartbeat is about to be sent. */
  beat(): void;
  /** A heartbeat was answered. */
  rtt(ms: number): void;
  /** The link has ended, and not by close. It is the last event. */
  ended(reason: SkuaError): void;
}

export interface LinkConfig {
  readonly url: string;
  readonly hello: Uint8Array; // body of our handshake
  readonly maxPackage: number; // bytes of the server's
  readonly handshakeTimeout: number; // ms, from the begin
}

export class Link {
  readonly #env: Environment;
  readonly #config: LinkConfig;
  readonly #events: LinkEvents;
  readonly #socket: SocketLike;
  readonly #splitter: Splitter;
  #stage: "connecting" | "shaking" | "welcomed" | "open" | "ended" = "connecting";
  #trouble = ""; // what the socket said of an error
  #heard = 0; // when the last package came
  #beaten: number | null = null; // when the heartbeat that is not answered yet was sent
  #answers = false; // the server answers heartbeats
  #opened = 0; // when the handshake was over
  #interval = 0; // of heartbeats, ms
  #timers = new Map<"handshake" | "heartbeat" | "silence" | "probe", () => void>();
  bytesIn = 0;
  bytesOut = 0;

  /** Connects. It throws what the environment throws for a URL that is none. */
  constructor(env: Environment, config: LinkConfig, events: LinkEvents) {
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
  get open(): boolean {
    return this.#stage === "open";
  }

  /** For how long, in ms. */
  get age(): number {
    return this.#opened > 0 ? this.#env.now() - this.#opened : 0;
  }

  /** What the socket has not sent yet, in bytes. */
  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  /** Ends the handshake: from here on data goes both ways, and heartbeats each interval (0: none). */
  acknowledge(heartbeat: number): void {
    this.#cancel("handshake");
    this.#stage = "open";
    this.#opened = this.#heard = this.#env.now();
    this.#write(encodePackage(HANDSHAKE_ACK));
    this.#interval = heartbeat;
    if (heartbeat === 0 || !this.open) return;
    this.#beaten = this.#env.now(); // the server answers the acknowledgement with a heartbeat
    this.#timer("heartbeat", heartbeat, () => this.#heartbeat());
    this.#timer("silence", 2 * heartbeat, () => this.#silence());
  }

  /** Sends a package as encodeMessage and the like made it, when the link is open. */
  send(message: Uint8Array): void {
    if (this.open) this.#write(message);
  }

  /** Tells the server that its data packages have arrived up to number n. */
  ack(n: number): void {
    if (this.open) this.#write(encodePackage(ACK, Uint8Array.from(encodeVarint(n))));
  }

  /** Finds out soon whether the server is still there, if it is one that answers heartbeats. */
  probe(): void {
    if (!this.open || !this.#answers || this.#timers.has("probe")) return;
    const asked = this.#env.now();
    this.#beat();
    this.#timer("probe", PROBE, () => {
      if (this.#heard < asked) this.#silent(PROBE);
    });
  }

  /** Ends the link without an event; goodbye: for good, and the server may forget us. */
  close(goodbye: boolean): void {
    if (this.#stage === "ended") return;
    this.#stage = "ended";
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.onerror = () => {}; // the package ws throws what nobody listens to
    try {
      this.#socket.close(goodbye ? GOODBYE : DROPPED);
    } catch {
      // It is as good as closed.
    }
  }

  #end(reason: SkuaError): void {
    if (this.#stage === "ended") return;
    this.close(false);
    this.#events.ended(reason);
  }

  #closed(code: number, reason: string): void {
    const connecting = this.#stage === "connecting";
    const why = this.#trouble ? `: ${this.#trouble}` : "";
    this.#end(connecting ? new ConnectionError("unreachable", `can't connect to ${this.#config.url}${why}`) : new ServerClosedError(code, reason));
  }

  #guard(f: () => void): void {
    try {
      f();
    } catch (error) {
      this.#end(error instanceof SkuaError ? error : new ProtocolError(`the server's bytes make no sense: ${String(error)}`, { cause: error }));
    }
  }

  #write(bytes: Uint8Array): void {
    this.bytesOut += bytes.length;
    try {
      this.#socket.send(bytes);
    } catch (cause) {
      this.#end(new ConnectionError("unsendable", `the socket does not send: ${String(cause)}`, { cause }));
    }
  }

  // The messages of the WebSocket are pieces of a stream of packages.
  #receive(data: unknown): void {
    const bytes = bytesOf(data);
    this.bytesIn += bytes.length;
    this.#splitter.push(bytes, (type, body) => {
      if (this.#stage === "ended") return false;
      this.#heard = this.#env.now();
      this.#package(type, body);
      return true;
    });
  }

  #package(type: number, body: Uint8Array): void {
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

  #welcome(body: Uint8Array): void {
    const blanks = [0x20, 0x09, 0x0a, 0x0d];
    const first = body.find((byte) => !blanks.includes(byte));
    if (first === 0x7b) { // "{"
      this.#events.welcome(decodeWelcome(body));
      return;
    }
    // Pitaya compresses its handshake when its compression is on.
    inflate(body, this.#config.maxPackage).then(
      (plain) => {
        if (this.#stage === "welcomed") this.#guard(() => this.#events.welcome(decodeWelcome(plain)));
      },
      (error) => this.#end(error instanceof SkuaError ? error : new ProtocolError("the handshake can't be read", { cause: error })),
    );
  }

  #heartbeat(): void {
    this.#events.beat();
    this.#beat();
    if (this.open) this.#timer("heartbeat", this.#interval, () => this.#heartbeat());
  }

  #beat(): void {
    this.#beaten = this.#env.now();
    this.#write(encodePackage(HEARTBEAT));
  }

  #answered(): void {
    if (this.#beaten === null) return;
    this.#answers = true;
    this.#events.rtt(this.#env.now() - this.#beaten);
    this.#beaten = null;
  }

  // Every package is a sign of life, so this looks again as long after the last one as the server may be silent.
  #silence(): void {
    const most = 2 * this.#interval;
    const left = this.#heard + most - this.#env.now();
    if (left > 0) this.#timer("silence", left, () => this.#silence());
    else this.#silent(most);
  }

  #silent(ms: number): void {
    this.#end(new ConnectionError("silent", `not a sign of the server for ${ms} ms`));
  }

  #timer(name: "handshake" | "heartbeat" | "silence" | "probe", ms: number, f: () => void): void {
    this.#cancel(name);
    this.#timers.set(name, this.#env.after(ms, () => {
      this.#timers.delete(name);
      f();
    }));
  }

  #cancel(name: "handshake" | "heartbeat" | "silence" | "probe"): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }
}

function bytesOf(data: unknown): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  // By its tag, as an ArrayBuffer of another realm (a frame, a test's sandbox) is no instance of ours.
  if (Object.prototype.toString.call(data) === "[object ArrayBuffer]") return new Uint8Array(data as ArrayBuffer);
  throw new ProtocolError("a text message on the WebSocket, expected binary ones");
}
