// Where a client connects to: the addresses that it was given, and those that servers have told it of.

export class Addresses {
  readonly #own: readonly string[];
  #all: readonly string[]; // tried in turn
  #turn = 0; // the one to try next
  #detours: string[] = []; // where a server has sent us to: tried first, each once
  #at: string;

  constructor(own: readonly string[]) {
    this.#own = this.#all = own;
    this.#at = own[0]!;
  }

  /** The one of the connection, or of the last attempt. */
  get at(): string {
    return this.#at;
  }

  /** Goes on to the next one. */
  next(): string {
    this.#at = this.#detours.shift() ?? this.#all[this.#turn++ % this.#all.length]!;
    return this.#at;
  }

  /** The present one has answered, and knows others: it comes first next time, and the others come behind our own. */
  answered(others: readonly string[], random: number): void {
    this.#all = [...new Set([...this.#own, this.#at, ...fitting(this.#at, others, random)])];
    this.#turn = this.#all.indexOf(this.#at);
    this.#detours = [];
  }

  /** The present one sends us away, to these. */
  moved(others: readonly string[], random: number): void {
    this.#detours = fitting(this.#at, others, random);
  }
}

// The addresses that a client can go on to: WebSockets, and with TLS if it has had that. It begins at one of them at random.
function fitting(from: string, addresses: readonly string[], random: number): string[] {
  const fit = addresses.filter((a) => a !== from && (a.startsWith("wss://") || (a.startsWith("ws://") && !from.startsWith("wss://"))));
  const first = Math.floor(random * fit.length);
  return [...fit.slice(first), ...fit.slice(0, first)];
}
