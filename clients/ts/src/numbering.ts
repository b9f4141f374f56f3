// Where a session is: what of ours the server has, and what of the server's we have. docs/protocol.md, the part on resume.
import type { Resume } from "./handshake.js";
import { Ring } from "./ring.js";

/** An acknowledgement is due after so many packages or bytes of the server's. */
const ACK_PACKAGES = 32;
const ACK_BYTES = 16 << 10;

/** The counting of a session with a server that keeps it. The data packages of each direction count 1, 2, 3, ... across all its connections. */
export class Numbering {
  readonly ring: Ring;
  #token: string;
  #window: number;
  #received = 0;
  #told = 0; // what of that the server knows
  #bytes = 0; // since then

  constructor(r: Resume) {
    this.ring = new Ring(r.bounds);
    this.#token = r.token;
    this.#window = r.window;
  }

  /** For how long the server keeps the session without a connection, in ms. */
  get window(): number {
    return this.#window;
  }

  /** What a client says to go on. */
  claim(): { token: string; received: number } {
    return { token: this.#token, received: this.#received };
  }

  /** The server has let us go on, knowing what claim said. */
  resume(r: Resume): void {
    this.ring.acknowledge(r.received);
    this.ring.bounds = r.bounds;
    this.#token = r.token;
    this.#window = r.window;
    this.#told = this.#received;
    this.#bytes = 0;
  }

  /** Counts a data package of the server's, and says whether an acknowledgement is due. */
  count(bytes: number): boolean {
    this.#received++;
    this.#bytes += bytes;
    return this.#received - this.#told >= ACK_PACKAGES || this.#bytes >= ACK_BYTES;
  }

  /** The number to acknowledge, or 0 if there is no news. The caller sends it. */
  news(): number {
    if (this.#told === this.#received) return 0;
    this.#told = this.#received;
    this.#bytes = 0;
    return this.#received;
  }
}
