// What the application sends while there is no session for it.
import { BacklogError } from "./errors.js";
import type { Bounds } from "./handshake.js";
import { size, type Outgoing } from "./packet.js";

export class Waiting {
  readonly #bounds: Bounds;
  #messages = new Set<Outgoing>(); // in order
  #bytes = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Keeps a message, or throws a BacklogError. One message may wait however long it is. */
  add(m: Outgoing): void {
    const n = this.#messages.size;
    if (n >= this.#bounds.packages || (n > 0 && this.#bytes + size(m) > this.#bounds.bytes)) {
      throw new BacklogError(`${n} messages of ${this.#bytes} bytes wait for a session; ${this.#bounds.packages} of ${this.#bounds.bytes} bytes may`);
    }
    this.#messages.add(m);
    this.#bytes += size(m);
  }

  /** Says whether the request with that id is here. */
  has(id: number): boolean {
    return this.#find(id) !== undefined;
  }

  /** A request that was given up need not be sent. */
  withdraw(id: number): void {
    const m = this.#find(id);
    if (!m) return;
    this.#messages.delete(m);
    this.#bytes -= size(m);
  }

  /** All of them, in order, which are not here any more then. */
  take(): Outgoing[] {
    const all = [...this.#messages];
    this.#messages.clear();
    this.#bytes = 0;
    return all;
  }

  #find(id: number): Outgoing | undefined {
    for (const m of this.#messages) if (m.id === id) return m;
    return undefined;
  }
}
