// What has arrived, on its way to the application: one after the other, in the order of arrival, whatever takes time.
import { ProtocolError, SkuaError } from "./errors.js";
import { inflate } from "./inflate.js";
import type { Incoming } from "./packet.js";

export interface InboxEvents {
  /** A message, its body plain. True: it has settled a promise. */
  deliver(message: Incoming, body: Uint8Array): boolean;
  /** A message whose body can't be read. */
  unreadable(message: Incoming, error: SkuaError): void;
  /** The server has broken the protocol. */
  broken(error: SkuaError): void;
  /** The end of the connection, behind all that came over it. */
  ended(reason: SkuaError): void;
}

export class Inbox {
  readonly #events: InboxEvents;
  readonly #maxBody: number; // inflated
  readonly #maxBytes: number; // that wait
  #queue: (Incoming | SkuaError)[] = [];
  #bytes = 0;
  #busy: object | null = null; // who is at it; another one after clear

  constructor(maxBody: number, maxBytes: number, events: InboxEvents) {
    this.#maxBody = maxBody;
    this.#maxBytes = maxBytes;
    this.#events = events;
  }

  /** Takes a message. A ProtocolError tells that too much waits behind bodies that are being inflated. */
  push(message: Incoming): void {
    if (this.#bytes > 0 && this.#bytes + message.body.length > this.#maxBytes) {
      throw new ProtocolError(`more than ${this.#maxBytes} bytes wait for compressed bodies before them`);
    }
    this.#bytes += message.body.length;
    this.#queue.push(message);
    this.#start();
  }

  /** The connection has ended. */
  end(reason: SkuaError): void {
    this.#queue.push(reason);
    this.#start();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#queue = [];
    this.#bytes = 0;
    this.#busy = null;
  }

  #start(): void {
    if (!this.#busy) this.#drain((this.#busy = {}));
  }

  // Runs until the queue is empty or something has to be waited for, and then goes on by itself.
  #drain(me: object): void {
    for (let at = 0; this.#busy === me; ) {
      const item = this.#queue[at++];
      if (item === undefined) {
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
        // Who awaits this answer goes on before the next message is there.
        this.#queue = this.#queue.slice(at);
        queueMicrotask(() => this.#drain(me));
        return;
      }
    }
  }

  #inflate(message: Incoming, me: object): void {
    inflate(message.body, this.#maxBody).then(
      (plain) => this.#busy === me && void this.#events.deliver(message, plain),
      (cause: unknown) => {
        if (this.#busy !== me) return;
        const error = cause instanceof SkuaError ? cause : new ProtocolError("a compressed body can't be read", { cause, code: "body" });
        if (error.code === "protocol") this.#events.broken(error);
        else this.#events.unreadable(message, error);
      },
    ).then(() => this.#drain(me));
  }
}
