// Requests that wait for their answers.
import type { Environment } from "./environment.js";
import { TimeoutError } from "./errors.js";

/** How a request is made, beside its route and body. */
export interface RequestOptions {
  /** Deadline in ms, from the call on. Default: the client's. */
  timeout?: number;
  /** Gives the request up: its promise is rejected with the signal's reason. The server may have handled it, or still do. */
  signal?: AbortSignal;
}

/** The longest deadline in ms: what timers of JavaScript hold, some 24 days. */
const LONGEST = 2 ** 31 - 1;

/** A RangeError tells of a deadline that is none. */
export function checkTimeout(ms: number): number {
  if (!(ms > 0 && ms <= LONGEST)) throw new RangeError(`a deadline of ${ms} ms, expected more than 0 and at most ${LONGEST}`);
  return ms;
}

export interface Call {
  readonly route: string;
  settle(f: (resolve: (value: any) => void, reject: (error: unknown) => void) => void): void;
}

/** The requests of a client by their ids, which go up and are never used twice. */
export class Calls {
  readonly #env: Environment;
  readonly #calls = new Map<number, Call>();
  #last = 0;

  constructor(env: Environment) {
    this.#env = env;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** A new request; gaveUp is called when its deadline or its signal has ended it. */
  add(route: string, timeout: number, signal: AbortSignal | undefined, gaveUp: (id: number) => void): { id: number; promise: Promise<any> } {
    const id = ++this.#last;
    const promise = new Promise<any>((resolve, reject) => {
      const aborted = () => giveUp(signal?.reason);
      const cancel = this.#env.after(timeout, () => giveUp(new TimeoutError(route, timeout)));
      const call: Call = {
        route,
        settle: (f) => {
          cancel();
          signal?.removeEventListener("abort", aborted);
          f(resolve, reject);
        },
      };
      const giveUp = (error: unknown) => {
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
  take(id: number): Call | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  /** Fails all, or those that are meant. */
  fail(error: unknown, meant: (id: number) => boolean = () => true): void {
    for (const [id, call] of [...this.#calls]) {
      if (!meant(id)) continue;
      this.#calls.delete(id);
      call.settle((_, reject) => reject(error));
    }
  }
}
