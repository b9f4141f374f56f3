// A network and a clock of the tests' own: nothing happens but what a test lets happen, always in the same order.
import type { Environment, SocketLike } from "../src/environment.js";

/** Where a connection breaks: after so many bytes from the client, or from the server. */
export interface Cut {
  up?: number;
  down?: number;
}

/** The server's end of a connection. */
export interface Peer {
  bytes(data: Uint8Array): void;
  /** The connection has ended: 1000 after the client's goodbye, 1006 when it was cut. */
  closed(code: number): void;
}

export class World {
  now = 0;
  /** What Environment.random says, over and over. */
  random = 0.5;
  /** How the next connections break, one entry each; none: they hold. */
  cuts: (Cut | "refused")[] = [];
  /** Bytes of a WebSocket message to the client; 0: as the server wrote them. */
  piece = 0;
  readonly connections: Connection[] = [];
  readonly #accept: (c: Connection) => Peer;
  #timers: { at: number; order: number; f: () => void }[] = [];
  #order = 0;
  readonly #owned = new Set<object>();
  wake: () => void = () => {};
  offline: () => void = () => {};
  watched = 0;

  constructor(accept: (c: Connection) => Peer) {
    this.#accept = accept;
  }

  environment(): Environment {
    return {
      connect: (url) => new Connection(this, url, this.#accept).socket,
      now: () => this.now,
      after: (ms, f) => {
        const id = {};
        this.#owned.add(id);
        const cancel = this.after(ms, () => {
          this.#owned.delete(id);
          f();
        });
        return () => {
          this.#owned.delete(id);
          cancel();
        };
      },
      random: () => this.random,
      watch: (wake, offline) => {
        this.wake = wake;
        this.offline = offline;
        this.watched++;
        return () => this.watched--;
      },
    };
  }

  after(ms: number, f: () => void): () => void {
    const timer = { at: this.now + ms, order: this.#order++, f };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  }

  /** How many timers of clients run. */
  get timers(): number {
    return this.#owned.size;
  }

  /** Lets time pass until something holds. */
  async until(done: () => boolean, limit = 10 * 60_000): Promise<void> {
    for (const end = this.now + limit; ; ) {
      await settled();
      if (done()) return;
      const next = this.#next();
      if (!next || next.at > end) throw new Error(`it does not come to pass: ${done.toString()}`);
      this.#timers = this.#timers.filter((t) => t !== next);
      this.now = next.at;
      next.f();
    }
  }

  /** Waits for something that takes real time, such as inflating. The world's clock goes on for a few ms, so that bytes arrive. */
  async really(done: () => boolean): Promise<void> {
    await this.pass(5);
    for (const end = Date.now() + 20_000; !done(); await settled()) if (Date.now() > end) throw new Error(`it does not come to pass: ${done.toString()}`);
  }

  /** Lets so many ms pass. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settled();
      const next = this.#next();
      if (!next || next.at > end) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.now = next.at;
      next.f();
    }
    this.now = end;
  }

  #next(): { at: number; order: number; f: () => void } | undefined {
    let best: { at: number; order: number; f: () => void } | undefined;
    for (const t of this.#timers) if (!best || t.at < best.at || (t.at === best.at && t.order < best.order)) best = t;
    return best;
  }
}

/** All promises that can go on have. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One connection through the world, with the client's end as a WebSocket. Bytes take a millisecond. */
export class Connection {
  readonly socket: SocketLike & { readonly closes: number[] };
  readonly url: string;
  readonly #world: World;
  readonly #peer: Peer;
  readonly #cut: Cut;
  #left: Required<Cut>;
  #dead = false;
  #closing = false; // by the client, who hears nothing more
  up = 0; // bytes that the server has got
  down = 0; // bytes that the client has got

  constructor(world: World, url: string, accept: (c: Connection) => Peer) {
    this.#world = world;
    this.url = url;
    const cut = world.cuts.shift() ?? {};
    this.#cut = cut === "refused" ? {} : cut;
    this.#left = { up: this.#cut.up ?? Infinity, down: this.#cut.down ?? Infinity };
    world.connections.push(this);
    const closes: number[] = [];
    this.socket = {
      closes, binaryType: "", bufferedAmount: 0, onopen: null, onmessage: null, onclose: null, onerror: null,
      send: (data: Uint8Array) => this.#send(data.slice()),
      close: (code = 1005) => {
        closes.push(code);
        if (this.#dead || this.#closing) return;
        this.#closing = true;
        world.after(1, () => { // behind what is on its way
          if (this.#dead) return;
          this.#dead = true;
          this.#peer.closed(code);
        });
      },
    };
    this.#peer = cut === "refused" ? { bytes: () => {}, closed: () => {} } : accept(this);
    world.after(1, () => {
      if (this.#dead || this.#closing) return;
      if (cut === "refused") this.#break();
      else this.socket.onopen?.({});
    });
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Writes to the client. */
  write(data: Uint8Array): void {
    for (let at = 0; at < data.length; ) {
      const n = this.#world.piece || data.length;
      const piece = data.slice(at, at + n);
      at += n;
      this.#world.after(1, () => this.#arrive(piece));
    }
  }

  /** Writes what a WebSocket could carry besides. */
  writeRaw(data: unknown): void {
    this.#world.after(1, () => this.#dead || this.#closing || this.socket.onmessage?.({ data }));
  }

  /** The server closes. */
  close(code: number, reason = ""): void {
    this.#world.after(1, () => {
      if (this.#dead || this.#closing) return;
      this.#dead = true;
      this.socket.onclose?.({ code, reason });
    });
  }

  /** The line breaks now. */
  cut(): void {
    this.#break();
  }

  #arrive(piece: Uint8Array): void {
    if (this.#dead || this.#closing) return;
    const n = Math.min(piece.length, this.#left.down);
    this.#left.down -= n;
    this.down += n;
    if (n > 0) this.socket.onmessage?.({ data: piece.slice(0, n).buffer });
    if (this.#left.down === 0) this.#break();
  }

  #send(data: Uint8Array): void {
    this.#world.after(1, () => {
      if (this.#dead) return;
      const n = Math.min(data.length, this.#left.up);
      this.#left.up -= n;
      this.up += n;
      if (n > 0) this.#peer.bytes(data.subarray(0, n));
      if (this.#left.up === 0) this.#break();
    });
  }

  #break(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#peer.closed(1006);
    this.socket.onerror?.({ message: "the line broke" });
    this.socket.onclose?.({ code: 1006, reason: "" });
  }
}
