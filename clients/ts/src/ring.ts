// What was sent and is not acknowledged yet, so that it can be sent again over the next connection.
import { BacklogError, ProtocolError } from "./errors.js";
import type { Bounds } from "./handshake.js";
import { size, type Outgoing } from "./packet.js";

/** The messages of a session that the server may not have, numbered 1, 2, 3, ... from the session's begin. */
export class Ring {
  #bounds: Bounds;
  #messages: Outgoing[] = [];
  #bytes = 0;
  #acked = 0; // number of the last message that is gone from here

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** How many messages were pushed since the begin. */
  get sent(): number {
    return this.#acked + this.#messages.length;
  }

  /** How many of them are not acknowledged. */
  get length(): number {
    return this.#messages.length;
  }

  /** The server may have changed its mind with a new handshake; what is in stays in. */
  set bounds(b: Bounds) {
    this.#bounds = b;
  }

  /** Keeps a message, or throws a BacklogError. A ring that is empty takes any one message, however long. */
  push(m: Outgoing): void {
    const n = this.#messages.length;
    const bytes = size(m);
    if (n >= this.#bounds.packages || (n > 0 && this.#bytes + bytes > this.#bounds.bytes)) {
      const { packages, bytes: most } = this.#bounds;
      throw new BacklogError(`${n} messages of ${this.#bytes} bytes are not acknowledged; ${packages} of ${most} bytes may be at once`);
    }
    this.#messages.push(m);
    this.#bytes += bytes;
  }

  /** The server has the messages up to number n. One that goes back is nothing new; one beyond what was sent is a ProtocolError. */
  acknowledge(n: number): void {
    if (n > this.sent) throw new ProtocolError(`the server acknowledges ${n} messages, only ${this.sent} were sent`);
    if (n <= this.#acked) return;
    for (const m of this.#messages.splice(0, n - this.#acked)) this.#bytes -= size(m);
    this.#acked = n;
  }

  /** Says whether a server that has the messages up to number n can go on: those behind it have to be here. */
  reaches(n: number): boolean {
    return n >= this.#acked && n <= this.sent;
  }

  /** The messages that are not acknowledged, in order. */
  [Symbol.iterator](): Iterator<Outgoing> {
    return this.#messages[Symbol.iterator]();
  }
}
